package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// SceneChange is what a command does to the scenes of an endpoint.
type SceneChange struct {
	Kind SceneKind
	// Scene is what it is about; with SceneStored its State is nil: it is what
	// the device is like.
	Scene zigbee.Scene
}

// SceneKind is what becomes of a scene.
type SceneKind uint8

// The kinds.
const (
	SceneStored     SceneKind = iota + 1 // it is what the device is like now
	SceneAdded                           // it is what Scene.State says
	SceneRenamed                         // only its name changes
	SceneRemoved                         // and forgotten
	SceneAllRemoved                      // all of the endpoint
	SceneRecalled                        // the state of the device, or of each member, is that of the scene
)

// Commands of the Scenes cluster (section 3.7).
const (
	cmdSceneAdd         = 0x00
	cmdSceneRemove      = 0x02
	cmdSceneRemoveAll   = 0x03
	cmdSceneStore       = 0x04
	cmdSceneRecall      = 0x05
	cmdSceneEnhancedAdd = 0x40
)

// sceneTraits are one for each key, as each is a command of its own. Every device
// and every group takes them.
func sceneTraits() []*Trait {
	one := func(key string, set func(*Context, string, any) (Result, error)) *Trait {
		return &Trait{Name: key, Keys: []string{key}, Set: set}
	}
	return []*Trait{
		one("scene_store", storeScene), one("scene_recall", recallScene), one("scene_add", addScene),
		one("scene_remove", removeScene), one("scene_remove_all", removeAllScenes), one("scene_rename", renameScene),
	}
}

// scene reads which scene is meant: its number, or an object with it. A group's
// scenes are of the group; those of a device are of group 0 unless group_id says
// otherwise.
func scene(c *Context, key string, value any) (zigbee.Scene, map[string]any, error) {
	object, isObject := value.(map[string]any)
	s := zigbee.Scene{Group: c.GroupID}
	if isObject {
		value = object["ID"]
		s.Name, _ = object["name"].(string)
		if !c.Group && object["group_id"] != nil {
			group, ok := numeric(object["group_id"])
			if !ok {
				return s, nil, notNumber(key+".group_id", object["group_id"])
			}
			var err error
			if s.Group, err = wordOf(key+".group_id", group); err != nil {
				return s, nil, err
			}
		}
	}
	id, ok := strictNumber(value)
	if !ok {
		return s, nil, notNumber(key+".ID", value)
	}
	var err error
	s.ID, err = byteOf(key+".ID", id)
	return s, object, err
}

// reserved refuses scene 0 of group 0, the global one of the On/Off cluster.
func reserved(s zigbee.Scene) error {
	if s.Group == 0 && s.ID == 0 {
		return errors.New("scene 0 of group 0 is reserved: give the scene another ID")
	}
	return nil
}

func storeScene(c *Context, key string, value any) (Result, error) {
	s, _, err := scene(c, key, value)
	if err == nil {
		err = reserved(s)
	}
	r := sends(inquiry(c, clusterScenes, cmdSceneStore, pack(s.Group, s.ID)), nil)
	r.Scenes = []SceneChange{{Kind: SceneStored, Scene: s}}
	return r, err
}

func recallScene(c *Context, key string, value any) (Result, error) {
	s, _, err := scene(c, key, value)
	if err != nil {
		return Result{}, err
	}
	// The time of 0xffff leaves it at that of the scene (section 3.7.2.4.7).
	r := sends(command(c, clusterScenes, cmdSceneRecall, pack(s.Group, s.ID, uint16(0xffff))), nil)
	r.Scenes = []SceneChange{{Kind: SceneRecalled, Scene: s}}
	if !c.Group {
		r.State = RecalledState(c, s)
	}
	return r, nil
}

// RecalledState is what the device of c is like after the recall of a scene: what is
// known of it, with its color told in every way. It is nil if the endpoint does
// not know the scene.
func RecalledState(c *Context, s zigbee.Scene) Values {
	if c.Device == nil {
		return nil
	}
	e := c.Device.Endpoint(c.target(clusterScenes))
	if e == nil {
		return nil
	}
	i := slices.IndexFunc(e.Scenes, func(known zigbee.Scene) bool { return known.ID == s.ID && known.Group == s.Group })
	if i < 0 || e.Scenes[i].State == nil {
		return nil
	}
	state := Values(maps.Clone(e.Scenes[i].State))
	if state["color_mode"] == nil {
		color, _ := state["color"].(map[string]any)
		switch {
		case state["color_temp"] != nil:
			state["color_mode"] = "color_temp"
		case color["x"] != nil:
			state["color_mode"] = "xy"
		case color != nil:
			state["color_mode"] = "hs"
		}
	}
	return c.synced(state)
}

func addScene(c *Context, key string, value any) (Result, error) {
	s, object, err := scene(c, key, value)
	switch {
	case err != nil:
		return Result{}, err
	case object == nil:
		return Result{}, notObject(key, value)
	case object["color_temp"] != nil && object["color"] != nil:
		return Result{}, fmt.Errorf("%s takes color_temp or color, not both", key)
	}
	if err := reserved(s); err != nil {
		return Result{}, err
	}
	fields, state, err := extensionFields(c, key, object)
	if err != nil {
		return Result{}, err
	}
	s.State = state
	seconds := 0.0
	if v := object["transition"]; v != nil {
		var ok bool
		if seconds, ok = numeric(v); !ok {
			return Result{}, notNumber(key+".transition", v)
		}
	}
	// Add counts in seconds, what is not whole takes Enhanced Add in tenths.
	id := uint8(cmdSceneAdd)
	if seconds != math.Trunc(seconds) {
		id, seconds = cmdSceneEnhancedAdd, math.Floor(seconds*10)
	}
	time, err := wordOf(key+".transition", seconds)
	if err != nil {
		return Result{}, err
	}
	// What a scene held is merged with what is added, so it is removed first. That
	// it was not there is no failure: see SceneAnswer.
	r := Result{
		Requests: []zigbee.Request{
			inquiry(c, clusterScenes, cmdSceneRemove, pack(s.Group, s.ID)),
			inquiry(c, clusterScenes, id, pack(s.Group, s.ID, time, uint8(0), fields)),
		},
		Scenes: []SceneChange{{Kind: SceneAdded, Scene: s}},
	}
	return r, nil
}

// extensionFields are what a scene sets (section 3.7.2.4.2): cluster, length and the
// attributes of the cluster that are marked with S; and that as a state.
func extensionFields(c *Context, key string, object map[string]any) ([]byte, map[string]any, error) {
	var data []byte
	state := make(map[string]any)
	var bad error
	small := func(name string, f float64) uint8 {
		b, err := byteOf(key+"."+name, f)
		if err != nil {
			bad = err
		}
		return b
	}
	place := func(at xy) {
		x, err1 := wordOf(key+".color.x × 65535", rescale(at.x, 0, 1, 0, 65535, 0))
		y, err2 := wordOf(key+".color.y × 65535", rescale(at.y, 0, 1, 0, 65535, 0))
		bad = errors.Join(bad, err1, err2)
		data = append(data, pack(uint16(clusterColor), uint8(4), x, y)...)
	}
	if word, ok := object["state"].(string); ok {
		data = append(data, pack(uint16(clusterOnOff), uint8(1), flag(strings.EqualFold(word, "on")))...)
		state["state"] = strings.ToUpper(word)
	}
	if v := object["brightness"]; v != nil {
		level, ok := numeric(v)
		if !ok {
			return nil, nil, notNumber(key+".brightness", v)
		}
		data = append(data, pack(uint16(clusterLevel), uint8(1), small("brightness", level))...)
		state["brightness"] = v
	}
	if v := object["position"]; v != nil {
		position, ok := numeric(v)
		if !ok {
			return nil, nil, notNumber(key+".position", v)
		}
		if c.openIsHigh() {
			position = closedPercents - position
		}
		data = append(data, pack(uint16(clusterWindowCovering), uint8(1), small("position", position))...)
		state["position"] = v
	}
	if v := object["color_temp"]; v != nil {
		mireds, ok := numeric(v)
		if !ok {
			return nil, nil, notNumber(key+".color_temp", v)
		}
		low, high := c.settableRange()
		mireds = clampTemperature(mireds, low, high)
		// A color temperature is stored as x and y (section 5.2.2.2.1.4).
		at, err := temperature(mireds)
		if err != nil {
			return nil, nil, err
		}
		place(at)
		state["color_mode"], state["color_temp"] = "color_temp", mireds
	}
	if v := object["color"]; v != nil {
		if text, ok := v.(string); ok {
			var parsed any
			if json.Unmarshal([]byte(text), &parsed) == nil {
				v = parsed
			}
		}
		parsed, err := parseColor(v)
		if err != nil {
			return nil, nil, err
		}
		switch p := parsed.(type) {
		case xy:
			place(p)
			state["color_mode"], state["color"] = "xy", map[string]any{"x": p.x, "y": p.y}
		case hsv:
			to := p.corrected(c.Options)
			if h, sat, _ := to.complete(); c.Definition.is("supportsEnhancedHue") {
				hue, err := wordOf(key+".color.hue", rescale(h, 0, 360, 0, 65535, 0))
				bad = errors.Join(bad, err)
				data = append(data, pack(uint16(clusterColor), uint8(13), uint16(0), uint16(0), hue,
					small("color.saturation", rescale(sat, 0, 100, 0, 254, 0)), make([]byte, 6))...)
			} else {
				place(to.xy())
			}
			color := make(map[string]any)
			if p.hue != nil {
				color["hue"] = *p.hue
			}
			if p.saturation != nil {
				color["saturation"] = *p.saturation
			}
			state["color_mode"], state["color"] = "hs", color
		case rgb:
			return nil, nil, fmt.Errorf("%s.color must be x and y, or hue and saturation", key)
		}
	}
	return data, state, bad
}

func removeScene(c *Context, key string, value any) (Result, error) {
	s, _, err := scene(c, key, value)
	r := sends(inquiry(c, clusterScenes, cmdSceneRemove, pack(s.Group, s.ID)), nil)
	r.Scenes = []SceneChange{{Kind: SceneRemoved, Scene: s}}
	return r, err
}

func removeAllScenes(c *Context, _ string, _ any) (Result, error) {
	r := sends(inquiry(c, clusterScenes, cmdSceneRemoveAll, pack(c.GroupID)), nil)
	r.Scenes = []SceneChange{{Kind: SceneAllRemoved, Scene: zigbee.Scene{Group: c.GroupID}}}
	return r, nil
}

// renameScene changes nothing in the device, which has no room for names.
func renameScene(c *Context, key string, value any) (Result, error) {
	s, object, err := scene(c, key, value)
	if err == nil && object == nil {
		err = notObject(key, value)
	}
	return Result{Scenes: []SceneChange{{Kind: SceneRenamed, Scene: s}}}, err
}

// SceneAnswer returns why a device did not do what a request of scenes asked for, or
// nil. The answers carry a status of their own, besides the default response.
func SceneAnswer(request zigbee.Request, answer zcl.Frame) error {
	if request.Cluster != clusterScenes || answer.Type != zcl.Specific || len(answer.Payload) == 0 {
		return nil
	}
	status := zcl.Status(answer.Payload[0])
	if request.Frame.Command == cmdSceneRemove && (status == zcl.InvalidField || status == zcl.NotFound) {
		return nil
	}
	if status != zcl.Success {
		return &zigbee.StatusError{Status: status}
	}
	return nil
}
