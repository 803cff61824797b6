//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"lintel/gateway/mqtt"
)

// publisher sends messages in turn to its topics. It has at most window of them
// on their way: sent and not yet acknowledged or, if it waits for deliveries,
// not yet with all receivers.
type publisher struct {
	conn   *conn
	qos    mqtt.QoS
	retain bool
	topics []string
	stream uint32 // of the first topic; the others follow
	count  int    // messages in all
	window int

	receivers int      // each message goes to so many; 0: deliveries are not waited for
	missing   []uint16 // receivers that a message still has to reach, by its number
	delivered int

	sent    int
	acked   int
	stopped bool
	empty   bool            // payloads, which clears retained messages
	pending []uint16        // packet ids in flight, by their low bits
	latency *histogram      // of acknowledgements; nil: not measured
	since   []time.Duration // when what is pending was sent
	payload [payloadSize]byte
	packet  mqtt.Publish
}

// ring is the size of publisher.missing and pending: a power of two greater than
// any window.
const ring = 1024

// start readies a publisher whose fields are set.
func (p *publisher) start() {
	p.conn.publisher = p
	if p.qos > 0 {
		p.pending = make([]uint16, ring)
		p.since = make([]time.Duration, ring)
	}
	if p.receivers > 1 {
		p.missing = make([]uint16, ring)
	}
	for i := range p.payload {
		p.payload[i] = byte('a' + i%26)
	}
	p.packet = mqtt.Publish{QoS: p.qos, Retain: p.retain, Payload: p.payload[:]}
	if p.empty {
		p.packet.Payload = nil
	}
}

// pump sends what the window allows.
func (p *publisher) pump(now time.Duration) {
	for p.sent-p.confirmed() < p.window && p.publish(now) {
	}
}

// confirmed returns how many messages are no longer on their way.
func (p *publisher) confirmed() int {
	n := p.sent
	if p.qos > 0 {
		n = p.acked
	}
	if p.receivers > 0 {
		n = min(n, p.delivered)
	}
	return n
}

// sentIn returns how many messages were sent to the topic i.
func (p *publisher) sentIn(i int) int {
	return (p.sent + len(p.topics) - 1 - i) / len(p.topics)
}

func (p *publisher) done() bool { return (p.stopped || p.sent == p.count) && p.confirmed() == p.sent }

// publish sends one message and reports whether it could.
func (p *publisher) publish(now time.Duration) bool {
	if p.stopped || p.sent == p.count {
		return false
	}
	if p.qos > 0 {
		id := uint16(p.sent%65535) + 1
		if p.pending[id%ring] != 0 {
			return false
		}
		p.pending[id%ring], p.since[id%ring] = id, now
		p.packet.PacketID = id
	}
	if p.receivers > 1 {
		p.missing[p.sent%ring] = uint16(p.receivers)
	}
	topic := p.sent % len(p.topics)
	stamp{p.conn.loop.run, p.stream + uint32(topic), uint32(p.sent / len(p.topics)), now}.put(p.payload[:])
	p.conn.out = p.packet.AppendTopic(p.conn.out, mqtt.V311, p.topics[topic])
	p.conn.touch()
	p.sent++
	return true
}

// arrived notes a delivery; only publishers of one topic wait for them.
func (p *publisher) arrived(seq uint32) {
	switch {
	case p.receivers == 1:
		p.delivered++
	case p.receivers > 1:
		left := &p.missing[seq%ring]
		if *left--; *left == 0 {
			p.delivered++
		}
	}
}

// acknowledge forgets a packet id.
func (p *publisher) acknowledge(id uint16, now time.Duration) bool {
	if p == nil || p.pending == nil || p.pending[id%ring] != id {
		return false
	}
	p.pending[id%ring] = 0
	p.acked++
	if p.latency != nil {
		p.latency.add(now - p.since[id%ring])
	}
	return true
}

// pacer has its publishers send in turn, a message each interval. It waits for
// nothing: what is due while the broker stalls goes out all the same, and is late
// for its receiver.
type pacer struct {
	publishers []*publisher
	interval   time.Duration
	next       time.Duration
	turn       int
}

// pump sends what is due and returns when the next is.
func (p *pacer) pump(now time.Duration) time.Duration {
	for p.next <= now {
		// The time is that of sending, not that when it was due: between the
		// two is only this process.
		p.publishers[p.turn].publish(now)
		p.turn = (p.turn + 1) % len(p.publishers)
		p.next += p.interval
	}
	return p.next
}

// receiver checks what one client receives: the flows of some streams.
type receiver struct {
	checker *checker
	stream  uint32       // the first of its streams
	span    uint32       // the others are in stream … stream+span-1,
	stride  uint32       // each stride-th of them, if that is not 0
	flow    int          // of the first stream; those of the others follow in step
	owners  []*publisher // who waits for a delivery, by stream; nil: nobody
	latency *histogram   // nil: not measured
}

// bystanderStream is beyond the streams of every row: who subscribes to
// everything receives it too, and that is all right.
const bystanderStream = 1 << 31

func (r *receiver) receive(s stamp, now time.Duration) {
	i := s.stream - r.stream // lower streams are far beyond the span: this wraps
	if i >= r.span || r.stride > 1 && i%r.stride != 0 {
		if s.stream != bystanderStream {
			r.checker.stray++
		}
		return
	}
	if !r.checker.add(r.flow+int(i), s.seq) {
		return
	}
	if r.latency != nil {
		r.latency.add(now - s.sent)
	}
	if r.owners != nil {
		r.owners[i].arrived(s.seq)
	}
}

// handle does what a client has to do with a packet from the broker.
func (c *conn) handle(p mqtt.Packet, now time.Duration) error {
	switch p.Type {
	case mqtt.PUBLISH:
		var m mqtt.Publish
		if err := m.Decode(p, mqtt.V311); err != nil {
			return err
		}
		if s, ok := readStamp(m.Payload); c.receiver == nil || !ok || s.run != c.loop.run {
			c.loop.strangers++
		} else {
			c.receiver.receive(s, now)
		}
		switch m.QoS {
		case 1:
			c.ack(mqtt.PUBACK, m.PacketID)
		case 2:
			c.ack(mqtt.PUBREC, m.PacketID)
		}
		return nil
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var a mqtt.Ack
		if err := a.Decode(p, mqtt.V311); err != nil {
			return err
		}
		c.acknowledged(a, now)
		return nil
	case mqtt.CONNACK:
		var a mqtt.Connack
		if err := a.Decode(p, mqtt.V311); err != nil {
			return err
		}
		if a.Code != 0 {
			return fmt.Errorf("the broker refuses the connection with code %d", a.Code)
		}
		c.present = a.SessionPresent
		if c.filter == "" || c.present {
			c.loop.ready++
			return nil
		}
		c.send((&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: c.filter, Options: mqtt.SubscriptionOptions(c.qos)}}}).Append(nil, mqtt.V311))
		return nil
	case mqtt.SUBACK:
		var a mqtt.Suback
		if err := a.Decode(p, mqtt.V311); err != nil {
			return err
		}
		if len(a.Codes) != 1 || a.Codes[0] != mqtt.ReasonCode(c.qos) {
			return fmt.Errorf("the broker answers a subscription with QoS %d with %v", c.qos, a.Codes)
		}
		c.loop.ready++
		return nil
	case mqtt.PINGRESP:
		return nil
	}
	return errors.New("the broker sends " + p.Type.String())
}

// acknowledged takes the next step of a message.
func (c *conn) acknowledged(a mqtt.Ack, now time.Duration) {
	p := c.publisher
	switch {
	case a.Type == mqtt.PUBREL:
		c.ack(mqtt.PUBCOMP, a.PacketID)
	case p == nil || p.qos == 0:
		c.loop.unexpected++
	case a.Type == mqtt.PUBREC && p.qos == 2 && p.pending[a.PacketID%ring] == a.PacketID:
		c.ack(mqtt.PUBREL, a.PacketID)
	case a.Type == mqtt.PUBACK && p.qos == 1, a.Type == mqtt.PUBCOMP && p.qos == 2:
		if !p.acknowledge(a.PacketID, now) {
			c.loop.unexpected++
		}
	default:
		c.loop.unexpected++
	}
}

func (c *conn) ack(t mqtt.PacketType, id uint16) {
	c.out = (&mqtt.Ack{Type: t, PacketID: id}).Append(c.out, mqtt.V311)
	c.touch()
}
