package z2m

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge/zigbee/devices"
)

// reason is why a state is published.
type reason int

const (
	changed   reason = iota // the device told it, or a command assumes it
	assumed                 // a group, or a member of one, makes it so
	cached                  // it is sent again
	seen                    // only last_seen is new
	debounced               // it has waited
)

// neverCached are of the moment, not of the state.
var neverCached = []string{
	"action", "action_.*", "button", "button_left", "button_right", "forgotten", "keyerror", "step_size",
	"step_mode", "transition_time", "group_list", "group_capacity", "no_occupancy_since", "elapsed",
	"from_side", "to_side", "illuminance_lux",
}

// patterns are compiled regular expressions by their text; users write them, and few.
var patterns sync.Map

// filter takes the keys away that one of the patterns matches whole. A pattern that is
// none matches nothing.
func filter(list []string, message map[string]any) {
	for _, text := range list {
		compiled, ok := patterns.Load(text)
		if !ok {
			r, err := regexp.Compile("^(?:" + text + ")$")
			if err != nil {
				r = nil
			}
			compiled = r
			patterns.Store(text, compiled)
		}
		r := compiled.(*regexp.Regexp)
		if r == nil {
			continue
		}
		maps.DeleteFunc(message, func(key string, _ any) bool { return r.MatchString(key) })
	}
}

// remember takes an update into the cache and returns all that is known, the update with
// it. The mutex is held.
func (b *Bridge) remember(e entity, update map[string]any) map[string]any {
	id := e.id()
	state := merge(b.states[id], update)
	keep := maps.Clone(state)
	filter(neverCached, keep)
	filter(texts(e.options(), "filtered_cache"), keep)
	b.states[id] = keep
	b.dirty[id] = true
	return state
}

// publishState publishes the state of a device or group after an update. The mutex
// is held.
func (b *Bridge) publishState(e entity, update map[string]any, why reason) {
	state := b.remember(e, update)
	if why == changed || why == debounced || why == seen {
		b.spread(e, update)
	}
	if d := e.device; d != nil && d.waiting != nil && why != debounced && why != seen {
		for key := range update {
			delete(d.waiting, key) // it is older
		}
	}
	message := maps.Clone(update)
	if b.settings.Advanced.CacheState {
		message = state
	}
	if message == nil {
		message = make(map[string]any)
	}
	b.complete(e, message)
	options := e.options()
	filter(texts(options, "filtered_attributes"), message)
	if len(message) == 0 {
		return
	}
	name := e.name()
	retain, qos := flag(options, "retain", false), mqtt.QoS(amount(options, "qos"))
	expiry := time.Duration(amount(options, "retention") * float64(time.Second))
	frame := frameOf(name, encode(message))
	output := b.settings.Advanced.Output
	if output != "attribute" {
		b.publish(name, encode(message), retain, qos, expiry, frame, false)
	} else {
		b.out.onlook(b.base+"/"+name, frame)
	}
	if output != "json" {
		for _, a := range attributes(name+"/", message) {
			b.publish(a.topic, []byte(a.payload), retain, qos, expiry, nil, true)
		}
	}
	b.publishExtras(e, message, output)
}

// complete adds to a message what is no part of the state.
func (b *Bridge) complete(e entity, message map[string]any) {
	d := e.device
	if d == nil {
		if b.o.HomeAssistant.Enabled {
			addHueSaturation(message)
		}
		return
	}
	if b.settings.MQTT.IncludeDeviceInformation {
		message["device"] = describe(d)
	}
	if seen := lastSeen(d.LastSeen, b.settings.Advanced.LastSeen); seen != nil {
		message["last_seen"] = seen
	}
	if d.LinkQuality != nil {
		message["linkquality"] = *d.LinkQuality
	}
	if !b.o.HomeAssistant.Enabled {
		return
	}
	for property, value := range d.unknown {
		if _, known := message[property]; !known {
			message[property] = value
		}
	}
	addHueSaturation(message)
	if d.definition != nil && d.definition.OTA {
		update, _ := object(message["update"])
		if update == nil {
			update = map[string]any{"state": nil}
		}
		if update["latest_version"] == nil {
			update = maps.Clone(update)
			update["installed_version"], update["latest_version"] = -1, -1
		}
		message["update"] = update
	}
}

// addHueSaturation copies hue and saturation to the names that lights of Home
// Assistant have for them.
func addHueSaturation(message map[string]any) {
	color, ok := object(message["color"])
	if !ok {
		return
	}
	color = maps.Clone(color)
	if hue, ok := color["hue"]; ok {
		color["h"] = hue
	}
	if saturation, ok := color["saturation"]; ok {
		color["s"] = saturation
	}
	message["color"] = color
}

// lastSeen writes a time as the setting wants it; nil: not at all.
func lastSeen(t time.Time, form string) any {
	if t.IsZero() {
		return nil
	}
	switch form {
	case "ISO_8601":
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	case "ISO_8601_local":
		return t.Local().Format("2006-01-02T15:04:05-07:00")
	case "epoch":
		return t.UnixMilli()
	}
	return nil
}

func describe(d *device) map[string]any {
	info := map[string]any{
		"friendlyName": d.name(), "ieeeAddr": d.ieee, "networkAddress": d.NetworkAddress,
		"type": d.Type, "manufacturerID": d.ManufacturerCode,
	}
	if d.definition != nil {
		info["model"] = d.definition.Model
	}
	for key, text := range map[string]string{
		"manufacturerName": strings.TrimRight(d.ManufacturerName, "\x00"), "powerSource": d.PowerSource,
		"dateCode": d.DateCode, "softwareBuildID": d.SoftwareBuildID,
	} {
		if text != "" {
			info[key] = text
		}
	}
	for key, n := range map[string]*uint8{
		"applicationVersion": d.ApplicationVersion, "stackVersion": d.StackVersion,
		"zclVersion": d.ZCLVersion, "hardwareVersion": d.HardwareVersion,
	} {
		if n != nil {
			info[key] = *n
		}
	}
	return info
}

// attribute is one value of a state with a topic of its own.
type attribute struct{ topic, payload string }

// attributes takes a message apart: an object into its members, joined by a
// hyphen. null is an empty payload.
func attributes(prefix string, message map[string]any) []attribute {
	var list []attribute
	for _, key := range slices.Sorted(maps.Keys(message)) {
		value := message[key]
		if o, ok := object(value); ok {
			if r, g, bl := o["r"], o["g"], o["b"]; key == "color" && r != nil && g != nil && bl != nil {
				value = []any{r, g, bl}
			} else {
				list = append(list, attributes(prefix+key+"-", o)...)
				continue
			}
		}
		list = append(list, attribute{prefix + key, attributeText(value)})
	}
	return list
}

func attributeText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = attributeText(x)
		}
		return strings.Join(parts, ",")
	}
	text := string(encode(value))
	if unquoted, err := strconv.Unquote(text); err == nil { // a type whose text JSON quotes
		return unquoted
	}
	return text
}

// publishExtras publishes what Home Assistant cannot take out of a JSON message: actions,
// and the states of the endpoints of lights and covers.
func (b *Bridge) publishExtras(e entity, message map[string]any, output string) {
	d := e.device
	if d == nil || d.definition == nil {
		return
	}
	action, _ := message["action"].(string)
	if action != "" && !d.actions[action] && len(d.actions) < maxActions {
		d.actions[action] = true
		b.discover(e, false)
	}
	if !b.o.HomeAssistant.Enabled {
		return
	}
	for _, endpoint := range endpointTopics(d.definition) {
		part := make(map[string]any)
		for key, value := range message {
			if name, ok := strings.CutSuffix(key, "_"+endpoint); ok {
				part[name] = value
			}
		}
		b.publish(d.name()+"/"+endpoint, encode(part), false, 0, 0, nil, true)
	}
	if action != "" && output == "json" {
		b.publish(d.name()+"/action", []byte(action), false, 0, 0, nil, true)
	}
}

// maxActions is how many actions of a device are remembered.
const maxActions = 256

// endpointTopics are the endpoints that are lights or covers of their own.
func endpointTopics(d *devices.Definition) []string {
	var list []string
	for _, e := range d.Exposes {
		if (e.Type == "light" || e.Type == "cover") && e.Endpoint != "" {
			list = append(list, e.Endpoint)
		}
	}
	return list
}

// publishCached sends all states again.
func (b *Bridge) publishCached() {
	for _, d := range b.sortedDevices() {
		if b.states[d.ieee.String()] != nil {
			b.publishState(entity{device: d}, nil, cached)
		}
	}
	for _, g := range b.sortedGroups() {
		if b.states[entityID(g.id)] != nil {
			b.publishState(entity{group: g}, nil, cached)
		}
	}
}
