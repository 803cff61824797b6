package fakehome

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"lintel/gateway/homeassistant/judge"
)

const maxComponents = 1000

// component is what Home Assistant knows an entity by while it is discovered: platform,
// and the levels of the topic with the key of the component behind them.
type component struct{ platform, id string }

// document is what is said of one component.
type document struct {
	component
	topic string
	keys  object // by their long names; nil: it is to go
	raw   object // as it came, to tell a change
}

type object = map[string]any

var discoveryTopic = regexp.MustCompile(`^(\w+)/(?:([a-zA-Z0-9_-]+)/)?([a-zA-Z0-9_-]+)/config$`)

// inherited are the keys of the root of the device form that components take over.
var inherited = []string{"availability", "availability_topic", "availability_mode", "availability_template",
	"payload_available", "payload_not_available", "command_topic", "state_topic", "encoding"}

// discovered takes a discovery message. The caller holds the lock.
func (l *life) discovered(m message) {
	l.lastDiscovery = time.Now()
	match := discoveryTopic.FindStringSubmatch(strings.TrimPrefix(m.topic, l.h.o.Prefix+"/"))
	if match == nil {
		l.h.complain(Refused, m.topic, "illegal characters in the topic")
		return
	}
	platform, id := match[1], match[3]
	if match[2] != "" {
		id = match[2] + " " + id
	}
	var root object
	var lost map[string]string // components that are refused by themselves
	if m.payload != "" {
		verdict := judge.Judge(m.topic, []byte(m.payload))
		for _, key := range verdict.Dropped {
			l.h.complain(Dropped, m.topic, "%s", key)
		}
		for _, warning := range verdict.Warnings {
			l.h.complain(Warning, m.topic, "%s", warning)
		}
		for id, reason := range verdict.Lost {
			l.h.complain(Refused, m.topic, "%s: %s", id, reason)
		}
		if !verdict.Accepted {
			l.h.complain(Refused, m.topic, "%s", verdict.Reason)
			return
		}
		lost = verdict.Lost
		if err := json.Unmarshal([]byte(m.payload), &root); err != nil {
			l.h.complain(Refused, m.topic, "no JSON object: %v", err)
			return
		}
	}
	if platform != "device" {
		d := &document{component: component{platform, id}, topic: m.topic, raw: root}
		if len(root) > 0 {
			d.keys = judge.Unfold(root)
		}
		l.process(d)
		return
	}
	documents, err := l.split(m.topic, id, root)
	if err != nil {
		l.h.complain(Refused, m.topic, "%v", err)
		return
	}
	for _, d := range documents {
		if _, ok := lost[strings.TrimPrefix(d.id, id+" ")]; ok {
			continue
		}
		if !l.process(d) {
			// Here Home Assistant stops going through the list.
			return
		}
	}
}

// split returns the components of a document of the device form, in the order of their keys.
func (l *life) split(topic, id string, root object) ([]*document, error) {
	if len(root) == 0 { // the device is to go
		var documents []*document
		for c := range l.known {
			if strings.HasPrefix(c.id, id+" ") {
				documents = append(documents, &document{component: c, topic: topic})
			}
		}
		return documents, nil
	}
	root = judge.Unfold(root)
	if root["~"] != nil || root["device"] == nil || root["origin"] == nil {
		return nil, fmt.Errorf("the root needs device and origin")
	}
	components, ok := root["components"].(object)
	if !ok || len(components) > maxComponents {
		return nil, fmt.Errorf("the root needs components, at most %d", maxComponents)
	}
	var documents []*document
	for _, key := range slices.Sorted(maps.Keys(components)) {
		raw, ok := components[key].(object)
		if !ok {
			return nil, fmt.Errorf("%s is no object", key)
		}
		keys := judge.Unfold(raw)
		platform, _ := keys["platform"].(string)
		if !slices.Contains(platforms, platform) {
			return nil, fmt.Errorf("%s: platform %q", key, platform)
		}
		d := &document{component: component{platform, id + " " + key}, topic: topic}
		if len(keys) > 1 {
			if entityPlatform(platform) && keys["unique_id"] == nil {
				return nil, fmt.Errorf("%s has no unique_id", key)
			}
			keys["device"], keys["origin"] = root["device"], root["origin"]
			own := keys["availability"] != nil || keys["availability_topic"] != nil
			for _, k := range inherited {
				if _, has := keys[k]; !has && root[k] != nil && !(own && strings.HasPrefix(k, "availability")) {
					keys[k] = root[k]
				}
			}
			d.keys, d.raw = keys, keys
		}
		documents = append(documents, d)
	}
	return documents, nil
}

func entityPlatform(platform string) bool {
	return platform != "tag" && platform != "device_automation"
}

// process begins to work on a document, or queues it behind one of the same component
// that is pending; then it returns false. The caller holds the lock.
func (l *life) process(d *document) bool {
	if queue := l.pending[d.component]; queue != nil {
		*queue = append(*queue, d)
		return false
	}
	l.begin(d)
	return true
}

// begin works on a document. The caller holds the lock.
func (l *life) begin(d *document) {
	e := l.known[d.component]
	if d.keys == nil && e == nil {
		return // nothing is known of it
	}
	l.pending[d.component] = new([]*document)
	t := l.h.o.Timing
	wait := t.Add
	if d.keys != nil {
		ready, ok := l.loaded[d.platform]
		if !ok {
			ready = time.Now().Add(t.Load)
			l.loaded[d.platform] = ready
		}
		wait += max(0, time.Until(ready))
	}
	switch {
	case d.keys == nil:
		l.after(wait, func() { l.remove(e); l.done(d) })
	case e != nil && reflect.DeepEqual(e.document.raw, d.raw):
		l.done(d)
	case e != nil:
		l.after(wait, func() { l.update(e, d); l.done(d) })
	default:
		l.known[d.component] = &entity{life: l, document: d}
		l.after(wait, func() { l.add(d); l.done(d) })
	}
}

// done ends the work on a component, or takes the next document of its queue. The caller
// holds the lock.
func (l *life) done(d *document) {
	queue := l.pending[d.component]
	delete(l.pending, d.component)
	if queue == nil {
		return
	}
	for i, next := range *queue {
		l.begin(next)
		if now := l.pending[d.component]; now != nil {
			*now = append(*now, (*queue)[i+1:]...)
			return
		}
	}
}

// add makes the entity of a component. The caller holds the lock.
func (l *life) add(d *document) {
	e := l.known[d.component]
	device := l.h.registry.device(d.keys)
	if !entityPlatform(d.platform) {
		e.device = device
		e.setup()
		return
	}
	if device == "" && d.keys["device"] != nil {
		l.h.complain(Refused, d.topic, "device without identifiers")
		delete(l.known, d.component)
		return
	}
	e.uniqueID, _ = d.keys["unique_id"].(string)
	if e.uniqueID == "" { // it could not be kept
		l.h.complain(Refused, d.topic, "%s: no unique_id", d.id)
		delete(l.known, d.component)
		return
	}
	key := d.platform + " " + e.uniqueID
	if other := l.entities[key]; other != nil {
		l.h.complain(Duplicate, d.topic, "%s, which %s has", key, other.document.topic)
		delete(l.known, d.component)
		return
	}
	if category := d.keys["entity_category"]; category == "config" && (d.platform == "sensor" || d.platform == "binary_sensor") {
		l.h.complain(Refused, d.topic, "%s: a sensor cannot be of the category config", key)
		delete(l.known, d.component)
		return
	}
	e.entry = l.h.registry.entry(d, device)
	e.device = device
	if e.entry.Disabled {
		delete(l.known, d.component)
		return
	}
	l.entities[key] = e
	e.setup()
}

// update gives an entity another version of its document. The caller holds the lock.
func (l *life) update(e *entity, d *document) {
	if e.document.topic != d.topic {
		l.h.complain(Duplicate, d.topic, "%s was discovered at %s", d.id, e.document.topic)
		return
	}
	if uid, _ := d.keys["unique_id"].(string); uid != e.uniqueID {
		l.h.complain(Duplicate, d.topic, "unique id %q became %q", e.uniqueID, uid)
		return
	}
	e.document = d
	l.h.registry.device(d.keys)
	if e.entry != nil {
		e.entry.describe(d)
	}
	e.setup()
}

// remove takes an entity away, with what the registry has of it. The caller holds the lock.
func (l *life) remove(e *entity) {
	for _, s := range e.subscriptions {
		l.unsubscribe(s)
	}
	delete(l.known, e.document.component)
	if e.entry != nil {
		delete(l.entities, e.entry.Platform+" "+e.entry.UniqueID)
		l.h.registry.remove(e.entry)
	}
	if e.device == "" {
		return
	}
	for _, other := range l.known {
		if other.device == e.device && other.entry == nil && other != e {
			return // a trigger of the device is left
		}
	}
	l.h.registry.cleanUp(e.device)
}
