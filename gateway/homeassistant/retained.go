package homeassistant

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"lintel/gateway/homeassistant/judge"
	"lintel/gateway/mqtt"
)

// foundDocument is a document that the broker holds from before this start. Home
// Assistant, when it starts, knows what stands there, though the Memory may not: after a
// version of Lintel without one, or from a store that was mended.
type foundDocument struct {
	topic, device string
	components    map[string]string // key → platform; nil: it cannot be read
}

// find takes note of a retained document. It is the handler of a subscription.
func (p *Publisher) find(m mqtt.Message) {
	device, ok := strings.CutPrefix(m.Topic, p.o.prefix()+"/device/lintel_")
	if !m.Retain || !ok || len(m.Payload) == 0 {
		return
	}
	f := foundDocument{topic: m.Topic, device: strings.TrimSuffix(device, "/config")}
	if f.device == p.o.Box.ID {
		f.device = GatewayID
	}
	var raw map[string]any
	if json.Unmarshal(m.Payload, &raw) == nil && raw != nil {
		root := judge.Unfold(raw)
		if !p.ours(root) {
			return
		}
		f.components = make(map[string]string)
		components, _ := root["components"].(map[string]any)
		for key, c := range components {
			c, _ := c.(map[string]any)
			c = judge.Unfold(c)
			if platform, _ := c["platform"].(string); platform != "" && len(c) > 1 { // else it says itself that it is gone
				f.components[key] = platform
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.found) < maxRemembered {
		p.found = append(p.found, f)
		p.signal()
	}
}

// ours says whether a document speaks of the availability of this box, which no other tells.
func (p *Publisher) ours(root map[string]any) bool {
	list, _ := root["availability"].([]any)
	for _, a := range list {
		a, _ := a.(map[string]any)
		if a["topic"] == p.o.topic(GatewayID, "availability") {
			return true
		}
	}
	return false
}

// takeFound compares what was found with what is known: a component that Home Assistant may
// know is missing until its device has it, and is removed when that is sure. Only Run calls it.
func (p *Publisher) takeFound() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.found {
		if f.components == nil {
			p.unreadable = append(p.unreadable, f)
			continue
		}
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

// mend takes the documents away that cannot be read and that no device has replaced in all
// the time: Home Assistant would say at each start that it cannot read them either. One
// that the Memory knows may be plugged in again, and is left to it. Only Run calls it.
func (p *Publisher) mend(ctx context.Context) {
	p.mu.Lock()
	var topics []string
	for _, f := range p.unreadable {
		if p.entries[f.device] == nil && p.before[f.device] == nil {
			topics = append(topics, f.topic)
		}
	}
	p.unreadable = nil
	p.mu.Unlock()
	for _, topic := range topics {
		err := p.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, QoS: 1, Retain: true})
		p.log.Warn("discovery document that cannot be read taken away", "topic", topic, "err", err)
	}
}
