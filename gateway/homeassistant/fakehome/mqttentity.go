package fakehome

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// entity is an entity while Home Assistant runs, or a trigger of an automation or a tag.
// Home.mu guards it.
type entity struct {
	life     *life
	document *document
	uniqueID string
	device   string
	entry    *registryEntry // nil: no entity

	subscriptions map[string]*subscription // by what they are for

	heard   map[string]bool // by topic: whether it is available as far as that topic says
	latest  bool            // what was heard last
	expires uint64          // counts messages of a state that expires
	expired bool

	state      any // nil: unknown
	attributes map[string]any
}

// text returns a key of the document as Home Assistant makes a text of it.
func (e *entity) text(key, missing string) string {
	return configText(e.document.keys[key], missing)
}

func configText(v any, missing string) string {
	switch v := v.(type) {
	case nil:
		return missing
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// number returns a key of the document as a number; climates say theirs as texts.
func (e *entity) number(key string, missing float64) float64 {
	f, err := strconv.ParseFloat(e.text(key, ""), 64)
	if err != nil {
		return missing
	}
	return f
}

// texts returns a key of the document that is a list.
func (e *entity) texts(key string) []string {
	list, _ := e.document.keys[key].([]any)
	var texts []string
	for _, v := range list {
		texts = append(texts, configText(v, ""))
	}
	return texts
}

// setup subscribes to what the document names. What was subscribed before goes on.
func (e *entity) setup() {
	if e.attributes == nil {
		e.attributes, e.subscriptions, e.heard = make(map[string]any), make(map[string]*subscription), make(map[string]bool)
		e.expired = e.number("expire_after", 0) > 0
	}
	before := e.subscriptions
	e.subscriptions = make(map[string]*subscription)
	listen := func(role, topic string, got func(message)) {
		if topic == "" {
			return
		}
		if s := before[role]; s != nil && s.filter == topic {
			s.got = got
			e.subscriptions[role] = s
			delete(before, role)
			return
		}
		e.subscriptions[role] = e.life.subscribe(topic, got)
	}
	topics := make(map[string]bool)
	for i, a := range e.availability() {
		topics[a.topic] = true
		listen(fmt.Sprint("availability ", i), a.topic, func(m message) { e.hear(a, m) })
	}
	maps.DeleteFunc(e.heard, func(topic string, _ bool) bool { return !topics[topic] })
	for _, in := range inputs[e.document.platform] {
		listen(in.topic, e.text(in.topic, ""), func(m message) { e.take(in, m) })
	}
	in := input{"json_attributes_topic", "json_attributes_template", (*entity).takeAttributes}
	listen(in.topic, e.text(in.topic, ""), func(m message) { e.take(in, m) })
	for _, s := range before {
		e.life.unsubscribe(s)
	}
}

// source is a topic that says whether an entity is available.
type source struct{ topic, yes, no, template string }

func (e *entity) availability() []source {
	keys := e.document.keys
	if topic := e.text("availability_topic", ""); topic != "" {
		return []source{{topic, e.text("payload_available", "online"), e.text("payload_not_available", "offline"), e.text("availability_template", "")}}
	}
	list, _ := keys["availability"].([]any)
	var sources []source
	for _, a := range list {
		a, _ := a.(object)
		text := func(key, missing string) string { return configText(a[key], missing) }
		sources = append(sources, source{text("topic", ""), text("payload_available", "online"), text("payload_not_available", "offline"), text("value_template", "")})
	}
	return sources
}

// hear takes what a topic says of the availability.
func (e *entity) hear(a source, m message) {
	payload, ok := e.render(a.template, m)
	if !ok || payload != a.yes && payload != a.no {
		return
	}
	e.heard[a.topic], e.latest = payload == a.yes, payload == a.yes
}

// available says whether Home Assistant shows a state.
func (e *entity) available() bool {
	if !e.life.connected || e.expired {
		return false
	}
	sources := e.availability()
	if len(sources) == 0 {
		return true
	}
	says := func(a source) bool { return e.heard[a.topic] }
	switch e.text("availability_mode", "latest") {
	case "all":
		return !slices.ContainsFunc(sources, func(a source) bool { return !says(a) })
	case "any":
		return slices.ContainsFunc(sources, says)
	}
	return e.latest
}

// shown returns state and attributes as a person sees them.
func (e *entity) shown() (string, map[string]any) {
	state := "unknown"
	if e.state != nil {
		state = fmt.Sprint(e.state)
	}
	return state, maps.Clone(e.attributes)
}

// render applies a template of the document, if there is one.
func (e *entity) render(template string, m message) (string, bool) {
	if template == "" {
		return m.payload, true
	}
	variables := valueVariables(m.payload)
	if e.entry != nil {
		variables["entity_id"] = e.entry.EntityID
	}
	out, warnings, err := render(template, variables)
	for _, w := range warnings {
		e.complain(Template, m, "%s: %s", template, w)
	}
	if err != nil {
		e.complain(Template, m, "%s: %v", template, err)
	}
	return out, err == nil
}

func (e *entity) complain(kind ComplaintKind, m message, format string, args ...any) {
	e.life.h.complain(kind, m.topic, "%s: %s: %.300q", e.document.platform+" "+e.document.id, fmt.Sprintf(format, args...), m.payload)
}

// take takes a message for an input.
func (e *entity) take(in input, m message) {
	payload, ok := m.payload, true
	if in.template != "" {
		payload, ok = e.render(e.text(in.template, ""), m)
	}
	if ok {
		in.take(e, payload, m)
	}
}

func (e *entity) takeAttributes(payload string, m message) {
	v, err := decodeJSON(payload)
	d, ok := v.(*dict)
	if err != nil || !ok {
		e.complain(Payload, m, "attributes are no object")
		return
	}
	maps.Copy(e.attributes, plain(d).(map[string]any))
}

// alive notes that a state came which expires.
func (e *entity) alive() {
	after := e.number("expire_after", 0)
	if after <= 0 {
		return
	}
	e.expired = false
	e.expires++
	at := e.expires
	e.life.after(time.Duration(after*float64(time.Second)), func() { e.expired = e.expired || e.expires == at })
}
