package z2m

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// endpointScenes are the scenes of an endpoint that are of no group.
func endpointScenes(e *zigbee.Endpoint) []Scene {
	return scenesOf(0, e)
}

// groupScenes are the scenes that members of a group hold for it.
func (b *Bridge) groupScenes(g *group) []Scene {
	var endpoints []*zigbee.Endpoint
	for _, m := range b.members(g.id) {
		endpoints = append(endpoints, m.Endpoint(m.endpoint))
	}
	return scenesOf(g.id, endpoints...)
}

func scenesOf(group uint16, endpoints ...*zigbee.Endpoint) []Scene {
	byID := make(map[int]Scene)
	for _, e := range endpoints {
		for _, s := range e.Scenes {
			if s.Group != group {
				continue
			}
			name := s.Name
			if name == "" {
				name = fmt.Sprintf("Scene %d", s.ID)
			}
			byID[int(s.ID)] = Scene{int(s.ID), name}
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(x, y Scene) int { return cmp.Compare(x.ID, y.ID) })
}

// changeScenes takes note of what became of scenes that an endpoint holds, and returns
// what its device is like now if one was recalled. The mutex is held.
func (b *Bridge) changeScenes(d *device, endpoint uint8, changes []devices.SceneChange) map[string]any {
	e := d.Endpoint(endpoint)
	if e == nil {
		return nil
	}
	scenes := slices.Clone(e.Scenes)
	var recalled map[string]any
	changed := false
	for _, c := range changes {
		i := slices.IndexFunc(scenes, func(s zigbee.Scene) bool { return s.ID == c.Scene.ID && s.Group == c.Scene.Group })
		switch c.Kind {
		case devices.SceneRecalled:
			if i < 0 {
				b.log.Warn("a scene was recalled that is not known; what the device is like now it has to tell by itself", "device", d.name(), "scene", c.Scene.ID)
				continue
			}
			c := b.context(d)
			c.Definition, c.Endpoint = d.definition, e.ID
			recalled = devices.RecalledState(c, scenes[i])
			continue
		case devices.SceneStored, devices.SceneAdded:
			s := c.Scene
			if c.Kind == devices.SceneStored {
				s.State = b.sceneState(d, e.ID)
			}
			if s.Name == "" && i >= 0 {
				s.Name = scenes[i].Name
			}
			if i >= 0 {
				scenes[i] = s
			} else if len(scenes) < maxScenes {
				scenes = append(scenes, s)
			}
		case devices.SceneRenamed:
			if i < 0 {
				scenes = append(scenes, c.Scene)
			} else {
				scenes[i].Name = c.Scene.Name
			}
		case devices.SceneRemoved:
			if i >= 0 {
				scenes = slices.Delete(scenes, i, i+1)
			}
		case devices.SceneAllRemoved:
			scenes = nil
		}
		changed = true
	}
	if changed {
		if err := b.network.SetScenes(d.ieee, endpoint, scenes); err != nil {
			b.log.Warn("the scenes are not kept", "device", d.name(), "err", err)
		} else if told, ok := b.network.Device(d.ieee); ok {
			b.take(told)
		}
	}
	return recalled
}

// maxScenes is how many scenes of an endpoint are remembered.
const maxScenes = 256

// sceneState is what a scene that an endpoint stores now holds.
func (b *Bridge) sceneState(d *device, endpoint uint8) map[string]any {
	state := make(map[string]any)
	suffix := ""
	if name := d.endpointName(endpoint); name != "" {
		suffix = "_" + name
	}
	for _, key := range append(slices.Clone(shared), "position", "tilt") {
		if v, ok := b.states[d.ieee.String()][key+suffix]; ok {
			state[key+suffix] = v
		}
	}
	return state
}

// applyScenes takes note of what a command did to scenes. What a scene of a device makes of
// it is assumed with the command; here it is of a group's members. The mutex is held.
func (b *Bridge) applyScenes(e entity, endpoint uint8, changes []devices.SceneChange) {
	if len(changes) == 0 {
		return
	}
	if e.device != nil {
		if target := e.device.endpoint(number8(endpoint)); target != nil {
			b.changeScenes(e.device, target.ID, changes)
		}
	} else {
		for _, m := range b.members(e.group.id) {
			if state := b.changeScenes(m.device, m.endpoint, changes); state != nil {
				b.publishState(entity{device: m.device}, state, changed)
			}
		}
	}
	if slices.ContainsFunc(changes, func(c devices.SceneChange) bool { return c.Kind != devices.SceneRecalled }) {
		b.publishDevices()
		b.publishGroups()
		b.discover(e, false)
	}
}

func number8(endpoint uint8) string {
	if endpoint == 0 {
		return ""
	}
	return fmt.Sprint(endpoint)
}
