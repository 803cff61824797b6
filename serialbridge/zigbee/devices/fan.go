package devices

import (
	"strings"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Attributes of the Fan Control and the Thermostat User Interface Configuration
// clusters (sections 6.4 and 6.6).
const (
	attrFanMode            = 0x0000
	attrTemperatureDisplay = 0x0000
	attrKeypadLockout      = 0x0001
)

// fanModes are the values of FanMode, in the order in which zigbee2mqtt tells them.
var fanModes = []string{"off", "low", "medium", "high", "on", "auto", "smart"}

var (
	fan = &Trait{
		Name: "fan", Exposes: []string{"fan", "fan_mode", "climate"}, Clusters: []uint16{clusterFan},
		Generate: generateFan,
		Decode:   decodeFan,
		Keys:     []string{"fan_mode", "fan_state"}, Set: setFan, Get: reads(clusterFan, attrFanMode),
		Configure: configureFan,
	}
	fanSpeed = &Trait{
		Name: "fan_speed", Exposes: []string{"speed"}, Clusters: []uint16{clusterLevel},
		Decode: decodeFanSpeed,
		Keys:   []string{"speed"}, Set: setFanSpeed, Get: reads(clusterLevel, attrCurrentLevel),
	}
	// fanOnOff is a fan that is switched like a lamp.
	fanOnOff = &Trait{
		Name: "fan_on_off", Exposes: []string{"speed"}, Clusters: []uint16{clusterOnOff},
		Decode: decodeOnOff,
		Keys:   []string{"state"}, Set: func(c *Context, _ string, value any) (Result, error) { return setOnOff(c, value) },
		Get: reads(clusterOnOff, attrOnOff), Configure: configureOnOff,
	}
	thermostatUI = &Trait{
		Name: "thermostat_ui", Exposes: []string{"keypad_lockout", "temperature_display_mode"}, Clusters: []uint16{clusterThermostatUI},
		Generate: generateThermostatUI,
		Decode:   decodeThermostatUI, Configure: configureThermostatUI,
	}
	keypadLockout = &Trait{
		Name: "keypad_lockout", Exposes: []string{"keypad_lockout"}, Clusters: []uint16{clusterThermostatUI},
		Keys: []string{"keypad_lockout"}, Set: setThermostatUI(attrKeypadLockout, keypadLockouts), Get: reads(clusterThermostatUI, attrKeypadLockout),
	}
	temperatureDisplay = &Trait{
		Name: "temperature_display_mode", Exposes: []string{"temperature_display_mode"}, Clusters: []uint16{clusterThermostatUI},
		Keys: []string{"temperature_display_mode"}, Set: setThermostatUI(attrTemperatureDisplay, temperatureDisplays),
		Get: reads(clusterThermostatUI, attrTemperatureDisplay),
	}
)

var (
	keypadLockouts      = []string{"unlock", "lock1", "lock2", "lock3", "lock4", "lock5"}
	temperatureDisplays = []string{"celsius", "fahrenheit"}
)

func decodeFan(c *Context, m zigbee.Message) Values {
	mode, told := standardNumber(m, attrFanMode)
	word, known := wordAt(fanModes, mode)
	if !told || !known {
		return nil
	}
	values := Values{"fan_mode": word, "fan_state": "ON"}
	if word == "off" {
		values["fan_state"] = "OFF"
	}
	return values
}

func setFan(c *Context, key string, value any) (Result, error) {
	words := make(map[string]uint8, len(fanModes))
	for i, word := range fanModes {
		words[word] = uint8(i)
	}
	mode, err := oneOf(key, value, words)
	if err != nil {
		return Result{}, err
	}
	r, err := c.write(clusterFan, zcl.Attribute{ID: attrFanMode, Type: zcl.Enum8, Value: mode})
	state := Values{"fan_mode": strings.ToLower(value.(string)), "fan_state": "ON"}
	if mode == 0 {
		state["fan_state"] = "OFF"
	}
	return sends(r, state), err
}

func configureFan(c *Context, endpoint uint8) []Step {
	return report(endpoint, clusterFan, zigbee.Reporting{
		Attribute: attrFanMode, Type: uint8(zcl.Enum8), Max: time.Hour,
	})
}

func decodeFanSpeed(c *Context, m zigbee.Message) Values {
	speed, ok := standardNumber(m, attrCurrentLevel)
	if !ok {
		return nil
	}
	return Values{"speed": speed}
}

func setFanSpeed(c *Context, key string, value any) (Result, error) {
	speed, ok := strictNumber(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	level, err := byteOf(key, speed)
	return sends(command(c, clusterLevel, cmdMoveToLevel, pack(level, uint16(0), uint16(0))), Values{key: value}), err
}

func decodeThermostatUI(c *Context, m zigbee.Message) Values {
	values := make(Values)
	tell := func(name string, id uint16, words []string) {
		if v, ok := standardNumber(m, id); ok {
			values[name] = v
			if word, ok := wordAt(words, v); ok {
				values[name] = word
			}
		}
	}
	tell("keypad_lockout", attrKeypadLockout, keypadLockouts)
	tell("temperature_display_mode", attrTemperatureDisplay, temperatureDisplays)
	return values
}

func setThermostatUI(id uint16, words []string) func(*Context, string, any) (Result, error) {
	return func(c *Context, key string, value any) (Result, error) {
		mode, err := wordOrNumber(key, value, words)
		if err != nil {
			return Result{}, err
		}
		r, err := c.write(clusterThermostatUI, zcl.Attribute{ID: id, Type: zcl.Enum8, Value: mode})
		return sends(r, Values{key: value}), err
	}
}

// wordOrNumber reads one of the words, or the number of one.
func wordOrNumber(key string, value any, words []string) (uint8, error) {
	if n, ok := strictNumber(value); ok {
		return byteOf(key, n)
	}
	numbers := make(map[string]uint8, len(words))
	for i, word := range words {
		if word != "" {
			numbers[word] = uint8(i)
		}
	}
	return oneOf(key, value, numbers)
}

func configureThermostatUI(c *Context, endpoint uint8) []Step {
	return optional(report(endpoint, clusterThermostatUI, zigbee.Reporting{
		Attribute: attrKeypadLockout, Type: uint8(zcl.Enum8), Min: 10 * time.Second, Max: time.Hour,
	}))
}
