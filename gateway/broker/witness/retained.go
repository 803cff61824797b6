package witness

import (
	"context"
	"fmt"
	"math/rand/v2"

	"lintel/gateway/mqtt"
)

// slots is how many topics hold a retained message; half of them are written by
// each of two clients.
const slots = 12

func slotTopic(i int) string { return fmt.Sprintf("r/%d", i) }

// slot is what a client knows of the retained message of one topic. Its messages
// are numbered from 1.
type slot struct {
	acknowledged int  // number of the last message that was; 0: none
	cleared      bool // that one was empty
	pending      int  // number of the message on its way; 0: none
	clearing     bool // that one is empty
}

func (s *slot) set(n int, empty bool) { s.pending, s.clearing = n, empty }

func (s *slot) done() {
	s.acknowledged, s.cleared, s.pending = s.pending, s.clearing, 0
}

// mayHold reports whether the number of a retained message, 0 for none, is one
// that the broker may have.
func (s *slot) mayHold(n int) bool {
	empty := s.acknowledged == 0 || s.cleared
	switch {
	case n == 0:
		return empty || s.pending > 0 && s.clearing
	case s.pending > 0 && !s.clearing && n == s.pending:
		return true
	}
	return !empty && n == s.acknowledged
}

// retain is the load of a client that sets and clears retained messages, those
// of first, first+2, first+4 and so on.
func retain(ctx context.Context, addr string, first int, l *Ledger, r *rand.Rand, pace pace) error {
	c, err := connect(ctx, addr, fmt.Sprint("retainer-", first), mqtt.V311, true, false)
	if err != nil {
		return err
	}
	defer c.close()
	for n := 1; ; n++ {
		topic := slotTopic(first + 2*r.IntN(slots/2))
		empty := r.IntN(4) == 0
		var payload []byte
		if !empty {
			payload = key{topic, n}.payload(l.run)
		}
		l.note(func(w *World) { w.retained[topic].set(n, empty) })
		if err := c.publish(topic, payload, true); err != nil {
			return fmt.Errorf("retaining: %w", err)
		}
		l.note(func(w *World) { w.retained[topic].done() })
		if err := pace.pause(ctx, r); err != nil {
			return err
		}
	}
}

// checkRetained compares what is retained with what should be.
func (w *World) checkRetained(ctx context.Context, addr string, r *Report) error {
	c, err := connect(ctx, addr, "retained", mqtt.V311, true, false)
	if err != nil {
		return err
	}
	defer c.close()
	got := make(map[string]int)
	take := func(p mqtt.Packet) error {
		var m mqtt.Publish
		if err := m.Decode(p, mqtt.V311); err != nil {
			return err
		}
		topic := string(m.Topic)
		k, ok := parsePayload(w.run, m.Payload)
		if !ok || k.from != topic {
			r.note(&r.Lost, "%s holds %d bytes that are damaged or foreign: %.40q", topic, len(m.Payload), m.Payload)
		}
		got[topic] = k.seq
		return nil
	}
	if err := c.subscribe("r/+", 0, take); err != nil {
		return err
	}
	for range 2 { // a large message may go behind the first answer
		if err := c.write([]byte{byte(mqtt.PINGREQ) << 4, 0}); err != nil {
			return err
		}
		if _, err := c.await(mqtt.PINGRESP, take); err != nil {
			return err
		}
	}
	for topic, s := range w.retained {
		switch n := got[topic]; {
		case s.mayHold(n):
		case n == 0 || n < s.acknowledged && !s.cleared:
			r.note(&r.Lost, "%s holds message %d, the last that was acknowledged is %d", topic, n, s.acknowledged)
		default:
			r.note(&r.CameBack, "%s holds message %d, which had been removed", topic, n)
		}
	}
	return nil
}
