package devices

import (
	"math"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// sensorTraits are those of what measures by the standard.
var sensorTraits = slices.Concat(
	measurements(),
	[]*Trait{
		{Name: "pressure", Exposes: []string{"pressure"}, Clusters: []uint16{clusterPressure},
			Generate: pressureExpose, Decode: decodePressure,
			Keys: []string{"pressure"}, Get: reads(clusterPressure, 0), Configure: configurePressure},
		{Name: "occupancy", Exposes: []string{"occupancy"}, Clusters: []uint16{clusterOccupancy},
			Generate: occupancyExpose, Decode: decodeOccupancy,
			Keys: []string{"occupancy"}, Get: reads(clusterOccupancy, 0), Configure: configureOccupancy},
	},
	occupancySettings(),
	powerTraits,
	meteringTraits,
	zoneTraits,
	analogTraits,
)

// Clusters of what measures.
const (
	clusterBasic             = 0x0000
	clusterPower             = 0x0001
	clusterDeviceTemperature = 0x0002
	clusterIlluminance       = 0x0400
	clusterTemperature       = 0x0402
	clusterPressure          = 0x0403
	clusterFlow              = 0x0404
	clusterHumidity          = 0x0405
	clusterOccupancy         = 0x0406
	clusterSoilMoisture      = 0x0408
	clusterPH                = 0x0409
	clusterConductivity      = 0x040a
	clusterWindSpeed         = 0x040b
	clusterCO                = 0x040c
	clusterCO2               = 0x040d
	clusterPM25              = 0x042a
	clusterFormaldehyde      = 0x042b
	clusterPM1               = 0x042c
	clusterPM10              = 0x042d
	clusterTVOC              = 0x042e
)

// measurement is a cluster whose attribute tells one value.
type measurement struct {
	property    string
	cluster     uint16
	attribute   uint16
	unit        string
	label       string
	description string
	category    string
	divisor     float64
	typ         zcl.Type
	change      float64 // that is worth a report; 0: it is not set up to be reported
	generate    bool
	// value, if set, does what no divisor can.
	value func(raw float64) float64
}

var measured = []measurement{
	{property: "temperature", cluster: clusterTemperature, unit: "°C", description: "Measured temperature value", divisor: 100, typ: zcl.Int16, change: 100, generate: true},
	{property: "humidity", cluster: clusterHumidity, unit: "%", description: "Measured relative humidity", divisor: 100, typ: zcl.Uint16, change: 100, generate: true},
	{property: "flow", cluster: clusterFlow, unit: "m³/h", description: "Measured water flow", divisor: 10, typ: zcl.Uint16, change: 10, generate: true},
	{property: "soil_moisture", cluster: clusterSoilMoisture, unit: "%", description: "Measured soil moisture value", divisor: 100, typ: zcl.Uint16, change: 100, generate: true},
	{property: "wind_speed", cluster: clusterWindSpeed, unit: "m/s", description: "Measured wind speed value", divisor: 100, typ: zcl.Uint16, change: 1},
	{property: "illuminance", cluster: clusterIlluminance, unit: "lx", description: "Measured illuminance", typ: zcl.Uint16, change: 5, generate: true, value: lux},
	{property: "co2", cluster: clusterCO2, unit: "ppm", label: "CO2", description: "Measured value", divisor: 0.000001, typ: zcl.Single, change: 0.00005, generate: true},
	{property: "co", cluster: clusterCO, unit: "ppm", description: "Measured CO", divisor: 0.000001, typ: zcl.Single, change: 0.000001},
	{property: "pm25", cluster: clusterPM25, unit: "µg/m³", description: "Measured PM2.5 (particulate matter) concentration", divisor: 1, typ: zcl.Single, change: 1, generate: true},
	{property: "pm1", cluster: clusterPM1, divisor: 1, typ: zcl.Single, change: 1},
	{property: "pm10", cluster: clusterPM10, divisor: 1, typ: zcl.Single, change: 1},
	{property: "formaldehyd", cluster: clusterFormaldehyde, divisor: 1, typ: zcl.Single},
	{property: "formaldehyde", cluster: clusterFormaldehyde, divisor: 1, typ: zcl.Single},
	{property: "voc", cluster: clusterTVOC, divisor: 1, typ: zcl.Single},
	{property: "ph", cluster: clusterPH, divisor: 100, typ: zcl.Uint16},
	{property: "ec", cluster: clusterConductivity, divisor: 1, typ: zcl.Uint16},
	{property: "device_temperature", cluster: clusterDeviceTemperature, unit: "°C", description: "Temperature of the device", category: "diagnostic", divisor: 1, typ: zcl.Int16, generate: true},
}

// lux is what an illuminance of the wire is: 10000 × log10(lux) + 1 (section 4.2.2.2.1.1).
func lux(raw float64) float64 { return math.Pow(10, (raw-1)/10000) }

func measurements() []*Trait {
	var traits []*Trait
	for _, q := range measured {
		t := &Trait{
			Name: q.property, Exposes: []string{q.property}, Clusters: []uint16{q.cluster},
			Decode: q.decode, Keys: []string{q.property}, Get: reads(q.cluster, q.attribute),
		}
		if q.change != 0 || q.generate {
			t.Configure = q.configure
		}
		if q.generate {
			t.Generate = q.expose
		}
		traits = append(traits, t)
	}
	return traits
}

func (q measurement) decode(c *Context, m zigbee.Message) Values {
	raw, ok := reportedNumber(m, q.attribute)
	if !ok {
		return nil
	}
	value := 0.0
	if divisor, ok := c.Definition.number("scale", q.property); ok && divisor != 0 {
		value = raw / divisor
	} else if q.value != nil {
		value = q.value(raw)
	} else {
		value = raw / q.divisor
	}
	switch q.property {
	case "humidity":
		if c.Definition.uses("humidity") && (value < 0 || value > 100) {
			return nil // what such sensors tell now and then
		}
	case "co2":
		if c.Definition.uses("co2") {
			value = math.Floor(raw * 1000000)
		}
	case "illuminance":
		if truthy(c.Options["illuminance_raw"]) {
			return Values{q.property: value, "illuminance_raw": raw}
		}
	}
	return Values{q.property: value}
}

func (q measurement) expose(c *Context, endpoint uint8) []*Expose {
	if !serves(c, endpoint, q.cluster) {
		return nil
	}
	return []*Expose{{Type: "numeric", Name: q.property, Label: q.label, Property: q.property,
		Access: Published | Gettable, Unit: q.unit, Description: q.description, Category: q.category}}
}

func (q measurement) configure(c *Context, endpoint uint8) []Step {
	if !serves(c, endpoint, q.cluster) {
		return nil
	}
	if q.change == 0 {
		return []Step{readStep(endpoint, q.cluster, q.attribute)}
	}
	return report(endpoint, q.cluster, zigbee.Reporting{Attribute: q.attribute, Type: uint8(q.typ),
		Min: 10 * time.Second, Max: time.Hour, Change: q.change})
}

// The attributes of the Pressure Measurement cluster (section 4.5.2.2).
const (
	pressureMeasured    = 0x0000
	pressureScaledValue = 0x0010
	pressureScale       = 0x0014
)

// decodePressure returns kilopascals if the definition says so, else hectopascals:
// of the scaled value if there is one, because the other has no decimals.
func decodePressure(c *Context, m zigbee.Message) Values {
	measured, hasMeasured := reportedNumber(m, pressureMeasured)
	if divisor, ok := c.Definition.number("scale", "pressure"); ok && divisor != 0 {
		if !hasMeasured {
			return nil
		}
		return Values{"pressure": measured / divisor}
	}
	if !c.Definition.uses("pressure") && c.Definition.unit("pressure") == "kPa" {
		if !hasMeasured {
			return nil
		}
		return Values{"pressure": measured / 10}
	}
	if scaled, ok := reportedNumber(m, pressureScaledValue); ok {
		scale, ok := reportedNumber(m, pressureScale)
		if !ok {
			value, _ := c.Attribute(m.Endpoint, clusterPressure, pressureScale)
			if scale, ok = zcl.Float(value); !ok {
				return nil
			}
		}
		return Values{"pressure": scaled / math.Pow(10, scale) / 100}
	}
	if !hasMeasured {
		return nil
	}
	return Values{"pressure": measured}
}

func pressureExpose(c *Context, endpoint uint8) []*Expose {
	if !serves(c, endpoint, clusterPressure) {
		return nil
	}
	return []*Expose{{Type: "numeric", Name: "pressure", Property: "pressure", Access: Published | Gettable,
		Unit: "kPa", Description: "The measured atmospheric pressure"}}
}

func configurePressure(c *Context, endpoint uint8) []Step {
	if !serves(c, endpoint, clusterPressure) {
		return nil
	}
	return report(endpoint, clusterPressure, zigbee.Reporting{Type: uint8(zcl.Int16), Min: 10 * time.Second, Max: time.Hour, Change: 50})
}
