package z2m

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge"
	"lintel/serialbridge/journey"
)

// maxOutbox is how many messages wait for the broker.
const maxOutbox = 20_000

// retained says that a message is to be kept by the broker.
const retained = true

// outbox hands messages to the broker in the order in which they were made, and
// shows them to those who look on.
type outbox struct {
	broker serialbridge.Broker
	log    *slog.Logger
	wake   chan struct{}

	published, dropped atomic.Uint64

	mu        sync.Mutex
	queue     []mqtt.Message
	closed    bool
	keep      map[string]string // what is retained, by topic
	order     []string          // of keep, as they were published first
	onlookers map[*onlooker]struct{}
}

// onlooker is told what is published.
type onlooker struct {
	frames chan []byte // closed when it does not keep up, or all is over
	base   string
	closed bool
}

func (o *outbox) init(broker serialbridge.Broker, log *slog.Logger) {
	o.broker, o.log = broker, log
	o.wake = make(chan struct{}, 1)
	o.keep = make(map[string]string)
	o.onlookers = make(map[*onlooker]struct{})
}

// add takes a message. If frame is not nil it is what onlookers are shown of it;
// hidden says that they are not shown anything.
func (o *outbox) add(m mqtt.Message, frame []byte, hidden bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if m.Retain {
		o.remember(m)
	}
	if len(o.queue) >= maxOutbox {
		i := slices.IndexFunc(o.queue, func(m mqtt.Message) bool { return m.QoS == 0 && !m.Retain })
		if i < 0 {
			i = 0
		}
		o.queue = slices.Delete(o.queue, i, i+1)
		o.dropped.Add(1)
	}
	o.queue = append(o.queue, m)
	o.published.Add(1)
	if !hidden {
		o.show(m.Topic, m.Payload, frame)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// addLog takes a line of bridge/logging. When much waits, lines are left out: they
// would tell of what is in their way.
func (o *outbox) addLog(topic string, line []byte) {
	if o.waiting() < maxOutbox/2 {
		o.add(mqtt.Message{Topic: topic, Payload: line}, nil, false)
	}
}

// onlook shows onlookers what is published in another form.
func (o *outbox) onlook(topic string, frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.show(topic, nil, frame)
}

func (o *outbox) remember(m mqtt.Message) {
	_, known := o.keep[m.Topic]
	switch {
	case len(m.Payload) == 0:
		delete(o.keep, m.Topic)
		o.order = slices.DeleteFunc(o.order, func(t string) bool { return t == m.Topic })
	case !known:
		o.order = append(o.order, m.Topic)
		fallthrough
	default:
		o.keep[m.Topic] = string(m.Payload)
	}
}

// show tells the onlookers. The mutex is held.
func (o *outbox) show(topic string, payload, frame []byte) {
	for look := range o.onlookers {
		name, ok := strings.CutPrefix(topic, look.base+"/")
		if !ok {
			continue
		}
		if frame == nil {
			frame = frameOf(name, payload)
		}
		look.give(frame)
	}
}

// give hands over a frame; who does not keep up is left.
func (l *onlooker) give(frame []byte) {
	if l.closed {
		return
	}
	select {
	case l.frames <- frame:
	default:
		l.leave()
	}
}

func (l *onlooker) leave() {
	if !l.closed {
		l.closed = true
		close(l.frames)
	}
}

// look adds an onlooker, which is shown first what is retained and then extra.
func (o *outbox) look(l *onlooker, extra [][]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		l.leave()
		return
	}
	for _, topic := range o.order {
		if name, ok := strings.CutPrefix(topic, l.base+"/"); ok {
			l.give(frameOf(name, []byte(o.keep[topic])))
		}
	}
	for _, frame := range extra {
		l.give(frame)
	}
	o.onlookers[l] = struct{}{}
}

func (o *outbox) lookAway(l *onlooker) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.onlookers, l)
	l.leave()
}

// close has run return when all was handed over, and onlookers leave.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for l := range o.onlookers {
		l.leave()
	}
	clear(o.onlookers)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run hands messages over until ctx ends or, after close, there are none.
func (o *outbox) run(ctx context.Context) {
	for {
		o.mu.Lock()
		queue, closed := o.queue, o.closed
		o.queue = nil
		o.mu.Unlock()
		for _, m := range queue {
			err := o.broker.Publish(ctx, m)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				o.log.Warn("not published", "topic", m.Topic, "err", err)
			}
		}
		if closed && len(queue) == 0 {
			return
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
	}
}

// publishText publishes below the base topic. A name with a wildcard in it is refused.
// The mutex is held.
func (b *Bridge) publishText(name, payload string, retain bool, qos mqtt.QoS) {
	b.publish(name, []byte(payload), retain, qos, 0, nil, false)
}

func (b *Bridge) publish(name string, payload []byte, retain bool, qos mqtt.QoS, expiry time.Duration, frame []byte, hidden bool) {
	topic := b.base + "/" + name
	if !mqtt.ValidTopicName(topic) {
		b.quiet.Error("not published: the topic has a wildcard in it", "topic", topic)
		return
	}
	m := mqtt.Message{Topic: topic, Payload: payload, QoS: qos, Retain: retain && !b.settings.MQTT.ForceDisableRetain}
	// What the bridge tells of itself is told anew at each start, and large.
	m.Volatile = strings.HasPrefix(name, "bridge/")
	if expiry > 0 {
		m.Expires = time.Now().Add(expiry)
	}
	if b.following != 0 {
		b.told, m.Trace = true, b.following
		b.journeys().Tell(m.Trace, journey.Stage{Kind: journey.Published, Topic: topic, Text: string(payload), Size: len(payload)})
	}
	b.out.add(m, frame, hidden)
}
