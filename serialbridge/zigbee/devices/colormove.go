package devices

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Changes of a color from where it is: a move goes on until it is stopped, a step
// goes so far.
var (
	temperatureMove = &Trait{
		Name: "color_temp_move", Exposes: []string{"color_temp"}, Clusters: color.Clusters,
		Keys: []string{"color_temp_move", "colortemp_move"}, Set: setTemperatureMove,
	}
	temperatureStep = &Trait{
		Name: "color_temp_step", Exposes: []string{"color_temp"}, Clusters: color.Clusters,
		Keys: []string{"color_temp_step"}, Set: setTemperatureStep,
	}
	hueMove = &Trait{
		Name: "hue_move", Exposes: []string{"color_xy", "color_hs"}, Clusters: color.Clusters,
		Keys: []string{"hue_move", "saturation_move"}, Set: setHueMove,
	}
	hueStep = &Trait{
		Name: "hue_step", Exposes: []string{"color_xy", "color_hs"}, Clusters: color.Clusters,
		Keys: []string{"hue_step", "saturation_step"}, Set: setHueStep,
	}
)

// The modes of a move or step of colors (table 5-11).
const (
	moveStop = 0
	moveUp   = 1
	moveDown = 3
)

func setTemperatureMove(c *Context, key string, value any) (Result, error) {
	low, high := 0.0, float64(warmestStepped)
	var rate float64
	number, isNumber := strictNumber(value)
	word, isText := value.(string)
	object, isObject := value.(map[string]any)
	switch {
	case isText:
		rate = 55
		if r, ok := numeric(c.Message["rate"]); ok {
			rate = r
		}
		switch strings.ToLower(word) {
		case "stop", "release", "0":
			rate = 0
		case "up", "1":
		case "down":
			rate = -rate
		default:
			return Result{}, fmt.Errorf("%s cannot be %q: choose one of stop, release, up, down, or a rate", key, word)
		}
		low, high = coolestMoved, 370
	case isNumber:
		rate = number
	case isObject:
		var ok bool
		if rate, ok = numeric(object["rate"]); !ok || object["rate"] == nil {
			return Result{}, fmt.Errorf("%s needs a rate that is a number, not %s", key, quoted(value))
		}
		if f, ok := numeric(object["minimum"]); ok && object["minimum"] != nil {
			low = f
		}
		if f, ok := numeric(object["maximum"]); ok && object["maximum"] != nil {
			high = f
		}
		if low >= high {
			return Result{}, fmt.Errorf("%s: the minimum of %v must be less than the maximum of %v", key, low, high)
		}
	default:
		return Result{}, notNumber(key, value)
	}
	mode, speed := uint8(moveStop), 1.0
	if rate != 0 {
		mode, speed = direction(rate), math.Abs(rate)
	}
	var words [3]uint16
	for i, f := range []float64{speed, low, high} {
		var err error
		if words[i], err = wordOf(key, f); err != nil {
			return Result{}, err
		}
	}
	r := sends(command(c, clusterColor, cmdMoveColorTemperature, pack(mode, words[0], words[1], words[2], tail(c))), nil)
	r.Taken = []string{"rate"}
	if mode == moveStop {
		r.ReadAfter, r.ReadKeys = 100*time.Millisecond, []string{"color_temp"}
	}
	return r, nil
}

func direction(rate float64) uint8 {
	if rate > 0 {
		return moveUp
	}
	return moveDown
}

func setTemperatureStep(c *Context, key string, value any) (Result, error) {
	step, ok := numeric(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	size, err := wordOf(key, math.Abs(step))
	if err != nil {
		return Result{}, err
	}
	transition, err := transitionTime(c, key)
	if err != nil {
		return Result{}, err
	}
	r := sends(command(c, clusterColor, cmdStepColorTemperature,
		pack(direction(step), size, transition, uint16(0), uint16(warmestStepped), tail(c))), nil)
	r.ReadAfter, r.ReadKeys = afterTransition(transition), []string{"color_temp"}
	return r, nil
}

// afterTransition is when a lamp has come to where it was sent.
func afterTransition(tenths uint16) time.Duration {
	return 100*time.Millisecond + time.Duration(tenths)*100*time.Millisecond
}

func setHueMove(c *Context, key string, value any) (Result, error) {
	rate, ok := numeric(value)
	if value == "stop" {
		rate, ok = 0, true
	}
	if !ok {
		return Result{}, notNumber(key, value)
	}
	mode, speed := uint8(moveStop), uint8(1)
	if rate != 0 {
		var err error
		if speed, err = byteOf(key, math.Abs(rate)); err != nil {
			return Result{}, err
		}
		mode = direction(rate)
	}
	id := uint8(cmdMoveHue)
	if key == "saturation_move" {
		id = cmdMoveSaturation
	}
	r := sends(command(c, clusterColor, id, pack(mode, speed, tail(c))), nil)
	if mode == moveStop {
		r.ReadAfter, r.ReadKeys = 100*time.Millisecond, []string{"color"}
	}
	return r, nil
}

func setHueStep(c *Context, key string, value any) (Result, error) {
	step, ok := numeric(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	size, err := byteOf(key, math.Abs(step))
	if err != nil {
		return Result{}, err
	}
	tenths, _, err := transition(c, key)
	if err != nil {
		return Result{}, err
	}
	// The time of a step of hue or saturation is a byte (figures 5-8 and 5-11).
	time, err := byteOf("transition", tenths)
	if err != nil {
		return Result{}, err
	}
	id := uint8(cmdStepHue)
	if key == "saturation_step" {
		id = cmdStepSaturation
	}
	r := sends(command(c, clusterColor, id, pack(direction(step), size, time, tail(c))), nil)
	r.ReadAfter, r.ReadKeys = afterTransition(uint16(time)), []string{"color"}
	return r, nil
}
