package jsonlines

import (
	"encoding/json"
	"strconv"

	"lintel/serialbridge"
)

// A definition is what a member means.
type definition struct {
	property serialbridge.Property
	min, max float64 // of a number: what a house can hold
}

// value returns a member's value as the property's, if it can be that.
func (d *definition) value(member any) (any, bool) {
	switch member := member.(type) {
	case bool:
		return member, d.property.Kind == serialbridge.Binary
	case json.Number:
		// The float nearest to the text prints as the text.
		v, err := strconv.ParseFloat(string(member), 64)
		return v + 0, err == nil && // 0 and not -0
			d.property.Kind == serialbridge.Measurement && d.min <= v && v <= d.max
	}
	return nil, false
}

// definitions returns what is known, by the name of the member. Fahrenheit is left
// out: it says what Celsius says.
func definitions() map[string]definition {
	m := map[string]definition{
		"tempc":     {serialbridge.Measured("temperature", "Temperature", "°C", "temperature", 1), -100, 1000},
		"tempc2_dp": {serialbridge.Measured("dew_point", "Dew point", "°C", "temperature", 1), -100, 100},
		"hum":       {serialbridge.Measured("humidity", "Humidity", "%", "humidity", 1), 0, 100},
		// Some tell the pressure of tyres by this name, in bar.
		"pres": {serialbridge.Measured("pressure", "Pressure", "hPa", "atmospheric_pressure", 1), 300, 1200},
		"lux":  {serialbridge.Measured("illuminance", "Illuminance", "lx", "illuminance", 0), 0, 200_000},
		"moi":  {serialbridge.Measured("moisture", "Soil moisture", "%", "moisture", 0), 0, 100},
		// Home Assistant's unit has the Greek letter, not the micro sign.
		"fer":       {serialbridge.Measured("fertility", "Soil fertility", "\u03bcS/cm", "conductivity", 0), 0, 65535},
		"co2":       {serialbridge.Measured("co2", "Carbon dioxide", "ppm", "carbon_dioxide", 0), 0, 65535},
		"for":       {serialbridge.Measured("formaldehyde", "Formaldehyde", "mg/m³", "volatile_organic_compounds", 2), 0, 100},
		"windspeed": {serialbridge.Measured("wind_speed", "Wind speed", "m/s", "wind_speed", 1), 0, 150},
		"rot":       {serialbridge.Measured("rotation", "Rotation", "°", "", 1), -360, 360},
		"open":      {serialbridge.Flag("open", "Contact", "opening"), 0, 0},
		"motion":    {serialbridge.Flag("motion", "Motion", "motion"), 0, 0},

		"batt":     {serialbridge.Measured("battery", "Battery", "%", "battery", 0).AsDiagnostic(), 0, 100},
		"volt":     {serialbridge.Measured("voltage", "Voltage", "V", "voltage", 2).AsDiagnostic(), 0, 100},
		"batt_low": {serialbridge.Flag("battery_low", "Battery low", "battery").AsDiagnostic(), 0, 0},
		"lowbatt":  {serialbridge.Flag("battery_low", "Battery low", "battery").AsDiagnostic(), 0, 0},
		"rssi":     {serialbridge.Measured("signal", "Signal", "dBm", "signal_strength", 0).AsDiagnostic(), -150, 30},
	}
	for probe := range 6 {
		n := strconv.Itoa(probe + 1)
		m["tempc"+n] = definition{serialbridge.Measured("temperature_"+n, "Temperature "+n, "°C", "temperature", 1), -100, 1000}
	}
	return m
}

// presses are how a button is pressed, by the number that Theengs has for it: older
// and newer versions count long ones differently.
var presses = map[json.Number]string{"1": "single", "2": "double", "3": "triple", "4": "long", "9": "long", "11": "hold"}

// addPress adds that a button was pressed. Only the number of the packet tells one
// press from another, since a button says it several times.
func (r *report) addPress(members map[string]any) {
	if identifier(members["packet"], 16) == "" {
		return
	}
	for _, name := range []string{"press", "button"} {
		n, _ := members[name].(json.Number)
		if what := presses[n]; what != "" {
			r.add(serialbridge.Property{Key: "button", Name: "Button", Kind: serialbridge.Event, Class: "button",
				Options: []string{"single", "double", "triple", "long", "hold"}, Precision: -1}, what)
		}
	}
}
