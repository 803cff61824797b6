package z2m

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// bindable are the clusters that are bound when nobody says which.
var bindable = []string{
	"genScenes", "genOnOff", "genLevelCtrl", "lightingColorCtrl", "closuresWindowCovering", "hvacThermostat",
	"msIlluminanceMeasurement", "msTemperatureMeasurement", "msRelativeHumidity", "msSoilMoisture", "msCO2",
}

// bindingRequest is what a request to bind or unbind wants.
type bindingRequest struct {
	source    *device
	from      uint8
	target    zigbee.Binding // without a cluster
	toName    string
	clusters  []*zcl.Cluster
	requested []string // names that are no clusters
}

func (b *Bridge) parseBinding(r *request) (q bindingRequest, err error) {
	if r.body["from"] == nil || r.body["to"] == nil {
		return q, fmt.Errorf("%w: from and to are needed", errInvalidPayload)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	source, ok := b.resolve(textOf(r.body["from"]))
	if !ok || source.device == nil {
		return q, fmt.Errorf("Source device '%v' does not exist", r.body["from"])
	}
	q.source = source.device
	from := q.source.endpoint(textOf(r.body["from_endpoint"]))
	if from == nil {
		return q, fmt.Errorf("Source device '%s' does not have endpoint '%v'", q.source.name(), r.body["from_endpoint"])
	}
	q.from = from.ID
	to, peer, err := b.bindingTarget(textOf(r.body["to"]), textOf(r.body["to_endpoint"]))
	if err != nil {
		return q, err
	}
	q.target, q.toName = to, textOf(r.body["to"])

	names := bindable
	if list := texts(r.body, "clusters"); r.body["clusters"] != nil {
		names = list
	}
	for _, name := range names {
		c, err := clusterOf(name)
		if err != nil {
			q.requested = append(q.requested, name)
			continue
		}
		serves, uses := slices.Contains(from.Input, c.ID), slices.Contains(from.Output, c.ID)
		if peer != nil { // what one of them serves and the other uses
			serves = serves && slices.Contains(peer.Output, c.ID)
			uses = uses && slices.Contains(peer.Input, c.ID)
		}
		if serves || uses {
			q.clusters = append(q.clusters, c)
		}
	}
	return q, nil
}

// bindingTarget finds what something is to be bound to. The endpoint is nil for a group and the
// coordinator, which take all clusters.
func (b *Bridge) bindingTarget(id, endpoint string) (zigbee.Binding, *zigbee.Endpoint, error) {
	if id == defaultBindGroupName || id == entityID(defaultBindGroup) {
		return zigbee.Binding{Group: defaultBindGroup}, nil, nil
	}
	e, ok := b.resolve(id)
	switch {
	case !ok:
		return zigbee.Binding{}, nil, fmt.Errorf("Target device or group '%s' does not exist", id)
	case e.group != nil:
		return zigbee.Binding{Group: e.group.id}, nil, nil
	case e.device == nil:
		info, _, _ := b.network.Info()
		return zigbee.Binding{Device: info.IEEEAddress, Endpoint: zigbee.EndpointHome}, nil, nil
	}
	to := e.device.endpoint(endpoint)
	if to == nil {
		return zigbee.Binding{}, nil, fmt.Errorf("Target device '%s' does not have endpoint '%s'", e.device.name(), endpoint)
	}
	return zigbee.Binding{Device: e.device.ieee, Endpoint: to.ID}, to, nil
}

func (b *Bridge) bind(ctx context.Context, r *request) (map[string]any, error) {
	return b.bindOrUnbind(ctx, r, "bind", b.network.Bind)
}

func (b *Bridge) unbind(ctx context.Context, r *request) (map[string]any, error) {
	return b.bindOrUnbind(ctx, r, "unbind", b.network.Unbind)
}

func (b *Bridge) bindOrUnbind(ctx context.Context, r *request, verb string,
	do func(context.Context, zigbee.IEEEAddress, uint8, zigbee.Binding) error) (map[string]any, error) {
	q, err := b.parseBinding(r)
	if err != nil {
		return nil, err
	}
	if len(q.clusters) == 0 {
		return nil, fmt.Errorf("Nothing to %s: the two have none of these clusters together", verb)
	}
	done, failed := []string{}, []string{}
	var last error
	for _, c := range q.clusters {
		binding := q.target
		binding.Cluster = c.ID
		if err := do(ctx, q.source.ieee, q.from, binding); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			last = err
			failed = append(failed, c.Name)
			b.log.Error("a cluster could not be bound or unbound", "device", b.nameOf(q.source.ieee), "to", q.toName, "cluster", c.Name, "err", err)
			continue
		}
		done = append(done, c.Name)
	}
	if len(done) == 0 {
		return nil, fmt.Errorf("Failed to %s: %w", verb, last)
	}
	b.refresh(q.source.ieee)
	if verb == "bind" {
		b.setUpReporting(ctx, q.target, done)
	} else if !r.flag("skip_disable_reporting") && q.target.Group != defaultBindGroup {
		b.endReporting(ctx, q.target)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishDevices()
	b.publishGroups()
	b.publishInfo()
	data := map[string]any{"from": r.body["from"], "to": r.body["to"], "from_endpoint": "default", "clusters": done, "failed": failed}
	if r.body["from_endpoint"] != nil {
		data["from_endpoint"] = r.body["from_endpoint"]
	}
	if r.body["to_endpoint"] != nil {
		data["to_endpoint"] = r.body["to_endpoint"]
	}
	return data, nil
}

func (b *Bridge) clearBindings(ctx context.Context, r *request) (map[string]any, error) {
	target, ok := r.body["target"].(string)
	if !ok {
		return nil, errInvalidPayload
	}
	b.mu.Lock()
	d, err := b.deviceOf(target)
	b.mu.Unlock()
	if err != nil {
		return nil, errors.New("Invalid target")
	}
	const all = "0xffffffffffffffff"
	list := []any{all}
	if given, ok := r.body["ieee_list"].([]any); ok {
		list = given
	}
	var targets []zigbee.IEEEAddress
	for _, text := range texts(map[string]any{"list": list}, "list") {
		ieee, err := zigbee.ParseIEEEAddress(text)
		if err != nil {
			return nil, err
		}
		if text != all {
			targets = append(targets, ieee)
		}
	}
	if err := b.network.ClearBindings(ctx, d.ieee, targets...); err != nil {
		return nil, err
	}
	b.refresh(d.ieee)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishDevices()
	b.publishInfo()
	return map[string]any{"target": target, "ieee_list": list}, nil
}

// reported are the attributes that a device must report so that it is known what a
// remote has made of it that is bound to it.
var reported = map[string][]zigbee.Reporting{
	"genOnOff":     {{Cluster: 0x0006, Attribute: 0x0000, Type: uint8(zcl.Boolean), Max: time.Hour}},
	"genLevelCtrl": {{Cluster: 0x0008, Attribute: 0x0000, Type: uint8(zcl.Uint8), Min: 5 * time.Second, Max: time.Hour, Change: 1}},
	"lightingColorCtrl": {
		{Cluster: 0x0300, Attribute: 0x0007, Type: uint8(zcl.Uint16), Min: 5 * time.Second, Max: time.Hour, Change: 1},
		{Cluster: 0x0300, Attribute: 0x0003, Type: uint8(zcl.Uint16), Min: 5 * time.Second, Max: time.Hour, Change: 1},
		{Cluster: 0x0300, Attribute: 0x0004, Type: uint8(zcl.Uint16), Min: 5 * time.Second, Max: time.Hour, Change: 1},
	},
	"closuresWindowCovering": {
		{Cluster: 0x0102, Attribute: 0x0008, Type: uint8(zcl.Uint8), Min: 5 * time.Second, Max: time.Hour, Change: 1},
		{Cluster: 0x0102, Attribute: 0x0009, Type: uint8(zcl.Uint8), Min: 5 * time.Second, Max: time.Hour, Change: 1},
	},
}

// reportingOf are the attributes of a cluster that an endpoint has, as far as that is known.
func (b *Bridge) reportingOf(ctx context.Context, ieee zigbee.IEEEAddress, endpoint uint8, cluster string) []zigbee.Reporting {
	list := reported[cluster]
	if cluster != "lightingColorCtrl" {
		return list
	}
	const capabilities = 0x400a // ColorCapabilities: bit 3 XY, bit 4 color temperature
	read, err := b.network.Read(ctx, ieee, endpoint, 0x0300, 0, capabilities)
	if err != nil || len(read) != 1 {
		return nil
	}
	has, _ := zcl.Float(read[0].Value)
	var usable []zigbee.Reporting
	if uint(has)&(1<<4) != 0 {
		usable = append(usable, list[0])
	}
	if uint(has)&(1<<3) != 0 {
		usable = append(usable, list[1:]...)
	}
	return usable
}

// endpointsOf are the endpoints that a binding goes to.
func (b *Bridge) endpointsOf(target zigbee.Binding) []member {
	if target.Device == 0 {
		return b.members(target.Group)
	}
	if d := b.devices[target.Device]; d != nil {
		return []member{{d, target.Endpoint}}
	}
	return nil
}

// setUpReporting has those that are controlled now tell the coordinator what they do, unless
// they do so already.
func (b *Bridge) setUpReporting(ctx context.Context, target zigbee.Binding, clusters []string) {
	info, _, _ := b.network.Info()
	type work struct {
		ieee     zigbee.IEEEAddress
		endpoint uint8
		cluster  *zcl.Cluster
	}
	var missing []work
	b.mu.Lock()
	for _, m := range b.endpointsOf(target) {
		e := m.Endpoint(m.endpoint)
		for _, name := range clusters {
			c := zcl.ClusterByName(name)
			if c == nil || reported[name] == nil || e == nil || !slices.Contains(e.Input, c.ID) {
				continue
			}
			reports := slices.ContainsFunc(e.Reportings, func(r zigbee.Reporting) bool { return r.Cluster == c.ID })
			bound := slices.ContainsFunc(e.Bindings, func(x zigbee.Binding) bool { return x.Cluster == c.ID && x.Device == info.IEEEAddress })
			if !reports || !bound {
				missing = append(missing, work{m.ieee, m.endpoint, c})
			}
		}
	}
	b.mu.Unlock()
	for _, w := range missing {
		err := b.network.Bind(ctx, w.ieee, w.endpoint, zigbee.Binding{Cluster: w.cluster.ID, Device: info.IEEEAddress, Endpoint: zigbee.EndpointHome})
		if list := b.reportingOf(ctx, w.ieee, w.endpoint, w.cluster.Name); err == nil && len(list) > 0 {
			err = b.network.ConfigureReporting(ctx, w.ieee, w.endpoint, list...)
		}
		if err != nil && ctx.Err() == nil {
			b.log.Warn("a device could not be told to report what a remote does with it", "device", b.nameOf(w.ieee), "cluster", w.cluster.Name, "err", err)
		}
		b.refresh(w.ieee)
	}
}

// reportToGroup is setUpReporting for a new member of a group that something is bound to.
func (b *Bridge) reportToGroup(ctx context.Context, group uint16) {
	b.mu.Lock()
	var names []string
	for _, d := range b.devices {
		for i := range d.Endpoints {
			for _, x := range d.Endpoints[i].Bindings {
				if name := zcl.ClusterName(x.Cluster); x.Device == 0 && x.Group == group && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	b.mu.Unlock()
	if len(names) > 0 {
		b.setUpReporting(ctx, zigbee.Binding{Group: group}, names)
	}
}

// endReporting takes back what setUpReporting has done, of those to whom nothing is bound
// any more and whose definition does not want it.
func (b *Bridge) endReporting(ctx context.Context, target zigbee.Binding) {
	info, _, _ := b.network.Info()
	type work struct {
		ieee     zigbee.IEEEAddress
		endpoint uint8
		cluster  uint16
		list     []zigbee.Reporting
	}
	var useless []work
	b.mu.Lock()
	for _, m := range b.endpointsOf(target) {
		e := m.Endpoint(m.endpoint)
		if e == nil {
			continue
		}
		for _, x := range e.Bindings {
			name := zcl.ClusterName(x.Cluster)
			if x.Device == info.IEEEAddress && reported[name] != nil && !b.controlled(m, x.Cluster) && !b.wanted(m, x.Cluster) {
				useless = append(useless, work{m.ieee, m.endpoint, x.Cluster, reported[name]})
			}
		}
	}
	b.mu.Unlock()
	for _, w := range useless {
		err := b.network.Unbind(ctx, w.ieee, w.endpoint, zigbee.Binding{Cluster: w.cluster, Device: info.IEEEAddress, Endpoint: zigbee.EndpointHome})
		if err == nil {
			var none []zigbee.Reporting
			for _, r := range w.list {
				r.Max = 0xffff * time.Second // not any more (ZCL, section 2.5.7.1.6)
				none = append(none, r)
			}
			err = b.network.ConfigureReporting(ctx, w.ieee, w.endpoint, none...)
		}
		if err != nil && ctx.Err() == nil {
			b.log.Warn("a device could not be told to stop reporting", "device", b.nameOf(w.ieee), "cluster", zcl.ClusterName(w.cluster), "err", err)
		}
		b.refresh(w.ieee)
	}
}

// controlled says whether something is bound to a cluster of an endpoint, or to a group that
// it is in. The mutex is held.
func (b *Bridge) controlled(m member, cluster uint16) bool {
	groups := m.Endpoint(m.endpoint).Groups
	for _, d := range b.devices {
		for i := range d.Endpoints {
			for _, x := range d.Endpoints[i].Bindings {
				if x.Cluster == cluster && (x.Device == m.ieee && x.Endpoint == m.endpoint || x.Device == 0 && slices.Contains(groups, x.Group)) {
					return true
				}
			}
		}
	}
	return false
}

// wanted says whether a device's own definition sets the cluster up.
func (b *Bridge) wanted(m member, cluster uint16) bool {
	if m.definition == nil {
		return false
	}
	for _, step := range m.definition.Steps(b.context(m.device)) {
		if step.Endpoint == m.endpoint && (slices.Contains(step.Bind, cluster) ||
			slices.ContainsFunc(step.Report, func(r zigbee.Reporting) bool { return r.Cluster == cluster })) {
			return true
		}
	}
	return false
}
