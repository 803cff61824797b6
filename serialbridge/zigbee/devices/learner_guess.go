package devices

import "fmt"

// usual is what a datapoint is in most definitions that have it: counted over the
// tables of zigbee-herdsman-converters 26.105.0 (MIT, see
// LICENSE-zigbee-herdsman-converters), those that at least a fifth agree on.
var usual = []struct {
	id       uint8
	typ      string
	property string
	divisor  float64
}{
	{1, "bool", "state", 1}, {1, "number", "energy", 100}, {2, "enum", "preset", 1}, {3, "enum", "running_state", 1},
	{3, "number", "position", 1}, {4, "number", "battery", 1}, {5, "enum", "motor_direction", 1},
	{5, "number", "local_temperature", 10}, {6, "number", "battery", 1}, {7, "bool", "child_lock", 1},
	{9, "enum", "temperature_unit", 1}, {12, "number", "illuminance", 1}, {13, "bool", "state", 1},
	{13, "number", "battery", 1}, {14, "bool", "window_detection", 1}, {14, "enum", "power_on_behavior", 1},
	{15, "enum", "light_mode", 1}, {15, "number", "battery", 1}, {16, "bool", "backlight_mode", 1},
	{16, "number", "current_heating_setpoint", 10}, {20, "number", "illuminance", 1}, {21, "number", "current", 1000},
	{22, "number", "power", 10}, {23, "number", "voltage", 10}, {24, "number", "local_temperature", 10},
	{26, "number", "min_temperature", 10}, {27, "number", "local_temperature_calibration", 1}, {29, "number", "power", 1},
	{32, "number", "ac_frequency", 100}, {36, "bool", "frost_protection", 1}, {38, "enum", "power_on_behavior", 1},
	{39, "bool", "scale_protection", 1}, {40, "bool", "child_lock", 1}, {47, "number", "local_temperature_calibration", 10},
	{50, "number", "power_factor", 1}, {58, "enum", "preset", 1}, {101, "bool", "child_lock", 1}, {105, "bool", "child_lock", 1},
}

// units are those of properties that have a usual one.
var units = map[string]string{
	"temperature": "°C", "local_temperature": "°C", "current_heating_setpoint": "°C", "min_temperature": "°C",
	"max_temperature": "°C", "local_temperature_calibration": "°C", "humidity": "%", "soil_moisture": "%", "battery": "%",
	"position": "%", "illuminance": "lx", "power": "W", "current": "A", "voltage": "V", "energy": "kWh", "ac_frequency": "Hz",
	"co2": "ppm", "voc": "ppb", "formaldehyd": "mg/m³", "pm25": "µg/m³",
}

// guess says what a datapoint may mean: by its range and how it moves, and by what others
// use its number for.
func guess(p *Learnt) Guess {
	g := Guess{Divisor: 1}
	for _, u := range usual {
		if u.id == p.ID && u.typ == p.Type {
			g.Property, g.Divisor = u.property, u.divisor
			g.Reason = fmt.Sprintf("most devices use %d for it", p.ID)
		}
	}
	moves := p.Max - p.Min
	switch {
	case p.Type == "bool" && g.Property == "":
		g.Property, g.Reason = "state", "it is on or off"
	case p.Type == "enum" && g.Property == "":
		g.Property, g.Reason = "mode", fmt.Sprintf("it is one of several: %d so far", len(p.Values))
	case p.Type == "bitmap":
		g.Property, g.Reason = "fault", "bits that are set tell of faults"
	case p.Type == "raw" || p.Type == "string":
		g.Property, g.Reason = "text", "it is a text or a schedule"
	case p.Type != "number":
	case g.Property == "battery" && p.Max > 100, g.Property == "position" && p.Max > 100, g.Property == "illuminance" && p.Min < 0:
		g = Guess{Property: "value", Divisor: 1, Reason: "its number is used for a percentage by others, which this is not"}
	case g.Property != "":
	case p.Min >= 2000 && p.Max <= 2600:
		g = Guess{Property: "voltage", Divisor: 10, Reason: "200 to 260, if the last digit is a decimal, is the mains"}
	case p.Min >= -400 && p.Max <= 600 && p.Max > 100 && moves > 0 && moves < 150:
		g = Guess{Property: "temperature", Divisor: 10, Reason: "it moves little, in the range of temperatures with a decimal"}
	case p.Min >= 0 && p.Max <= 100 && moves > 2:
		g = Guess{Property: "humidity", Divisor: 1, Reason: "it moves between 0 and 100"}
	case p.Min >= 0 && p.Max <= 100:
		g = Guess{Property: "battery", Divisor: 1, Reason: "it stays between 0 and 100"}
	case p.Min >= 300 && p.Max <= 5000:
		g = Guess{Property: "co2", Divisor: 1, Reason: "400 is fresh air"}
	default:
		g = Guess{Property: "value", Divisor: 1, Reason: "it is a number"}
	}
	g.Unit = units[g.Property]
	return g
}
