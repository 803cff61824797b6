package homeassistant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/gateway/homeassistant/judge"
	"lintel/gateway/mqtt"
)

type sum [sha256.Size]byte

// held is a document of ours that the broker holds.
type held struct {
	head       sum // of all but the components
	components map[string]sum

	// topics are the others below the device that may be retained: they go with
	// the document. They are known of documents from before this start.
	topics []string
}

func sumOf(v any) sum {
	b, _ := json.Marshal(v) // it is JSON, or will fail when it is to be published
	return sha256.Sum256(b)
}

func newHeld(doc *document) held {
	h := held{components: make(map[string]sum, len(doc.Components))}
	head := *doc
	head.Components = nil
	h.head = sumOf(head)
	for key, c := range doc.Components {
		h.components[key] = sumOf(c)
	}
	return h
}

// find takes note of what the broker holds from before this start: what need not be
// written again, what is damaged, and what nobody wants any more. A document of
// somebody else is left alone. It is the handler of a subscription.
func (p *Publisher) find(m mqtt.Message) {
	id, ok := p.deviceOf(m.Topic)
	if !ok || !m.Retain || len(m.Payload) == 0 {
		return
	}
	topics := []string{p.o.topic(id, "state"), p.o.topic(id, "availability")}
	var doc document
	switch err := json.Unmarshal(m.Payload, &doc); {
	case err != nil:
		// Half of one, after the power failed or somebody's hand slipped. It
		// begins with what says whose it is, as far as it goes.
		begin := []byte(`{"dev":{"ids":["` + identifier(p.o.Box, id) + `"]`)
		if !bytes.HasPrefix(m.Payload, begin) && !bytes.HasPrefix(begin, m.Payload) {
			p.log.Warn("a discovery document in the broker cannot be read and is not ours", "topic", m.Topic, "err", err)
			return
		}
		p.log.Warn("a discovery document in the broker is damaged, it is replaced when the device is heard", "topic", m.Topic, "err", err)
		doc = document{}
	case !slices.Equal(doc.Device.Identifiers, []string{identifier(p.o.Box, id)}) || doc.Origin.Name != originName ||
		len(doc.Availability) == 0 || doc.Availability[0].Topic != p.o.topic(GatewayID, "availability"):
		return
	}
	told := make(map[string]string)
	for key, c := range doc.Components {
		// One that Home Assistant never took need not be taken away, and would have it refuse
		// the document; one with its platform alone says itself that it is gone.
		if len(c) > 1 && judge.IsPlatform(c.platform()) {
			told[key] = c.platform()
		}
		if topic, _ := c["stat_t"].(string); c.platform() == "light" && strings.HasPrefix(topic, p.o.topic(id, "")) {
			topics = append(topics, topic)
		}
	}
	h := newHeld(&doc)
	h.topics = topics
	if same, err := doc.marshal(); err != nil || !bytes.Equal(same, m.Payload) {
		h.head = sum{} // there is more in it than this version writes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, newer := p.held[id]; !newer && len(p.held) < maxRemembered {
		p.held[id] = h
	}
	if len(p.found) < maxRemembered {
		p.found = append(p.found, foundDocument{id, told})
		p.signal()
	}
}

// foundDocument is what Home Assistant knows of a device when it starts, though the
// Memory may not: after a version of Lintel without one, or from a store that was
// mended.
type foundDocument struct {
	device     string
	components map[string]string // key → platform
}

// takeFound compares what was found with what is known: a component that Home Assistant may
// know is missing until its device has it, and is removed when that is sure. Only Run calls it.
func (p *Publisher) takeFound() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.found {
		e := p.entries[f.device]
		if e == nil {
			if p.before == nil {
				p.before = make(map[string]map[string]string)
			}
			known := maps.Clone(f.components)
			maps.Copy(known, p.before[f.device])
			p.before[f.device] = known
			continue
		}
		for key, platform := range f.components {
			if e.components[key] == platform || e.gone[key] == platform || e.missing[key] != "" {
				continue
			}
			if e.missing == nil {
				e.missing = make(map[string]string)
			}
			e.missing[key] = platform
			if e.due.IsZero() {
				e.due = e.settled
			}
		}
	}
	p.found = nil
}

// deviceOf returns the device that a document at a topic would be of.
func (p *Publisher) deviceOf(topic string) (id string, ok bool) {
	name, ok := strings.CutPrefix(topic, p.o.prefix()+"/device/lintel_")
	name, config := strings.CutSuffix(name, "/config")
	if !ok || !config || !validID.MatchString(name) {
		return "", false
	}
	if name == p.o.Box.ID {
		return GatewayID, true
	}
	return name, true
}

// holds tells whether the broker has a document already, or more than that: a device
// comes to know of its properties one by one, and what is missing may be there yet.
func (p *Publisher) holds(device string, doc *document) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.held[device]
	want := newHeld(doc)
	ok = ok && h.head == want.head
	for key, sum := range want.components {
		ok = ok && h.components[key] == sum
	}
	if ok && len(h.components) > len(want.components) && len(p.entries[device].missing) == 0 {
		return false
	}
	return ok
}

// noteHeld takes note of what was published; nil is nothing.
func (p *Publisher) noteHeld(device string, doc *document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if doc == nil {
		delete(p.held, device)
		return
	}
	h := newHeld(doc)
	h.topics = p.held[device].topics
	p.held[device] = h
}

// orphans takes away the documents of devices that nobody remembers: the program ended
// between telling Home Assistant of one and writing it down, or the other way round.
// A device that is remembered may be silent for days, and stays. Only Run calls it.
func (p *Publisher) orphans(ctx context.Context) (again time.Time) {
	p.mu.Lock()
	lost := maps.Clone(p.held)
	for id := range p.entries {
		delete(lost, id)
	}
	p.mu.Unlock()
	for id := range p.remembered {
		delete(lost, id)
	}
	for _, id := range slices.Sorted(maps.Keys(lost)) {
		p.log.Info("a device that nobody remembers is taken out of home assistant", "device", id)
		// The document first: an entity is not to hear that it has no state.
		for _, topic := range slices.Insert(slices.Clone(lost[id].topics), 0, Topic(p.o.Box, id, p.o.Options)) {
			if err := p.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, QoS: 1, Retain: true}); err != nil {
				if ctx.Err() == nil {
					p.log.Warn("not taken back from home assistant", "topic", topic, "err", err)
				}
				return time.Now().Add(retry)
			}
		}
		p.noteHeld(id, nil)
	}
	return time.Time{}
}
