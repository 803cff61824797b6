package rflink

import (
	"slices"
	"strconv"

	"lintel/serialbridge"
)

// form is how the value of a label is written.
type form byte

const (
	decimal    form = iota // 53
	hexNumber              // 03d7
	hexSigned              // 800d is -13: the highest bit is the sign
	oneOf                  // an index into Options
	onOff                  // ON or OFF
	happened               // anything; it is an event
	batteryLow             // OK or LOW
)

// A definition is what a label means.
type definition struct {
	property serialbridge.Property
	form     form
	low      int64 // the least and the greatest raw value that can be
	high     int64
	factor   int64 // of the raw value, in units of the last decimal
	digits   []int // how many there may be; nil: one to five
	// jump is how far the value goes from one line to the next at most, up
	// and, unless it is a total, down; 0: as far as it likes.
	jump int64
}

// value reads the value of a label, and of a number also its raw value. It
// returns nil if there is none that can be.
func (d *definition) value(s string) (v any, raw int64, ok bool) {
	switch d.form {
	case onOff:
		return s == "ON", 0, s == "ON" || s == "OFF"
	case batteryLow:
		return s == "LOW", 0, s == "LOW" || s == "OK"
	case happened:
		return d.property.Options[0], 0, true
	}
	base := 10
	if d.form == hexNumber || d.form == hexSigned {
		base = 16
	}
	u, err := strconv.ParseUint(s, base, 16)
	// A digit that got lost makes another number.
	if err != nil || len(s) > 5 || d.digits != nil && !slices.Contains(d.digits, len(s)) {
		return nil, 0, false
	}
	n := int64(u)
	if d.form == oneOf {
		if n >= int64(len(d.property.Options)) {
			return nil, 0, true
		}
		return d.property.Options[n], 0, true
	}
	if d.form == hexSigned && n&0x8000 != 0 {
		n = -(n & 0x7FFF)
	}
	if n < d.low || n > d.high {
		return nil, 0, true
	}
	power := 1.0
	for range d.property.Precision {
		power *= 10
	}
	return float64(n*d.factor) / power, n, true
}

// follows tells whether a raw value may come after another.
func (d *definition) follows(n, last int64) bool {
	if d.jump == 0 {
		return true
	}
	if d.property.StateClass == "total_increasing" {
		return n >= last && n-last <= d.jump
	}
	return max(n, last)-min(n, last) <= d.jump
}

// definitions returns what is known of labels, by name (RFLink Protocol
// Reference, "Data Fields").
func definitions() map[string]*definition {
	m := make(map[string]*definition)
	number := func(name string, f form, low, high, factor int64, key, text, unit, class string, precision int) *definition {
		d := &definition{form: f, low: low, high: high, factor: factor, property: serialbridge.Measured(key, text, unit, class, precision)}
		if f == hexNumber || f == hexSigned {
			d.digits = []int{4, 2} // two in some lines of old versions
		}
		m[name] = d
		return d
	}
	number("TEMP", hexSigned, -600, 1200, 1, "temperature", "Temperature", "°C", "temperature", 1).jump = 100
	number("WINCHL", hexSigned, -900, 1200, 1, "wind_chill", "Wind chill", "°C", "temperature", 1)
	number("WINTMP", hexSigned, -600, 1200, 1, "wind_temperature", "Temperature at wind meter", "°C", "temperature", 1)
	humidity := number("HUM", decimal, 0, 100, 1, "humidity", "Humidity", "%", "humidity", 0)
	humidity.digits, humidity.jump = []int{2, 3}, 30
	number("BARO", hexNumber, 800, 1100, 1, "pressure", "Pressure", "hPa", "atmospheric_pressure", 0).jump = 20
	number("UV", hexNumber, 0, 0xFFFF, 1, "uv", "UV", "", "", 0)
	number("LUX", hexNumber, 0, 0xFFFF, 1, "illuminance", "Illuminance", "lx", "illuminance", 0)
	rain := number("RAIN", hexNumber, 0, 0xFFFF, 1, "rain", "Rain", "mm", "precipitation", 1)
	rain.property.StateClass, rain.jump = "total_increasing", 500
	number("RAINTOT", hexNumber, 0, 0xFFFF, 1, "rain_24h", "Rain in 24 hours", "mm", "precipitation", 1).property.StateClass = "total_increasing"
	number("RAINRATE", hexNumber, 0, 10000, 1, "rain_rate", "Rain rate", "mm/h", "precipitation_intensity", 1)
	number("WINSP", hexNumber, 0, 4000, 1, "wind_speed", "Wind speed", "km/h", "wind_speed", 1)
	number("AWINSP", hexNumber, 0, 4000, 1, "wind_speed_average", "Average wind speed", "km/h", "wind_speed", 1)
	number("WINGS", hexNumber, 0, 4000, 1, "wind_gust", "Wind gust", "km/h", "wind_speed", 1)
	// 16 points of the compass.
	direction := number("WINDIR", decimal, 0, 15, 225, "wind_direction", "Wind direction", "°", "wind_direction", 1)
	direction.property.StateClass, direction.digits = "measurement_angle", []int{4}
	number("CO2", decimal, 0, 0xFFFF, 1, "co2", "CO₂", "ppm", "carbon_dioxide", 0)
	number("WATT", hexNumber, 0, 0xFFFF, 1, "power", "Power", "W", "power", 0)
	number("VOLT", decimal, 0, 500, 1, "voltage", "Voltage", "V", "voltage", 0)
	number("CURRENT", decimal, 0, 1000, 1, "current", "Current", "A", "current", 0)
	number("CURRENT2", decimal, 0, 1000, 1, "current_2", "Current 2", "A", "current", 0)
	number("CURRENT3", decimal, 0, 1000, 1, "current_3", "Current 3", "A", "current", 0)

	other := func(name string, f form, p serialbridge.Property) {
		p.Precision = -1
		m[name] = &definition{form: f, property: p}
	}
	other("HSTATUS", oneOf, serialbridge.Property{Key: "comfort", Name: "Comfort", Kind: serialbridge.State,
		Options: []string{"normal", "comfortable", "dry", "wet"}})
	other("BFORECAST", oneOf, serialbridge.Property{Key: "forecast", Name: "Forecast", Kind: serialbridge.State,
		Options: []string{"unknown", "sunny", "partly cloudy", "cloudy", "rain"}})
	other("BAT", batteryLow, serialbridge.Flag("battery_low", "Battery", "battery").AsDiagnostic())
	other("PIR", onOff, serialbridge.Flag("motion", "Motion", "motion"))
	other("SMOKEALERT", onOff, serialbridge.Flag("smoke", "Smoke", "smoke"))
	other("CHIME", happened, serialbridge.Property{Key: "chime", Name: "Chime", Kind: serialbridge.Event, Class: "doorbell",
		Options: []string{"ring"}})
	return m
}

// sendable are the protocols in which the gateway can switch with an ID, a switch
// and a command (RFLink Protocol Reference, "Send data via RF").
var sendable = []string{
	"AB400D", "Blyss", "Chuango", "Eurodomest", "EV1527", "FA20RF", "FA500", "HomeConfort", "HomeEasy", "Ikea Koppla",
	"Impuls", "Kaku", "Kambrook", "NewKaku", "Powerfix", "RTS", "X10",
}

func canSend(protocol string) bool { return slices.Contains(sendable, protocol) }

// blindProtocol is that of Somfy's blinds: their commands are not ON and OFF.
const blindProtocol = "RTS"

// blindStates are what the commands of a blind make of it, as far as anybody knows, and
// blindCommands what somebody wants of it.
var (
	blindStates   = map[string]string{"UP": "open", "DOWN": "closed", "STOP": "stopped"}
	blindCommands = map[any]string{"open": "UP", "close": "DOWN", "stop": "STOP"}
)

// switchOf returns the property of a switch: of a device that can be
// commanded, or of one that can only be heard.
func switchOf(protocol, number string) serialbridge.Property {
	p := serialbridge.Flag(switchKey(switchPrefix, number), switchName("Switch", number), "")
	switch {
	case protocol == blindProtocol:
		p.Key, p.Name = switchKey("blind", number), switchName("Blind", number)
		p.Kind, p.Features = serialbridge.Cover, []serialbridge.Feature{serialbridge.Stop, serialbridge.Assumed}
	case canSend(protocol):
		p.Kind, p.Features = serialbridge.Switch, []serialbridge.Feature{serialbridge.Assumed}
	}
	return p
}

// maxLevel is the brightest level of dimmers.
const maxLevel = 15

// levelOf returns the property of a dimmer: one that can be commanded is a light, in
// place of the switch.
func levelOf(protocol, number string) serialbridge.Property {
	p := serialbridge.Number(switchKey("level", number), switchName("Level", number), "", "", 0)
	if canSend(protocol) {
		p.Key, p.Name, p.Kind, p.Precision = switchKey(lightPrefix, number), switchName("Light", number), serialbridge.Light, -1
		p.Features = []serialbridge.Feature{serialbridge.Brightness, serialbridge.Assumed}
	}
	return p
}

// Prefixes of keys, before the number of the switch.
const (
	switchPrefix = "switch"
	lightPrefix  = "light"
)

// lit returns the state of a light at a level.
func lit(level int64) map[string]any {
	if level == 0 {
		return map[string]any{"state": "OFF", "color_mode": "brightness"}
	}
	return map[string]any{"state": "ON", "brightness": float64(level * 255 / maxLevel), "color_mode": "brightness"}
}

// lighted returns the state of a light of which only that is known.
func lighted(on bool) map[string]any {
	if on {
		return map[string]any{"state": "ON", "color_mode": "brightness"}
	}
	return lit(0)
}

func switchKey(prefix, number string) string {
	if number == "" {
		return prefix
	}
	return prefix + "_" + word(number)
}

func switchName(prefix, number string) string {
	if number == "" {
		return prefix
	}
	return prefix + " " + number
}
