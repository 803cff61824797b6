package vedirect

import (
	"fmt"

	"lintel/serialbridge"
)

// form is how a value is written.
type form byte

const (
	number form = iota // 12810: with a power of ten, a measurement
	count              // 26: how often something happened
	onOff              // ON or OFF
	code               // 3: one of the names
	bits               // 0x00000001 or 1: a set of names
)

// A definition is what a field means.
type definition struct {
	form     form
	exponent string // power of ten from the value to the property's unit
	names    map[int64]string
	property serialbridge.Property
}

// definitions returns what is known of the fields, by label (VE.Direct Protocol
// 3.33, with the units in its table of fields).
func definitions() map[string]definition {
	m := make(map[string]definition)
	measure := func(label, key, name, unit, class, exponent string, precision int) {
		m[label] = definition{form: number, exponent: exponent, property: serialbridge.Measured(key, name, unit, class, precision)}
	}
	// with changes the property of a field that is there.
	with := func(label string, stateClass string, category serialbridge.Category) {
		d := m[label]
		d.property.StateClass = stateClass
		d.property.Category = category
		m[label] = d
	}

	measure("V", "battery_voltage", "Battery voltage", "V", "voltage", "e-3", 2)
	measure("V2", "battery_2_voltage", "Battery 2 voltage", "V", "voltage", "e-3", 2)
	measure("V3", "battery_3_voltage", "Battery 3 voltage", "V", "voltage", "e-3", 2)
	measure("VS", "auxiliary_voltage", "Auxiliary voltage", "V", "voltage", "e-3", 2)
	measure("VM", "midpoint_voltage", "Midpoint voltage", "V", "voltage", "e-3", 2)
	measure("DM", "midpoint_deviation", "Midpoint deviation", "%", "", "e-1", 1)
	measure("VPV", "pv_voltage", "PV voltage", "V", "voltage", "e-3", 2)
	measure("PPV", "pv_power", "PV power", "W", "power", "e0", 0)
	measure("I", "battery_current", "Battery current", "A", "current", "e-3", 2)
	measure("I2", "battery_2_current", "Battery 2 current", "A", "current", "e-3", 2)
	measure("I3", "battery_3_current", "Battery 3 current", "A", "current", "e-3", 2)
	measure("IL", "load_current", "Load current", "A", "current", "e-3", 2)
	measure("T", "battery_temperature", "Battery temperature", "°C", "temperature", "e0", 0)
	measure("P", "battery_power", "Battery power", "W", "power", "e0", 0)
	measure("CE", "consumed_charge", "Consumed charge", "Ah", "", "e-3", 1)
	measure("SOC", "state_of_charge", "State of charge", "%", "battery", "e-1", 1)
	measure("TTG", "time_to_go", "Time to go", "min", "duration", "e0", 0)
	measure("AC_OUT_V", "ac_voltage", "AC voltage", "V", "voltage", "e-2", 1)
	measure("AC_OUT_I", "ac_current", "AC current", "A", "current", "e-1", 1)
	measure("AC_OUT_S", "ac_apparent_power", "AC apparent power", "VA", "apparent_power", "e0", 0)
	measure("DC_IN_V", "dc_input_voltage", "DC input voltage", "V", "voltage", "e-2", 2)
	measure("DC_IN_I", "dc_input_current", "DC input current", "A", "current", "e-1", 1)
	measure("DC_IN_P", "dc_input_power", "DC input power", "W", "power", "e0", 0)

	// Energy. Yields are counters that the user may reset.
	for _, e := range []struct{ label, key, name string }{
		{"H17", "energy_discharged", "Energy discharged"},
		{"H18", "energy_charged", "Energy charged"},
		{"H19", "yield_total", "Yield"},
		{"H20", "yield_today", "Yield today"},
		{"H22", "yield_yesterday", "Yield yesterday"},
	} {
		measure(e.label, e.key, e.name, "kWh", "energy", "e-2", 2)
		with(e.label, "total_increasing", "")
	}
	with("H22", "", "")

	// History.
	measure("H1", "deepest_discharge", "Deepest discharge", "Ah", "", "e-3", 1)
	measure("H2", "last_discharge", "Last discharge", "Ah", "", "e-3", 1)
	measure("H3", "average_discharge", "Average discharge", "Ah", "", "e-3", 1)
	measure("H6", "charge_drawn", "Charge drawn in all", "Ah", "", "e-3", 1)
	measure("H7", "battery_voltage_minimum", "Lowest battery voltage", "V", "voltage", "e-3", 2)
	measure("H8", "battery_voltage_maximum", "Highest battery voltage", "V", "voltage", "e-3", 2)
	measure("H9", "time_since_full", "Time since full charge", "s", "duration", "e0", 0)
	measure("H15", "auxiliary_voltage_minimum", "Lowest auxiliary voltage", "V", "voltage", "e-3", 2)
	measure("H16", "auxiliary_voltage_maximum", "Highest auxiliary voltage", "V", "voltage", "e-3", 2)
	measure("H21", "pv_power_maximum_today", "Highest PV power today", "W", "power", "e0", 0)
	measure("H23", "pv_power_maximum_yesterday", "Highest PV power yesterday", "W", "power", "e0", 0)
	for _, label := range []string{"H1", "H2", "H3", "H7", "H8", "H9", "H15", "H16", "H21", "H23"} {
		with(label, "", serialbridge.Diagnostic)
	}
	with("H6", "total", serialbridge.Diagnostic) // below zero, and falling

	for _, c := range []struct{ label, key, name string }{
		{"H4", "charge_cycles", "Charge cycles"},
		{"H5", "full_discharges", "Full discharges"},
		{"H10", "synchronizations", "Automatic synchronizations"},
		{"H11", "low_voltage_alarms", "Low voltage alarms"},
		{"H12", "high_voltage_alarms", "High voltage alarms"},
		{"H13", "low_auxiliary_voltage_alarms", "Low auxiliary voltage alarms"},
		{"H14", "high_auxiliary_voltage_alarms", "High auxiliary voltage alarms"},
	} {
		m[c.label] = definition{form: count, property: serialbridge.Counted(c.key, c.name, "", "", 0).AsDiagnostic()}
	}

	for _, b := range []struct{ label, key, name, class string }{
		{"LOAD", "load", "Load output", "power"},
		{"Relay", "relay", "Relay", ""},
		{"Alarm", "alarm", "Alarm", "problem"},
	} {
		m[b.label] = definition{form: onOff, property: serialbridge.Flag(b.key, b.name, b.class)}
	}

	state := func(label string, f form, key, name string, names map[int64]string) {
		m[label] = definition{form: f, names: names, property: serialbridge.Said(key, name)}
	}
	state("CS", code, "charge_state", "State", chargeStates)
	state("MODE", code, "mode", "Mode", modes)
	state("MPPT", code, "tracker", "Tracker", trackers)
	state("MON", code, "monitor_mode", "Monitor mode", monitorModes)
	state("ERR", code, "error", "Error", chargerErrors)
	state("AR", bits, "alarm_reason", "Alarm reason", alarms)
	state("WARN", bits, "warning_reason", "Warning reason", alarms)
	state("OR", bits, "off_reason", "Off reason", offReasons)
	for _, label := range []string{"MPPT", "MON", "ERR", "AR", "WARN", "OR"} {
		with(label, "", serialbridge.Diagnostic)
	}
	return m
}

// unknownCode names a code that came with newer firmware.
func unknownCode(n int64) string { return fmt.Sprintf("code %d", n) }
