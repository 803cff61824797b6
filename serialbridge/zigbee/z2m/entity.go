package z2m

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
	"lintel/serialbridge/zigbee/zcl"
)

// coordinatorName is the friendly name of the stick.
const coordinatorName = "Coordinator"

// defaultBindGroup is where remotes are bound to that have nobody to talk to: some
// say nothing at all unless they are bound.
const (
	defaultBindGroup     = 901
	defaultBindGroupName = "default_bind_group"
)

// device is what the bridge knows of a device. It is guarded by Bridge.mu.
type device struct {
	ieee zigbee.IEEEAddress // never changed, so that it may be read at any time
	zigbee.Device
	own     map[string]any // what is set for it
	options map[string]any // and for all devices

	definition *devices.Definition // nil: not interviewed, or not known
	resolved   string              // what the definition was found by
	exposes    json.RawMessage     // of the definition
	choices    json.RawMessage     // its options
	kind       string              // see DeviceSummary
	unknown    map[string]any      // what Home Assistant has to see of properties that nobody knows yet

	memory        map[string]any // of the traits
	previous      time.Time      // last message with a value, for elapsed
	waiting       map[string]any // debounced or throttled
	waitingNumber uint64         // of the journey of the last of them; 0: nobody follows it
	sent          time.Time      // when the last one of throttled messages went out
	online        bool           // as the network has it
	told          onlineTold
	actions       map[string]bool
	learner       *devices.Learner // nil: nothing is to be learnt, or nothing was heard yet

	counted     counted
	configuring bool
	attempts    int    // to configure it, in vain
	setupError  string // why the last of them has failed
	failure     Failure
}

// group is a group of endpoints. Who is in it stands with the endpoints.
type group struct {
	id      uint16
	own     map[string]any
	told    onlineTold
	assumed map[string]any // what its members made of it last
	memory  map[string]any // what traits keep for it
}

// entity is a device, a group, or the coordinator if it is neither.
type entity struct {
	device *device
	group  *group
}

func entityID(group uint16) string { return strconv.Itoa(int(group)) }

// id is the key of the cache.
func (e entity) id() string {
	if e.device != nil {
		return e.device.ieee.String()
	}
	return entityID(e.group.id)
}

func (e entity) options() map[string]any {
	if e.device != nil {
		return e.device.options
	}
	return e.group.own
}

func (e entity) name() string {
	switch {
	case e.device != nil:
		return e.device.name()
	case e.group != nil:
		return e.group.name()
	}
	return coordinatorName
}

func (d *device) name() string {
	if name, ok := d.own["friendly_name"].(string); ok && name != "" {
		return name
	}
	return d.ieee.String()
}

func (g *group) name() string {
	if name, ok := g.own["friendly_name"].(string); ok && name != "" {
		return name
	}
	return entityID(g.id)
}

func flag(options map[string]any, key string, otherwise bool) bool {
	if v, ok := options[key].(bool); ok {
		return v
	}
	return otherwise
}

func amount(options map[string]any, key string) float64 {
	n, _ := zcl.Float(options[key])
	return n
}

func texts(options map[string]any, key string) []string {
	var list []string
	switch v := options[key].(type) {
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				list = append(list, s)
			}
		}
	case []string:
		list = v
	}
	return list
}

func (d *device) disabled() bool { return flag(d.options, "disabled", false) }

// take takes what the network tells of a device. The mutex is held.
func (b *Bridge) take(told zigbee.Device) *device {
	d := b.devices[told.IEEEAddress]
	if d == nil {
		d = &device{ieee: told.IEEEAddress, memory: make(map[string]any), actions: make(map[string]bool)}
		b.devices[told.IEEEAddress] = d
		set := b.deviceSets[told.IEEEAddress]
		d.own, d.options = set, merge(b.settings.DeviceOptions, set)
	}
	if told.Revision < d.Revision {
		return d // what was refreshed since is newer
	}
	same := d.resolved != "" && sameThing(&d.Device, &told)
	d.Device = told
	if same {
		return d
	}
	key := ""
	if told.Interview == zigbee.Successful || told.Interview == zigbee.Failed && told.ModelID != "" {
		key = fmt.Sprint(told.ModelID, "\x00", told.ManufacturerName, "\x00", told.SoftwareBuildID, "\x00", told.Type, told.PowerSource, endpointsKey(told.Endpoints))
	}
	if key != d.resolved {
		d.resolved = key
		d.definition, d.exposes, d.choices, d.unknown, d.kind = nil, nil, nil, nil, ""
		if key != "" {
			d.setDefinition(b.o.Resolve(&d.Device))
		}
		b.adopt(d)
	}
	return d
}

// sameThing says that what definitions are found by is the same, if that can be seen at
// once: it is asked for each message. The network does not change endpoints in place.
func sameThing(x, y *zigbee.Device) bool {
	return x.Interview == y.Interview && x.ModelID == y.ModelID && x.ManufacturerName == y.ManufacturerName &&
		x.SoftwareBuildID == y.SoftwareBuildID && x.Type == y.Type && x.PowerSource == y.PowerSource &&
		len(x.Endpoints) == len(y.Endpoints) && (len(x.Endpoints) == 0 || &x.Endpoints[0] == &y.Endpoints[0])
}

func endpointsKey(endpoints []zigbee.Endpoint) string {
	var text strings.Builder
	for _, e := range endpoints {
		fmt.Fprint(&text, e.ID, e.DeviceID, e.Input, e.Output)
	}
	return text.String()
}

func (d *device) setDefinition(def *devices.Definition) {
	d.definition, d.kind = def, kindOf(def)
	if def == nil {
		return
	}
	def.Exposes = append(slices.Clip(def.Exposes), devices.LinkQuality())
	list := func(e []*devices.Expose) json.RawMessage {
		if e == nil {
			e = []*devices.Expose{}
		}
		return encode(plain(e))
	}
	d.exposes, d.choices = list(def.Exposes), list(def.Options)
}

func (b *Bridge) sortedDevices() []*device {
	return slices.SortedFunc(maps.Values(b.devices), func(x, y *device) int { return cmp.Compare(x.ieee, y.ieee) })
}

func (b *Bridge) sortedGroups() []*group {
	return slices.SortedFunc(maps.Values(b.groups), func(x, y *group) int { return cmp.Compare(x.id, y.id) })
}

// resolve finds what somebody means by a name, an address or a number. The mutex
// is held.
func (b *Bridge) resolve(id string) (entity, bool) {
	if ieee, err := zigbee.ParseIEEEAddress(id); err == nil {
		if d := b.devices[ieee]; d != nil {
			return entity{device: d}, true
		}
		info, _, _ := b.network.Info()
		if ieee == info.IEEEAddress && ieee != 0 {
			return entity{}, true
		}
	}
	if strings.EqualFold(id, coordinatorName) {
		return entity{}, true
	}
	for _, d := range b.devices {
		if d.name() == id {
			return entity{device: d}, true
		}
	}
	for _, g := range b.groups {
		if g.name() == id {
			return entity{group: g}, true
		}
	}
	if n, err := strconv.ParseUint(id, 10, 16); err == nil {
		if g := b.groups[uint16(n)]; g != nil {
			return entity{group: g}, true
		}
	}
	return entity{}, false
}

// endpoint finds the endpoint that somebody means by a number or a name; "" and
// "default" are that which the definition says, or the first one.
func (d *device) endpoint(key string) *zigbee.Endpoint {
	var named map[string]uint8
	if d.definition != nil {
		named = d.definition.Endpoints
	}
	if key == "" || key == "default" {
		if id, ok := named["default"]; ok {
			return d.Endpoint(id)
		}
		if len(d.Endpoints) > 0 {
			return &d.Endpoints[0]
		}
		return nil
	}
	if n, err := strconv.ParseUint(key, 10, 8); err == nil {
		return d.Endpoint(uint8(n))
	}
	if id, ok := named[key]; ok {
		return d.Endpoint(id)
	}
	return nil
}

// endpointName is what the definition calls an endpoint, or "".
func (d *device) endpointName(id uint8) string {
	if d.definition == nil {
		return ""
	}
	found := ""
	for name, e := range d.definition.Endpoints {
		if e == id && name != "default" && (found == "" || name < found) {
			found = name
		}
	}
	return found
}

// checkName says why a name cannot be that of a device or a group.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("friendly_name must be at least 1 char long")
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/"):
		return errors.New("friendly_name is not allowed to end or start with /")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("friendly_name is not allowed to contain control characters")
	case strings.ContainsAny(name, "+#"):
		return fmt.Errorf("friendly_name %q is not allowed to contain the wildcards + and #", name)
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 && strings.Trim(name[i+1:], "0123456789") == "" {
		return fmt.Errorf("friendly_name %q cannot end with a slash and digits: that is an endpoint", name)
	}
	const longest = 1024
	if len(name) > longest {
		return fmt.Errorf("friendly_name is longer than %d bytes", longest)
	}
	return nil
}

// checkNewName is checkName for a name that nobody must have.
func (b *Bridge) checkNewName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if _, taken := b.resolve(name); taken {
		return fmt.Errorf("friendly_name '%s' is already in use", name)
	}
	return nil
}

// member is an endpoint in a group.
type member struct {
	*device
	endpoint uint8
}

// groupsOf returns the groups that a device is in, by number. The mutex is held.
func (b *Bridge) groupsOf(d *device) []*group {
	return slices.DeleteFunc(b.sortedGroups(), func(g *group) bool {
		return !slices.ContainsFunc(d.Endpoints, func(e zigbee.Endpoint) bool { return slices.Contains(e.Groups, g.id) })
	})
}

// members returns who is in a group. The mutex is held.
func (b *Bridge) members(group uint16) []member {
	var list []member
	for _, d := range b.sortedDevices() {
		for i := range d.Endpoints {
			if slices.Contains(d.Endpoints[i].Groups, group) {
				list = append(list, member{d, d.Endpoints[i].ID})
			}
		}
	}
	return list
}
