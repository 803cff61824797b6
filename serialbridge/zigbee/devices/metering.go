package devices

import (
	"fmt"
	"math"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Clusters of meters.
const (
	clusterMetering   = 0x0702
	clusterElectrical = 0x0b04
)

// meteringTraits are those of what measures electricity and gas.
var meteringTraits = []*Trait{
	{Name: "electrical measurement", Clusters: []uint16{clusterElectrical}, Exposes: append(properties(electrical), "electrical_measurement"),
		Generate: exposeElectrical, Decode: decodeElectrical, Keys: properties(electrical),
		Get: getMeter(clusterElectrical, electrical), Configure: configureElectrical},
	{Name: "metering", Clusters: []uint16{clusterMetering}, Exposes: append(properties(summations), "gas", "volume_flow_rate", "metering", "gas_metering"),
		Generate: exposeMetering, Decode: decodeMetering, Keys: append(properties(summations), "gas", "volume_flow_rate"),
		Get: getMeter(clusterMetering, summations), Configure: configureMetering},
}

// quantity is an attribute of a meter.
type quantity struct {
	id         uint16
	property   string
	multiplier uint16 // the attributes that scale it; 0: the device tells it as it is
	divisor    uint16
	typ        zcl.Type
	change     float64 // in the unit of the property
}

// The attributes of the Electrical Measurement cluster (section 4.9.2.2). A later one
// of the same property goes before an earlier.
var electrical = []quantity{
	{0x0300, "ac_frequency", 0x0400, 0x0401, zcl.Uint16, 1},
	{0x050b, "power", 0x0604, 0x0605, zcl.Int16, 5},
	{0x090b, "power_phase_b", 0x0604, 0x0605, zcl.Int16, 5},
	{0x0a0b, "power_phase_c", 0x0604, 0x0605, zcl.Int16, 5},
	{0x050f, "power_apparent", 0x0604, 0x0605, zcl.Uint16, 5},
	{0x090f, "power_apparent_phase_b", 0x0604, 0x0605, zcl.Uint16, 5},
	{0x0a0f, "power_apparent_phase_c", 0x0604, 0x0605, zcl.Uint16, 5},
	{0x050e, "power_reactive", 0x0604, 0x0605, zcl.Int16, 5},
	{0x090e, "power_reactive_phase_b", 0x0604, 0x0605, zcl.Int16, 5},
	{0x0a0e, "power_reactive_phase_c", 0x0604, 0x0605, zcl.Int16, 5},
	{0x0508, "current", 0x0602, 0x0603, zcl.Uint16, 0.05},
	{0x0908, "current_phase_b", 0x0602, 0x0603, zcl.Uint16, 0.05},
	{0x0a08, "current_phase_c", 0x0602, 0x0603, zcl.Uint16, 0.05},
	{0x0303, "current_neutral", 0x0602, 0x0603, zcl.Uint16, 0.05},
	{0x0505, "voltage", 0x0600, 0x0601, zcl.Uint16, 5},
	{0x0905, "voltage_phase_b", 0x0600, 0x0601, zcl.Uint16, 5},
	{0x0a05, "voltage_phase_c", 0x0600, 0x0601, zcl.Uint16, 5},
	{0x0106, "power", 0x0204, 0x0205, zcl.Int16, 0.1},   // direct current
	{0x0103, "current", 0x0202, 0x0203, zcl.Int16, 0.1}, // direct current
	{0x0100, "voltage", 0x0200, 0x0201, zcl.Int16, 0.1}, // direct current
	{0x0510, "power_factor", 0, 0, zcl.Int8, 10},
	{0x0910, "power_factor_phase_b", 0, 0, zcl.Int8, 10},
	{0x0a10, "power_factor_phase_c", 0, 0, zcl.Int8, 10},
}

// The attributes that scale those of the Metering cluster (section 10.4.2.2.4).
const (
	meterMultiplier = 0x0301
	meterDivisor    = 0x0302
	meterDemand     = 0x0400
	meterDelivered  = 0x0000
	meterStatus     = 0x0200
	meterExtended   = 0x0207
)

// The attributes of the Metering cluster that are published (sections 10.4.2.2.1,
// 10.4.2.2.2 and 10.4.2.2.5).
var summations = []quantity{
	{meterDemand, "power", meterMultiplier, meterDivisor, zcl.Int24, 0.005},
	{meterDelivered, "energy", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0001, "produced_energy", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0100, "energy_tier_1", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0102, "energy_tier_2", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0104, "energy_tier_3", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0106, "energy_tier_4", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0101, "produced_energy_tier_1", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
	{0x0103, "produced_energy_tier_2", meterMultiplier, meterDivisor, zcl.Uint48, 0.1},
}

func properties(quantities []quantity) []string {
	var names []string
	for _, q := range quantities {
		if !slices.Contains(names, q.property) {
			names = append(names, q.property)
		}
	}
	return names
}

// factor is what a value on the wire is multiplied by; ok is false if the device has
// not told (or the definition says) both, and none of them is zero.
func (c *Context) factor(m zigbee.Message, q quantity) (float64, bool) {
	if n, d, ok := c.forced(q.property); ok {
		return n / d, true
	}
	multiplier, ok := c.known(m, q.multiplier)
	divisor, ok2 := c.known(m, q.divisor)
	if !ok || !ok2 || multiplier == 0 || divisor == 0 {
		return 1, false
	}
	return multiplier / divisor, true
}

// forced is what the definition says about scaling a property, in the place of the
// device.
func (c *Context) forced(property string) (multiplier, divisor float64, ok bool) {
	multiplier, okM := c.Definition.number("meter", property, "multiplier")
	divisor, okD := c.Definition.number("meter", property, "divisor")
	if !okM {
		multiplier = 1
	}
	if !okD {
		divisor = 1
	}
	return multiplier, divisor, (okM || okD) && multiplier != 0 && divisor != 0
}

func decodeElectrical(c *Context, m zigbee.Message) Values {
	if !tells(m) || c.repeated(m) {
		return nil
	}
	values := Values{}
	for _, q := range electrical {
		raw, ok := reportedNumber(m, q.id)
		if !ok {
			continue
		}
		if q.multiplier == 0 {
			values[q.property] = round(raw/100, 2)
			continue
		}
		factor, _ := c.factor(m, q)
		values[q.property] = raw * factor
	}
	return values
}

func decodeMetering(c *Context, m zigbee.Message) Values {
	if !tells(m) || c.repeated(m) {
		return nil
	}
	values := Values{}
	gas := c.Definition.shows("gas") || c.Definition.uses("gas_metering")
	for _, q := range summations {
		raw, ok := reportedNumber(m, q.id)
		if !ok {
			continue
		}
		factor, known := c.factor(m, q)
		switch {
		case gas && q.id == meterDemand:
			values["volume_flow_rate"] = round(raw*factor, 2)
		case gas && q.id == meterDelivered:
			values["gas"] = round(raw*factor, 2)
		case gas:
		case q.id == meterDemand && known:
			values["power"] = raw * factor * 1000 // kilowatts by the standard
		default:
			values[q.property] = raw * factor
		}
	}
	if gas {
		if raw, ok := reportedNumber(m, meterStatus); ok {
			values["status"] = raw
		}
		if raw, ok := reportedNumber(m, meterExtended); ok {
			values["extended_status"] = raw
		}
	}
	return values
}

func getMeter(cluster uint16, quantities []quantity) func(*Context, string) ([]zigbee.Request, error) {
	return func(c *Context, key string) ([]zigbee.Request, error) {
		switch key {
		case "gas":
			key = "energy"
		case "volume_flow_rate":
			key = "power"
		}
		for _, q := range quantities {
			if q.property == key {
				return []zigbee.Request{c.read(cluster, q.id)}, nil
			}
		}
		return nil, fmt.Errorf("%s cannot be read", key)
	}
}

var electricalExposes = []*Expose{
	{Type: "numeric", Name: "power", Property: "power", Access: Published | Gettable, Unit: "W", Description: "Instantaneous measured power"},
	{Type: "numeric", Name: "voltage", Property: "voltage", Access: Published | Gettable, Unit: "V", Description: "Measured electrical potential value"},
	{Type: "numeric", Name: "current", Property: "current", Access: Published | Gettable, Unit: "A", Description: "Instantaneous measured electrical current"},
}

func exposeElectrical(c *Context, endpoint uint8) []*Expose {
	if !serves(c, endpoint, clusterElectrical) {
		return nil
	}
	var exposes []*Expose
	for _, e := range electricalExposes {
		copied := *e
		exposes = append(exposes, &copied)
	}
	return exposes
}

func exposeMetering(c *Context, endpoint uint8) []*Expose {
	if !serves(c, endpoint, clusterMetering) {
		return nil
	}
	energy := &Expose{Type: "numeric", Name: "energy", Property: "energy", Access: Published | Gettable, Unit: "kWh", Description: "Sum of consumed energy"}
	if serves(c, endpoint, clusterElectrical) {
		return []*Expose{energy}
	}
	power := *electricalExposes[0]
	return []*Expose{&power, energy}
}

func configureElectrical(c *Context, endpoint uint8) []Step {
	return configureMeter(c, endpoint, clusterElectrical, electrical)
}

func configureMetering(c *Context, endpoint uint8) []Step {
	quantities := summations
	if c.Definition.shows("gas") {
		quantities = []quantity{summations[0], summations[1]}
		quantities[0].property, quantities[0].change = "volume_flow_rate", 0.01
		quantities[1].property = "gas"
	} else if c.firstWith(clusterElectrical) != 0 && !c.Definition.is("meter", "power", "metering") {
		quantities = summations[1:] // power is told by the other cluster
	}
	return configureMeter(c, endpoint, clusterMetering, quantities)
}

// configureMeter reads the scale and sets up what is exposed. The change that is
// worth a report is a quantity, so it needs the scale: what the device has told, or
// the definition.
func configureMeter(c *Context, endpoint uint8, cluster uint16, quantities []quantity) []Step {
	if !serves(c, endpoint, cluster) {
		return nil
	}
	var steps []Step
	var reports []zigbee.Reporting
	scales := make(map[uint16]bool)
	direct := c.Definition.is("meter", "dc")
	for _, q := range quantities {
		if dc := cluster == clusterElectrical && q.id < 0x0200; dc != (direct && cluster == clusterElectrical) || !c.Definition.shows(q.property) {
			continue
		}
		change := q.change
		if q.multiplier != 0 {
			multiplier, divisor, ok := c.forced(q.property)
			if !ok {
				if !scales[q.divisor] {
					scales[q.divisor] = true
					steps = append(steps, readStep(endpoint, cluster, q.divisor, q.multiplier))
				}
				m, _ := c.Attribute(endpoint, cluster, q.multiplier)
				d, _ := c.Attribute(endpoint, cluster, q.divisor)
				multiplier, _ = numberOf(m)
				divisor, _ = numberOf(d)
			}
			if multiplier != 0 && divisor != 0 {
				change *= divisor / multiplier
			}
		}
		change = max(1, math.Floor(change))
		reports = append(reports, zigbee.Reporting{Attribute: q.id, Type: uint8(q.typ), Min: 10 * time.Second, Max: maxInterval, Change: change})
	}
	if len(reports) == 0 {
		return nil
	}
	return append(steps, report(endpoint, cluster, reports...)...)
}
