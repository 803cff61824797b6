package devices

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// levelConfig are the settings of how a light goes on and off.
var levelConfig = &Trait{
	Name: "level_config", Exposes: []string{"light", "level_config"}, Clusters: []uint16{clusterLevel},
	Decode: decodeLevelConfig,
	Keys:   []string{"level_config"}, Set: setLevelConfig, Get: getLevelConfig,
}

// levelSetting is one of them: the attribute, and the word for each of its values
// that is no number of its own.
type levelSetting struct {
	name  string
	id    uint16
	kind  zcl.Type
	scale float64
	low   float64
	words map[string]float64
	flag  bool
}

// levelSettings are in the order in which they are written (section 3.10.2.2).
var levelSettings = []levelSetting{
	{name: "on_off_transition_time", id: attrOnOffTime, kind: zcl.Uint16, scale: 10},
	{name: "on_transition_time", id: attrOnTime, kind: zcl.Uint16, scale: 10, words: map[string]float64{"disabled": 65535}},
	{name: "off_transition_time", id: attrOffTime, kind: zcl.Uint16, scale: 10, words: map[string]float64{"disabled": 65535}},
	{name: "current_level_startup", id: attrStartUpLevel, kind: zcl.Uint8, scale: 1, words: map[string]float64{"previous": 255, "minimum": 0}},
	{name: "on_level", id: attrOnLevel, kind: zcl.Uint8, scale: 1, low: 1, words: map[string]float64{"previous": 255}},
	{name: "execute_if_off", id: attrLevelOptions, kind: zcl.Bitmap8, flag: true},
}

// shown is what a value on the wire is in the state.
func (s levelSetting) shown(wire float64) any {
	if s.flag {
		return uint8(wire)&1 != 0
	}
	for word, value := range s.words {
		if value == wire {
			return word
		}
	}
	return wire / s.scale
}

// wire is what a value of the user is on the wire.
func (s levelSetting) wire(value any) (float64, error) {
	if s.flag {
		if truthy(value) {
			return 1, nil
		}
		return 0, nil
	}
	if text, ok := value.(string); ok {
		if word, ok := s.words[strings.ToLower(text)]; ok {
			return word, nil
		}
	}
	number, ok := numeric(value)
	if !ok {
		return 0, notNumber("level_config."+s.name, value)
	}
	if _, text := value.(string); !text || s.words == nil {
		number *= s.scale
	}
	most := 65535.0
	if s.kind == zcl.Uint8 {
		most = 255
	}
	switch {
	case number > most && s.words != nil:
		number = most - 1 // the most has a meaning of its own
	case number > most:
		number = most
	case number < s.low:
		number = s.low
		if s.name == "current_level_startup" {
			number = 1
		}
	}
	return math.Trunc(number), nil
}

func decodeLevelConfig(c *Context, m zigbee.Message) Values {
	config := make(map[string]any)
	for _, s := range levelSettings {
		if wire, ok := standardNumber(m, s.id); ok {
			config[s.name] = s.shown(wire)
		}
	}
	if len(config) == 0 {
		return nil
	}
	return Values{"level_config": config}
}

func setLevelConfig(c *Context, key string, value any) (Result, error) {
	object, ok := value.(map[string]any)
	if text, isText := value.(string); isText {
		ok = json.Unmarshal([]byte(text), &object) == nil && object != nil
	}
	if !ok {
		return Result{}, fmt.Errorf(`%s must be an object such as {"on_level": 100}, not %s`, key, quoted(value))
	}
	var r Result
	config := make(map[string]any)
	for _, s := range levelSettings {
		if object[s.name] == nil {
			continue
		}
		wire, err := s.wire(object[s.name])
		if err != nil {
			return Result{}, err
		}
		write, err := c.write(clusterLevel, zcl.Attribute{ID: s.id, Type: s.kind, Value: wire})
		if err != nil {
			return Result{}, err
		}
		r.Requests = append(r.Requests, write)
		config[s.name] = s.shown(wire)
	}
	if len(config) > 0 {
		r.State = Values{key: config}
	}
	return r, nil
}

// getLevelConfig reads one attribute at a time: lamps that lack one of them leave
// the others out too.
func getLevelConfig(c *Context, _ string) ([]zigbee.Request, error) {
	var requests []zigbee.Request
	for _, id := range []uint16{attrOnOffTime, attrOnTime, attrOffTime, attrStartUpLevel, attrOnLevel, attrLevelOptions} {
		requests = append(requests, c.read(clusterLevel, id))
	}
	return requests, nil
}

// Commands of the Identify cluster (section 3.5).
const (
	cmdIdentify      = 0x00
	cmdTriggerEffect = 0x40
)

var (
	effect = &Trait{
		Name: "effect", Exposes: []string{"effect", "light"},
		Keys: []string{"effect", "alert", "flash"}, Set: setEffect,
	}
	identify = &Trait{
		Name: "identify", Exposes: []string{"identify"},
		Keys: []string{"identify"}, Set: setIdentify,
	}
	// identifiable are the devices that nobody has described.
	identifiable = &Trait{
		Name: "identify (generated)", Exposes: []string{"identify"}, Clusters: []uint16{clusterIdentify},
		Generate: generateIdentify, Shared: true,
	}
	ballast = &Trait{
		Name:     "ballast",
		Exposes:  []string{"ballast_minimum_level", "ballast_maximum_level", "ballast_power_on_level", "ballast_config"},
		Clusters: []uint16{clusterBallast}, Generate: generateBallast, Shared: true,
		Decode: decodeBallast,
		Keys:   []string{"ballast_minimum_level", "ballast_maximum_level", "ballast_power_on_level"}, Set: setBallast, Get: getBallast,
		Configure: configureBallast,
	}
)

// effects are those of TriggerEffect (table 3-22).
var effects = map[string]uint8{
	"blink": 0, "breathe": 1, "okay": 2, "channel_change": 11, "finish_effect": 254, "stop_effect": 255,
}

func setEffect(c *Context, key string, value any) (Result, error) {
	if key == "effect" {
		switch name, _ := value.(string); strings.ToLower(name) {
		case "colorloop":
			seconds := 15.0
			if v := c.Message["transition"]; v != nil {
				var ok bool
				if seconds, ok = strictNumber(v); !ok {
					return Result{}, notNumber("transition", v)
				}
			}
			speed := min(255, max(1, math.Floor(255/seconds+0.5)))
			return setHueMove(c, "hue_move", speed)
		case "stop_colorloop":
			return setHueMove(c, "hue_move", "stop")
		}
		id, err := oneOf(key, value, effects)
		return sends(command(c, clusterIdentify, cmdTriggerEffect, pack(id, uint8(0))), nil), err
	}
	// What came before effect.
	if n, ok := strictNumber(value); ok && key == "flash" {
		switch n {
		case 2:
			value = "select"
		case 10:
			value = "lselect"
		}
	}
	id, err := oneOf(key, value, map[string]uint8{"select": 0, "lselect": 1, "none": 255})
	return sends(command(c, clusterIdentify, cmdTriggerEffect, pack(id, uint8(0))), nil), err
}

func setIdentify(c *Context, key string, value any) (Result, error) {
	seconds := 3.0
	if f, ok := numeric(c.Options["identify_timeout"]); ok && c.Options["identify_timeout"] != nil {
		seconds = f
	}
	word, err := wordOf("identify_timeout", seconds)
	return sends(command(c, clusterIdentify, cmdIdentify, pack(word)), nil), err
}

// Attributes of the Ballast Configuration cluster (section 5.3).
var ballastLevels = map[string]uint16{
	"ballast_minimum_level": 0x0010, "ballast_maximum_level": 0x0011, "ballast_power_on_level": 0x0012,
}

// ballastShown are those that zigbee2mqtt tells besides, by attribute.
var ballastShown = map[uint16]string{
	0x0010: "ballast_minimum_level", 0x0011: "ballast_maximum_level", 0x0012: "ballast_power_on_level",
	0x0013: "ballast_power_on_fade_time", 0x0014: "ballast_intrinsic_ballast_factor", 0x0015: "ballast_ballast_factor_adjustment",
	0x0020: "ballast_lamp_quantity", 0x0030: "ballast_lamp_type", 0x0031: "ballast_lamp_manufacturer",
	0x0032: "ballast_lamp_rated_hours", 0x0033: "ballast_lamp_burn_hours", 0x0035: "ballast_lamp_burn_hours_trip_point",
}

func decodeBallast(c *Context, m zigbee.Message) Values {
	if !tells(m) || m.Frame.ManufacturerCode != 0 {
		return nil
	}
	values := make(Values)
	for _, a := range m.Attributes {
		name, ok := ballastShown[a.ID]
		switch {
		case a.Status != zcl.Success || a.Value == nil:
		case ok:
			values[name] = a.Value
			if f, ok := numeric(a.Value); ok && a.Type != zcl.CharString {
				values[name] = f
			}
		case a.ID == 0x0002:
			status, _ := numeric(a.Value)
			values["ballast_status_non_operational"] = uint8(status)&1 != 0
			values["ballast_status_lamp_failure"] = uint8(status)&2 != 0
		case a.ID == 0x0034:
			mode, _ := numeric(a.Value)
			values["ballast_lamp_alarm_lamp_burn_hours"] = uint8(mode)&1 != 0
		}
	}
	return values
}

func setBallast(c *Context, key string, value any) (Result, error) {
	level, ok := numeric(value)
	if !ok {
		return Result{}, notNumber(key, value)
	}
	b, err := byteOf(key, level)
	if err != nil {
		return Result{}, err
	}
	r, err := c.write(clusterBallast, zcl.Attribute{ID: ballastLevels[key], Type: zcl.Uint8, Value: b})
	return sends(r, Values{key: value}), err
}

func getBallast(c *Context, key string) ([]zigbee.Request, error) {
	return []zigbee.Request{c.read(clusterBallast, ballastLevels[key])}, nil
}

func configureBallast(c *Context, endpoint uint8) []Step {
	return []Step{readStep(endpoint, clusterBallast, 0x0010, 0x0011)}
}
