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
		add("1-0:"+r.c+".8.0", number, serialbridge.Counted(r.key, r.name, r.unit, r.class, 3))
		for tariff := 1; tariff <= 4; tariff++ {
			add(fmt.Sprintf("1-0:%s.8.%d", r.c, tariff), number, serialbridge.Counted(
				fmt.Sprintf("%s_tariff_%d", r.key, tariff), fmt.Sprintf("%s tariff %d", r.name, tariff), r.unit, r.class, 3))
		}
	}
	for q := 1; q <= 4; q++ {
		add(fmt.Sprintf("1-0:%d.8.0", 4+q), number, serialbridge.Counted(
			fmt.Sprintf("reactive_energy_q%d", q), fmt.Sprintf("Reactive energy quadrant %d", q), "kvarh", "reactive_energy", 3))
		add(fmt.Sprintf("1-0:%d.7.0", 4+q), number, serialbridge.Measured(
			fmt.Sprintf("reactive_power_q%d", q), fmt.Sprintf("Reactive power quadrant %d", q), "kvar", "reactive_power", 3))
	}
	// |+A| + |-A|, the sum of both directions (IEC 62056-61).
	add("1-0:15.8.0", number, serialbridge.Counted("energy_absolute", "Energy import plus export", "kWh", "energy", 3))

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
		add("1-0:"+v.code+".7.0", number, serialbridge.Measured(v.key, v.name, v.unit, v.class, v.precision))
	}
	for phase := 1; phase <= 3; phase++ {
		c := phase * 20
		suffix, of := fmt.Sprintf("_l%d", phase), fmt.Sprintf(" L%d", phase)
		on := func(offset int, d, e string) string { return fmt.Sprintf("1-0:%d.%s.%s", c+offset, d, e) }

		add(on(1, "7", "0"), number, serialbridge.Measured("power_import"+suffix, "Power import"+of, "kW", "power", 3))
		add(on(2, "7", "0"), number, serialbridge.Measured("power_export"+suffix, "Power export"+of, "kW", "power", 3))
		add(on(3, "7", "0"), number, serialbridge.Measured("reactive_power_import"+suffix, "Reactive power import"+of, "kvar", "reactive_power", 3))
		add(on(4, "7", "0"), number, serialbridge.Measured("reactive_power_export"+suffix, "Reactive power export"+of, "kvar", "reactive_power", 3))
		add(on(11, "7", "0"), number, serialbridge.Measured("current"+suffix, "Current"+of, "A", "current", 2))
		add(on(12, "7", "0"), number, serialbridge.Measured("voltage"+suffix, "Voltage"+of, "V", "voltage", 1))
		add(on(13, "7", "0"), number, serialbridge.Measured("power_factor"+suffix, "Power factor"+of, "", "power_factor", 3))
		add(on(11, "4", "0"), number, serialbridge.Number("fuse_threshold"+suffix, "Fuse threshold"+of, "A", "current", 0).AsDiagnostic())
		add(on(12, "32", "0"), counter, serialbridge.Counted("voltage_sags"+suffix, "Voltage sags"+of, "", "", 0).AsDiagnostic())
		add(on(12, "36", "0"), counter, serialbridge.Counted("voltage_swells"+suffix, "Voltage swells"+of, "", "", 0).AsDiagnostic())
	}

	// Belgium (e-MUCS P1): quarter-hour demand, and its peak of the month.
	add("1-0:1.4.0", number, serialbridge.Measured("average_demand", "Average demand of this quarter hour", "kW", "power", 3))
	add("1-0:1.6.0", stamped, serialbridge.Measured("peak_demand", "Peak demand of this month", "kW", "power", 3))

	add("0-0:1.0.0", clock, serialbridge.Moment("meter_time", "Meter time"))
	add("0-0:96.14.0", indicator, serialbridge.Said("tariff", "Tariff"))
	add("0-0:96.3.10", enumerated, serialbridge.OneOf("breaker", "Breaker", breakerStates()...).AsDiagnostic())
	// Relays of the electricity meter itself, for its owner's loads. Only
	// their codes look like those of M-Bus channels.
	for n := 1; n <= 4; n++ {
		add(fmt.Sprintf("0-%d:96.3.10", n), enumerated,
			serialbridge.OneOf(fmt.Sprintf("relay_%d", n), fmt.Sprintf("Relay %d", n), breakerStates()...).AsDiagnostic())
	}
	// The limiter: power in DSMR 4, current in DSMR 3, apparent power in
	// Luxembourg.
	add("0-0:17.0.0", number,
		serialbridge.Number("power_limit", "Power limit", "kW", "power", 1).AsDiagnostic(),
		serialbridge.Number("current_limit", "Current limit", "A", "current", 0).AsDiagnostic(),
		serialbridge.Number("apparent_power_limit", "Apparent power limit", "kVA", "apparent_power", 1).AsDiagnostic())
	add("0-0:96.7.21", counter, serialbridge.Counted("power_failures", "Power failures", "", "", 0).AsDiagnostic())
	add("0-0:96.7.9", counter, serialbridge.Counted("long_power_failures", "Long power failures", "", "", 0).AsDiagnostic())
	add("0-0:96.13.0", octets, serialbridge.Said("message", "Message").AsDiagnostic())
	add("0-0:96.13.1", octets, serialbridge.Said("message_code", "Message code").AsDiagnostic())
	add("1-0:96.5.5", label, serialbridge.Said("status", "Status").AsDiagnostic())
	return m
}

// monthEnd lists the registers that E.ON Hungary sends in 0-0:98.1.0 behind the
// time, in its order, with the third level of the code for the maximum demand.
const monthEnd = "1.8.0 1.8.1 1.8.2 2.8.0 2.8.1 2.8.2 3.8.0 4.8.0 5.8.0 6.8.0 7.8.0 8.8.0 15.8.0 " +
	"1.6.0 1.6.1 1.6.2 2.6.0 2.6.1 2.6.2"

// monthEndProperty turns a code of monthEnd into the property that holds what
// the register stood at when the month ended. It is history: no statistics.
func monthEndProperty(code string, definitions map[string]definition) serialbridge.Property {
	var p serialbridge.Property
	if c, tariff, demand := strings.Cut(code, ".6."); demand {
		p = serialbridge.Number("peak_demand_import", "Peak demand import", "kW", "power", 3)
		if c == "2" {
			p = serialbridge.Number("peak_demand_export", "Peak demand export", "kW", "power", 3)
		}
		if tariff != "0" {
			p.Key += "_tariff_" + tariff
			p.Name += " tariff " + tariff
		}
	} else {
		p = definitions["1-0:"+code].properties[0]
	}
	p.Key = "month_end_" + p.Key
	p.Name = "Month end: " + strings.ToLower(p.Name[:1]) + p.Name[1:]
	p.StateClass = ""
	return p.AsDiagnostic()
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
			return serialbridge.Counted("gas", "Gas", "m³", "gas", 3), true
		case 6:
			return serialbridge.Counted("hot_water", "Hot water", "m³", "water", 3), true
		case 7:
			return serialbridge.Counted("water", "Water", "m³", "water", 3), true
		}
		return serialbridge.Counted("volume", "Volume", "m³", "volume", 3), true
	case "gj", "mj":
		return thermal(deviceType, "GJ"), true
	case "wh", "kwh", "mwh":
		if deviceType == 2 {
			return serialbridge.Counted("energy", "Energy", "kWh", "energy", 3), true
		}
		return thermal(deviceType, "kWh"), true
	}
	return serialbridge.Property{}, false
}

func thermal(deviceType int, unit string) serialbridge.Property {
	switch deviceType {
	case 5, 10, 11:
		return serialbridge.Counted("cold", "Cold", unit, "energy", 3)
	}
	return serialbridge.Counted("heat", "Heat", unit, "energy", 3)
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
