package devices

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee/zcl"
)

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
