package z2m

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee/devices"
)

// shared are the properties that groups and their members have together.
var shared = []string{"state", "brightness", "color_temp", "color", "color_mode"}

// takes says whether a definition can have a value of a shared property.
func takes(d *devices.Definition, property string, value any) bool {
	if property == "state" {
		return true
	}
	if d == nil {
		return false
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(d.Exposes, func(e *devices.Expose) bool {
			return e.Type == "light" && slices.ContainsFunc(e.Features, func(f *devices.Expose) bool { return slices.Contains(names, f.Name) })
		})
	}
	switch property {
	case "brightness", "color_temp":
		return has(property)
	case "color":
		return has("color_xy", "color_hs")
	}
	mode, _ := value.(string)
	if mode == "color_temp" {
		return has("color_temp")
	}
	return has("color_" + mode)
}

// sharedOf takes the shared properties out of an update of a device, by the name of the
// endpoint.
func sharedOf(d *device, update map[string]any) map[string]map[string]any {
	parts := make(map[string]map[string]any)
	for key, value := range update {
		endpoint := ""
		if d != nil && d.definition != nil {
			for name := range d.definition.Endpoints {
				if cut, ok := strings.CutSuffix(key, "_"+name); ok && slices.Contains(shared, cut) {
					key, endpoint = cut, name
					break
				}
			}
		}
		if slices.Contains(shared, key) {
			if parts[endpoint] == nil {
				parts[endpoint] = make(map[string]any)
			}
			parts[endpoint][key] = value
		}
	}
	return parts
}

// spread publishes the groups that an update of a device changes, and the members that an
// update of a group changes. The mutex is held.
func (b *Bridge) spread(e entity, update map[string]any) {
	if len(b.groups) == 0 {
		return
	}
	if e.group != nil {
		e.group.assumed = nil
		if part := sharedOf(nil, update)[""]; part != nil {
			b.spreadToMembers(e.group, part)
		}
		return
	}
	if e.device.disabled() {
		return
	}
	parts := sharedOf(e.device, update)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		endpoint := e.device.endpoint(name)
		if endpoint == nil {
			continue
		}
		for _, id := range endpoint.Groups {
			g := b.groups[id]
			if g == nil || !flag(g.own, "optimistic", true) || reflect.DeepEqual(g.assumed, parts[name]) || !b.follows(g, parts[name]) {
				continue
			}
			g.assumed = parts[name]
			b.publishState(entity{group: g}, parts[name], assumed)
		}
	}
}

// spreadToMembers publishes what members are when their group was told something,
// and the other groups that they are in.
func (b *Bridge) spreadToMembers(g *group, part map[string]any) {
	others := make(map[uint16]*group)
	for _, m := range b.members(g.id) {
		if m.disabled() {
			continue
		}
		own := make(map[string]any)
		suffix := ""
		if name := m.endpointName(m.endpoint); name != "" {
			suffix = "_" + name
		}
		for key, value := range part {
			if takes(m.definition, key, value) {
				own[key+suffix] = value
			}
		}
		b.publishState(entity{device: m.device}, own, assumed)
		for _, id := range m.Endpoint(m.endpoint).Groups {
			if o := b.groups[id]; o != nil && o != g && flag(o.own, "optimistic", true) {
				others[id] = o
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(others)) {
		if b.follows(others[id], part) {
			b.publishState(entity{group: others[id]}, part, assumed)
		}
	}
}

// follows says whether a group takes over what a member of it is now: it is not off
// as long as one member is on, unless it is set so.
func (b *Bridge) follows(g *group, part map[string]any) bool {
	if part["state"] != "OFF" && part["state"] != "CLOSE" {
		return true
	}
	if state, _ := g.own["off_state"].(string); state == "last_member_state" {
		return true
	}
	for _, m := range b.members(g.id) {
		key := "state"
		if d := m.definition; d != nil && d.MultiEndpoint && !slices.Contains(d.MultiEndpointSkip, "state") {
			if name := m.endpointName(m.endpoint); name != "" {
				key += "_" + name
			}
		}
		if state := b.states[m.ieee.String()][key]; state == "ON" || state == "OPEN" {
			return false
		}
	}
	return true
}

// groupDefinition is what can be done with a group: all that one of its members can, on
// the endpoint that is in the group.
func (b *Bridge) groupDefinition(g *group) *devices.Definition {
	var members []*devices.Definition
	for _, m := range b.members(g.id) {
		if m.definition == nil {
			continue
		}
		name := m.endpointName(m.endpoint)
		own := *m.definition
		own.Exposes = slices.DeleteFunc(slices.Clone(own.Exposes), func(e *devices.Expose) bool {
			return e.Endpoint != "" && name != "" && e.Endpoint != name
		})
		members = append(members, &own)
	}
	merged := devices.ForGroup(members)
	merged.Model = "group"
	return merged
}
