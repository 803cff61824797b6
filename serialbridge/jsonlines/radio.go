package jsonlines

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

const (
	// maxRadio bounds the radio sensors that are told of: the neighbours have some
	// too, and a decoder of damaged signals invents more.
	maxRadio = 128
	// maxOptions bounds the different commands of one remote control.
	maxOptions = 32
)

// identifyRadio returns the device that an object in the manner of rtl_433 speaks of.
// The tyres of passing cars are nobody's sensors.
func identifyRadio(members map[string]any) (serialbridge.Device, bool) {
	const maxModel, maxIdentifier, maxChannel = 24, 16, 8 // so that the ID has 64 bytes at most
	model := text(members, "model")
	id, channel := identifier(members["id"], maxIdentifier), identifier(members["channel"], maxChannel)
	if model == "" || id == "" && channel == "" || text(members, "type") == "TPMS" {
		return serialbridge.Device{}, false
	}
	kind := serialbridge.IDPart(model)
	d := serialbridge.Device{
		ID: "jsonlines_rf_" + kind[:min(len(kind), maxModel)], Name: model, Model: model,
		Vendor: text(members, "brand"), SerialNumber: id,
	}
	// The name of a model is MANUFACTURER-MODEL.
	if maker, _, ok := strings.Cut(model, "-"); ok && d.Vendor == "" && maker != "Generic" {
		d.Vendor = maker
	}
	if id != "" {
		d.ID += "_" + id
		d.Name += " " + id
	}
	if channel != "" {
		d.ID += "_" + channel
		d.Name += " channel " + channel
	}
	return d, true
}

// identifyCode returns the device that a receiver with the library rc-switch speaks of,
// which knows nothing of devices but codes of 24 bits or so: each is a button, or a
// sensor that has nothing else to say.
func identifyCode(members map[string]any) (serialbridge.Device, bool) {
	value, protocol, length := identifier(members["value"], 16), identifier(members["protocol"], 3), identifier(members["length"], 3)
	if value == "" || protocol == "" || length == "" || value == "0" {
		return serialbridge.Device{}, false
	}
	return serialbridge.Device{
		ID: "jsonlines_rf_code_" + protocol + "_" + value, Name: "Code " + value, Model: "Protocol " + protocol + ", " + length + " bits",
		SerialNumber: value,
	}, true
}

// identifier returns an ID or a channel, which are numbers without a fraction or short
// words; empty if it is neither.
func identifier(member any, limit int) string {
	s, isText := member.(string)
	if n, ok := member.(json.Number); ok {
		s = string(n)
		if strings.Trim(s, "0123456789") != "" {
			return ""
		}
	} else if !isText {
		return ""
	}
	if s == "" || len(s) > limit || serialbridge.IDPart(s) != s {
		return ""
	}
	return s
}

// interpretRadio returns what is known of the members of a radio sensor.
func (d *decoder) interpretRadio(members map[string]any) report {
	r := report{values: make(map[string]any)}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if def, known := d.radio[name]; known {
			if v, ok := def.radioValue(members[name]); ok {
				r.add(def.property, v)
			}
		}
	}
	r.addBattery(members["battery_ok"])
	r.addState(members)
	return r
}

// addBattery adds the state of the battery, which is 0 or 1, or a level in between.
func (r *report) addBattery(member any) {
	n, ok := member.(json.Number)
	if !ok {
		return
	}
	level, err := strconv.ParseFloat(string(n), 64)
	if err != nil || level < 0 || level > 1 {
		return
	}
	r.add(serialbridge.Flag("battery_low", "Battery low", "battery").AsDiagnostic(), level <= 0.1)
	if level > 0 && level < 1 {
		r.add(serialbridge.Measured("battery", "Battery", "%", "battery", 0).AsDiagnostic(), float64(int(level*100+0.5)))
	}
}

// addState adds what is said by words: the state of a contact, the command of a remote
// control.
func (r *report) addState(members map[string]any) {
	state := strings.ToLower(text(members, "state"))
	command := strings.ToLower(cmp.Or(text(members, "command"), text(members, "control")))
	command, _, _ = strings.Cut(command, " (") // and its number
	switch {
	case state == "on" || state == "off" || command == "on" || command == "off":
		p := serialbridge.Flag("switch", "Switch", "")
		if unit := identifier(members["unit"], 4); unit != "" && strings.Trim(unit, "0123456789") == "" {
			p.Key, p.Name = p.Key+"_"+unit, p.Name+" "+unit
		}
		if text(members, "group_call") == "Yes" {
			p.Key, p.Name = "switch_all", "Switch all"
		}
		r.add(p, state == "on" || command == "on")
	case state == "open" || state == "close" || state == "closed":
		r.add(serialbridge.Flag("open", "Contact", "opening"), state == "open")
	case state == "motion":
		r.addMotion()
	default:
		cmd, _ := members["cmd"].(json.Number)
		r.addEvent("command", "Command", "button", cmp.Or(state, command, string(cmd)))
	}
	// Those that tell motion do not tell its end.
	switch motion := members["motion"].(type) {
	case json.Number:
		if motion == "1" {
			r.addMotion()
		}
	case string:
		if motion == "true" {
			r.addMotion()
		}
	}
	r.addEvent("event", "Event", "", strings.ToLower(text(members, "event")))
	if button := identifier(members["button"], 8); button != "0" {
		r.addEvent("button", "Button", "button", button)
	}
}

func (r *report) addMotion() { r.addEvent("motion", "Motion", "motion", "motion") }

// addEvent adds something that happened, if it is any.
func (r *report) addEvent(key, name, class, what string) {
	const limit = 32
	if what == "" || len(what) > limit {
		return
	}
	r.add(serialbridge.Property{Key: key, Name: name, Kind: serialbridge.Event, Class: class, Options: []string{what}, Precision: -1}, what)
}

// radioValue returns a member's value as the property's, if it can be that. What is
// true or false is 1 or 0, or a word.
func (d *definition) radioValue(member any) (any, bool) {
	if d.property.Kind != serialbridge.Binary {
		return d.value(member)
	}
	switch member := member.(type) {
	case bool:
		return member, true
	case json.Number:
		return member == "1", member == "0" || member == "1"
	case string:
		on := strings.EqualFold(member, "open") || strings.EqualFold(member, "yes")
		return on, on || strings.EqualFold(member, "closed") || strings.EqualFold(member, "no")
	}
	return nil, false
}

// radioDefinitions returns what is known of radio sensors, by the name of the member:
// TYPE_UNIT. A property has the unit that the sensor has.
func radioDefinitions() map[string]definition {
	m := map[string]definition{
		"humidity":       {serialbridge.Measured("humidity", "Humidity", "%", "humidity", 0), 0, 100},
		"moisture":       {serialbridge.Measured("moisture", "Soil moisture", "%", "moisture", 0), 0, 100},
		"pressure_hPa":   {serialbridge.Measured("pressure", "Pressure", "hPa", "atmospheric_pressure", 1), 300, 1200},
		"pressure_kPa":   {serialbridge.Measured("pressure", "Pressure", "kPa", "pressure", 1), 0, 2000},
		"pressure_psi":   {serialbridge.Measured("pressure", "Pressure", "psi", "pressure", 1), 0, 300},
		"rain_mm":        {serialbridge.Counted("rain", "Rain", "mm", "precipitation", 1), 0, 1e6},
		"rain_in":        {serialbridge.Counted("rain", "Rain", "in", "precipitation", 2), 0, 1e5},
		"rain_rate_mm_h": {serialbridge.Measured("rain_rate", "Rain rate", "mm/h", "precipitation_intensity", 1), 0, 1000},
		"rain_mm_h":      {serialbridge.Measured("rain_rate", "Rain rate", "mm/h", "precipitation_intensity", 1), 0, 1000},
		"rain_rate_in_h": {serialbridge.Measured("rain_rate", "Rain rate", "in/h", "precipitation_intensity", 2), 0, 50},
		"light_lux":      {serialbridge.Measured("illuminance", "Illuminance", "lx", "illuminance", 0), 0, 200_000},
		"lux":            {serialbridge.Measured("illuminance", "Illuminance", "lx", "illuminance", 0), 0, 200_000},
		"uv":             {serialbridge.Measured("uv", "UV index", "", "", 1), 0, 30},
		"uvi":            {serialbridge.Measured("uv", "UV index", "", "", 1), 0, 30},
		"co2_ppm":        {serialbridge.Measured("co2", "Carbon dioxide", "ppm", "carbon_dioxide", 0), 0, 65535},
		"depth_cm":       {serialbridge.Measured("depth", "Depth", "cm", "distance", 0), 0, 5000},
		"power_W":        {serialbridge.Measured("power", "Power", "W", "power", 0), -1e6, 1e6},
		"energy_kWh":     {serialbridge.Counted("energy", "Energy", "kWh", "energy", 3), 0, 1e9},
		"current_A":      {serialbridge.Measured("current", "Current", "A", "current", 2), -1000, 1000},
		"voltage_V":      {serialbridge.Measured("voltage", "Voltage", "V", "voltage", 1), 0, 1000},
		"strike_count":   {serialbridge.Counted("strikes", "Lightning strikes", "", "", 0), 0, 65535},

		"contact_open": {serialbridge.Flag("open", "Contact", "opening"), 0, 0},
		"opened":       {serialbridge.Flag("open", "Contact", "opening"), 0, 0},
		"reed_open":    {serialbridge.Flag("open", "Contact", "opening"), 0, 0},
		"water":        {serialbridge.Flag("wet", "Water", "moisture"), 0, 0},
		"detect_wet":   {serialbridge.Flag("wet", "Water", "moisture"), 0, 0},
		"alarm":        {serialbridge.Flag("alarm", "Alarm", "safety"), 0, 0},
		"tamper":       {serialbridge.Flag("tamper", "Tamper", "tamper").AsDiagnostic(), 0, 0},

		"battery_V":   {serialbridge.Measured("battery_voltage", "Battery voltage", "V", "voltage", 2).AsDiagnostic(), 0, 30},
		"battery_mV":  {serialbridge.Measured("battery_voltage", "Battery voltage", "mV", "voltage", 0).AsDiagnostic(), 0, 30_000},
		"battery_pct": {serialbridge.Measured("battery", "Battery", "%", "battery", 0).AsDiagnostic(), 0, 100},
		"rssi":        {serialbridge.Measured("signal", "Signal", "dBm", "signal_strength", 0).AsDiagnostic(), -150, 30},
	}
	temperatures := func(name, key, text string) {
		m[name+"_C"] = definition{serialbridge.Measured(key, text, "°C", "temperature", 1), -100, 1000}
		m[name+"_F"] = definition{serialbridge.Measured(key, text, "°F", "temperature", 1), -148, 1832}
	}
	temperatures("temperature", "temperature", "Temperature")
	temperatures("setpoint", "setpoint", "Set point")
	for probe := range 8 {
		n := strconv.Itoa(probe + 1)
		temperatures("temperature_"+n, "temperature_"+n, "Temperature "+n)
		m["switch"+n] = definition{serialbridge.Flag("contact_"+n, "Contact "+n, "opening"), 0, 0}
	}
	for _, wind := range []struct{ name, key, text string }{
		{"wind_avg", "wind_speed", "Wind speed"},
		{"wind_speed", "wind_speed", "Wind speed"},
		{"wind_max", "wind_gust", "Wind gust"},
		{"gust_speed", "wind_gust", "Wind gust"},
	} {
		m[wind.name+"_m_s"] = definition{serialbridge.Measured(wind.key, wind.text, "m/s", "wind_speed", 1), 0, 150}
		m[wind.name+"_km_h"] = definition{serialbridge.Measured(wind.key, wind.text, "km/h", "wind_speed", 1), 0, 500}
		m[wind.name+"_mi_h"] = definition{serialbridge.Measured(wind.key, wind.text, "mph", "wind_speed", 1), 0, 350}
	}
	direction := serialbridge.Measured("wind_direction", "Wind direction", "°", "wind_direction", 1)
	direction.StateClass = "measurement_angle"
	m["wind_dir_deg"] = definition{direction, 0, 360}
	for _, size := range []struct{ name, key, text string }{
		{"pm1_ug_m3", "pm1", "PM1"}, {"pm2_5_ug_m3", "pm25", "PM2.5"}, {"pm4_ug_m3", "pm4", "PM4"}, {"pm10_ug_m3", "pm10", "PM10"},
	} {
		m[size.name] = definition{serialbridge.Measured(size.key, size.text, "\u03bcg/m³", size.key, 0), 0, 10_000}
	}
	return m
}
