package devices

import (
	"fmt"
	"math"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Attributes and commands of the Level cluster (section 3.10).
const (
	attrCurrentLevel  = 0x0000
	attrLevelOptions  = 0x000f
	attrOnOffTime     = 0x0010
	attrOnLevel       = 0x0011
	attrOnTime        = 0x0012
	attrOffTime       = 0x0013
	attrStartUpLevel  = 0x4000
	cmdMoveToLevel    = 0x00
	cmdMove           = 0x01
	cmdStep           = 0x02
	cmdStop           = 0x03
	withOnOff         = 0x04 // added to the number of a command: and switch on or off
	ikeaManufacturer  = 0x117c
	maximumBrightness = 254
)

// The quirks of lights are those of the converters: turnsOffAtBrightness1,
// moveToLevelWithOnOffDisable, omitOptionalLevelAndColorParams,
// noOffTransitionWhenOff, applyRedFix, supportsHueAndSaturation (otherwise: whether
// color_hs is exposed) and supportsEnhancedHue.

// light is what shines: state and brightness, which are one thing because most
// commands change both.
var light = &Trait{
	Name:      "light",
	Exposes:   []string{"light"},
	Clusters:  []uint16{clusterLevel, clusterOnOff},
	Generate:  generateLight,
	Decode:    decodeLevel,
	Keys:      []string{"state", "brightness", "brightness_percent", "on_time", "off_wait_time"},
	Set:       setLight,
	Get:       getLight,
	Configure: configureLevel,
}

// brightnessMove and brightnessStep change the brightness from where it is.
var (
	brightnessMove = &Trait{
		Name: "brightness_move", Exposes: []string{"light"}, Clusters: []uint16{clusterLevel},
		Keys: []string{"brightness_move", "brightness_move_onoff"}, Set: setBrightnessMove,
	}
	brightnessStep = &Trait{
		Name: "brightness_step", Exposes: []string{"light"}, Clusters: []uint16{clusterLevel},
		Keys: []string{"brightness_step", "brightness_step_onoff"}, Set: setBrightnessStep,
	}
	// ignored are keys that only others look at.
	ignored = &Trait{
		Name: "ignored", Keys: []string{"transition", "rate"},
		Set: func(*Context, string, any) (Result, error) { return Result{}, nil },
	}
)

func decodeLevel(c *Context, m zigbee.Message) Values {
	level, ok := standardNumber(m, attrCurrentLevel)
	if !ok || m.Cluster != clusterLevel || !c.hasBrightness() {
		return nil
	}
	return Values{"brightness": level}
}

func (c *Context) hasBrightness() bool { return hasExpose(c.Definition, "brightness") }

// tail are the last two fields of commands of levels and colors: no options are
// overridden. Some lamps do not understand frames that have them.
func tail(c *Context) []byte {
	if c.Definition.is("omitOptionalLevelAndColorParams") {
		return nil
	}
	return []byte{0, 0}
}

// transition returns the time that the user wants a change to take, in tenths of a second.
func transition(c *Context, key string) (tenths float64, said bool, err error) {
	// Where both come with a transition IKEA lamps leave the brightness as it is.
	if key == "brightness" && c.Device != nil && c.Device.ManufacturerCode == ikeaManufacturer &&
		(c.Message["color"] != nil || c.Message["color_temp"] != nil) {
		return 0, false, nil
	}
	value := c.Message["transition"]
	if value == nil {
		if value = c.Options["transition"]; value == "" {
			value = nil
		}
	}
	if value == nil {
		return 0, false, nil
	}
	seconds, ok := numeric(value)
	if !ok {
		return 0, false, notNumber("transition", value)
	}
	return seconds * 10, true, nil
}

// transitionTime is that as it goes over the air.
func transitionTime(c *Context, key string) (uint16, error) {
	tenths, _, err := transition(c, key)
	if err != nil {
		return 0, err
	}
	return wordOf("transition", tenths)
}

func setLight(c *Context, _ string, _ any) (Result, error) {
	if !c.Group && !c.hasBrightness() {
		return setOnOff(c, c.Message["state"])
	}
	r, err := lightCommands(c)
	r.Taken = append(r.Taken, "state", "brightness", "brightness_percent", "on_time", "off_wait_time")
	return r, err
}

func lightCommands(c *Context) (Result, error) {
	tenths, said, err := transition(c, "brightness")
	if err != nil {
		return Result{}, err
	}
	separate := c.Definition.is("moveToLevelWithOnOffDisable")
	value, given := c.Message["state"]
	state, known := stateWord(c, value)
	// A state of null keeps the lamp on or off as it is.
	keep := given && value == nil
	brightness, wanted, err := wantedBrightness(c)
	switch {
	case err != nil:
		return Result{}, err
	case given && !keep && !known:
		return Result{}, fmt.Errorf("state cannot be %s: choose one of ON, OFF, TOGGLE", quoted(value))
	case !known && !wanted:
		return Result{}, fmt.Errorf("at least one of brightness and state needs a value, not %s", quoted(c.Message))
	}
	isOn := func() bool { return c.state("state") == valueOf(c.feature("state"), "ON") }
	isOff := func() bool { return c.state("state") == valueOf(c.feature("state"), "OFF") }
	if !given {
		switch {
		case separate:
			if state = "off"; isOn() {
				state = "on"
			}
		case brightness == 0:
			state = "off"
		default:
			state = "on"
		}
	}

	publish := wanted
	target := state
	if state == "toggle" {
		if target = "on"; isOn() {
			target = "off"
		}
	}
	switch {
	case target == "off":
		// Off with a transition is a level that goes down to nothing.
		wanted = said || wanted && brightness == 0
		brightness = 0
		if wanted && isOff() && c.Definition.is("noOffTransitionWhenOff") {
			wanted = false
		}
		// The level is lost when it went down, so it is kept for the next On
		// that says none.
		if last := c.state("brightness"); last != nil && isOn() {
			c.remember("brightness", last)
			c.remember("turnedOffWithTransition", wanted)
		}
	case target == "on" && !wanted:
		if said || c.recall("turnedOffWithTransition") == true {
			brightness, wanted, publish = onLevel(c), true, true
		}
	}
	if !wanted {
		r, err := setOnOff(c, state)
		if zero, ok := numeric(c.state("brightness")); ok && zero == 0 && c.state("brightness") != nil &&
			r.State["state"] == valueOf(c.feature("state"), "ON") {
			r.State["brightness"] = float64(1)
		}
		return r, err
	}
	if brightness == 0 && (target == "on" || keep) {
		brightness = 1
	}
	if brightness == 1 && c.Definition.is("turnsOffAtBrightness1") {
		brightness = 2
	}
	if target != "off" {
		c.remember("brightness", brightness)
		c.forget("turnedOffWithTransition")
	}
	level, err := byteOf("brightness", brightness)
	if err != nil {
		return Result{}, err
	}
	time, err := wordOf("transition", tenths)
	if err != nil {
		return Result{}, err
	}
	payload := pack(level, time, tail(c))
	result := Result{State: make(Values)}
	switch {
	case separate:
		changes := c.state("state") != nil && (target == "on") != isOn()
		if !changes || target == "on" {
			result.Requests = append(result.Requests, command(c, clusterLevel, cmdMoveToLevel, payload))
		}
		if changes {
			r, err := setOnOff(c, state)
			if err != nil {
				return Result{}, err
			}
			result.Requests = append(result.Requests, r.Requests...)
		}
	case keep:
		result.Requests = append(result.Requests, command(c, clusterLevel, cmdMoveToLevel, payload))
	default:
		result.Requests = append(result.Requests, command(c, clusterLevel, cmdMoveToLevel+withOnOff, payload))
	}
	if publish {
		result.State["brightness"] = brightness
	}
	if !keep && !separate {
		result.State["state"] = valueOf(c.feature("state"), "ON")
		if brightness == 0 {
			result.State["state"] = valueOf(c.feature("state"), "OFF")
		}
	}
	return result, nil
}

// wantedBrightness is what the message says, 0 to 254.
func wantedBrightness(c *Context) (brightness float64, said bool, err error) {
	value := c.Message["brightness"]
	percent := value == nil
	if percent {
		value = c.Message["brightness_percent"]
	}
	if value == nil {
		return 0, false, nil
	}
	brightness, ok := numeric(value)
	if percent {
		brightness = rescale(brightness, 0, 100, 0, 255, 0)
	}
	if brightness == 255 {
		brightness = maximumBrightness // of old, 255 was the most
	}
	if !ok || !(brightness >= 0 && brightness <= maximumBrightness) {
		return 0, false, fmt.Errorf("brightness must be from 0 to %d, not %s", maximumBrightness, quoted(value))
	}
	return brightness, true, nil
}

// onLevel is the level that a lamp goes to when it is switched on: what is set as
// its on level, or the one that it had.
func onLevel(c *Context) float64 {
	level, _ := c.Attribute(c.target(clusterLevel), clusterLevel, attrOnLevel)
	if config, ok := c.state("level_config").(map[string]any); ok && config["on_level"] != nil {
		level = config["on_level"]
	}
	if f, ok := strictNumber(level); ok && f != 0 && f != 255 {
		return f
	}
	for _, last := range []any{c.recall("brightness"), c.state("brightness")} {
		if f, ok := strictNumber(last); ok {
			return f
		}
	}
	return maximumBrightness
}

func getLight(c *Context, key string) ([]zigbee.Request, error) {
	switch key {
	case "brightness":
		return []zigbee.Request{c.read(clusterLevel, attrCurrentLevel)}, nil
	case "state":
		return []zigbee.Request{c.read(clusterOnOff, attrOnOff)}, nil
	}
	return nil, nil
}

func setBrightnessStep(c *Context, key string, value any) (Result, error) {
	step, ok := numeric(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	time, err := transitionTime(c, key)
	if err != nil {
		return Result{}, err
	}
	size, err := byteOf(key, math.Abs(step))
	if err != nil {
		return Result{}, err
	}
	id, mode := uint8(cmdStep), uint8(1)
	onOff := key == "brightness_step_onoff"
	if onOff {
		id += withOnOff
	}
	if step > 0 {
		mode = 0
	}
	r := sends(command(c, clusterLevel, id, pack(mode, size, time, tail(c))), nil)
	brightness, ok := strictNumber(c.state("brightness"))
	if !ok {
		return r, nil
	}
	on, off := valueOf(c.feature("state"), "ON"), valueOf(c.feature("state"), "OFF")
	before := brightness
	if onOff || c.state("state") == on {
		brightness += step
	}
	if step == 0 { // where a move has stopped is not known
		r.ReadAfter, r.ReadKeys = time500, []string{"brightness"}
		return r, nil
	}
	low := float64(1)
	if onOff || c.state("state") == off {
		low = 0
	}
	brightness = max(low, min(maximumBrightness, brightness))
	if c.Definition.is("turnsOffAtBrightness1") && onOff {
		if step < 0 && brightness == 1 {
			brightness = 0
		} else if step > 0 && before == 0 {
			brightness++
		}
	}
	r.State = Values{"brightness": brightness, "state": on}
	if brightness == 0 {
		r.State["state"] = off
	}
	return r, nil
}

// time500 is how long a lamp takes to come to rest after a stop.
const time500 = 500 * time.Millisecond

func setBrightnessMove(c *Context, key string, value any) (Result, error) {
	rate, ok := numeric(value)
	if value == "stop" || ok && rate == 0 {
		r := sends(command(c, clusterLevel, cmdStop, tail(c)), nil)
		r.ReadAfter, r.ReadKeys = time500, []string{"state", "brightness"}
		return r, nil
	}
	if !ok {
		return Result{}, notNumber(key, value)
	}
	speed, err := byteOf(key, math.Abs(rate))
	if err != nil {
		return Result{}, err
	}
	id, mode := uint8(cmdMove), uint8(1)
	if key == "brightness_move_onoff" {
		id += withOnOff
	}
	if rate > 0 {
		mode = 0
	}
	return sends(command(c, clusterLevel, id, pack(mode, speed, tail(c))), nil), nil
}

// configureLevel has the brightness reported.
func configureLevel(c *Context, endpoint uint8) []Step {
	e := c.Device.Endpoint(endpoint)
	if !slices.Contains(e.Input, clusterLevel) || !c.hasBrightness() {
		return nil
	}
	return optional(report(endpoint, clusterLevel, zigbee.Reporting{
		Attribute: attrCurrentLevel, Type: uint8(zcl.Uint8),
		Min: 5 * time.Second, Max: maxInterval, Change: 1,
	}))
}
