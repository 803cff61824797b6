package wmbus

import (
	"lintel/serialbridge"
)

// form is how the data of a record becomes a value.
type form byte

const (
	number  form = iota
	counter      // a number without decimals
	days         // data type G
	clock        // data types F, I and J
	words        // text, or digits that are a name
	flags        // bits, shown in hex
)

// A quantity is what a VIF says of a value.
type quantity struct {
	property serialbridge.Property
	form     form
	exp      int // power of ten from the data to the property's unit
}

// diagnosticText is a text about the meter itself.
func diagnosticText(key, name, class string) serialbridge.Property {
	return serialbridge.Property{Key: key, Name: name, Kind: serialbridge.State, Class: class, Precision: -1, Category: serialbridge.Diagnostic}
}

// history makes p a value of some day in the past.
func history(p serialbridge.Property, key, name string) serialbridge.Property {
	p.Key += "_" + key
	p.Name += ", " + name
	p.StateClass = ""
	p.Category = serialbridge.Diagnostic
	return p
}

// decimals are the digits worth showing of a number with that power of ten.
func decimals(exp int) int { return min(max(0, -exp), 6) }

// volumeOf is a volume of what the meter measures.
func volumeOf(m medium, exp int) serialbridge.Property {
	p := serialbridge.Counted("volume", "Volume", "m³", "volume", 0)
	switch m {
	case water:
		p = serialbridge.Counted("water", "Water", "m³", "water", 0)
	case gas:
		p = serialbridge.Counted("gas", "Gas", "m³", "gas", 0)
	}
	p.Precision = decimals(exp)
	return p
}

// heatUnits are what heat cost allocators count: of no unit, and from zero again
// each year.
func heatUnits() serialbridge.Property {
	return serialbridge.Counted("heat_cost_units", "Heat cost units", "", "", 0)
}

// timeUnits are the units of times by two bits of the VIF.
var timeUnits = [4]string{"s", "min", "h", "d"}

// quantityOf returns what the VIF of a record stands for (EN 13757-3, tables 10, 12
// and 14). What is not worth publishing is not known.
func quantityOf(r *record, m medium) (quantity, bool) {
	switch r.table {
	case tablePrimary:
		return primary(int(r.code), m)
	case tableFB:
		return tableB(int(r.code), m)
	case tableFD:
		return tableD(int(r.code))
	case tableText:
		return inWords(r.text)
	}
	return quantity{}, false
}

func scaledQuantity(p serialbridge.Property, exp int) (quantity, bool) {
	p.Precision = decimals(exp)
	return quantity{p, number, exp}, true
}

func primary(code int, m medium) (quantity, bool) {
	switch code & 0x78 {
	case 0x00:
		return scaledQuantity(serialbridge.Counted("energy", "Energy", "kWh", "energy", 0), code&7-6)
	case 0x08:
		return scaledQuantity(serialbridge.Counted("energy", "Energy", "MJ", "energy", 0), code&7-6)
	case 0x10:
		return scaledQuantity(volumeOf(m, 0), code&7-6)
	case 0x18:
		return scaledQuantity(serialbridge.Counted("mass", "Mass", "kg", "weight", 0), code&7-3)
	case 0x28:
		return scaledQuantity(serialbridge.Measured("power", "Power", "W", "power", 0), code&7-3)
	case 0x30:
		return scaledQuantity(serialbridge.Measured("power", "Power", "MJ/h", "", 0), code&7-6)
	case 0x38:
		return scaledQuantity(serialbridge.Measured("flow", "Flow", "m³/h", "volume_flow_rate", 0), code&7-6)
	case 0x40:
		return scaledQuantity(serialbridge.Measured("flow", "Flow", "m³/min", "volume_flow_rate", 0), code&7-7)
	case 0x48:
		return scaledQuantity(serialbridge.Measured("flow", "Flow", "m³/s", "volume_flow_rate", 0), code&7-9)
	case 0x50:
		return scaledQuantity(serialbridge.Measured("mass_flow", "Mass flow", "kg/h", "", 0), code&7-3)
	}
	unit := timeUnits[code&3]
	switch code & 0x7C {
	case 0x20:
		return quantity{serialbridge.Number("on_time", "On time", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x24:
		return quantity{serialbridge.Number("operating_time", "Operating time", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x58:
		name := "Flow temperature"
		if m == water {
			name = "Water temperature"
		}
		return scaledQuantity(serialbridge.Measured("flow_temperature", name, "°C", "temperature", 0), code&3-3)
	case 0x5C:
		return scaledQuantity(serialbridge.Measured("return_temperature", "Return temperature", "°C", "temperature", 0), code&3-3)
	case 0x60:
		// Of no class: Home Assistant would take it for a temperature above absolute zero.
		return scaledQuantity(serialbridge.Measured("temperature_difference", "Temperature difference", "K", "", 0), code&3-3)
	case 0x64:
		return scaledQuantity(serialbridge.Measured("temperature", "Temperature", "°C", "temperature", 0), code&3-3)
	case 0x68:
		return scaledQuantity(serialbridge.Measured("pressure", "Pressure", "bar", "pressure", 0), code&3-3)
	case 0x70:
		return quantity{serialbridge.Number("averaging_time", "Averaging time", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x74:
		return quantity{serialbridge.Number("actuality_time", "Actuality time", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	}
	switch code {
	case 0x6C:
		return quantity{diagnosticText("date", "Date", "date"), days, 0}, true
	case 0x6D:
		return quantity{diagnosticText("time", "Time", ""), clock, 0}, true
	case 0x6E:
		return quantity{heatUnits(), number, 0}, true
	case 0x78:
		return quantity{diagnosticText("fabrication_number", "Fabrication number", ""), words, 0}, true
	}
	return quantity{}, false
}

// tableB is the extension table FB.
func tableB(code int, m medium) (quantity, bool) {
	low := code & 1
	switch code &^ 1 {
	case 0x00:
		return scaledQuantity(serialbridge.Counted("energy", "Energy", "kWh", "energy", 0), low+2) // 0.1 MWh
	case 0x02:
		return scaledQuantity(serialbridge.Counted("reactive_energy", "Reactive energy", "kvarh", "", 0), low)
	case 0x04:
		return scaledQuantity(serialbridge.Counted("apparent_energy", "Apparent energy", "kVAh", "", 0), low)
	case 0x08:
		return scaledQuantity(serialbridge.Counted("energy", "Energy", "MJ", "energy", 0), low+2) // 0.1 GJ
	case 0x10:
		return scaledQuantity(volumeOf(m, 0), low+2)
	case 0x18:
		return scaledQuantity(serialbridge.Counted("mass", "Mass", "kg", "weight", 0), low+5)
	case 0x1A:
		return scaledQuantity(serialbridge.Measured("humidity", "Humidity", "%", "humidity", 0), low-1)
	case 0x28:
		return scaledQuantity(serialbridge.Measured("power", "Power", "W", "power", 0), low+5) // 0.1 MW
	case 0x30:
		return scaledQuantity(serialbridge.Measured("power", "Power", "MJ/h", "", 0), low+2)
	}
	switch code &^ 3 {
	case 0x0C:
		return scaledQuantity(serialbridge.Counted("energy", "Energy", "Mcal", "energy", 0), code&3-1)
	case 0x14:
		return scaledQuantity(serialbridge.Measured("reactive_power", "Reactive power", "kvar", "reactive_power", 0), code&3-3)
	case 0x2C:
		return scaledQuantity(serialbridge.Measured("frequency", "Frequency", "Hz", "frequency", 0), code&3-3)
	case 0x34:
		return scaledQuantity(serialbridge.Measured("apparent_power", "Apparent power", "kVA", "apparent_power", 0), code&3-3)
	}
	return quantity{}, false
}

// tableD is the extension table FD.
func tableD(code int) (quantity, bool) {
	switch code & 0x70 {
	case 0x40:
		return scaledQuantity(serialbridge.Measured("voltage", "Voltage", "V", "voltage", 0), code&0xF-9)
	case 0x50:
		return scaledQuantity(serialbridge.Measured("current", "Current", "A", "current", 0), code&0xF-12)
	}
	unit := timeUnits[code&3]
	switch code {
	case 0x08:
		return quantity{serialbridge.Number("transmissions", "Transmissions", "", "", 0).AsDiagnostic(), counter, 0}, true
	case 0x0B:
		return quantity{diagnosticText("parameter_set", "Parameter set", ""), words, 0}, true
	case 0x0C:
		return quantity{diagnosticText("model_version", "Model version", ""), words, 0}, true
	case 0x0D:
		return quantity{diagnosticText("hardware_version", "Hardware version", ""), words, 0}, true
	case 0x0E:
		return quantity{diagnosticText("firmware_version", "Firmware version", ""), words, 0}, true
	case 0x0F:
		return quantity{diagnosticText("software_version", "Software version", ""), words, 0}, true
	case 0x10:
		return quantity{diagnosticText("location", "Location", ""), words, 0}, true
	case 0x11:
		return quantity{diagnosticText("customer", "Customer", ""), words, 0}, true
	case 0x17:
		return quantity{diagnosticText("error_flags", "Error flags", ""), flags, 0}, true
	case 0x1A:
		return quantity{diagnosticText("digital_outputs", "Digital outputs", ""), flags, 0}, true
	case 0x1B:
		return quantity{diagnosticText("digital_inputs", "Digital inputs", ""), flags, 0}, true
	case 0x2C, 0x2D, 0x2E, 0x2F:
		return quantity{serialbridge.Number("since_readout", "Time since last readout", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x31, 0x32, 0x33:
		return quantity{serialbridge.Number("tariff_duration", "Duration of tariff", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x3A:
		return quantity{serialbridge.Number("number", "Number", "", "", 0).AsDiagnostic(), number, 0}, true
	case 0x3C, 0x3D, 0x3E, 0x3F:
		return quantity{serialbridge.Number("transmit_period", "Interval of transmission", unit, "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x60:
		return quantity{serialbridge.Number("resets", "Resets", "", "", 0).AsDiagnostic(), counter, 0}, true
	case 0x61:
		return quantity{serialbridge.Number("cumulations", "Cumulations", "", "", 0).AsDiagnostic(), counter, 0}, true
	case 0x6C, 0x6D:
		return quantity{serialbridge.Number("battery_time", "Operating time of battery", [2]string{"h", "d"}[code&1], "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x70:
		return quantity{diagnosticText("battery_change", "Battery changed", ""), clock, 0}, true
	case 0x71:
		return quantity{serialbridge.Number("radio_level", "Radio level", "dBm", "signal_strength", 0).AsDiagnostic(), number, 0}, true
	case 0x74:
		return quantity{serialbridge.Number("battery_life", "Remaining battery life", "d", "duration", 0).AsDiagnostic(), number, 0}, true
	case 0x75:
		return quantity{serialbridge.Number("stops", "Stops", "", "", 0).AsDiagnostic(), counter, 0}, true
	}
	return quantity{}, false
}

// inWords is a value whose unit the meter tells in words.
func inWords(text string) (quantity, bool) {
	var key []byte
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			key = append(key, c)
		case 'A' <= c && c <= 'Z':
			key = append(key, c+'a'-'A')
		}
	}
	if len(key) == 0 || len(key) > 16 {
		return quantity{}, false
	}
	return quantity{serialbridge.Number("text_"+string(key), text, "", "", 0).AsDiagnostic(), number, 0}, true
}
