package z2m

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee"
)

func (b *Bridge) renameDevice(_ context.Context, r *request) (map[string]any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := textOf(r.body["from"])
	if r.flag("last") {
		if b.joinedLast == 0 {
			return nil, errors.New("No device has joined since start")
		}
		from = b.joinedLast.String()
	}
	to, ok := r.body["to"].(string)
	if from == "" || !ok {
		return nil, fmt.Errorf("%w: from and to are names", errInvalidPayload)
	}
	d, err := b.deviceOf(from)
	if err != nil {
		return nil, err
	}
	return b.rename(entity{device: d}, strings.TrimSpace(to), r)
}

func (b *Bridge) renameGroup(_ context.Context, r *request) (map[string]any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, to := textOf(r.body["from"]), textOf(r.body["to"])
	if from == "" || r.body["to"] == nil {
		return nil, fmt.Errorf("%w: from and to are names", errInvalidPayload)
	}
	g, err := b.groupOf(from)
	if err != nil {
		return nil, err
	}
	return b.rename(entity{group: g}, strings.TrimSpace(to), r)
}

// rename gives a device or group another name, and empties what was retained
// under the old one. The mutex is held.
func (b *Bridge) rename(e entity, to string, r *request) (map[string]any, error) {
	if err := b.checkNewName(to); err != nil {
		return nil, err
	}
	from := e.name()
	b.publishText(from, "", retained, 0)
	if b.hasAvailability(e) {
		b.publishText(from+"/availability", "", retained, 1)
	}
	if d := e.device; d != nil {
		b.setDevice(d.ieee, merge(d.own, map[string]any{"friendly_name": to}))
		b.publishDevices()
	} else {
		b.setGroup(e.group.id, merge(e.group.own, map[string]any{"friendly_name": to}))
		b.publishGroups()
	}
	b.publishInfo()
	b.discover(e, r.flag("homeassistant_rename"))
	b.publishState(e, nil, cached)
	b.publishAvailability(e, true)
	return map[string]any{"from": from, "to": to, "homeassistant_rename": r.flag("homeassistant_rename")}, nil
}

func (b *Bridge) deviceOptions(_ context.Context, r *request) (map[string]any, error) {
	change, ok := object(r.body["options"])
	if !ok || r.body["id"] == nil {
		return nil, fmt.Errorf("%w: id and options are needed", errInvalidPayload)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d, err := b.deviceOf(r.id())
	if err != nil {
		return nil, err
	}
	known := deviceOptionNames()
	if d.definition != nil {
		for _, o := range d.definition.Options {
			known = append(known, o.Property)
		}
	}
	for key := range change {
		if !slices.Contains(known, key) {
			b.log.Warn("a device does not know an option", "device", d.name(), "option", key)
		}
	}
	from := shownOptions(d.own)
	set, err := changedOptions(d.own, change, d.name())
	if err != nil {
		return nil, err
	}
	b.setDevice(d.ieee, set)
	b.applyAvailabilityOf(d)
	b.publishInfo()
	b.publishDevices()
	b.discover(entity{device: d}, false)
	return map[string]any{"id": r.body["id"], "from": from, "to": shownOptions(set), "restart_required": false}, nil
}

func (b *Bridge) groupOptions(_ context.Context, r *request) (map[string]any, error) {
	change, ok := object(r.body["options"])
	if !ok || r.body["id"] == nil {
		return nil, fmt.Errorf("%w: id and options are needed", errInvalidPayload)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	g, err := b.groupOf(r.id())
	if err != nil {
		return nil, err
	}
	from := shownOptions(g.own)
	set, err := changedOptions(g.own, change, g.name())
	if err == nil {
		err = validate(groupSchema, set)
	}
	if err != nil {
		return nil, err
	}
	b.setGroup(g.id, set)
	b.publishInfo()
	b.publishGroups()
	b.discover(entity{group: g}, false)
	return map[string]any{"id": r.body["id"], "from": from, "to": shownOptions(set), "restart_required": false}, nil
}

// changedOptions are the options after a change; null takes one away, but that of Home
// Assistant is null to leave a device out.
func changedOptions(own, change map[string]any, name string) (map[string]any, error) {
	numbers(change) // package devices knows float64
	change = maps.Clone(change)
	for _, key := range []string{"friendly_name", "friendlyName", "ID", "type", "devices"} {
		delete(change, key)
	}
	set := mergeNulls(own, change)
	if v, ok := change["homeassistant"]; ok && v == nil {
		set["homeassistant"] = nil
	}
	if set["friendly_name"] == nil {
		set["friendly_name"] = name
	}
	return set, validate(deviceSchema, set)
}

// shownOptions are options as answers show them: without the name.
func shownOptions(own map[string]any) map[string]any {
	shown := merge(own, nil)
	delete(shown, "friendly_name")
	return shown
}

func (b *Bridge) removeDevice(ctx context.Context, r *request) (map[string]any, error) {
	b.mu.Lock()
	d, err := b.deviceOf(r.id())
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	ieee, name := d.ieee, d.name()
	availability := b.hasAvailability(entity{device: d})
	b.mu.Unlock()
	options := zigbee.RemoveOptions{Force: r.flag("force"), Block: r.flag("block")}
	if err := b.network.Remove(ctx, ieee, options); err != nil {
		return nil, fmt.Errorf("Failed to remove device '%s' (%w)", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.devices[ieee]; d != nil {
		b.forget(d)
		b.removed[ieee] = true
	}
	if options.Block && !slices.Contains(b.settings.Blocklist, ieee.String()) {
		list := append(slices.Clone(b.settings.Blocklist), ieee.String())
		if err := b.apply(map[string]any{"blocklist": list}); err != nil {
			return nil, err
		}
	}
	if !r.flag("keep_config") {
		b.setDevice(ieee, nil)
	}
	delete(b.states, ieee.String())
	b.dirty[ieee.String()] = true
	b.publishText(name, "", retained, 0)
	if availability {
		b.publishText(name+"/availability", "", retained, 1)
	}
	b.publishGroups()
	b.publishDevices()
	b.publishInfo()
	b.publishDefinitions()
	return map[string]any{
		"id": r.id(), "block": options.Block, "force": options.Force,
		"keep_config": r.flag("keep_config"), "clear_cache": r.flag("clear_cache"),
	}, nil
}

func (b *Bridge) requestConfigure(ctx context.Context, r *request) (map[string]any, error) {
	if r.id() == "" {
		return nil, errInvalidPayload
	}
	b.mu.Lock()
	d, err := b.deviceOf(r.id())
	if err == nil && d.definition == nil {
		err = fmt.Errorf("Device '%s' cannot be configured: nobody knows what it is yet", d.name())
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := b.configure(ctx, d.ieee); err != nil {
		return nil, fmt.Errorf("Failed to configure (%w)", err)
	}
	return map[string]any{"id": r.id()}, nil
}

func (b *Bridge) interview(ctx context.Context, r *request) (map[string]any, error) {
	if !r.isBody || r.body["id"] == nil {
		return nil, errInvalidPayload
	}
	b.mu.Lock()
	d, err := b.deviceOf(r.id())
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := b.network.Interview(ctx, d.ieee); err != nil {
		return nil, fmt.Errorf("interview of '%s' failed: %w", b.nameOf(d.ieee), err)
	}
	return map[string]any{"id": r.id()}, nil
}
