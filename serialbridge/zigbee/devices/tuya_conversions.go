package devices

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
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

// breakerFaults are the bits that circuit breakers tell of.
var breakerFaults = []string{
	"short_circuit", "surge", "overload", "leakage_current", "temperature", "fire", "high_power", "self_test",
	"over_current", "unbalance", "over_voltage", "under_voltage", "miss_phase", "outage", "", "credit", "no_balance",
}

func decodeFaults(fifteenth string) func(*Context, any, any) (any, bool) {
	return func(_ *Context, raw, _ any) (any, bool) {
		n, ok := numberOf(raw)
		faults := []any{}
		for i, name := range breakerFaults {
			if int64(n)>>i&1 != 0 {
				if name == "" {
					name = fifteenth
				}
				faults = append(faults, name)
			}
		}
		return faults, ok
	}
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

// breaker is a list of alarms of a circuit breaker, four bytes each: which, whether it
// opens the circuit, from what value on.
func breaker(id uint8, alarms map[byte]string) namedConversion {
	return namedConversion{
		decode: func(_ *Context, raw, _ any) (any, bool) {
			b, ok := octets(raw)
			values := Values{}
			for ; len(b) >= 4; b = b[4:] {
				name, listed := alarms[b[0]]
				if !listed {
					continue
				}
				if b[1] <= 1 {
					values[name+"_breaker"] = []string{"OFF", "ON"}[b[1]]
				}
				values[name+"_threshold"] = be(b, 2, 2)
			}
			return values, ok
		},
		encode: func(c *Context, _, _ any) (any, error) { return encodeBreaker(c, id, alarms) },
	}
}

// encodeBreaker sends one alarm: what the user says of it, the rest as it is known. Alarms
// lie one after the other, so others before it are zero.
func encodeBreaker(c *Context, id uint8, alarms map[byte]string) (any, error) {
	for position, which := range [][]byte{{3, 1}, {4, 3}, {5, 4}, {8}} {
		for _, alarm := range which {
			name, listed := alarms[alarm]
			if !listed || alarmPosition(id, alarm) != position {
				continue
			}
			state, hasState := c.Message[name+"_breaker"]
			threshold, hasThreshold := c.Message[name+"_threshold"]
			if !hasState && !hasThreshold {
				continue
			}
			if !hasState {
				state = c.State[name+"_breaker"]
			}
			if !hasThreshold {
				threshold = c.State[name+"_threshold"]
			}
			n, ok := zcl.Float(threshold)
			if !ok || n < 0 || n > 0xffff {
				return nil, fmt.Errorf("the threshold of %s is not known yet: set it together with the breaker", name)
			}
			data := make([]byte, 4*position+4)
			data[4*position] = alarm
			if strings.EqualFold(fmt.Sprint(state), "on") {
				data[4*position+1] = 1
			}
			if position == 0 {
				data[3] = byte(n) // one byte, as the library sends it
			} else {
				binary.BigEndian.PutUint16(data[4*position+2:], uint16(n))
			}
			return []point{{id: id, typ: pointRaw, data: data}}, nil
		}
	}
	return nil, fmt.Errorf("no alarm of the breaker is named")
}

// alarmPosition is where an alarm lies in the datapoint.
func alarmPosition(id uint8, alarm byte) int {
	order := []byte{3, 4, 5}
	if id == 18 {
		order = []byte{1, 3, 4, 8}
	}
	for i, a := range order {
		if a == alarm {
			return i
		}
	}
	return -1
}

// transitions is how many a day has, and its number if that is sent.
func transitions(argument any) (count int, day byte) {
	count = 4
	if n, ok := zcl.Int(argument); ok && n > 0 && n <= 12 {
		count = int(n)
	}
	if options, ok := argument.(map[string]any); ok {
		if n, ok := zcl.Int(options["count"]); ok && n > 0 && n <= 12 {
			count = int(n)
		}
		if n, ok := zcl.Int(options["day"]); ok && n >= 0 && n < 256 {
			day = byte(n)
		}
	}
	return count, day
}

func decodeTransitions(_ *Context, raw, argument any) (any, bool) {
	b, ok := raw.([]byte)
	count, _ := transitions(argument)
	if !ok || len(b) < 1+4*count {
		return nil, false
	}
	parts := make([]string, count)
	for i := range parts {
		at := 1 + 4*i
		parts[i] = fmt.Sprintf("%02d:%02d/%s", b[at], b[at+1], strconv.FormatFloat(be(b, at+2, 2)/10, 'f', 1, 64))
	}
	return strings.Join(parts, " "), true
}

// timeAndTemperature reads "06:30/21.5".
func timeAndTemperature(text string) (hour, minute int, temperature float64, err error) {
	clock, degrees, ok := strings.Cut(text, "/")
	h, m, ok2 := strings.Cut(clock, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	temperature, err3 := strconv.ParseFloat(degrees, 64)
	if !ok || !ok2 || err1 != nil || err2 != nil || err3 != nil || hour < 0 || hour > 24 || minute < 0 || minute > 60 ||
		!(temperature >= 0 && temperature <= 100) {
		return 0, 0, 0, fmt.Errorf("%.40q is no time and temperature such as 06:30/21.5", text)
	}
	return hour, minute, temperature, nil
}

func encodeTransitions(_ *Context, value, argument any) (any, error) {
	text, ok := value.(string)
	count, day := transitions(argument)
	parts := strings.Fields(text)
	if !ok || len(parts) != count {
		return nil, fmt.Errorf("a schedule has %d times and temperatures such as 06:30/21.5", count)
	}
	payload := []byte{day}
	for _, part := range parts {
		hour, minute, temperature, err := timeAndTemperature(part)
		if err != nil {
			return nil, err
		}
		tenths := math.Floor(temperature * 10)
		if tenths < 50 || tenths > 350 {
			return nil, fmt.Errorf("%.40q: the temperature is not from 5 to 35", part)
		}
		payload = append(payload, byte(hour), byte(minute), byte(int(tenths)>>8), byte(int(tenths)))
	}
	return payload, nil
}

func decodeHalfDegrees(_ *Context, raw, _ any) (any, bool) {
	b, ok := raw.([]byte)
	if !ok || len(b) < 4 {
		return "", ok
	}
	var parts []string
	for i := 2; i+1 < len(b) && i < 2+int(b[1]); i += 2 {
		parts = append(parts, fmt.Sprintf("%02d:%02d/%s", b[i]/10, b[i]%10*10, strconv.FormatFloat(float64(b[i+1])/2, 'f', 1, 64)))
	}
	return strings.Join(parts, " "), true
}

func encodeHalfDegrees(_ *Context, value, _ any) (any, error) {
	text, ok := value.(string)
	parts := strings.Fields(text)
	if !ok || len(parts) == 0 || len(parts) > 30 {
		return nil, fmt.Errorf("a schedule is a list of times and temperatures such as 06:30/21.5")
	}
	payload := []byte{7, byte(2 * len(parts))}
	for _, part := range parts {
		hour, minute, temperature, err := timeAndTemperature(part)
		if err != nil {
			return nil, err
		}
		if hour > 23 {
			return nil, fmt.Errorf("%.40q: the hour is not from 0 to 23", part)
		}
		payload = append(payload, byte(hour*10+minute/10), byte(math.Floor(temperature*2+0.5)))
	}
	return payload, nil
}

// decodeSegments reads a day of at most ten periods: when each ends, in tens of minutes,
// and its temperature. 24:00 is the last.
func decodeSegments(_ *Context, raw, _ any) (any, bool) {
	b, ok := raw.([]byte)
	if !ok {
		return nil, false
	}
	var parts []string
	for i := 0; i < 10 && 3*i+2 < len(b); i++ {
		minutes := int(b[3*i]) * 10
		parts = append(parts, fmt.Sprintf("%02d:%02d/%s", minutes/60, minutes%60, strconv.FormatFloat(be(b, 3*i+1, 2)/10, 'f', -1, 64)))
		if minutes/60 == 24 {
			break
		}
	}
	return strings.Join(parts, " "), len(parts) > 0
}

var weekDays = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

func encodeSegments(c *Context, value, _ any) (any, error) {
	object, _ := value.(map[string]any)
	day, _ := object["week_day"].(string)
	text, _ := object["schedule"].(string)
	number := -1
	for i, name := range weekDays {
		if name == day {
			number = i
		}
	}
	parts := strings.Fields(text)
	if number < 0 || len(parts) < 2 || len(parts) > 10 {
		return nil, fmt.Errorf("a schedule has week_day (monday …) and schedule: 2 to 10 of the form 06:30/21.5")
	}
	days := byte(1) << number
	switch fmt.Sprint(c.State["working_day"]) {
	case "mon_sun":
		days = 127
	case "mon_fri+sat+sun":
		if number < 5 {
			days = 31
		}
	}
	payload := []byte{days}
	last := 0
	for _, part := range parts {
		hour, minute, temperature, err := timeAndTemperature(part)
		if err != nil {
			return nil, err
		}
		if hour < last || minute%10 != 0 {
			return nil, fmt.Errorf("%.40q: times go up and end in full tens of minutes", part)
		}
		last = hour
		tenths := int(math.Floor(temperature*10 + 0.5))
		payload = append(payload, byte((hour*60+minute)/10), byte(tenths>>8), byte(tenths))
	}
	for range 10 - len(parts) {
		payload = append(payload, 144, 0, 180)
	}
	return payload, nil
}

func decodeHoliday(_ *Context, raw, _ any) (any, bool) {
	v, ok := raw.(string)
	if !ok || len(v) < 24 {
		return nil, false
	}
	one := func(s string) string {
		return s[:4] + "/" + s[4:6] + "/" + s[6:8] + " " + s[8:10] + ":" + s[10:12]
	}
	return one(v[:12]) + " | " + one(v[12:24]), true
}

func encodeHoliday(_ *Context, value, _ any) (any, error) {
	text, _ := value.(string)
	var digits strings.Builder
	for _, r := range text {
		if r >= '0' && r <= '9' {
			digits.WriteRune(r)
		}
	}
	if digits.Len() != 24 {
		return nil, fmt.Errorf("%.60q is no holiday such as 2026/12/20 18:00 | 2027/01/03 12:00", text)
	}
	return digits.String(), nil
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
