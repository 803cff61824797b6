package homeassistant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"lintel/serialbridge/zigbee/devices"
)

// ZigbeeOptions say how the documents of the Zigbee network are addressed. An owner
// who comes from zigbee2mqtt keeps entities and history only if BaseTopic and
// Coordinator are what they were there: both are part of unique ids.
type ZigbeeOptions struct {
	Prefix      string // discovery prefix; empty is "homeassistant"
	BaseTopic   string // empty is "zigbee2mqtt"
	Coordinator string // its IEEE address, 0x…
	Version     string // of Lintel
	URL         string // of the front end, with a scheme; may be empty
	LastSeen    string // disable, ISO_8601, ISO_8601_local or epoch; empty: disable
	// LegacyActionSensor makes a sensor of action too.
	LegacyActionSensor bool

	CoordinatorType, CoordinatorRevision string // of the bridge's device
}

// ZigbeeEntity is a device or a group of the Zigbee network.
type ZigbeeEntity struct {
	ID    string // IEEE address, or the number of a group
	Group bool
	Name  string // friendly name

	Model, Vendor, Description string // of the definition
	Exposes                    []*devices.Expose
	SoftwareBuildID            string
	HardwareVersion            *uint8
	OTA                        bool
	Disabled                   bool
	Availability               bool // it has an availability topic
	Scenes                     []ZigbeeScene

	// Members are the exposes of each member of a group, in order.
	Members []ZigbeeMember

	// Overrides is the option homeassistant of the user: keys for all documents,
	// and objects or null by object.
	Overrides map[string]any
}

// ZigbeeMember is an endpoint of a device that is in a group.
type ZigbeeMember struct {
	Device   string // IEEE address
	Endpoint string // name of the endpoint, empty for the default one
	Exposes  []*devices.Expose
}

// ZigbeeScene is a scene that an endpoint or a group holds.
type ZigbeeScene struct {
	ID   int
	Name string
}

// ZigbeeDocument is a discovery document in the component form. It is
// published with quality of service 1, retained.
type ZigbeeDocument struct {
	Topic   string
	Payload []byte
	// Unknown are the properties that templates ask for: they are null in the
	// state as long as they are not known, or what stands here.
	Unknown map[string]any
	// Object is the last level but one of the topic.
	Object string
}

// zigbeeEntry is a document in the making.
type zigbeeEntry struct {
	platform, object string
	endpoint         string // that commands and the light's state are for
	unknown          map[string]any
	keys             map[string]any
	suffix           string // of default_entity_id, of a scene
}

// zigbeeMaker makes the documents of one entity.
type zigbeeMaker struct {
	o ZigbeeOptions
	e ZigbeeEntity
}

// ZigbeeDocuments returns the discovery documents of a device or a group, as
// zigbee2mqtt would name them: a unique id is ID_OBJECT_BASETOPIC.
func ZigbeeDocuments(o ZigbeeOptions, e ZigbeeEntity) ([]ZigbeeDocument, error) {
	o = o.withDefaults()
	m := &zigbeeMaker{o: o, e: e}
	if v, ok := e.Overrides[zigbeeExcluded]; ok && v == nil {
		return nil, nil
	}
	var entries []*zigbeeEntry
	if e.Group {
		entries = m.group()
	} else {
		for _, x := range e.Exposes {
			entries = append(entries, m.expose(x, []*devices.Expose{x}, e.Exposes)...)
		}
		if o.LastSeen != "disable" {
			entries = append(entries, m.lastSeen())
		}
		if e.OTA {
			entries = append(entries, m.update())
		}
	}
	for _, s := range e.Scenes {
		entries = append(entries, m.scene(s))
	}
	var documents []ZigbeeDocument
	for _, entry := range entries {
		override, set := e.Overrides[entry.object]
		if set && override == nil {
			continue
		}
		d, err := m.document(entry, override)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

// zigbeeExcluded is the key under which Overrides holds null if the user wants the
// whole entity left out.
const zigbeeExcluded = ""

func (o ZigbeeOptions) withDefaults() ZigbeeOptions {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.BaseTopic == "" {
		o.BaseTopic = "zigbee2mqtt"
	}
	if o.LastSeen == "" {
		o.LastSeen = "disable"
	}
	return o
}

// encoded is the base topic as zigbee2mqtt writes it in topics of discovery: the
// decimal codes of its characters.
func (o ZigbeeOptions) encoded() string {
	var b strings.Builder
	for _, r := range o.BaseTopic {
		fmt.Fprint(&b, r)
	}
	return b.String()
}

func (m *zigbeeMaker) base() string { return m.o.BaseTopic + "/" + m.e.Name }

// state returns the topic of the state.
func (m *zigbeeMaker) state() string { return m.base() }

// set returns the topic of commands, for an endpoint and a property, each of which
// may be empty.
func (m *zigbeeMaker) set(endpoint, property string) string {
	topic := m.base()
	if endpoint != "" {
		topic += "/" + endpoint
	}
	topic += "/set"
	if property != "" {
		topic += "/" + property
	}
	return topic
}

// document finishes an entry: what all documents have, and what the user wants
// otherwise.
func (m *zigbeeMaker) document(entry *zigbeeEntry, override any) (ZigbeeDocument, error) {
	own, _ := override.(map[string]any)
	if s, ok := own["object_id"].(string); ok && s != "" {
		entry.object = s
	}
	if s, ok := own["type"].(string); ok && s != "" {
		entry.platform = s
	}
	keys := entry.keys
	if _, said := keys["state_topic"]; !said {
		keys["state_topic"] = m.state()
	} else if keys["state_topic"] == nil {
		delete(keys, "state_topic")
	}
	device := m.device()
	objectID := slug(fmt.Sprint(device["name"]))
	switch {
	case !strings.HasPrefix(entry.object, entry.platform):
		objectID += "_" + entry.object
	case strings.Contains(entry.object, "_"):
		_, rest, _ := strings.Cut(entry.object, "_")
		objectID += "_" + rest
	}
	objectID += entry.suffix
	keys["object_id"] = objectID
	keys["default_entity_id"] = entry.platform + "." + objectID
	keys["unique_id"] = m.e.ID + "_" + entry.object + "_" + m.o.BaseTopic
	keys["device"] = device
	keys["origin"] = m.o.origin()
	keys["availability"] = m.availability(keys)
	if m.e.Group {
		if ids := m.memberIDs(entry.platform); len(ids) > 0 {
			keys["group"] = ids
		}
	}
	for key, value := range modelKeys[m.e.Model+" "+entry.object] {
		keys[key] = value
	}
	if _, ok := keys["mode_command_template"]; ok {
		keys["mode_command_topic"] = m.set("", "")
	}
	amend(keys, m.e.Overrides, true)
	amend(keys, own, false)

	node := m.e.ID
	if m.e.Group {
		node = m.o.encoded() + "_" + m.e.ID
	}
	payload, err := marshal(keys)
	if err != nil {
		return ZigbeeDocument{}, fmt.Errorf("discovery of %s, %s: %w", m.e.Name, entry.object, err)
	}
	return ZigbeeDocument{
		Topic:   m.o.Prefix + "/" + entry.platform + "/" + node + "/" + level(entry.object) + "/config",
		Payload: payload,
		Unknown: entry.unknown,
		Object:  entry.object,
	}, nil
}

// level is an object as a level of a discovery topic: Home Assistant does not look at
// topics with other characters, such as those of "ntc status".
func level(object string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, object)
}

// marshal writes JSON with sorted keys and without the escapes that are meant for
// web pages.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// availability is when Home Assistant takes the entity for there.
func (m *zigbeeMaker) availability(keys map[string]any) []map[string]any {
	topics := []map[string]any{{"topic": m.o.BaseTopic + "/bridge/state"}}
	if m.e.Availability {
		topics = append(topics, map[string]any{"topic": m.base() + "/availability"})
		keys["availability_mode"] = "all"
	}
	template := "{{ value_json.state }}"
	if m.e.Disabled {
		template = `{{ "offline" }}`
	}
	for _, t := range topics {
		t["value_template"] = template
	}
	return topics
}

// device is the device that the entities belong to.
func (m *zigbeeMaker) device() map[string]any {
	name := m.e.Name
	if s, ok := m.e.Overrides["name"].(string); ok {
		name = s
	}
	d := map[string]any{"name": name, "via_device": m.o.bridgeIdentifier()}
	path := "/#/device/0/" + m.e.ID + "/info"
	if m.e.Group {
		d["identifiers"] = []string{"zigbee2mqtt_" + m.o.encoded() + "_" + m.e.ID}
		d["model"], d["manufacturer"] = "Group", "Lintel"
		d["sw_version"] = m.o.Version
		path = "/#/group/0/" + m.e.ID
	} else {
		d["identifiers"] = []string{"zigbee2mqtt_" + m.e.ID}
		d["model"], d["model_id"], d["manufacturer"] = m.e.Description, m.e.Model, m.e.Vendor
		if m.e.SoftwareBuildID != "" {
			d["sw_version"] = m.e.SoftwareBuildID
		}
		if m.e.HardwareVersion != nil {
			d["hw_version"] = *m.e.HardwareVersion
		}
	}
	if m.o.URL != "" {
		d["configuration_url"] = strings.TrimSuffix(m.o.URL, "/") + path
	}
	return d
}

// origin says who publishes the documents.
func (o ZigbeeOptions) origin() map[string]any {
	m := map[string]any{"name": "Lintel"}
	if o.Version != "" {
		m["sw"] = o.Version
	}
	return m
}

func (o ZigbeeOptions) bridgeIdentifier() string { return "zigbee2mqtt_bridge_" + o.Coordinator }

// slug is a name as zigbee2mqtt makes it a part of an entity id.
func slug(name string) string {
	return strings.ToLower(strings.Join(strings.Fields(" "+name+" "), "_"))
}

// amend puts the user's keys into a document; null takes one away. Those of all
// documents leave the name alone: it is that of the device.
func amend(keys, user map[string]any, all bool) {
	for key, value := range user {
		switch value := value.(type) {
		case map[string]any:
			if device, ok := keys["device"].(map[string]any); ok && key == "device" {
				maps.Copy(device, value)
			}
		case nil:
			if key != zigbeeExcluded {
				delete(keys, key)
			}
		default:
			if key != "type" && key != "object_id" && (key != "name" || !all) {
				keys[key] = value
			}
		}
	}
}

// lastSeen is the sensor of when the device was heard.
func (m *zigbeeMaker) lastSeen() *zigbeeEntry {
	keys := map[string]any{
		"name": "Last seen", "value_template": "{{ value_json.last_seen }}", "icon": "mdi:clock",
		"enabled_by_default": false, "entity_category": "diagnostic",
	}
	if strings.HasPrefix(m.o.LastSeen, "ISO_8601") {
		keys["device_class"] = "timestamp"
	}
	return &zigbeeEntry{platform: "sensor", object: "last_seen", unknown: map[string]any{"last_seen": nil}, keys: keys}
}

// update is the entity that updates the firmware of the device.
func (m *zigbeeMaker) update() *zigbeeEntry {
	return &zigbeeEntry{
		platform: "update", object: "update",
		unknown: map[string]any{"update": map[string]any{"state": nil}},
		keys: map[string]any{
			"name": nil, "device_class": "firmware", "entity_category": "config",
			"command_topic":   m.o.BaseTopic + "/bridge/request/device/ota_update/update",
			"payload_install": `{"id": "` + m.e.ID + `"}`,
			"value_template": `{% set u = value_json['update'] %}{{ {'installed_version': u.installed_version | string, ` +
				`'latest_version': u.latest_version | string, 'in_progress': u.state == 'updating', ` +
				`'update_percentage': u.progress if u.progress is defined else none} | to_json }}`,
		},
	}
}

func (m *zigbeeMaker) scene(s ZigbeeScene) *zigbeeEntry {
	return &zigbeeEntry{
		platform: "scene", object: "scene_" + strconv.Itoa(s.ID), suffix: "_" + slug(s.Name),
		keys: map[string]any{
			"name": s.Name, "state_topic": nil, "command_topic": m.set("", ""),
			"payload_on": fmt.Sprintf(`{ "scene_recall": %d }`, s.ID),
		},
	}
}

// zigbeeTrigger returns the document that offers an action of a device, such as the
// press of a button, to automations of Home Assistant.
func zigbeeTrigger(o ZigbeeOptions, e ZigbeeEntity, action string) (ZigbeeDocument, error) {
	o = o.withDefaults()
	m := &zigbeeMaker{o: o, e: e}
	payload, err := marshal(map[string]any{
		"automation_type": "trigger", "type": "action", "subtype": action, "payload": action,
		"topic": m.base() + "/action", "device": m.device(), "origin": o.origin(),
	})
	object := "action_" + action
	return ZigbeeDocument{Topic: o.Prefix + "/device_automation/" + e.ID + "/" + level(object) + "/config", Payload: payload, Object: object}, err
}
