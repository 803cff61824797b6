package devices

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Attributes and commands of the On/Off cluster (section 3.8).
const (
	attrOnOff        = 0x0000
	attrStartUpOnOff = 0x4003

	cmdOff            = 0x00
	cmdOn             = 0x01
	cmdToggle         = 0x02
	cmdOffWithEffect  = 0x40
	cmdOnWithTimedOff = 0x42
)

// switchTrait is what is on or off. What a light tells of it is the same; a light has
// its own way of being set.
var switchTrait = &Trait{
	Name:      "on_off",
	Exposes:   []string{"switch", "light"},
	Clusters:  []uint16{clusterOnOff},
	Generate:  generateSwitch,
	Decode:    decodeOnOff,
	Keys:      []string{"state", "on_time", "off_wait_time"},
	Set:       func(c *Context, key string, value any) (Result, error) { return setOnOff(c, c.Message["state"]) },
	Get:       reads(clusterOnOff, attrOnOff),
	Configure: configureOnOff,
}

// powerOnBehavior is what a device does when power comes back.
var powerOnBehavior = &Trait{
	Name:    "power_on_behavior",
	Exposes: []string{"power_on_behavior"}, Clusters: []uint16{clusterOnOff},
	Decode: decodePowerOn,
	Keys:   []string{"power_on_behavior"},
	Set:    setPowerOn,
	Get:    reads(clusterOnOff, attrStartUpOnOff),
}

func decodeOnOff(c *Context, m zigbee.Message) Values {
	on, ok := standardNumber(m, attrOnOff)
	if !ok {
		return nil
	}
	suffix := c.Definition.suffix(m.Endpoint)
	state := "OFF"
	if on == 1 {
		state = "ON"
	}
	values := Values{"state": valueOf(c.Definition.stateFeature(m.Endpoint), state)}
	if truthy(c.Options["state_action"]) {
		action := strings.ToLower(state)
		if c.Definition.property("state", m.Endpoint) != "state" {
			action += suffix
		}
		values["action"] = action
	}
	return values
}

// stateFeature is the state of the switch or light of that endpoint.
func (d *Definition) stateFeature(endpoint uint8) *Expose {
	suffix := d.suffix(endpoint)
	for _, e := range d.Exposes {
		if e.Type != "switch" && e.Type != "light" || e.Endpoint != "" && "_"+e.Endpoint != suffix {
			continue
		}
		for _, f := range e.Features {
			if f.Name == "state" {
				return f
			}
		}
	}
	return nil
}

// valueOf is what the definition calls on and off.
func valueOf(f *Expose, state string) any {
	switch {
	case f == nil:
	case state == "ON" && f.ValueOn != nil:
		return f.ValueOn
	case state == "OFF" && f.ValueOff != nil:
		return f.ValueOff
	}
	return state
}

// stateWord reads a state that a user writes: on, off or toggle, or what the
// definition calls them.
func stateWord(c *Context, value any) (string, bool) {
	if f := c.feature("state"); f != nil && value != nil {
		switch value {
		case f.ValueOn:
			return "on", true
		case f.ValueOff:
			return "off", true
		case f.ValueToggle:
			return "toggle", true
		}
	}
	word, ok := value.(string)
	word = strings.ToLower(word)
	return word, ok && (word == "on" || word == "off" || word == "toggle")
}

func setOnOff(c *Context, value any) (Result, error) {
	state, ok := stateWord(c, value)
	if !ok {
		return Result{}, fmt.Errorf("state cannot be %s: choose one of ON, OFF, TOGGLE", quoted(value))
	}
	taken := []string{"state", "on_time", "off_wait_time"}
	if state == "on" && (c.Message["on_time"] != nil || c.Message["off_wait_time"] != nil) {
		var times [2]uint16
		for i, key := range []string{"on_time", "off_wait_time"} {
			if c.Message[key] == nil {
				continue
			}
			seconds, ok := strictNumber(c.Message[key])
			if !ok {
				return Result{}, notNumber(key, c.Message[key])
			}
			var err error
			if times[i], err = wordOf(key, math.Floor(seconds*10+0.5)); err != nil {
				return Result{}, err
			}
		}
		r := sends(command(c, clusterOnOff, cmdOnWithTimedOff, pack(uint8(0), times[0], times[1])), nil)
		r.Taken = taken
		return r, nil
	}
	f := c.feature("state")
	var r Result
	switch state {
	case "on":
		r = sends(command(c, clusterOnOff, cmdOn, nil), Values{"state": valueOf(f, "ON")})
	case "off":
		r = sends(command(c, clusterOnOff, cmdOff, nil), Values{"state": valueOf(f, "OFF")})
	default:
		r = sends(command(c, clusterOnOff, cmdToggle, nil), nil)
		if now := c.state("state"); truthy(now) {
			other := "OFF"
			if now == valueOf(f, "OFF") {
				other = "ON"
			}
			r.State = Values{"state": valueOf(f, other)}
		}
	}
	r.Taken = taken
	return r, nil
}

// configureOnOff has the state reported, and what it is now.
func configureOnOff(c *Context, endpoint uint8) []Step {
	steps := report(endpoint, clusterOnOff, zigbee.Reporting{Attribute: attrOnOff, Type: uint8(zcl.Boolean), Max: maxInterval, Change: 1})
	if hasExpose(c.Definition, "power_on_behavior") {
		steps = append(steps, readStep(endpoint, clusterOnOff, attrStartUpOnOff))
	}
	return steps
}

// hasExpose says whether the definition shows something, be it a feature.
func hasExpose(d *Definition, name string) bool {
	for _, e := range d.Exposes {
		if e.Name == name || e.Type == name {
			return true
		}
		if slices.Contains(nameless, e.Type) && slices.ContainsFunc(e.Features, func(f *Expose) bool { return f.Name == name }) {
			return true
		}
	}
	return false
}

// The values of StartUpOnOff (section 3.8.2.2.5).
var powerOn = map[string]uint8{"off": 0, "on": 1, "toggle": 2, "previous": 255}

func decodePowerOn(c *Context, m zigbee.Message) Values {
	if n, ok := standardNumber(m, attrStartUpOnOff); ok {
		for word, id := range powerOn {
			if float64(id) == n {
				return Values{"power_on_behavior": word}
			}
		}
	}
	return nil
}

func setPowerOn(c *Context, key string, value any) (Result, error) {
	id, err := oneOf(key, value, powerOn)
	if err != nil {
		return Result{}, err
	}
	r, err := c.write(clusterOnOff, zcl.Attribute{ID: attrStartUpOnOff, Type: zcl.Enum8, Value: id})
	return sends(r, Values{key: strings.ToLower(value.(string))}), err
}
