package homeassistant

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
)

// ZigbeePublisherOptions are the options of [NewZigbeePublisher].
type ZigbeePublisherOptions struct {
	Broker serialbridge.Broker
	ZigbeeOptions
	Logger *slog.Logger // nil: silent
}

const (
	// rest is what passes between the withdrawal of documents and new ones for the
	// same things: Home Assistant would call the new entities by the old names with
	// _2 behind, as long as it still has those.
	rest = 2 * time.Second
	// orphaned is how long after the start a document that is retained is waited for
	// to be wanted, before it is taken away.
	orphaned = time.Minute
)

// ZigbeePublisher keeps the discovery documents of the Zigbee network at the broker.
type ZigbeePublisher struct {
	o    ZigbeePublisherOptions
	log  *slog.Logger
	wake chan struct{}

	mu        sync.Mutex                   // guards all below
	wanted    map[string]map[string][]byte // by entity: documents by topic
	published map[string][]byte            // by topic: what the broker holds, as far as it is known
	sent      map[string]bool              // topics that this run has published to, or need not
	renamed   map[string]time.Time         // by topic: to be taken away, or when it may be there again
}

// NewZigbeePublisher returns a publisher that publishes nothing until Run.
func NewZigbeePublisher(o ZigbeePublisherOptions) *ZigbeePublisher {
	o.ZigbeeOptions = o.ZigbeeOptions.withDefaults()
	p := &ZigbeePublisher{
		o: o, log: o.Logger, wake: make(chan struct{}, 1),
		wanted: make(map[string]map[string][]byte), published: make(map[string][]byte),
		sent: make(map[string]bool), renamed: make(map[string]time.Time),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// bridgeEntity is the network itself among the entities.
const bridgeEntity = "bridge"

// Bridge takes note of the coordinator. It is safe from any goroutine and does not block.
func (p *ZigbeePublisher) Bridge(coordinator, kind, revision string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.o.Coordinator, p.o.CoordinatorType, p.o.CoordinatorRevision = coordinator, kind, revision
	documents, err := zigbeeBridgeDocuments(p.o.ZigbeeOptions)
	p.want(bridgeEntity, documents, err)
}

// Entity takes note of a device or a group that is new or has changed, and of the
// actions that the device is known to tell. It returns the properties that have to be
// in its state though nobody knows them yet. With rename, what Home Assistant
// has made of it is taken away first, so that it gets new entity ids. Entity is safe
// from any goroutine and does not block.
func (p *ZigbeePublisher) Entity(e ZigbeeEntity, lastSeen string, actions []string, rename bool) (unknown map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.o.ZigbeeOptions
	o.LastSeen = lastSeen
	documents, err := ZigbeeDocuments(o, e)
	unknown = make(map[string]any)
	for _, d := range documents {
		maps.Copy(unknown, d.Unknown)
	}
	for _, action := range actions {
		d, triggerErr := zigbeeTrigger(o, e, action)
		if err == nil {
			err = triggerErr
		}
		documents = append(documents, d)
	}
	if rename {
		for topic := range p.wanted[e.ID] {
			p.renamed[topic] = time.Time{}
		}
	}
	p.want(e.ID, documents, err)
	return unknown
}

// Gone takes a device or a group out of Home Assistant. It is safe from any goroutine
// and does not block.
func (p *ZigbeePublisher) Gone(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want(id, nil, nil)
}

// want sets the documents of an entity. The caller holds the lock.
func (p *ZigbeePublisher) want(id string, documents []ZigbeeDocument, err error) {
	if err != nil {
		p.log.Error("not told to home assistant", "device", id, "err", err)
		return
	}
	byTopic := make(map[string][]byte, len(documents))
	for _, d := range documents {
		byTopic[d.Topic] = d.Payload
	}
	for topic := range p.wanted[id] {
		p.sent[topic] = true // or it was there already: who is not wanted any more goes at once
	}
	if len(byTopic) == 0 {
		delete(p.wanted, id)
	} else {
		p.wanted[id] = byTopic
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run keeps the documents as they are wanted until ctx ends; it then returns nil. It fails
// if the broker does not let it subscribe.
func (p *ZigbeePublisher) Run(ctx context.Context) error {
	// What is retained from before, also from zigbee2mqtt, is compared with what is
	// wanted: most of it need not be published again.
	filter := p.o.Prefix + "/+/+/+/config"
	if err := p.o.Broker.Subscribe(ctx, filter, 0, p.found); err != nil {
		return fmt.Errorf("home assistant: zigbee: %w", err)
	}
	start := time.NewTimer(orphaned)
	defer start.Stop()
	settled := false
	for {
		next := p.publish(ctx, settled)
		var again <-chan time.Time
		if next > 0 {
			again = time.After(next)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-again:
		case <-start.C:
			settled = true
		}
	}
}

// found takes note of a document that the broker holds.
func (p *ZigbeePublisher) found(m mqtt.Message) {
	var d struct {
		Topic        string
		Availability []struct{ Topic string }
	}
	if len(m.Payload) == 0 || json.Unmarshal(m.Payload, &d) != nil {
		return
	}
	base := p.o.BaseTopic + "/"
	ours := strings.HasPrefix(d.Topic, base) ||
		len(d.Availability) > 0 && strings.HasPrefix(d.Availability[0].Topic, base)
	if !ours {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published[m.Topic] = bytes.Clone(m.Payload)
}

// publish sends what differs, and returns when to come again; 0: when something changes.
func (p *ZigbeePublisher) publish(ctx context.Context, settled bool) time.Duration {
	p.mu.Lock()
	wanted := make(map[string][]byte)
	for _, documents := range p.wanted {
		maps.Copy(wanted, documents)
	}
	published := maps.Clone(p.published)
	renamed := maps.Clone(p.renamed)
	sent := maps.Clone(p.sent)
	p.mu.Unlock()

	var next time.Duration
	now := time.Now()
	send := func(topic string, payload []byte) bool {
		err := p.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, Payload: payload, QoS: 1, Retain: true})
		if err != nil {
			if ctx.Err() == nil {
				p.log.Warn("not told to home assistant", "topic", topic, "err", err)
			}
			next = retry
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if payload == nil {
			delete(p.published, topic)
		} else {
			p.published[topic], p.sent[topic] = payload, true
		}
		return true
	}
	for _, topic := range slices.Sorted(maps.Keys(renamed)) {
		if renamed[topic].IsZero() && send(topic, nil) {
			renamed[topic] = now.Add(rest)
			delete(published, topic)
			p.mu.Lock()
			p.renamed[topic] = renamed[topic]
			p.mu.Unlock()
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(published)) {
		// What was published in this run and is not wanted any more goes at once; what is
		// from before may belong to a device that was not told of yet.
		if _, ok := wanted[topic]; !ok && (settled || sent[topic]) {
			send(topic, nil)
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(wanted)) {
		if wait := renamed[topic].Sub(now); wait > 0 {
			next = wait
			continue
		}
		if !bytes.Equal(published[topic], wanted[topic]) && send(topic, wanted[topic]) {
			p.mu.Lock()
			delete(p.renamed, topic)
			p.mu.Unlock()
		}
	}
	return next
}
