package sml

import (
	"fmt"

	"lintel/serialbridge"
)

// An obis names an object: A-B:C.D.E*F of IEC 62056-61.
type obis [6]byte

// on returns 1-0:C.D.E*255, the electricity meter's current value.
func on(c, d, e byte) obis { return obis{1, 0, c, d, e, 255} }

// Objects that say who speaks.
var (
	deviceNumber = on(0, 0, 0)                      // 1-0:0.0.0*255, text
	serverID     = on(0, 0, 9)                      // 1-0:0.0.9*255
	serverIDFNN  = on(96, 1, 0)                     // 1-0:96.1.0*255
	manufacturer = obis{129, 129, 199, 130, 3, 255} // 129-129:199.130.3*255
	makerFNN     = obis{1, 0, 96, 50, 1, 1}         // 1-0:96.50.1*1
	firmwareFNN  = obis{1, 0, 0, 2, 0, 0}           // 1-0:0.2.0*0
)

// A unit is one of IEC 62056-62, as Home Assistant spells it or the larger one
// that it prefers.
type unit struct {
	name     string
	exponent int64 // power of ten from the meter's unit to this one
}

var units = map[int64]unit{
	8:   {"°", 0},
	27:  {"W", 0},
	28:  {"VA", 0},
	29:  {"var", 0},
	30:  {"kWh", -3},
	32:  {"kvarh", -3},
	33:  {"A", 0},
	35:  {"V", 0},
	44:  {"Hz", 0},
	255: {"", 0},
}

// definitions returns what the objects of electricity meters become, as far as
// they are numbers.
func definitions() map[obis]serialbridge.Property {
	m := make(map[obis]serialbridge.Property)

	// Registers, in all and by tariff.
	for _, r := range []struct {
		c                      byte
		key, name, unit, class string
	}{
		{1, "energy_import", "Energy import", "kWh", "energy"},
		{2, "energy_export", "Energy export", "kWh", "energy"},
		{3, "reactive_energy_import", "Reactive energy import", "kvarh", "reactive_energy"},
		{4, "reactive_energy_export", "Reactive energy export", "kvarh", "reactive_energy"},
		{5, "reactive_energy_q1", "Reactive energy quadrant 1", "kvarh", "reactive_energy"},
		{6, "reactive_energy_q2", "Reactive energy quadrant 2", "kvarh", "reactive_energy"},
		{7, "reactive_energy_q3", "Reactive energy quadrant 3", "kvarh", "reactive_energy"},
		{8, "reactive_energy_q4", "Reactive energy quadrant 4", "kvarh", "reactive_energy"},
		{15, "energy_absolute", "Energy import plus export", "kWh", "energy"},
	} {
		m[on(r.c, 8, 0)] = number(r.key, r.name, r.unit, r.class, "total_increasing", 3)
		for tariff := byte(1); tariff <= 4 && r.c <= 2; tariff++ {
			m[on(r.c, 8, tariff)] = number(
				fmt.Sprintf("%s_tariff_%d", r.key, tariff), fmt.Sprintf("%s tariff %d", r.name, tariff),
				r.unit, r.class, "total_increasing", 3)
		}
	}
	// The net of both directions falls as well.
	m[on(16, 8, 0)] = number("energy_net", "Energy import minus export", "kWh", "energy", "total", 3)

	// What was used in the days before (FNN basic meter): it rises and falls,
	// and is no register of its own.
	for i, period := range []struct{ key, name string }{
		{"day", "last day"}, {"week", "last 7 days"}, {"month", "last 30 days"}, {"year", "last 365 days"}, {"reset", "since reset"},
	} {
		for c, name := range []string{1: "import", 2: "export"} {
			if name == "" {
				continue
			}
			p := number("energy_"+name+"_"+period.key, "Energy "+name+" "+period.name, "kWh", "energy", "", 3)
			p.Category = serialbridge.Diagnostic
			m[obis{1, 0, byte(c), 8, 0, byte(96 + i)}] = p
		}
	}

	// Momentary values: in all, and on each phase 20, 40 and 60 further.
	for _, v := range []struct {
		c                      byte
		key, name, unit, class string
		precision              int
	}{
		{1, "power_import", "Power import", "W", "power", 0},
		{2, "power_export", "Power export", "W", "power", 0},
		{3, "reactive_power_import", "Reactive power import", "var", "reactive_power", 0},
		{4, "reactive_power_export", "Reactive power export", "var", "reactive_power", 0},
		{9, "apparent_power", "Apparent power", "VA", "apparent_power", 0},
		{11, "current", "Current", "A", "current", 2},
		{12, "voltage", "Voltage", "V", "voltage", 1},
		{13, "power_factor", "Power factor", "", "power_factor", 2},
		{14, "frequency", "Frequency", "Hz", "frequency", 2},
		{15, "power_absolute", "Power import plus export", "W", "power", 0},
		{16, "power", "Power", "W", "power", 0}, // import less export
	} {
		m[on(v.c, 7, 0)] = number(v.key, v.name, v.unit, v.class, "measurement", v.precision)
		for phase := byte(1); phase <= 3; phase++ {
			m[on(v.c+20*phase, 7, 0)] = number(
				fmt.Sprintf("%s_l%d", v.key, phase), fmt.Sprintf("%s L%d", v.name, phase),
				v.unit, v.class, "measurement", v.precision)
		}
	}

	// Angles: of what to what is in E (IEC 62056-61).
	for _, a := range []struct {
		e         byte
		key, name string
	}{
		{1, "angle_u2_u1", "Angle U(L2) to U(L1)"},
		{2, "angle_u3_u1", "Angle U(L3) to U(L1)"},
		{4, "angle_i1_u1", "Angle I(L1) to U(L1)"},
		{15, "angle_i2_u2", "Angle I(L2) to U(L2)"},
		{26, "angle_i3_u3", "Angle I(L3) to U(L3)"},
	} {
		p := number(a.key, a.name, "°", "", "measurement", 0)
		p.Category = serialbridge.Diagnostic
		m[on(81, 7, a.e)] = p
	}
	return m
}

func number(key, name, unit, class, stateClass string, precision int) serialbridge.Property {
	return serialbridge.Property{
		Key: key, Name: name, Kind: serialbridge.Measurement,
		Unit: unit, Class: class, StateClass: stateClass, Precision: precision,
	}
}
