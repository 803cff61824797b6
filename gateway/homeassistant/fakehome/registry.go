package fakehome

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// registry is what outlasts a restart: devices, and entities with what people did to them.
// Home.mu guards it.
type registry struct {
	devices map[string]*Device // by the first identifier
	entries map[string]*registryEntry
	// deleted are the entity ids of entries that are gone: who comes back gets
	// theirs again.
	deleted map[string]string
}

// Device is a device of the registry.
type Device struct {
	Identifiers  []string
	Name         string
	NameByUser   string
	Manufacturer string
	Model        string
	SWVersion    string
	ViaDevice    string
}

// registryEntry is what the registry keeps of an entity.
type registryEntry struct {
	Platform, UniqueID string
	EntityID           string
	Device             string
	Name               string // as discovered; empty: the device's
	Category           string
	Class              string
	Disabled           bool
}

func newRegistry() registry {
	return registry{make(map[string]*Device), make(map[string]*registryEntry), make(map[string]string)}
}

// device takes note of the device of a document, and returns what it is known by, empty
// if it has nothing to be known by.
func (r *registry) device(keys object) string {
	d, _ := keys["device"].(object)
	var ids []string
	switch v := d["identifiers"].(type) {
	case string:
		ids = []string{v}
	case []any:
		for _, id := range v {
			ids = append(ids, fmt.Sprint(id))
		}
	}
	if len(ids) == 0 {
		list, _ := d["connections"].([]any)
		for _, c := range list {
			ids = append(ids, fmt.Sprint(c))
		}
	}
	if len(ids) == 0 {
		return ""
	}
	known := r.devices[ids[0]]
	if known == nil {
		known = new(Device)
		r.devices[ids[0]] = known
	}
	text := func(key string) string { s, _ := d[key].(string); return s }
	known.Identifiers, known.Name, known.Manufacturer, known.Model = ids, text("name"), text("manufacturer"), text("model")
	known.SWVersion, known.ViaDevice = text("sw_version"), text("via_device")
	return ids[0]
}

// entry returns the entry of an entity, and makes it if it is new.
func (r *registry) entry(d *document, device string) *registryEntry {
	uid, _ := d.keys["unique_id"].(string)
	key := d.platform + " " + uid
	e := r.entries[key]
	if e == nil {
		e = &registryEntry{Platform: d.platform, UniqueID: uid, Disabled: d.keys["enabled_by_default"] == false}
		e.EntityID = r.deleted[key]
		if e.EntityID == "" || r.taken(e.EntityID) {
			e.EntityID = r.entityID(d, device)
		}
		delete(r.deleted, key)
		r.entries[key] = e
	}
	e.Device = device
	e.describe(d)
	return e
}

func (e *registryEntry) describe(d *document) {
	e.Name = entityName(d)
	e.Category, _ = d.keys["entity_category"].(string)
	e.Class, _ = d.keys["device_class"].(string)
}

// entityName is the name of an entity beside that of its device.
func entityName(d *document) string {
	name, has := d.keys["name"]
	if s, ok := name.(string); ok {
		return s
	}
	class, _ := d.keys["device_class"].(string)
	switch {
	case has: // null
		return ""
	case class != "":
		return strings.ReplaceAll(class, "_", " ")
	}
	return "MQTT " + d.platform
}

func (r *registry) entityID(d *document, device string) string {
	id, _ := d.keys["default_entity_id"].(string)
	if id == "" {
		object, _ := d.keys["object_id"].(string)
		if object == "" {
			name := entityName(d)
			if known := r.devices[device]; known != nil {
				of := known.NameByUser
				if of == "" {
					of = known.Name
				}
				name = of + " " + name
			}
			object = name
		}
		id = d.platform + "." + object
	}
	platform, object, _ := strings.Cut(id, ".")
	id = platform + "." + slug(object)
	for n, plain := 2, id; r.taken(id); n++ {
		id = fmt.Sprintf("%s_%d", plain, n)
	}
	return id
}

func (r *registry) taken(entityID string) bool {
	for _, e := range r.entries {
		if e.EntityID == entityID {
			return true
		}
	}
	return false
}

// slug is a name as a part of an entity id. Letters beyond ASCII, which Home
// Assistant transcribes, are left out.
func slug(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToLower(s), func(c rune) bool {
		return c > unicode.MaxASCII || c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}), "_")
	for strings.Contains(s, "__") {
		s = strings.ReplaceAll(s, "__", "_")
	}
	if s = strings.Trim(s, "_"); s == "" {
		return "unknown"
	}
	return s
}

// remove forgets an entity, but for its entity id.
func (r *registry) remove(e *registryEntry) {
	key := e.Platform + " " + e.UniqueID
	delete(r.entries, key)
	r.deleted[key] = e.EntityID
}

// cleanUp removes a device that has no entity any more that is enabled; those that are
// disabled go with it.
func (r *registry) cleanUp(device string) {
	var disabled []*registryEntry
	for _, e := range r.entries {
		switch {
		case e.Device != device:
		case !e.Disabled:
			return
		default:
			disabled = append(disabled, e)
		}
	}
	for _, e := range disabled {
		r.remove(e)
	}
	delete(r.devices, device)
}

// Devices returns the devices of the registry by their first identifier.
func (h *Home) Devices() map[string]Device {
	h.mu.Lock()
	defer h.mu.Unlock()
	devices := make(map[string]Device)
	for id, d := range h.registry.devices {
		devices[id] = *d
	}
	return devices
}

// Rename gives an entity another entity id, as a person does on its page.
func (h *Home) Rename(entityID, to string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.registry.taken(to) {
		return fmt.Errorf("%s is taken", to)
	}
	for _, e := range h.registry.entries {
		if e.EntityID == entityID {
			e.EntityID = to
			return nil
		}
	}
	return fmt.Errorf("there is no %s", entityID)
}

// Entity is an entity as a person sees it.
type Entity struct {
	UniqueID, EntityID string
	Platform           string
	Name               string // without the device's; empty: it is called as the device
	Category, Class    string
	Device             string // its first identifier
	Topic              string // of its document
	Keys               map[string]any

	Disabled   bool // it has an entry, and no state
	Restored   bool // from before the start, and not discovered since
	Available  bool
	State      string // unavailable, unknown, or what is known
	Attributes map[string]any
}

// Entities returns all entities, also those that are disabled, by their entity ids.
func (h *Home) Entities() []Entity {
	h.mu.Lock()
	defer h.mu.Unlock()
	var entities []Entity
	for _, key := range slices.Sorted(maps.Keys(h.registry.entries)) {
		entry := h.registry.entries[key]
		e := Entity{UniqueID: entry.UniqueID, EntityID: entry.EntityID, Platform: entry.Platform, Name: entry.Name,
			Category: entry.Category, Class: entry.Class, Device: entry.Device, Disabled: entry.Disabled, State: "unavailable"}
		var live *entity
		if h.life != nil {
			live = h.life.entities[key]
		}
		switch {
		case live != nil:
			e.Topic, e.Keys = live.document.topic, maps.Clone(live.document.keys)
			e.Available = live.available()
			if e.Available {
				e.State, e.Attributes = live.shown()
			}
		case !entry.Disabled:
			e.Restored = true
		}
		entities = append(entities, e)
	}
	slices.SortFunc(entities, func(a, b Entity) int { return strings.Compare(a.EntityID, b.EntityID) })
	return entities
}
