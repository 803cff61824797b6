package devices

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee"
)

// The weekly schedule of a thermostat (sections 6.3.2.3.2 and 6.3.2.4.1): days, and
// times of them with the setpoints that hold from then on.

// scheduleDays are the bits of a day of week for transition.
var scheduleDays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "away_or_vacation"}

// The bits of the mode: which setpoints a transition has.
const (
	scheduleHeat = 1
	scheduleCool = 2
	// maxTransitions is how many a frame has room for.
	maxTransitions = 10
)

func decodeSchedule(p []byte) Values {
	count, days, mode := int(p[0]), p[1], p[2]
	p = p[3:]
	names := []any{}
	for i, name := range scheduleDays {
		if days&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	take := func() (int16, bool) {
		if len(p) < 2 {
			return 0, false
		}
		v := int16(binary.LittleEndian.Uint16(p))
		p = p[2:]
		return v, true
	}
	transitions := []any{}
	for range count {
		time, ok := take()
		if !ok {
			return nil
		}
		entry := map[string]any{"time": float64(uint16(time))}
		if mode&scheduleHeat != 0 {
			if time, ok = take(); !ok {
				return nil
			}
			entry["heating_setpoint"] = float64(time) / 100
		}
		if mode&scheduleCool != 0 {
			if time, ok = take(); !ok {
				return nil
			}
			entry["cooling_setpoint"] = float64(time) / 100
		}
		transitions = append(transitions, entry)
	}
	return Values{"weekly_schedule": map[string]any{"days": names, "transitions": transitions}}
}

// setSchedule takes the short form that people write and the long one that exposes
// can describe:
//
//	{"dayofweek": ["monday"], "transitions": [{"heatSetpoint": 16, "transitionTime": "19:30"}]}
//	{"dayofweek": [{"day": "monday"}], "transitions": [{"heatSetpoint": 16, "transitionTime": {"hour": 19, "minute": 30}}]}
func setSchedule(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return Result{}, notObject(key, value)
	}
	transitions, ok := object["transitions"].([]any)
	if !ok || len(transitions) > maxTransitions {
		return Result{}, fmt.Errorf("%s.transitions must be a list of no more than %d", key, maxTransitions)
	}
	days, err := dayBits(key, object["dayofweek"])
	if err != nil {
		return Result{}, err
	}
	var mode uint8
	var data []byte
	for _, t := range transitions {
		entry, ok := t.(map[string]any)
		if !ok {
			return Result{}, notObject(key+".transitions", t)
		}
		first := func(names ...string) any {
			for _, name := range names {
				if entry[name] != nil {
					return entry[name]
				}
			}
			return nil
		}
		minutes, err := minuteOfDay(key, first("transitionTime", "transition_time", "time"))
		if err != nil {
			return Result{}, err
		}
		data = binary.LittleEndian.AppendUint16(data, minutes)
		for _, of := range []struct {
			bit   uint8
			value any
		}{{scheduleHeat, first("heatSetpoint", "heat_setpoint")}, {scheduleCool, first("coolSetpoint", "cool_setpoint")}} {
			if of.value == nil {
				continue
			}
			mode |= of.bit
			degrees, ok := numeric(of.value)
			wire := math.Floor(degrees*100 + 0.5)
			if !ok || !(wire >= math.MinInt16 && wire <= math.MaxInt16) {
				return Result{}, fmt.Errorf("%s: %s is no temperature", key, quoted(of.value))
			}
			data = binary.LittleEndian.AppendUint16(data, uint16(int16(wire)))
		}
	}
	return sends(command(c, clusterThermostat, cmdSetSchedule, pack(uint8(len(transitions)), days, mode, data)), nil), nil
}

func dayBits(key string, value any) (uint8, error) {
	if _, ok := value.(string); ok {
		value = []any{value}
	}
	list, _ := value.([]any)
	var bits uint8
	for _, day := range list {
		if object, ok := day.(map[string]any); ok {
			day = object["day"]
		}
		name, _ := day.(string)
		i := slices.Index(scheduleDays, strings.ToLower(name))
		if i < 0 {
			return 0, fmt.Errorf("%s.dayofweek cannot be %s: choose one of %s", key, quoted(day), strings.Join(scheduleDays, ", "))
		}
		bits |= 1 << i
	}
	return bits, nil
}

func minuteOfDay(key string, value any) (uint16, error) {
	wrong := fmt.Errorf(`%s: %s is no time of day, such as "19:30"`, key, quoted(value))
	switch v := value.(type) {
	case string:
		h, m, ok := strings.Cut(v, ":")
		hour, err1 := strconv.Atoi(h)
		minute, err2 := strconv.Atoi(m)
		if !ok || err1 != nil || err2 != nil || hour < 0 || minute < 0 || hour > 24 || minute > 59 {
			return 0, wrong
		}
		return uint16(hour*60 + minute), nil
	case map[string]any:
		hour, ok1 := numeric(v["hour"])
		minute, ok2 := numeric(v["minute"])
		if v["hour"] == nil || v["minute"] == nil || !ok1 || !ok2 {
			return 0, wrong
		}
		return wordOf(key, math.Trunc(hour)*60+math.Trunc(minute))
	}
	minutes, ok := strictNumber(value)
	if !ok {
		return 0, wrong
	}
	return wordOf(key, minutes)
}

func getSchedule(c *Context, _ string) ([]zigbee.Request, error) {
	return []zigbee.Request{inquiry(c, clusterThermostat, cmdGetSchedule, pack(uint8(daysAndVacation), uint8(heatingAndCooling)))}, nil
}
