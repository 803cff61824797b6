package uplink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/mqtt"
)

const (
	batchSize = 100                    // retained messages that are sent at once
	batchTime = 100 * time.Millisecond // between two times
	maxQuiet  = 30 * time.Second       // for which the remote is waited for under maps of both directions
)

// sendRetained brings what is retained at the remote up to date, once for the connection.
func (r *relay) sendRetained(ctx context.Context) error {
	if !r.remote.retains || !r.sleepUntilDrained(ctx) {
		return nil
	}
	u := r.u
	topics := u.retainedTopics()
	u.log.Debug("sending retained messages", "count", len(topics))
	there := make(map[string]bool, len(topics))
	sent := 0
	pace := func() bool {
		sent++
		return sent%batchSize != 0 || sleep(ctx, batchTime)
	}
	for _, topic := range topics {
		by, remote := u.outward(topic)
		there[remote] = true
		m, ok := u.broker.Retained(topic)
		marked, out := u.pass(m.Properties)
		if !ok || !out {
			continue
		}
		if by.Direction == Both && r.theirs(topic) || !r.fromBefore(topic) {
			continue
		}
		p := mqtt.Publish{Topic: []byte(remote), Payload: m.Payload, QoS: min(m.QoS, by.QoS, r.remote.maxQoS, 1), Retain: true, Properties: marked}
		if !m.Expires.IsZero() {
			left := time.Until(m.Expires)
			if left <= 0 {
				continue
			}
			p.Expiry, p.HasExpiry = uint32((left+time.Second-1)/time.Second), true
		}
		if r.sendOwn(&p, func() bool { return r.fromBefore(topic) }) {
			u.remembered.note(remote, true)
		}
		if !pace() {
			return nil
		}
	}
	for _, remote := range u.remembered.topics() {
		if there[remote] || u.stillRetained(remote) {
			continue
		}
		clear := mqtt.Publish{Topic: []byte(remote), QoS: min(1, r.remote.maxQoS), Retain: true}
		if r.sendOwn(&clear, func() bool { return !u.stillRetained(remote) }) {
			u.remembered.note(remote, false)
		}
		if !pace() {
			return nil
		}
	}
	return nil
}

// retainedTopics returns the topics whose retained messages go out, those of First before
// the others.
func (u *Uplink) retainedTopics() []string {
	seen := make(map[string]bool)
	for i := range u.o.Maps {
		m := &u.o.Maps[i]
		if m.Direction == In || m.Plain {
			continue
		}
		for _, topic := range u.broker.RetainedTopics(m.local()) {
			if by, _ := u.outward(topic); by == m {
				seen[topic] = true
			}
		}
	}
	all := make([]string, 0, len(seen))
	for topic := range seen {
		all = append(all, topic)
	}
	rank := func(topic string) int {
		i := slices.IndexFunc(u.o.First, func(filter string) bool { return mqtt.Match(filter, topic) })
		if i < 0 {
			return len(u.o.First)
		}
		return i
	}
	ranks := make(map[string]int, len(all))
	for _, topic := range all {
		ranks[topic] = rank(topic)
	}
	slices.Sort(all)
	slices.SortStableFunc(all, func(a, b string) int { return ranks[a] - ranks[b] })
	return all
}

// stillRetained reports whether a topic of the remote has come to be retained at the box
// since the topics were listed.
func (u *Uplink) stillRetained(remote string) bool {
	for i := range u.o.Maps {
		m := &u.o.Maps[i]
		if m.Direction == In || m.Plain || !mqtt.Match(m.remote(), remote) {
			continue
		}
		if _, ok := u.broker.Retained(m.LocalPrefix + remote[len(m.RemotePrefix):]); ok {
			return true
		}
	}
	return false
}

// fromBefore reports whether a topic of the box has the retained message that it had before
// the connection. One that came later goes out as it comes, and must not come again, nor
// may an older one come after it.
func (r *relay) fromBefore(topic string) bool {
	if _, ok := r.u.broker.Retained(topic); !ok {
		return false
	}
	age, known := r.u.broker.RetainedFor(topic)
	return !known || age > time.Since(r.began)
}

// theirs reports whether the remote has a retained message of somebody else there.
func (r *relay) theirs(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.replayed[topic]
	return ok
}

// sleepUntilDrained waits until what had waited for the connection is sent, and, if the
// remote's word counts for some topics, has come. It reports false if ctx ended first.
func (r *relay) sleepUntilDrained(ctx context.Context) bool {
	u := r.u
	both := slices.ContainsFunc(u.o.Maps, func(m Map) bool { return m.Direction == Both })
	began := time.Now()
	waited := r.waiting()
	for {
		r.mu.Lock()
		drained := r.passed >= waited
		quiet := !both || time.Since(r.heard) >= u.t.quiet || time.Since(began) >= maxQuiet
		r.mu.Unlock()
		if (drained || r.waiting() == 0) && quiet {
			return true
		}
		if !sleep(ctx, u.t.look) {
			return false
		}
	}
}

// waiting is how many messages the session at the box holds.
func (r *relay) waiting() int {
	info, _ := r.u.broker.Session(SessionID(r.u.o.Name))
	return info.Queued
}

// sendOwn sends a message of the uplink itself if it is right still when its turn has come:
// then no message of the box that makes it wrong was sent. It reports false if it was not
// right, or if the remote does not take it.
func (r *relay) sendOwn(m *mqtt.Publish, right func() bool) bool {
	if m.QoS > 0 {
		r.mu.Lock()
		for !r.closed && len(r.out) >= min(r.remote.receiveMaximum, inWindow) {
			r.changed.Wait()
		}
		m.PacketID = maxPacketID
		for r.out[m.PacketID].stage != 0 {
			m.PacketID--
		}
		r.out[m.PacketID] = passage{stage: own, topic: string(m.Topic)}
		r.mu.Unlock()
	}
	packet := m.Append(nil, r.remote.version)
	if len(packet) > r.remote.maxPacket {
		r.disown(m.PacketID)
		r.u.dropped("A retained message of %d bytes for %.200s was left out: the broker takes %d at most.", len(packet), m.Topic, r.remote.maxPacket)
		return false
	}
	sent := false
	r.remote.send(func(b []byte) []byte {
		if sent = right(); sent {
			b = append(b, packet...)
		}
		return b
	})
	if !sent {
		r.disown(m.PacketID)
	}
	return sent
}

// disown takes a message of the uplink itself off the list of those that go out.
func (r *relay) disown(id uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.out, id)
	r.changed.Broadcast()
}

// remembered are the topics that are retained at the remote through the uplink. What is
// not in the memory yet is written in the background.
type remembered struct {
	memory Memory // nil: none

	mu      sync.Mutex
	known   map[string]bool // topics; false: to be forgotten
	pending map[string]bool // what memory does not know yet
	wake    chan struct{}
}

func (m *remembered) load(memory Memory) {
	m.memory, m.known, m.pending, m.wake = memory, make(map[string]bool), make(map[string]bool), make(chan struct{}, 1)
	if memory == nil {
		return
	}
	for _, topic := range memory.All() {
		m.known[topic] = true
	}
}

// note takes note of a topic that is retained now, or is not.
func (m *remembered) note(topic string, retained bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.memory == nil || m.known[topic] == retained || retained && len(m.known) >= maxRemembered {
		return
	}
	if retained {
		m.known[topic] = true
	} else {
		delete(m.known, topic)
	}
	m.pending[topic] = retained
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *remembered) topics() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]string, 0, len(m.known))
	for topic := range m.known {
		all = append(all, topic)
	}
	slices.Sort(all)
	return all
}

// run writes what is noted until ctx ends.
func (m *remembered) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		m.flush(ctx)
	}
}

// flush writes what is not in the memory yet. Many topics share a commit.
func (m *remembered) flush(ctx context.Context) {
	m.mu.Lock()
	pending := m.pending
	m.pending = make(map[string]bool)
	m.mu.Unlock()
	var all errgroup.Group
	all.SetLimit(64)
	for topic, retained := range pending {
		all.Go(func() error {
			sum := sha256.Sum256([]byte(topic)) // a topic may be longer than a key
			key := hex.EncodeToString(sum[:16])
			if retained {
				return m.memory.Put(ctx, key, topic)
			}
			return m.memory.Delete(ctx, key)
		})
	}
	if all.Wait() != nil { // it is tried again
		m.mu.Lock()
		defer m.mu.Unlock()
		for topic, retained := range pending {
			if _, newer := m.pending[topic]; !newer {
				m.pending[topic] = retained
			}
		}
	}
}
