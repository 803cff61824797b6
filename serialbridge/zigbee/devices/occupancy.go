package devices

import (
	"fmt"
	"strconv"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// defaultTimeout is after how long nobody is there any more, if the sensor does not
// say so and the user has said nothing.
const defaultTimeout = 90

// decodeOccupancy reads a motion sensor. Some tell only that there is somebody: those
// have the option occupancy_timeout.
func decodeOccupancy(c *Context, m zigbee.Message) Values {
	raw, ok := reportedNumber(m, 0)
	if !ok {
		return nil
	}
	if c.Definition.timesOut("occupancy") {
		if raw != 1 {
			return nil // "nobody" of a sensor that cannot know it
		}
		c.timeout("occupancy", m.Endpoint, Values{"occupancy": false})
		c.noOccupancySince(m.Endpoint, true)
		return Values{"occupancy": true}
	}
	occupied := uint64(raw)&1 != 0
	c.noOccupancySince(m.Endpoint, !occupied)
	return Values{"occupancy": occupied}
}

// timesOut says that the device never tells that a property is over.
func (d *Definition) timesOut(property string) bool {
	if d.is(property, "timeout") {
		return true
	}
	for _, o := range d.Options {
		if o.Name == property+"_timeout" {
			return true
		}
	}
	return false
}

// timeout asks for the values when nothing has renewed them for as long as the option
// "<property>_timeout" says. 0 is never.
func (c *Context) timeout(property string, endpoint uint8, values Values) {
	seconds := float64(defaultTimeout)
	if n, ok := c.Definition.number(property, "timeout"); ok {
		seconds = n
	}
	if n, ok := option(c.Options, property+"_timeout"); ok {
		seconds = n
	}
	later := Later{Key: fmt.Sprintf("%s %d", property, endpoint)}
	if seconds > 0 {
		later.After, later.Values = secondsOf(seconds), values
	}
	c.Later(later)
}

// noOccupancySince is the option of that name: a list of seconds after which it is
// told how long nobody has been there.
func (c *Context) noOccupancySince(endpoint uint8, start bool) {
	list, _ := c.Options["no_occupancy_since"].([]any)
	if len(list) > 16 {
		list = list[:16]
	}
	for _, since := range list {
		seconds, ok := zcl.Float(since)
		if !ok || seconds < 0 {
			continue
		}
		later := Later{Key: "no_occupancy_since " + strconv.FormatFloat(seconds, 'g', -1, 64) + " " + strconv.Itoa(int(endpoint))}
		if start {
			later.After, later.Values = secondsOf(seconds), Values{"no_occupancy_since": seconds}
		}
		c.Later(later)
	}
}

// secondsOf is a duration of at most a year.
func secondsOf(seconds float64) time.Duration {
	return time.Duration(min(seconds, 366*86400) * float64(time.Second))
}

func occupancyExpose(c *Context, endpoint uint8) []*Expose {
	if !serves(c, endpoint, clusterOccupancy) {
		return nil
	}
	return []*Expose{{Type: "binary", Name: "occupancy", Property: "occupancy", Access: Published | Gettable,
		ValueOn: true, ValueOff: false, Description: "Indicates whether the device detected occupancy"}}
}

func configureOccupancy(c *Context, endpoint uint8) []Step {
	if !serves(c, endpoint, clusterOccupancy) {
		return nil
	}
	return report(endpoint, clusterOccupancy, zigbee.Reporting{Type: uint8(zcl.Bitmap8), Max: time.Hour})
}

// occupancySettings are the attributes that say how an occupancy sensor judges
// (sections 4.8.2.2.2 to 4.8.2.2.4).
func occupancySettings() []*Trait {
	var traits []*Trait
	for _, s := range []struct {
		property string
		id       uint16
		typ      zcl.Type
	}{
		{"occupancy_timeout", 0x0010, zcl.Uint16}, {"pir_uto_delay", 0x0011, zcl.Uint16}, {"pir_uto_threshold", 0x0012, zcl.Uint8},
		{"ultrasonic_otu_delay", 0x0020, zcl.Uint16}, {"ultrasonic_uto_delay", 0x0021, zcl.Uint16}, {"ultrasonic_uto_threshold", 0x0022, zcl.Uint8},
		{"contact_otu_delay", 0x0030, zcl.Uint16}, {"contact_uto_delay", 0x0031, zcl.Uint16}, {"contact_uto_threshold", 0x0032, zcl.Uint8},
	} {
		traits = append(traits, setting(Attribute{Cluster: clusterOccupancy, ID: s.id, Type: s.typ,
			Property: s.property, Conversion: Conversion{Kind: "identity"}, Read: true}))
	}
	return traits
}
