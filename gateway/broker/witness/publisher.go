package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"lintel/gateway/mqtt"
)

// publishers are who sends to the topics below m/. Those of QoS 2 have lasting
// sessions: after a crash they bring to an end what is open. Those of QoS 1 do
// not, and what had no PUBACK may have got through or not.
var publishers = []publisherKind{
	{"one", mqtt.V311, 1},
	{"one5", mqtt.V50, 1},
	{"two", mqtt.V311, 2},
	{"two5", mqtt.V50, 2},
}

type publisherKind struct {
	name    string
	version mqtt.Version
	qos     mqtt.QoS
}

func (k publisherKind) topic() string { return "m/" + k.name }

const (
	publishWindow = 4 // messages on their way at a time
	publishIDs    = 6 // packet ids that they share: each is used again soon
)

// outbox is the session of a publisher and what it has been told.
type outbox struct {
	begun  int          // messages 0 … begun-1 may have been sent
	told   map[int]bool // PUBACK or PUBREC was received
	open   []outgoing   // what is not over, in the order of sending
	lastID uint16
}

type outgoing struct {
	seq      int
	id       uint16
	received bool // PUBREC came: PUBREL is owed
}

func newOutbox() *outbox { return &outbox{told: make(map[int]bool)} }

// send begins the next message.
func (o *outbox) send() {
	for {
		o.lastID = o.lastID%publishIDs + 1
		if o.find(o.lastID) < 0 {
			break
		}
	}
	o.open = append(o.open, outgoing{seq: o.begun, id: o.lastID})
	o.begun++
}

func (o *outbox) find(id uint16) int {
	return slices.IndexFunc(o.open, func(m outgoing) bool { return m.id == id })
}

// acknowledge takes a PUBACK, PUBREC or PUBCOMP for an open id.
func (o *outbox) acknowledge(t mqtt.PacketType, id uint16) {
	i := o.find(id)
	o.told[o.open[i].seq] = true
	if t == mqtt.PUBREC {
		o.open[i].received = true
		return
	}
	o.open = slices.Delete(o.open, i, i+1)
}

// publisher plays a publisher, in a load or after it.
type publisher struct {
	publisherKind
	run    string
	state  *outbox
	ledger *Ledger // nil: nobody has to know
}

func (p *publisher) note(change func(*outbox)) {
	if p.ledger != nil {
		p.ledger.note(func(w *World) { change(w.publishers[p.name]) })
	}
	change(p.state)
}

func (p *publisher) message(m outgoing) *mqtt.Publish {
	return &mqtt.Publish{QoS: p.qos, PacketID: m.id, Topic: []byte(p.topic()), Payload: key{p.name, m.seq}.payload(p.run)}
}

// exchange sends what is open once more, as after a new connection, then n new
// messages, and brings all of them to an end.
func (p *publisher) exchange(c *conn, n int) error {
	var again []packet
	for _, m := range p.state.open { // [MQTT-4.4.0-1, MQTT-4.6.0-1]
		if m.received {
			again = append(again, &mqtt.Ack{Type: mqtt.PUBREL, PacketID: m.id})
		} else {
			publish := p.message(m)
			publish.Dup = true
			again = append(again, publish)
		}
	}
	if err := c.send(again...); err != nil {
		return err
	}
	for {
		var fresh []packet
		for ; n > 0 && len(p.state.open) < publishWindow; n-- {
			p.note((*outbox).send)
			fresh = append(fresh, p.message(p.state.open[len(p.state.open)-1]))
		}
		if err := c.send(fresh...); err != nil {
			return err
		}
		if len(p.state.open) == 0 {
			return nil
		}
		if err := p.answer(c); err != nil {
			return err
		}
	}
}

// answer reads one packet and does what it asks for.
func (p *publisher) answer(c *conn) error {
	got, err := c.next(patience)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	id, err := decodeAck(got, p.version)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	i := p.state.find(id)
	right := i >= 0
	switch {
	case !right:
	case got.Type == mqtt.PUBACK:
		right = p.qos == 1
	case got.Type == mqtt.PUBREC:
		right = p.qos == 2
	case got.Type == mqtt.PUBCOMP:
		right = p.state.open[i].received
	}
	if !right {
		return fmt.Errorf("%s: %v for packet id %d is out of place", p.name, got.Type, id)
	}
	p.note(func(o *outbox) { o.acknowledge(got.Type, id) })
	if got.Type == mqtt.PUBREC {
		return c.send(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: id})
	}
	return nil
}

// publish is the load of one publisher.
func (p *publisher) publish(ctx context.Context, addr string, r *rand.Rand, pace pace) error {
	c, err := connect(ctx, addr, p.name, p.version, p.qos == 1, p.qos == 2)
	if err != nil {
		return err
	}
	defer func() { c.close() }()
	for {
		if err := p.exchange(c, 1+r.IntN(8)); err != nil {
			return err
		}
		if err := pace.pause(ctx, r); err != nil {
			return err
		}
	}
}
