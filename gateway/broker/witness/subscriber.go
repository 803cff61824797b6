package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"lintel/gateway/mqtt"
)

// subscribers are the sessions that subscribe to m/#. Their order matters to
// nobody; two are always connected and two are away most of the time.
var subscribers = []subscriberKind{
	{"online-1", mqtt.V311, 1, false},
	{"online-2", mqtt.V50, 2, false},
	{"away-1", mqtt.V50, 1, true},
	{"away-2", mqtt.V311, 2, true},
}

type subscriberKind struct {
	name    string
	version mqtt.Version
	qos     mqtt.QoS
	away    bool
}

// inbox is the session of a subscriber and all that came to it.
type inbox struct {
	received map[key]bool
	last     map[string]int // sequence number of the newest, by publisher
	open     map[uint16]key // QoS 2: PUBREL is still to come

	// QoS 1: what was acknowledged on this connection; how much of it before the
	// SUBSCRIBE that has no SUBACK yet; and what one with SUBACK followed.
	acknowledged []key
	asked        int
	settled      map[key]bool
}

func newInbox() *inbox {
	return &inbox{received: make(map[key]bool), last: make(map[string]int), open: make(map[uint16]key), settled: make(map[key]bool)}
}

// connected forgets acknowledgements that may never have reached the broker.
func (in *inbox) connected() { in.acknowledged, in.asked = nil, 0 }

// deliver takes a PUBLISH. r is nil when that is only repeated.
func (in *inbox) deliver(name string, k key, qos mqtt.QoS, id uint16, r *Report) {
	if r == nil {
		r = new(Report)
	}
	if qos == 2 {
		if open, ok := in.open[id]; ok {
			if open != k {
				r.note(&r.Broken, "%s: packet id %d is open for %v and was used for %v", name, id, open, k)
			}
			return
		}
		in.open[id] = k
		if in.received[k] {
			r.note(&r.Twice, "%s: %v came again, as a new message with packet id %d", name, k, id)
		}
	} else {
		if in.settled[k] {
			r.note(&r.CameBack, "%s: %v came again after its acknowledgement was written down", name, k)
		}
		in.acknowledged = append(in.acknowledged, k)
	}
	if !in.received[k] {
		if last, ok := in.last[k.from]; ok && k.seq < last {
			r.note(&r.Disordered, "%s: %v came after %d", name, k, last)
		}
		in.received[k] = true
		in.last[k.from] = k.seq
	}
}

// release takes a PUBREL.
func (in *inbox) release(id uint16) { delete(in.open, id) }

// ask notes that SUBSCRIBE is sent, settle that SUBACK came.
func (in *inbox) ask() { in.asked = len(in.acknowledged) }

func (in *inbox) settle() {
	for _, k := range in.acknowledged[:in.asked] {
		in.settled[k] = true
	}
	in.acknowledged, in.asked = in.acknowledged[in.asked:], 0
}

// subscriber plays a subscriber, in a load or after it.
type subscriber struct {
	subscriberKind
	run    string
	state  *inbox
	ledger *Ledger // nil: nobody has to know
	report Report
	asking bool // a SUBSCRIBE has no SUBACK yet
	ended  bool // the message came that is the last after a crash
}

func (s *subscriber) note(change func(*inbox)) {
	if s.ledger != nil {
		s.ledger.note(func(w *World) { change(w.subscribers[s.name]) })
	}
	change(s.state)
}

func (s *subscriber) connect(ctx context.Context, addr string) (*conn, error) {
	s.asking = false
	s.note((*inbox).connected)
	return connect(ctx, addr, s.name, s.version, false, true)
}

// handle takes a packet and appends the answer to out.
func (s *subscriber) handle(p mqtt.Packet, out []byte) ([]byte, error) {
	switch p.Type {
	case mqtt.PUBLISH:
		var m mqtt.Publish
		if err := m.Decode(p, s.version); err != nil {
			return out, err
		}
		k, ok := parsePayload(s.run, m.Payload)
		qos, id := m.QoS, m.PacketID
		switch {
		case !ok:
			s.report.note(&s.report.Lost, "%s: a payload of %d bytes on %s is damaged or foreign: %.40q", s.name, len(m.Payload), m.Topic, m.Payload)
		case k.from == lastMessage:
			s.ended = true
		case qos == 0 || qos > s.qos:
			s.report.note(&s.report.Broken, "%s: %v came with QoS %d", s.name, k, qos)
		default:
			if s.ledger != nil {
				s.ledger.note(func(w *World) { w.subscribers[s.name].deliver(s.name, k, qos, id, nil) })
			}
			s.state.deliver(s.name, k, qos, id, &s.report)
		}
		switch qos {
		case 1:
			return (&mqtt.Ack{Type: mqtt.PUBACK, PacketID: id}).Append(out, s.version), nil
		case 2:
			return (&mqtt.Ack{Type: mqtt.PUBREC, PacketID: id}).Append(out, s.version), nil
		}
	case mqtt.PUBREL:
		id, err := decodeAck(p, s.version)
		if err != nil {
			return out, err
		}
		s.note(func(in *inbox) { in.release(id) })
		return (&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: id}).Append(out, s.version), nil
	case mqtt.SUBACK:
		s.asking = false
		s.note((*inbox).settle)
	default:
		return out, fmt.Errorf("%s: unexpected %v", s.name, p.Type)
	}
	return out, nil
}

// listen reads n packets, or until none comes for a while. Now and then it lets
// the broker wait for its answers.
func (s *subscriber) listen(ctx context.Context, c *conn, r *rand.Rand, n int, idle time.Duration) error {
	var out []byte
	for range n {
		p, err := c.next(idle)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err == nil {
			out, err = s.handle(p, out)
		}
		if err != nil {
			return err
		}
		if !s.asking && r.IntN(60) == 0 {
			// Answers go before the question whose answer settles them.
			s.asking = true
			s.note((*inbox).ask)
			out = (&mqtt.Subscribe{PacketID: subscribeID, Filters: []mqtt.FilterRequest{{Filter: "barrier", Options: mqtt.SubscriptionOptions(r.IntN(3))}}}).Append(out, s.version)
		}
		if c.buffered() && len(out) < 1<<10 {
			continue
		}
		if r.IntN(30) == 0 {
			if err := (pace{20 * time.Millisecond}).pause(ctx, r); err != nil {
				return err
			}
		}
		if err := c.write(out); err != nil {
			return err
		}
		out = out[:0]
	}
	return c.write(out)
}

// receive is the load of one subscriber.
func (s *subscriber) receive(ctx context.Context, addr string, r *rand.Rand) error {
	for {
		c, err := s.connect(ctx, addr)
		if err != nil {
			return err
		}
		n := 5000
		if s.away {
			n = r.IntN(600)
		}
		err = s.listen(ctx, c, r, n, 100*time.Millisecond)
		for !s.away && err == nil && ctx.Err() == nil {
			err = s.listen(ctx, c, r, n, 100*time.Millisecond)
		}
		c.close()
		if err != nil {
			return err
		}
		if s.away {
			if err := (pace{800 * time.Millisecond}).pause(ctx, r); err != nil {
				return err
			}
		}
	}
}

// finish goes on after a crash until all that was acknowledged has come and
// nothing is open. What publishers were told does not change any more when told
// is closed. The last message may overtake others: order is promised for each
// topic and QoS only [MQTT-4.6.0-6].
func (s *subscriber) finish(ctx context.Context, addr string, told <-chan struct{}, senders map[string]*outbox) error {
	c, err := s.connect(ctx, addr)
	if err != nil {
		return err
	}
	defer c.close()
	if !c.present {
		s.report.note(&s.report.Lost, "%s: its session is gone", s.name)
	}
	var out []byte
	owed := patience
	for {
		if s.ended && len(s.state.open) == 0 {
			<-told
			if s.complete(senders) {
				return c.write(out)
			}
		}
		if !c.buffered() {
			if err := c.write(out); err != nil {
				return err
			}
			out = out[:0]
			if s.ended {
				owed = patience / 5
			}
		}
		p, err := c.next(owed)
		if s.ended && errors.Is(err, os.ErrDeadlineExceeded) {
			for id, k := range s.state.open {
				s.report.note(&s.report.Lost, "%s: PUBREL for packet id %d, %v, never came", s.name, id, k)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if out, err = s.handle(p, out); err != nil {
			return err
		}
	}
}

// complete reports whether all came that publishers were told would.
func (s *subscriber) complete(senders map[string]*outbox) bool {
	for name, o := range senders {
		for seq := range o.told {
			if !s.state.received[key{name, seq}] {
				return false
			}
		}
	}
	return true
}

// judge counts what did not come.
func (s *subscriber) judge(senders map[string]*outbox) Report {
	r := s.report
	for name, o := range senders {
		for seq := range o.told {
			if k := (key{name, seq}); !s.state.received[k] {
				r.note(&r.Lost, "%s: %v was acknowledged and never came", s.name, k)
			}
		}
	}
	for k := range s.state.received {
		if o := senders[k.from]; o == nil || k.seq >= o.begun {
			r.note(&r.Broken, "%s: %v came and was never sent", s.name, k)
		}
	}
	return r
}
