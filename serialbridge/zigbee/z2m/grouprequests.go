package z2m

import (
	"context"
	"fmt"
	"strconv"

	"lintel/serialbridge/zigbee"
)

func (b *Bridge) addGroup(_ context.Context, r *request) (map[string]any, error) {
	name := textOf(r.value)
	if r.isBody {
		if r.body["friendly_name"] == nil {
			return nil, fmt.Errorf("%w: friendly_name is needed", errInvalidPayload)
		}
		name = textOf(r.body["friendly_name"])
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.checkNewName(name); err != nil {
		return nil, err
	}
	id := uint16(1)
	if text := textOf(r.body["id"]); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 || n > 0xfff7 { // above are reserved (Zigbee specification, 2.2.4.1.1)
			return nil, fmt.Errorf("%q is no number of a group: it goes from 1 to 65527", text)
		}
		id = uint16(n)
		if b.groups[id] != nil {
			return nil, fmt.Errorf("Group ID '%d' is already in use", id)
		}
	} else {
		for b.groups[id] != nil || id == defaultBindGroup {
			id++
		}
	}
	const most = 1000
	if len(b.groups) >= most {
		return nil, fmt.Errorf("there are %d groups already; remove one", most)
	}
	b.setGroup(id, map[string]any{"friendly_name": name})
	b.publishGroups()
	b.publishInfo()
	b.discover(entity{group: b.groups[id]}, false)
	return map[string]any{"friendly_name": name, "id": id}, nil
}

// removeGroup has all members leave a group, and forgets it. With force members that
// do not answer stay in it.
func (b *Bridge) removeGroup(ctx context.Context, r *request) (map[string]any, error) {
	b.mu.Lock()
	g, err := b.groupOf(r.id())
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	members := b.members(g.id)
	e := entity{group: g}
	name, availability := g.name(), b.hasAvailability(e) && g.told.once
	b.mu.Unlock()
	if !r.flag("force") {
		for _, m := range members {
			if err := b.network.RemoveFromGroup(ctx, m.ieee, m.endpoint, g.id); err != nil {
				return nil, fmt.Errorf("Failed to remove group '%s': '%s' is still in it (%w)", name, b.nameOf(m.ieee), err)
			}
			b.refresh(m.ieee)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setGroup(g.id, nil)
	delete(b.states, e.id())
	b.dirty[e.id()] = true
	b.publishText(name, "", retained, 0)
	if availability {
		b.publishText(name+"/availability", "", retained, 1)
	}
	b.publishGroups()
	b.publishInfo()
	b.gone(e.id())
	return map[string]any{"id": r.id(), "force": r.flag("force")}, nil
}

// refresh takes what the network knows of a device now.
func (b *Bridge) refresh(ieee zigbee.IEEEAddress) {
	told, ok := b.network.Device(ieee)
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok && b.devices[ieee] != nil {
		b.take(told)
	}
}

// memberOf finds device and endpoint of a request about groups.
func (b *Bridge) memberOf(r *request, wantGroup bool) (g *group, d *device, endpoint uint8, err error) {
	if r.body["device"] == nil || wantGroup && r.body["group"] == nil {
		return nil, nil, 0, errInvalidPayload
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if wantGroup {
		if g, err = b.groupOf(textOf(r.body["group"])); err != nil {
			return nil, nil, 0, err
		}
	}
	if d, err = b.deviceOf(textOf(r.body["device"])); err != nil {
		return nil, nil, 0, err
	}
	e, err := endpointOf(d, r.body["endpoint"])
	if err != nil {
		return nil, nil, 0, err
	}
	return g, d, e.ID, nil
}

// memberData is what an answer about a member says.
func memberData(r *request) map[string]any {
	data := map[string]any{"device": r.body["device"], "endpoint": "default"}
	if r.body["endpoint"] != nil {
		data["endpoint"] = r.body["endpoint"]
	}
	if r.body["group"] != nil {
		data["group"] = r.body["group"]
	}
	return data
}

func (b *Bridge) addMember(ctx context.Context, r *request) (map[string]any, error) {
	g, d, endpoint, err := b.memberOf(r, true)
	if err != nil {
		return nil, err
	}
	if err := b.network.AddToGroup(ctx, d.ieee, endpoint, g.id); err != nil {
		return nil, fmt.Errorf("Failed to add to group (%w)", err)
	}
	b.refresh(d.ieee)
	b.membersChanged(g)
	b.reportToGroup(ctx, g.id)
	return memberData(r), nil
}

func (b *Bridge) removeMember(ctx context.Context, r *request) (map[string]any, error) {
	g, d, endpoint, err := b.memberOf(r, true)
	if err != nil {
		return nil, err
	}
	if err := b.network.RemoveFromGroup(ctx, d.ieee, endpoint, g.id); err != nil {
		return nil, fmt.Errorf("Failed to remove from group (%w)", err)
	}
	b.refresh(d.ieee)
	b.membersChanged(g)
	return memberData(r), nil
}

func (b *Bridge) removeFromAllGroups(ctx context.Context, r *request) (map[string]any, error) {
	_, d, endpoint, err := b.memberOf(r, false)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	var groups []*group
	if e := d.Endpoint(endpoint); e != nil {
		for _, id := range e.Groups {
			if g := b.groups[id]; g != nil {
				groups = append(groups, g)
			}
		}
	}
	b.mu.Unlock()
	if err := b.network.RemoveFromAllGroups(ctx, d.ieee, endpoint); err != nil {
		return nil, fmt.Errorf("Failed to remove from group (%w)", err)
	}
	b.refresh(d.ieee)
	b.membersChanged(groups...)
	data := memberData(r)
	delete(data, "group")
	return data, nil
}

// membersChanged tells who is in groups now.
func (b *Bridge) membersChanged(groups ...*group) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishGroups()
	for _, g := range groups {
		b.publishAvailability(entity{group: g}, false)
		b.discover(entity{group: g}, false)
	}
	b.publishDevices()
	b.publishInfo()
}
