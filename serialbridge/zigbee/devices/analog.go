package devices

import (
	"math"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Clusters of values that have no meaning by themselves (section 3.14).
const (
	clusterAnalogInput     = 0x000c
	clusterAnalogOutput    = 0x000d
	clusterBinaryInput     = 0x000f
	clusterBinaryOutput    = 0x0010
	clusterMultistateInput = 0x0012
	clusterPollControl     = 0x0020
)

// The attributes of those clusters.
const (
	presentMax         = 0x0041
	presentMin         = 0x0045
	presentDescription = 0x001c
	presentValue       = 0x0055
	presentResolution  = 0x006a
	presentUnits       = 0x0075
	presentApplication = 0x0100
)

// analogTraits are those of inputs, outputs and values; of what a device has that
// nobody has described: definitions have rows for them.
var analogTraits = []*Trait{
	generic(clusterAnalogInput, "analog_input", zcl.Single, false),
	generic(clusterAnalogOutput, "analog_output", zcl.Single, true),
	generic(clusterBinaryInput, "binary_input", zcl.Boolean, false),
	generic(clusterBinaryOutput, "binary_output", zcl.Boolean, true),
	{Name: "presence by check-in", Clusters: []uint16{clusterPollControl}, Exposes: []string{"presence"}, Decode: decodeCheckIn},
}

// generic is the trait of the present value of one of those clusters. What an endpoint
// shows is named by its description, if it has one.
func generic(cluster uint16, name string, typ zcl.Type, settable bool) *Trait {
	t := &Trait{Name: name, Clusters: []uint16{cluster}, Named: true}
	row := func(c *Context, endpoint uint8) Attribute {
		a := Attribute{Cluster: cluster, ID: presentValue, Endpoint: endpoint, Property: genericName(c, cluster, name, endpoint),
			Conversion: Conversion{Kind: "identity"}, Read: true}
		if typ == zcl.Boolean {
			a.Conversion = Conversion{Kind: "bool", Enum: map[int64]any{0: "OFF", 1: "ON"}}
		}
		if settable {
			a.Type = typ
		}
		return a
	}
	t.Decode = func(c *Context, m zigbee.Message) Values {
		if !c.Definition.Generated {
			return nil
		}
		a := row(c, m.Endpoint)
		return a.decode(c, m)
	}
	t.Takes = func(d *Definition, key string, get bool) bool {
		return d.Generated && (get || settable) && strings.HasPrefix(key, name)
	}
	t.Set = func(c *Context, key string, value any) (Result, error) {
		a := row(c, genericEndpoint(c, cluster, name, key))
		return a.set(c, value)
	}
	t.Get = func(c *Context, key string) ([]zigbee.Request, error) {
		return []zigbee.Request{readRequest(genericEndpoint(c, cluster, name, key), cluster, 0, presentValue)}, nil
	}
	t.Configure = func(c *Context, endpoint uint8) []Step {
		if !serves(c, endpoint, cluster) || !c.Definition.Generated {
			return nil
		}
		r := zigbee.Reporting{Attribute: presentValue, Type: uint8(typ), Max: maxInterval}
		if typ.Analog() {
			r.Change = 1
		}
		return report(endpoint, cluster, r)
	}
	t.Generate = func(c *Context, endpoint uint8) []*Expose {
		return exposeGeneric(c, cluster, name, typ, settable, endpoint)
	}
	return t
}

// genericName is the name of an endpoint's value: that of the cluster and, if there are
// several endpoints, the endpoint; or its own.
func genericName(c *Context, cluster uint16, name string, endpoint uint8) string {
	description, _ := c.Attribute(endpoint, cluster, presentDescription)
	if text, ok := description.(string); ok && text != "" && len(text) < 64 {
		name = strings.ToLower(strings.Join(strings.Fields(text), "_"))
	}
	return name + "_" + digits(endpoint)
}

func digits(n uint8) string { return strconv.Itoa(int(n)) }

func genericEndpoint(c *Context, cluster uint16, name, key string) uint8 {
	if c.Device != nil {
		for _, e := range c.Device.Endpoints {
			if serves(c, e.ID, cluster) && genericName(c, cluster, name, e.ID) == key {
				return e.ID
			}
		}
	}
	return c.target(cluster)
}

func exposeGeneric(c *Context, cluster uint16, name string, typ zcl.Type, settable bool, endpoint uint8) []*Expose {
	if !serves(c, endpoint, cluster) {
		return nil
	}
	property := genericName(c, cluster, name, endpoint)
	e := &Expose{Type: "numeric", Name: property, Property: property, Access: Published | Gettable,
		Description: strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_i", " I") + " on endpoint " + digits(endpoint)}
	if settable {
		e.Access |= Settable
	}
	if typ == zcl.Boolean {
		e.Type, e.ValueOn, e.ValueOff = "binary", "ON", "OFF"
		return []*Expose{e}
	}
	number := func(id uint16) *float64 {
		value, _ := c.Attribute(endpoint, cluster, id)
		n, ok := numberOf(value)
		if !ok || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil
		}
		return &n
	}
	e.ValueMin, e.ValueMax, e.ValueStep = number(presentMin), number(presentMax), number(presentResolution)
	if application := number(presentApplication); application != nil {
		e.Unit = applicationUnits[uint32(*application)>>16&0xff]
	}
	if units := number(presentUnits); e.Unit == "" && units != nil {
		e.Unit = bacnetUnits[uint16(*units)]
	}
	return []*Expose{e}
}

// applicationUnits are units by the type of an application (section 3.14.11.19).
var applicationUnits = map[uint32]string{
	0: "°C", 1: "%", 2: "Pa", 3: "L/s", 4: "%", 5: "ppm", 6: "rpm", 7: "A", 8: "Hz", 9: "W", 10: "kW", 11: "kWh", 13: "kJ/kg", 14: "s",
}

// bacnetUnits are the engineering units that sensors of a home use (BACnet, clause 21,
// BACnetEngineeringUnits).
var bacnetUnits = map[uint16]string{
	2: "mA", 3: "A", 4: "Ω", 5: "V", 8: "VA", 9: "kVA", 11: "var", 18: "Wh", 19: "kWh", 27: "Hz", 29: "%", 30: "mm", 31: "m",
	36: "lm", 37: "lx", 39: "kg", 47: "W", 48: "kW", 49: "MW", 53: "Pa", 54: "kPa", 55: "bar", 56: "psi", 57: "cm H₂O", 59: "mmHg",
	62: "°C", 63: "K", 64: "°F", 71: "hours", 72: "minutes", 73: "seconds", 74: "m/s", 75: "km/h", 80: "m³", 82: "L", 83: "gal",
	87: "L/s", 88: "L/min", 89: "gal/min", 90: "°", 96: "ppm", 97: "ppb", 98: "%", 104: "rpm", 118: "cm", 124: "mV", 132: "mW",
	133: "hPa", 134: "mbar", 135: "m³/h", 136: "L/h", 146: "MWh", 159: "ms", 190: "µS/cm", 194: "µm", 195: "g", 196: "mg", 197: "mL",
	199: "dB", 200: "dBm", 202: "mS/cm", 206: "mm H₂O", 215: "mg/L", 218: "mg/m³", 219: "µg/m³", 231: "µSv/h", 232: "dBA", 233: "NTU", 234: "pH",
}

// decodeCheckIn takes the check-in of a key fob as a sign that it is there (section
// 3.16.5.3).
func decodeCheckIn(c *Context, m zigbee.Message) Values {
	f := m.Frame
	if f.Type != zcl.Specific || !f.ServerToClient || f.Command != 0 || !c.Definition.timesOut("presence") {
		return nil
	}
	seconds := 100.0
	if n, ok := option(c.Options, "presence_timeout"); ok {
		seconds = n
	}
	c.Later(Later{Key: "presence " + digits(m.Endpoint), After: secondsOf(seconds), Values: Values{"presence": false}})
	return Values{"presence": true}
}
