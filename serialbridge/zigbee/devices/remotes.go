package devices

import (
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// What remote controls send becomes an action, with what the frame says besides in
// action_… beside it. Traits of vendors have their own words for some of these
// frames: an action that the definition does not list is not told.

// remotes is one trait for each cluster that a remote control commands with.
var (
	remoteOnOff    = remote(clusterOnOff, []string{"on", "off", "toggle"}, onOffAction)
	remoteLevel    = remote(clusterLevel, levelActions, levelAction)
	remoteColor    = remote(clusterColor, colorActions, colorAction)
	remoteCover    = remote(clusterWindowCovering, []string{"open", "close", "stop"}, coverAction)
	remoteScenes   = remote(clusterScenes, []string{"recall", "store", "add", "remove", "remove_all"}, sceneAction)
	remoteIdentify = &Trait{
		Name: "remote identify", Exposes: []string{"action"}, Clusters: []uint16{clusterIdentify}, Client: true,
		Decode: decodeIdentify,
	}
)

var (
	levelActions = []string{
		"brightness_move_to_level", "brightness_move_up", "brightness_move_down",
		"brightness_step_up", "brightness_step_down", "brightness_stop",
	}
	colorActions = []string{
		"color_temperature_move_stop", "color_temperature_move_up", "color_temperature_move_down",
		"color_temperature_step_up", "color_temperature_step_down", "enhanced_move_to_hue_and_saturation",
		"move_to_hue_and_saturation", "color_hue_step_up", "color_hue_step_down", "color_saturation_step_up",
		"color_saturation_step_down", "color_loop_set", "color_temperature_move", "color_move", "hue_move", "hue_stop",
		"move_to_saturation", "move_to_hue", "stop_move_step",
	}
)

// fields reads what a command carries, and notes if there is less.
type fields struct {
	data  []byte
	short bool
}

// bits is a byte of which every value means something.
func (f *fields) bits() uint8 {
	if len(f.data) < 1 {
		f.short = true
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return b
}

// byte is a number, or not one if it is the value that says so (ZCL, section
// 2.6.2, "non-value").
func (f *fields) byte() float64 {
	if b := f.bits(); b != 0xff {
		return float64(b)
	}
	return math.NaN()
}

// word is as byte, of two bytes.
func (f *fields) word() float64 {
	if len(f.data) < 2 {
		f.short = true
		return 0
	}
	w := binary.LittleEndian.Uint16(f.data)
	f.data = f.data[2:]
	if w == 0xffff {
		return math.NaN()
	}
	return float64(w)
}

// known makes null of numbers that are none.
func known(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return nil
		}
	case map[string]any:
		for key := range v {
			v[key] = known(v[key])
		}
	}
	return v
}

// remote makes the trait of one cluster. action returns the name of an action,
// empty if the command is none, and puts what belongs to it into values.
func remote(cluster uint16, actions []string, action func(id uint8, f *fields, values Values) string) *Trait {
	t := &Trait{
		Name: fmt.Sprintf("remote 0x%04x", cluster), Exposes: []string{"action"}, Clusters: []uint16{cluster}, Client: true,
		Decode: func(c *Context, m zigbee.Message) Values {
			frame := m.Frame
			if frame.Type != zcl.Specific || frame.ServerToClient || frame.ManufacturerCode != 0 {
				return nil
			}
			values := make(Values)
			f := &fields{data: frame.Payload}
			name := action(frame.Command, f, values)
			if name == "" || f.short {
				return nil
			}
			return c.action(m, name, actions, values)
		},
		Configure: func(c *Context, endpoint uint8) []Step {
			return []Step{{Endpoint: endpoint, Bind: []uint16{cluster}, Optional: true}}
		},
	}
	if cluster != clusterScenes { // the generator leaves scenes out
		t.Generate = func(*Context, uint8) []*Expose { return generateActions(actions) }
	}
	return t
}

// action completes the values of an action, or returns nil if the definition does
// not know actions of its group, or if it has come before.
func (c *Context) action(m zigbee.Message, name string, group []string, values Values) Values {
	d := c.Definition
	if !d.lists(name, group) || c.repeated(m) {
		return nil
	}
	for key, value := range values {
		values[key] = known(value)
	}
	values["action"] = c.named(name, m.Endpoint)
	if d.Generated { // its list is the truth: only some endpoints have names
		suffix := d.suffix(m.Endpoint)
		values["action"] = name
		if e := d.exposed("action"); e != nil && slices.Contains(e.Values, any(name+suffix)) {
			values["action"] = name + suffix
		}
	}
	if m.Group != 0 && !d.is("disableActionGroup") {
		values["action_group"] = float64(m.Group)
	}
	return values
}

// lists says whether the definition lists an action, or another of its group: the
// converters of zigbee2mqtt read the commands of a cluster together, and what a
// vendor's converter calls otherwise is listed under other names. The name may
// have that of an endpoint behind it, and a * stands for anything. A definition
// that lists nothing takes all.
func (d *Definition) lists(name string, group []string) bool {
	e := d.exposed("action")
	if e == nil || len(e.Values) == 0 {
		return e != nil
	}
	for _, v := range e.Values {
		word, _ := v.(string)
		if bare, _ := d.Split(word); bare != word {
			word = bare
		}
		if strings.Contains(word, "*") {
			if d.matches(word, name) {
				return true
			}
			continue
		}
		if word == name || slices.Contains(group, word) || d.numbered(word, group) {
			return true
		}
	}
	return false
}

// matches says that a name is one of the pattern, alone or with the name of an
// endpoint behind it ("recall_*_row_*").
func (d *Definition) matches(pattern, name string) bool {
	if ok, err := path.Match(pattern, name); ok || err != nil {
		return ok
	}
	for endpoint := range d.Endpoints {
		if ok, _ := path.Match(pattern, name+"_"+endpoint); ok {
			return true
		}
	}
	return false
}

// numbered says that a word is one of the group with the number of an endpoint behind
// it.
func (d *Definition) numbered(word string, group []string) bool {
	i := strings.LastIndexByte(word, '_')
	if i < 0 {
		return false
	}
	_, err := strconv.ParseUint(word[i+1:], 10, 8)
	return err == nil && slices.Contains(group, word[:i])
}

func onOffAction(id uint8, _ *fields, _ Values) string {
	switch id {
	case cmdOn:
		return "on"
	case cmdOff, cmdOffWithEffect:
		return "off"
	case cmdToggle:
		return "toggle"
	}
	return ""
}

func coverAction(id uint8, _ *fields, _ Values) string {
	switch id {
	case cmdUpOpen:
		return "open"
	case cmdDownClose:
		return "close"
	case cmdStopCover:
		return "stop"
	}
	return ""
}

func levelAction(id uint8, f *fields, values Values) string {
	way := func(mode float64) string {
		if mode == 1 {
			return "down"
		}
		return "up"
	}
	switch id &^ withOnOff {
	case cmdMoveToLevel:
		values["action_level"] = float64(f.bits())
		values["action_transition_time"] = f.word() / 10
		return "brightness_move_to_level"
	case cmdMove:
		mode := way(f.byte())
		values["action_rate"] = f.byte()
		return "brightness_move_" + mode
	case cmdStep:
		mode := way(f.byte())
		values["action_step_size"] = f.byte()
		values["action_transition_time"] = f.word() / 10
		return "brightness_step_" + mode
	case cmdStop:
		return "brightness_stop"
	}
	return ""
}

// sceneAction: which scene is part of the name of the action.
func sceneAction(id uint8, f *fields, _ Values) string {
	switch id {
	case cmdSceneAdd:
		return "add"
	case cmdSceneRemove:
		return "remove"
	case cmdSceneRemoveAll:
		return "remove_all"
	case cmdSceneStore:
		f.word()
		return fmt.Sprintf("store_%v", f.byte())
	case cmdSceneRecall:
		f.word()
		return fmt.Sprintf("recall_%v", f.byte())
	}
	return ""
}

func colorAction(id uint8, f *fields, values Values) string {
	way := func(mode float64) string {
		if mode == moveUp {
			return "up"
		}
		return "down"
	}
	step := func(name string, time float64) string {
		values["action_transition_time"] = time / 10
		return name
	}
	switch id {
	case cmdMoveToHue:
		values["action_hue"] = f.byte()
		values["action_direction"] = loopDirection(f.byte())
		return step("move_to_hue", f.word())
	case cmdMoveHue:
		mode := f.byte()
		values["action_rate"] = f.byte()
		switch mode {
		case moveUp:
			return "hue_move"
		case moveDown:
			return "hue_down"
		}
		return "hue_stop"
	case cmdStepHue, cmdStepSaturation:
		name := "color_hue_step_"
		if id == cmdStepSaturation {
			name = "color_saturation_step_"
		}
		name += way(f.byte())
		values["action_step_size"] = f.byte()
		return step(name, f.byte())
	case cmdMoveToSaturation:
		values["action_saturation"] = f.byte()
		values["action_transition_time"] = f.word()
		return "move_to_saturation"
	case cmdMoveToHueAndSaturation:
		values["action_hue"] = f.byte()
		values["action_saturation"] = f.byte()
		values["action_transition_time"] = f.word()
		return "move_to_hue_and_saturation"
	case cmdEnhancedMoveToHueSat:
		hue := f.word()
		values["action_enhanced_hue"] = hue
		values["action_hue"] = rescale(hue, 0, 65535, 0, 360, 1)
		values["action_saturation"] = f.byte()
		values["action_transition_time"] = f.word()
		return "enhanced_move_to_hue_and_saturation"
	case cmdMoveToColor:
		x, y := f.word(), f.word()
		values["action_color"] = map[string]any{"x": round(x/65535, 3), "y": round(y/65535, 3)}
		values["action_transition_time"] = f.word()
		return "color_move"
	case cmdMoveToColorTemperature:
		values["action_color_temperature"] = f.word()
		values["action_transition_time"] = f.word()
		return "color_temperature_move"
	case cmdColorLoopSet:
		return loopAction(f, values)
	case cmdStopMoveStep:
		return "stop_move_step"
	case cmdMoveColorTemperature:
		mode := f.byte()
		values["action_rate"] = f.word()
		values["action_minimum"] = f.word()
		values["action_maximum"] = f.word()
		switch mode {
		case moveStop:
			return "color_temperature_move_stop"
		case moveUp, moveDown:
			return "color_temperature_move_" + way(mode)
		}
	case cmdStepColorTemperature:
		mode, size := way(f.byte()), f.word()
		values["action_step_size"] = size
		values["action_color_temperature_delta"] = size
		if mode == "down" {
			values["action_color_temperature_delta"] = -size
		}
		return step("color_temperature_step_"+mode, f.word())
	}
	return ""
}

func loopDirection(b float64) string {
	if b == 0 {
		return "decrement"
	}
	return "increment"
}

func loopAction(f *fields, values Values) string {
	flags := f.bits()
	values["action_update_flags"] = map[string]any{
		"action": flags&1 != 0, "direction": flags&2 != 0, "time": flags&4 != 0, "start_hue": flags&8 != 0,
	}
	names := []string{"deactivate", "activate_from_color_loop_start_enhanced_hue", "activate_from_enhanced_current_hue"}
	if action := int(f.bits()); action < len(names) {
		values["action_action"] = names[action]
	}
	values["action_direction"] = loopDirection(f.byte())
	values["action_time"] = f.word()
	values["action_start_hue"] = f.word()
	return "color_loop_set"
}

// decodeIdentify: some remotes report an attribute when they are to show themselves.
func decodeIdentify(c *Context, m zigbee.Message) Values {
	if !tells(m) || m.Frame.ManufacturerCode != 0 {
		return nil
	}
	return c.action(m, "identify", nil, Values{})
}
