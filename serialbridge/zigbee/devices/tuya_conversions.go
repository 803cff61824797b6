package devices

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode/utf16"

	"lintel/serialbridge/zigbee/zcl"
)

// namedConversions are those that take code, by the names that they have in
// zigbee2mqtt's library (tuya.ts, valueConverter).
var namedConversions map[string]namedConversion

func init() { // it refers to functions that refer to it
	namedConversions = map[string]namedConversion{
		"coverPosition":         cover(false),
		"coverPositionInverted": cover(true),
		"phaseVariant1":         phase(15, func(b []byte) Values { return Values{"voltage": be(b, 13, 2) / 10, "current": be(b, 11, 2) / 1000} }),
		"phaseVariant2": phase(8, func(b []byte) Values {
			return Values{"voltage": be(b, 0, 2) / 10, "current": be(b, 3, 2) / 1000, "power": be(b, 6, 2)}
		}),
		"phaseVariant2WithPhase": {decode: decodePhase2},
		"phaseVariant3": phase(8, func(b []byte) Values {
			return Values{"voltage": be(b, 0, 2) / 10, "current": be(b, 2, 3) / 1000, "power": be(b, 5, 3)}
		}),
		"phaseVariant4": phase(8, func(b []byte) Values {
			return Values{"voltage": be(b, 0, 2) / 10, "current": be(b, 2, 3) / 1000, "power": be(b, 5, 3)}
		}),
		"phaseVariant5": phase(10, func(b []byte) Values {
			return Values{"voltage": be(b, 2, 2) / 10, "current": be(b, 5, 2) / 1000, "power": be(b, 8, 2)}
		}),
		"voltageCurve": {decode: func(_ *Context, raw, curve any) (any, bool) {
			n, ok := numberOf(raw)
			if !ok {
				return nil, false
			}
			return batteryPercentage(n, curve)
		}},
		"plus": {decode: func(_ *Context, raw, by any) (any, bool) {
			n, _ := zcl.Float(by)
			return shifted(raw, n)
		}},
		"power":                           {decode: decodeSignedPower},
		"plus1":                           {decode: func(_ *Context, raw, _ any) (any, bool) { return shifted(raw, 1) }, encode: func(_ *Context, v, _ any) (any, error) { return encodeShift(v, -1) }},
		"fault":                           {decode: func(_ *Context, raw, _ any) (any, bool) { n, ok := numberOf(raw); return n != 0, ok }},
		"localTemperatureCalibration":     wrapped(4000, 4096),
		"localTemperatureCalibration_256": wrapped(200, 256),
		"waterConsumption":                {decode: decodeWater},
		"circuitBreakerFaults":            {decode: decodeFaults("magnetism")},
		"circuitBreakerFaults1":           {decode: decodeFaults("negative_power")},
		"errorOrBatteryLow": {decode: func(c *Context, raw, _ any) (any, bool) {
			n, ok := numberOf(raw)
			return Values{"": n == 1, "error": n}, ok
		}},
		"utf16BEHexString":             {decode: decodeUTF16, encode: encodeUTF16},
		"threshold_2":                  breaker(17, map[byte]string{3: "overload", 4: "leakage", 5: "high_temperature"}),
		"threshold_3":                  breaker(18, map[byte]string{1: "over_current", 3: "over_voltage", 4: "under_voltage", 8: "insufficient_balance"}),
		"thermostatScheduleDayMultiDP": {decode: decodeTransitions, encode: encodeTransitions},
		"thermostatScheduleDayMultiDPWithTransitionCount": {decode: decodeTransitions, encode: encodeTransitions},
		"thermostatScheduleDayMultiDPWithDayNumber":       {decode: decodeTransitions, encode: encodeTransitions},
		"thermostatScheduleDayMultiDP_TRV603WZ":           {decode: decodeHalfDegrees, encode: encodeHalfDegrees},
		"thermostatScheduleDaySingleDP":                   {decode: decodeSegments, encode: encodeSegments},
		"thermostatHolidayStartStop":                      {decode: decodeHoliday, encode: encodeHoliday},
		"inchingSwitch2":                                  {decode: decodeInching, encode: encodeInching},
		"reset":                                           button("RESET", false),
		"refresh":                                         button("refresh", true),
		"autoAdjustment":                                  button("START", true),
		"onOffWithZeros":                                  {decode: decodeOnOffWithZeros, encode: encodeOnOff},
		"onOffFingerbot":                                  {decode: decodeFingerbot, encode: encodeOnOff},
		"energyBalanceAdd": {decode: func(*Context, any, any) (any, bool) { return 0.0, true }, encode: func(_ *Context, v, _ any) (any, error) {
			n, ok := zcl.Float(v)
			if !ok {
				return nil, fmt.Errorf("%v is no number", v)
			}
			return n * 100, nil
		}},
		"static": {decode: func(_ *Context, _, argument any) (any, bool) { return argument, argument != nil }},
	}
}

// be is a big-endian number in b.
func be(b []byte, at, n int) float64 {
	var v uint64
	for _, c := range b[at : at+n] {
		v = v<<8 | uint64(c)
	}
	return float64(v)
}

// octets are the bytes of a value: itself, or what base64 stands for.
func octets(raw any) ([]byte, bool) {
	switch v := raw.(type) {
	case []byte:
		return v, true
	case string:
		v = strings.TrimRight(v, "=\x00")
		b, err := base64.RawStdEncoding.DecodeString(v)
		return b, err == nil
	}
	return nil, false
}

// phase is what a meter tells of a phase in n bytes at least.
func phase(n int, values func([]byte) Values) namedConversion {
	return namedConversion{decode: func(_ *Context, raw, _ any) (any, bool) {
		b, ok := octets(raw)
		if !ok || len(b) < n {
			return nil, false
		}
		return values(b), true
	}}
}

func decodePhase2(_ *Context, raw, argument any) (any, bool) {
	b, ok := octets(raw)
	if !ok || len(b) < 8 {
		return nil, false
	}
	power := be(b, 6, 2)
	if power > 0x7fff {
		power -= 0x999a // how this meter counts below zero
	}
	return Values{
		fmt.Sprintf("voltage_%v", argument): be(b, 0, 2) / 10,
		fmt.Sprintf("current_%v", argument): be(b, 3, 2) / 1000,
		fmt.Sprintf("power_%v", argument):   power,
	}, true
}

func decodeSignedPower(_ *Context, raw, _ any) (any, bool) {
	n, ok := numberOf(raw)
	if n > 0x0fffffff {
		n -= 0x1999999c
	}
	return n, ok
}

func shifted(raw any, by float64) (any, bool) {
	n, ok := numberOf(raw)
	return n + by, ok
}

func encodeShift(value any, by float64) (any, error) {
	n, ok := zcl.Float(value)
	if !ok {
		return nil, fmt.Errorf("%v is no number", value)
	}
	return n + by, nil
}

// wrapped is a number below zero that is told as one below the modulus.
func wrapped(above, modulus float64) namedConversion {
	return namedConversion{
		decode: func(_ *Context, raw, _ any) (any, bool) {
			n, ok := numberOf(raw)
			if n > above {
				n -= modulus
			}
			return n, ok
		},
		encode: func(_ *Context, value, _ any) (any, error) {
			n, ok := zcl.Float(value)
			if !ok {
				return nil, fmt.Errorf("%v is no number", value)
			}
			if n < 0 {
				n += modulus
			}
			return n, nil
		},
	}
}

// cover is the position of a cover; the option invert_cover turns it round. It
// tells the state as well.
func cover(inverted bool) namedConversion {
	turn := func(c *Context, n float64) float64 {
		if truthy(c.Options["invert_cover"]) != inverted {
			return 100 - n
		}
		return n
	}
	return namedConversion{
		decode: func(c *Context, raw, _ any) (any, bool) {
			n, ok := numberOf(raw)
			if !ok {
				return nil, false
			}
			n = turn(c, n)
			state := "OPEN"
			if n == 0 {
				state = "CLOSE"
			}
			return Values{"": n, "state": state}, true
		},
		encode: func(c *Context, value, _ any) (any, error) {
			n, ok := zcl.Float(value)
			if !ok || n < 0 || n > 100 {
				return nil, fmt.Errorf("%v is no position: it is a number from 0 to 100", value)
			}
			return turn(c, n), nil
		},
	}
}

func decodeWater(_ *Context, raw, _ any) (any, bool) {
	b, ok := raw.([]byte)
	if !ok || len(b) < 8 {
		return 0.0, true
	}
	return float64(int32(binary.BigEndian.Uint32(b[4:]))) / 1000, true
}

func decodeUTF16(_ *Context, raw, _ any) (any, bool) {
	text, ok := raw.(string)
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || len(b)%2 != 0 {
		return "", ok
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return strings.TrimSpace(string(utf16.Decode(units))), true
}

func encodeUTF16(_ *Context, value, _ any) (any, error) {
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("%v is no text", value)
	}
	var b []byte
	for _, unit := range utf16.Encode([]rune(strings.TrimSpace(text))) {
		b = binary.BigEndian.AppendUint16(b, unit)
	}
	return hex.EncodeToString(b), nil
}

func decodeInching(_ *Context, raw, _ any) (any, bool) {
	b, ok := octets(raw)
	if !ok || len(b) < 3 {
		return nil, false
	}
	state := "OFF"
	if b[0] == 1 {
		state = "ON"
	}
	seconds := be(b, 1, 2)
	return map[string]any{"state": state, "minutes": math.Floor(seconds / 60), "seconds": math.Mod(seconds, 60)}, true
}

func encodeInching(c *Context, value, _ any) (any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is an object of state, minutes and seconds")
	}
	current, _ := c.State["inching"].(map[string]any)
	field := func(name string, fallback any) any {
		if v, ok := object[name]; ok {
			return v
		}
		if v, ok := current[name]; ok {
			return v
		}
		return fallback
	}
	minutes, ok1 := zcl.Float(field("minutes", 1))
	seconds, ok2 := zcl.Float(field("seconds", 0))
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("minutes and seconds are numbers")
	}
	b := []byte{0}
	if strings.EqualFold(fmt.Sprint(field("state", "OFF")), "on") {
		b[0] = 1
	}
	b = binary.BigEndian.AppendUint16(b, uint16(max(1, min(0xffff, minutes*60+seconds))))
	return base64.StdEncoding.EncodeToString(b), nil
}

// button is something to press: the device does not tell a state.
func button(name string, raw bool) namedConversion {
	return namedConversion{
		decode: func(*Context, any, any) (any, bool) { return "idle", true },
		encode: func(_ *Context, value, _ any) (any, error) {
			if value != name {
				return nil, fmt.Errorf("it can only be %q", name)
			}
			return raw, nil
		},
	}
}

func onOff(_ *Context, raw, _ any) (any, bool) {
	n, ok := numberOf(raw)
	if n != 0 {
		return "ON", ok
	}
	return "OFF", ok
}

func encodeOnOff(_ *Context, value, _ any) (any, error) {
	switch value {
	case "ON":
		return true, nil
	case "OFF":
		return false, nil
	}
	return nil, fmt.Errorf("it is ON or OFF")
}

// decodeOnOffWithZeros knows that what is off takes nothing, since this device is slow to
// say so, and that a change ends the countdown.
func decodeOnOffWithZeros(c *Context, raw, _ any) (any, bool) {
	value, ok := onOff(c, raw, nil)
	values := Values{"": value}
	if value == "OFF" {
		values["status"], values["current"], values["power"] = "off", 0.0, 0.0
	}
	if c.State["state"] != value {
		values["countdown"] = 0.0
	}
	return values, ok
}

// decodeFingerbot knows that a finger that has moved is no longer about to.
func decodeFingerbot(c *Context, raw, _ any) (any, bool) {
	value, ok := onOff(c, raw, nil)
	return Values{"": value, "switch_states": "idle"}, ok
}
