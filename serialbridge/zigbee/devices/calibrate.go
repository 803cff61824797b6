package devices

import (
	"math"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee/zcl"
)

// decimals are how many decimals are kept of the values that a user may
// calibrate, by the name of the expose. zigbee2mqtt rounds and moves these and no
// others.
var decimals = map[string]int{
	"ac_frequency": 2, "temperature": 2, "humidity": 2, "pressure": 1, "pm25": 0,
	"power": 2, "current": 2, "current_phase_b": 2, "current_phase_c": 2, "current_neutral": 2,
	"voltage": 2, "voltage_phase_b": 2, "voltage_phase_c": 2, "power_phase_b": 2, "power_phase_c": 2,
	"energy": 2, "device_temperature": 0, "soil_moisture": 2, "co2": 0, "illuminance": 0,
	"voc": 0, "formaldehyd": 0, "co": 0,
}

// calibrate moves and rounds what was measured as the options of the user say:
// first "<name>_calibration", an offset, or percents of what starts at zero, then
// "<name>_precision".
func (d *Definition) calibrate(values Values, options Values) {
	for _, e := range d.Exposes {
		places, ok := decimals[e.Name]
		if !ok {
			continue
		}
		property := e.Property
		if property == "" {
			property = e.Name
		}
		number, ok := zcl.Float(values[property])
		if !ok {
			continue
		}
		if offset, ok := option(options, e.Name+"_calibration"); ok {
			if percentual(e.Name) {
				offset = number * offset / 100
			}
			number += offset
		}
		if n, ok := option(options, e.Name+"_precision"); ok {
			places = int(max(-9, min(9, n)))
		}
		values[property] = round(number, places)
	}
}

func percentual(name string) bool {
	for _, prefix := range []string{"current", "energy", "voltage", "power", "illuminance"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// option returns an option that is a number, or a text that is one.
func option(options Values, name string) (float64, bool) {
	if text, ok := options[name].(string); ok {
		number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return number, err == nil
	}
	return zcl.Float(options[name])
}

// round rounds to that many decimals as JavaScript's Math.round does: halves
// upwards, also below zero.
func round(number float64, places int) float64 {
	factor := math.Pow10(places)
	return math.Floor(number*factor+0.5) / factor
}
