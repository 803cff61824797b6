package z2m

import (
	"maps"
	"slices"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// Discovery is told what there is, so that others can make entities of it. Its methods
// are called one at a time, with the bridge locked: they must not block and not call
// the bridge.
type Discovery interface {
	// Entity tells of a device or a group that is new or has changed. What is
	// returned are the properties that are to be in the state from the
	// beginning, with the value that says that nobody knows them yet.
	Entity(EntityInfo) (unknown map[string]any)
	// Gone tells that there is none of that ID any more.
	Gone(id string)
}

// EntityInfo is what is known of a device that was interviewed, or of a group.
type EntityInfo struct {
	ID    string // IEEE address, or the number of a group
	Group bool
	Name  string // in topics
	// Rename says that its entities are to be named anew too.
	Rename bool

	Device     zigbee.Device       // zero: a group
	Definition *devices.Definition // nil: a group
	Members    []Member            // of a group

	Availability bool // it has a topic for it
	Disabled     bool
	LastSeen     string // how that is published: disable, ISO_8601, ISO_8601_local, epoch
	Scenes       []Scene
	Actions      []string // values of action that were seen
	// Overrides is the option homeassistant; Excluded says that it is null.
	Overrides map[string]any
	Excluded  bool
}

// Member is an endpoint of a device that is in a group.
type Member struct {
	Device     zigbee.IEEEAddress
	Endpoint   string // its name, empty for that which has none
	Definition *devices.Definition
}

// Scene is a scene of a device or a group.
type Scene struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// discover tells of a device or a group. The mutex is held.
func (b *Bridge) discover(e entity, rename bool) {
	if b.o.Discovery == nil || !b.running {
		return
	}
	info := EntityInfo{
		ID: e.id(), Name: e.name(), Rename: rename,
		Availability: b.hasAvailability(e), LastSeen: b.settings.Advanced.LastSeen,
	}
	override, set := e.options()["homeassistant"]
	info.Overrides, _ = object(override)
	info.Excluded = set && override == nil
	if g := e.group; g != nil {
		info.Group = true
		info.Scenes = b.groupScenes(g)
		for _, m := range b.members(g.id) {
			if m.definition != nil {
				info.Members = append(info.Members, Member{m.ieee, m.endpointName(m.endpoint), m.definition})
			}
		}
		b.o.Discovery.Entity(info)
		return
	}
	d := e.device
	if d.definition == nil {
		return
	}
	info.Device, info.Definition, info.Disabled = d.Device, d.definition, d.disabled()
	for i := range d.Endpoints {
		info.Scenes = append(info.Scenes, endpointScenes(&d.Endpoints[i])...)
	}
	info.Actions = slices.Sorted(maps.Keys(d.actions))
	d.unknown = b.o.Discovery.Entity(info)
}

// discoverGroupsOf tells of the groups that a device is in.
func (b *Bridge) discoverGroupsOf(d *device) {
	for _, g := range b.groupsOf(d) {
		b.discover(entity{group: g}, false)
	}
}

func (b *Bridge) gone(id string) {
	if b.o.Discovery != nil {
		b.o.Discovery.Gone(id)
	}
}
