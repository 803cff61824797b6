package teleinfo

import (
	"fmt"

	"lintel/serialbridge"
)

// form is how a value is written.
type form byte

const (
	number  form = iota // 027553175: with a power of ten, a measurement
	integer             // 01: a number that only names something
	text                // "      BASE      "
	code                // HP..: one of the names, or what it says
	clock               // no value, but a time
	status              // 003A4001: the status register
	relays              // 001: a sum of bits
)

// A definition is what a label means.
type definition struct {
	form     form
	exponent string // power of ten from the value to the property's unit
	stamped  bool   // the time of the group says when it was
	names    map[string]string
	property serialbridge.Property
}

// definitions returns what is known of the labels. No label means two things in
// the two modes (Enedis-NOI-CPT_54E has both lists).
func definitions() map[string]definition {
	m := make(map[string]definition)
	measure := func(label, key, name, unit, class, exponent string) {
		m[label] = definition{form: number, exponent: exponent, property: serialbridge.Measured(key, name, unit, class, 0)}
	}
	// register is a total that only rises, in Wh or varh.
	register := func(label, key, name, unit, class string) {
		m[label] = definition{form: number, exponent: "e-3", property: serialbridge.Counted(key, name, unit, class, 3)}
	}
	// plain is a number without statistics.
	plain := func(label, key, name, unit, class, exponent string) {
		m[label] = definition{form: number, exponent: exponent, property: serialbridge.Number(key, name, unit, class, 0).AsDiagnostic()}
	}

	// Registers of active energy: historic mode has those of the contract,
	// standard mode the total and those of supplier and distributor.
	for _, r := range []struct{ label, key, name string }{
		{"BASE", "", ""},
		{"EAST", "", ""},
		{"HCHC", "_off_peak", " off-peak"},
		{"HCHP", "_peak", " peak"},
		{"EJPHN", "_normal", " normal hours"},
		{"EJPHPM", "_mobile_peak", " mobile peak"},
		{"BBRHCJB", "_blue_off_peak", " blue off-peak"},
		{"BBRHPJB", "_blue_peak", " blue peak"},
		{"BBRHCJW", "_white_off_peak", " white off-peak"},
		{"BBRHPJW", "_white_peak", " white peak"},
		{"BBRHCJR", "_red_off_peak", " red off-peak"},
		{"BBRHPJR", "_red_peak", " red peak"},
	} {
		register(r.label, "energy_import"+r.key, "Energy import"+r.name, "kWh", "energy")
	}
	for i := 1; i <= 10; i++ {
		register(fmt.Sprintf("EASF%02d", i), fmt.Sprintf("energy_import_supplier_%d", i),
			fmt.Sprintf("Energy import supplier index %d", i), "kWh", "energy")
	}
	for i := 1; i <= 4; i++ {
		register(fmt.Sprintf("EASD%02d", i), fmt.Sprintf("energy_import_distributor_%d", i),
			fmt.Sprintf("Energy import distributor index %d", i), "kWh", "energy")
		register(fmt.Sprintf("ERQ%d", i), fmt.Sprintf("reactive_energy_q%d", i),
			fmt.Sprintf("Reactive energy quadrant %d", i), "kvarh", "reactive_energy")
	}
	register("EAIT", "energy_export", "Energy export", "kWh", "energy")

	// Momentary values.
	measure("PAPP", "apparent_power", "Apparent power", "VA", "apparent_power", "e0")
	measure("SINSTS", "apparent_power", "Apparent power", "VA", "apparent_power", "e0")
	measure("SINSTI", "apparent_power_export", "Apparent power export", "VA", "apparent_power", "e0")
	measure("IINST", "current", "Current", "A", "current", "e0")
	for phase := 1; phase <= 3; phase++ {
		label := func(s string) string { return fmt.Sprintf("%s%d", s, phase) }
		key := func(s string) string { return fmt.Sprintf("%s_l%d", s, phase) }
		name := func(s string) string { return fmt.Sprintf("%s L%d", s, phase) }
		measure(label("IINST"), key("current"), name("Current"), "A", "current", "e0")
		measure(label("IRMS"), key("current"), name("Current"), "A", "current", "e0")
		measure(label("URMS"), key("voltage"), name("Voltage"), "V", "voltage", "e0")
		measure(label("UMOY"), key("average_voltage"), name("Average voltage"), "V", "voltage", "e0")
		measure(label("SINSTS"), key("apparent_power"), name("Apparent power"), "VA", "apparent_power", "e0")
		plain(label("IMAX"), key("current_maximum"), name("Highest current"), "A", "current", "e0")
	}
	plain("IMAX", "current_maximum", "Highest current", "A", "current", "e0")
	plain("PMAX", "power_maximum", "Highest power", "W", "power", "e0")

	// The load curve: the average of the last period and of the one before.
	measure("CCASN", "average_power_import", "Average power import", "W", "power", "e0")
	measure("CCAIN", "average_power_export", "Average power export", "W", "power", "e0")
	plain("CCASN-1", "average_power_import_before", "Average power import before", "W", "power", "e0")
	plain("CCAIN-1", "average_power_export_before", "Average power export before", "W", "power", "e0")

	// The highest apparent power of the day, with its time, and of the day
	// before.
	for _, p := range []struct{ label, key, name string }{
		{"SMAXSN%s", "apparent_power_maximum", "Highest apparent power"},
		{"SMAXIN%s", "apparent_power_export_maximum", "Highest apparent power export"},
		{"SMAXSN1%s", "apparent_power_maximum_l1", "Highest apparent power L1"},
		{"SMAXSN2%s", "apparent_power_maximum_l2", "Highest apparent power L2"},
		{"SMAXSN3%s", "apparent_power_maximum_l3", "Highest apparent power L3"},
	} {
		for suffix, when := range map[string]struct{ key, name string }{
			"":   {"_today", " today"},
			"-1": {"_yesterday", " yesterday"},
		} {
			label := fmt.Sprintf(p.label, suffix)
			plain(label, p.key+when.key, p.name+when.name, "VA", "apparent_power", "e0")
			d := m[label]
			d.stamped = true
			m[label] = d
		}
	}

	// The contract.
	plain("ISOUSC", "subscribed_current", "Subscribed current", "A", "current", "e0")
	plain("PREF", "reference_power", "Reference power", "VA", "apparent_power", "e3")
	plain("PCOUP", "breaking_power", "Breaking power", "VA", "apparent_power", "e3")
	m["OPTARIF"] = definition{form: code, names: contracts, property: serialbridge.Said("contract", "Contract").AsDiagnostic()}
	m["NGTF"] = definition{form: text, property: serialbridge.Said("contract", "Contract").AsDiagnostic()}
	m["PTEC"] = definition{form: code, names: periods, property: serialbridge.Said("tariff", "Tariff")}
	m["LTARF"] = definition{form: text, property: serialbridge.Said("tariff", "Tariff")}
	m["DEMAIN"] = definition{form: code, names: colours, property: serialbridge.OneOf("colour_tomorrow", "Colour of tomorrow", dayColours...)}
	m["NTARF"] = definition{form: integer, property: serialbridge.Number("tariff_index", "Tariff index", "", "", 0).AsDiagnostic()}

	m["DATE"] = definition{form: clock, property: serialbridge.Moment("meter_time", "Meter time")}
	m["MSG1"] = definition{form: text, property: serialbridge.Said("message", "Message").AsDiagnostic()}
	m["MSG2"] = definition{form: text, property: serialbridge.Said("short_message", "Short message").AsDiagnostic()}
	m["STGE"] = definition{form: status}
	m["RELAIS"] = definition{form: relays}
	return m
}

var contracts = map[string]string{
	"BASE": "base",
	"HC..": "off-peak",
	"EJP.": "EJP",
}

var periods = map[string]string{
	"TH..": "all hours",
	"HC..": "off-peak",
	"HP..": "peak",
	"HN..": "normal",
	"PM..": "mobile peak",
	"HCJB": "blue off-peak",
	"HPJB": "blue peak",
	"HCJW": "white off-peak",
	"HPJW": "white peak",
	"HCJR": "red off-peak",
	"HPJR": "red peak",
}

// colours are the days of Tempo.
var colours = map[string]string{
	"----": "not announced",
	"BLEU": "blue",
	"BLAN": "white",
	"ROUG": "red",
}
