package dsmr

import (
	"fmt"
	"strings"

	"lintel/serialbridge"
)

// form is how the values of an object are written.
type form byte

const (
	number     form = iota // (value*unit)
	stamped                // (time)(value*unit); the time becomes a property of its own
	counter                // (00015)
	indicator              // (0002): a number that only names something
	label                  // (80)
	octets                 // (303132): text in hex, empty if there is none
	clock                  // (161113205757W)
	enumerated             // (1): an index into Options
)

// A definition is what an object of the electricity meter means.
type definition struct {
	form form
	// properties is what it becomes. A number that comes in units that do
	// not convert into each other has one property for each.
	properties []serialbridge.Property
}

// breakerStates are the values of 96.3.10 and 24.4.0 (DLMS class 70,
// "disconnect control").
func breakerStates() []string {
	return []string{"disconnected", "connected", "ready for reconnection"}
}

// definitions returns what is known of the electricity meter's objects, by
// OBIS code.
func definitions() map[string]definition {
	m := make(map[string]definition)
	add := func(code string, f form, properties ...serialbridge.Property) {
		m[code] = definition{f, properties}
	}

	// Registers, in all and by tariff.
	for _, r := range []struct{ c, key, name, unit, class string }{
		{"1", "energy_import", "Energy import", "kWh", "energy"},
		{"2", "energy_export", "Energy export", "kWh", "energy"},
		{"3", "reactive_energy_import", "Reactive energy import", "kvarh", "reactive_energy"},
		{"4", "reactive_energy_export", "Reactive energy export", "kvarh", "reactive_energy"},
	} {
		add("1-0:"+r.c+".8.0", number, register(r.key, r.name, r.unit, r.class))
		for tariff := 1; tariff <= 4; tariff++ {
			add(fmt.Sprintf("1-0:%s.8.%d", r.c, tariff), number, register(
				fmt.Sprintf("%s_tariff_%d", r.key, tariff), fmt.Sprintf("%s tariff %d", r.name, tariff), r.unit, r.class))
		}
	}
	for q := 1; q <= 4; q++ {
		add(fmt.Sprintf("1-0:%d.8.0", 4+q), number, register(
			fmt.Sprintf("reactive_energy_q%d", q), fmt.Sprintf("Reactive energy quadrant %d", q), "kvarh", "reactive_energy"))
		add(fmt.Sprintf("1-0:%d.7.0", 4+q), number, measurement(
			fmt.Sprintf("reactive_power_q%d", q), fmt.Sprintf("Reactive power quadrant %d", q), "kvar", "reactive_power", 3))
	}
	// |+A| + |-A|, the sum of both directions (IEC 62056-61).
	add("1-0:15.8.0", number, register("energy_absolute", "Energy import plus export", "kWh", "energy"))

	// Momentary values.
	for _, v := range []struct {
		code            string // C of L1; L2 and L3 follow 20 and 40 later
		key, name, unit string
		class           string
		precision       int
	}{
		{"1", "power_import", "Power import", "kW", "power", 3},
		{"2", "power_export", "Power export", "kW", "power", 3},
		{"3", "reactive_power_import", "Reactive power import", "kvar", "reactive_power", 3},
		{"4", "reactive_power_export", "Reactive power export", "kvar", "reactive_power", 3},
		{"9", "apparent_power_import", "Apparent power import", "kVA", "apparent_power", 3},
		{"10", "apparent_power_export", "Apparent power export", "kVA", "apparent_power", 3},
		{"13", "power_factor", "Power factor", "", "power_factor", 3},
		{"14", "frequency", "Frequency", "Hz", "frequency", 2},
	} {
		add("1-0:"+v.code+".7.0", number, measurement(v.key, v.name, v.unit, v.class, v.precision))
	}
	for phase := 1; phase <= 3; phase++ {
		c := phase * 20
		suffix, of := fmt.Sprintf("_l%d", phase), fmt.Sprintf(" L%d", phase)
		on := func(offset int, d, e string) string { return fmt.Sprintf("1-0:%d.%s.%s", c+offset, d, e) }

		add(on(1, "7", "0"), number, measurement("power_import"+suffix, "Power import"+of, "kW", "power", 3))
		add(on(2, "7", "0"), number, measurement("power_export"+suffix, "Power export"+of, "kW", "power", 3))
		add(on(3, "7", "0"), number, measurement("reactive_power_import"+suffix, "Reactive power import"+of, "kvar", "reactive_power", 3))
		add(on(4, "7", "0"), number, measurement("reactive_power_export"+suffix, "Reactive power export"+of, "kvar", "reactive_power", 3))
		add(on(11, "7", "0"), number, measurement("current"+suffix, "Current"+of, "A", "current", 2))
		add(on(12, "7", "0"), number, measurement("voltage"+suffix, "Voltage"+of, "V", "voltage", 1))
		add(on(13, "7", "0"), number, measurement("power_factor"+suffix, "Power factor"+of, "", "power_factor", 3))
		add(on(11, "4", "0"), number, diagnostic(plain("fuse_threshold"+suffix, "Fuse threshold"+of, "A", "current", 0)))
		add(on(12, "32", "0"), counter, diagnostic(count("voltage_sags"+suffix, "Voltage sags"+of)))
		add(on(12, "36", "0"), counter, diagnostic(count("voltage_swells"+suffix, "Voltage swells"+of)))
	}

	// Belgium (e-MUCS P1): quarter-hour demand, and its peak of the month.
	add("1-0:1.4.0", number, measurement("average_demand", "Average demand of this quarter hour", "kW", "power", 3))
	add("1-0:1.6.0", stamped, measurement("peak_demand", "Peak demand of this month", "kW", "power", 3))

	add("0-0:1.0.0", clock, moment("meter_time", "Meter time"))
	add("0-0:96.14.0", indicator, state("tariff", "Tariff"))
	add("0-0:96.3.10", enumerated, diagnostic(options("breaker", "Breaker", breakerStates())))
	// Relays of the electricity meter itself, for its owner's loads. Only
	// their codes look like those of M-Bus channels.
	for n := 1; n <= 4; n++ {
		add(fmt.Sprintf("0-%d:96.3.10", n), enumerated,
			diagnostic(options(fmt.Sprintf("relay_%d", n), fmt.Sprintf("Relay %d", n), breakerStates())))
	}
	// The limiter: power in DSMR 4, current in DSMR 3, apparent power in
	// Luxembourg.
	add("0-0:17.0.0", number,
		diagnostic(plain("power_limit", "Power limit", "kW", "power", 1)),
		diagnostic(plain("current_limit", "Current limit", "A", "current", 0)),
		diagnostic(plain("apparent_power_limit", "Apparent power limit", "kVA", "apparent_power", 1)))
	add("0-0:96.7.21", counter, diagnostic(count("power_failures", "Power failures")))
	add("0-0:96.7.9", counter, diagnostic(count("long_power_failures", "Long power failures")))
	add("0-0:96.13.0", octets, diagnostic(state("message", "Message")))
	add("0-0:96.13.1", octets, diagnostic(state("message_code", "Message code")))
	add("1-0:96.5.5", label, diagnostic(state("status", "Status")))
	return m
}

// monthEnd lists the registers that E.ON Hungary sends in 0-0:98.1.0 behind the
// time, in its order, with the third level of the code for the maximum demand.
const monthEnd = "1.8.0 1.8.1 1.8.2 2.8.0 2.8.1 2.8.2 3.8.0 4.8.0 5.8.0 6.8.0 7.8.0 8.8.0 15.8.0 " +
	"1.6.0 1.6.1 1.6.2 2.6.0 2.6.1 2.6.2"

// monthEndProperty turns a code of monthEnd into the property that holds what
// the register stood at when the month ended. It is history: no statistics.
func monthEndProperty(code string, registry map[string]definition) serialbridge.Property {
	var p serialbridge.Property
	if c, tariff, demand := strings.Cut(code, ".6."); demand {
		p = plain("peak_demand_import", "Peak demand import", "kW", "power", 3)
		if c == "2" {
			p = plain("peak_demand_export", "Peak demand export", "kW", "power", 3)
		}
		if tariff != "0" {
			p.Key += "_tariff_" + tariff
			p.Name += " tariff " + tariff
		}
	} else {
		p = registry["1-0:"+code].properties[0]
	}
	p.Key = "month_end_" + p.Key
	p.Name = "Month end: " + strings.ToLower(p.Name[:1]) + p.Name[1:]
	p.StateClass = ""
	return diagnostic(p)
}

// mbusProperty returns what a meter on the M-Bus measures, from its device type
// (EN 13757-3; 24.1.0) and the unit of the value.
func mbusProperty(deviceType int, unit string) (serialbridge.Property, bool) {
	if unit == "" { // some meters leave it out
		switch deviceType {
		case 2:
			unit = "kWh"
		case 3, 6, 7:
			unit = "m3"
		case 4, 5, 10, 11, 12, 13:
			unit = "GJ"
		}
	}
	switch strings.ToLower(unit) {
	case "m3", "dm3":
		switch deviceType {
		case 3:
			return register("gas", "Gas", "m³", "gas"), true
		case 6:
			return register("hot_water", "Hot water", "m³", "water"), true
		case 7:
			return register("water", "Water", "m³", "water"), true
		}
		return register("volume", "Volume", "m³", "volume"), true
	case "gj", "mj":
		return thermal(deviceType, "GJ"), true
	case "wh", "kwh", "mwh":
		if deviceType == 2 {
			return register("energy", "Energy", "kWh", "energy"), true
		}
		return thermal(deviceType, "kWh"), true
	}
	return serialbridge.Property{}, false
}

func thermal(deviceType int, unit string) serialbridge.Property {
	switch deviceType {
	case 5, 10, 11:
		return register("cold", "Cold", unit, "energy")
	}
	return register("heat", "Heat", unit, "energy")
}

// mbusName is what a person calls the meter. Type 5 is cold in the Dutch
// requirements.
func mbusName(deviceType int) string {
	switch deviceType {
	case 2:
		return "Electricity submeter"
	case 3:
		return "Gas meter"
	case 4, 12:
		return "Heat meter"
	case 5, 10, 11:
		return "Cooling meter"
	case 6:
		return "Hot water meter"
	case 7:
		return "Water meter"
	case 13:
		return "Heating and cooling meter"
	}
	return "Meter on M-Bus"
}

// plain is a number without statistics.
func plain(key, name, unit, class string, precision int) serialbridge.Property {
	return serialbridge.Property{
		Key: key, Name: name, Kind: serialbridge.Measurement,
		Unit: unit, Class: class, Precision: precision,
	}
}

func measurement(key, name, unit, class string, precision int) serialbridge.Property {
	p := plain(key, name, unit, class, precision)
	p.StateClass = "measurement"
	return p
}

// register is a total that only rises.
func register(key, name, unit, class string) serialbridge.Property {
	p := plain(key, name, unit, class, 3)
	p.StateClass = "total_increasing"
	return p
}

func count(key, name string) serialbridge.Property {
	p := plain(key, name, "", "", 0)
	p.StateClass = "total_increasing"
	return p
}

func state(key, name string) serialbridge.Property {
	return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.State, Precision: -1}
}

func options(key, name string, options []string) serialbridge.Property {
	p := state(key, name)
	p.Class = "enum"
	p.Options = options
	return p
}

func moment(key, name string) serialbridge.Property {
	p := state(key, name)
	p.Class = "timestamp"
	return diagnostic(p)
}

func diagnostic(p serialbridge.Property) serialbridge.Property {
	p.Category = serialbridge.Diagnostic
	return p
}
