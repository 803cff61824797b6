package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"lintel/gateway/mqtt"
)

// Guests are sessions that come and go and talk in rooms, the topics below s/:
// one client does one deed after the other for all of them, so that after a crash
// each is as before the last deed or as after it.
const (
	guests    = 5
	roomCount = 4
)

// roomMessage is the sender of what is said in rooms, probeMessage of what is
// said after a crash to see who listens.
const (
	roomMessage  = "room"
	probeMessage = "probe"
)

func roomTopic(i int) string { return fmt.Sprintf("s/%d", i) }
func guestName(i int) string { return fmt.Sprintf("guest-%d", i) }
func guestEnd(i int) string  { return fmt.Sprintf("end/%d", i) }

type guest struct {
	exists bool
	in     [roomCount]bool
	queue  []int // numbers of the messages that wait, oldest first
}

// rooms is what the client of all guests knows.
type rooms struct {
	guests  [guests]guest
	said    int   // messages
	pending *deed // begun and not acknowledged
}

type deed struct {
	what  string
	guest int
	room  int
}

// deeds are what is done, common things more often.
var deeds = []string{"enter", "enter", "enter", "leave", "say", "say", "say", "say", "say", "drain", "end", "renew"}

func (s *rooms) begin(d deed) { s.pending = &d }

func (s *rooms) done() {
	d := *s.pending
	s.pending = nil
	g := &s.guests[d.guest]
	switch d.what {
	case "enter":
		g.exists, g.in[d.room] = true, true
	case "leave":
		g.exists, g.in[d.room] = true, false
	case "drain":
		g.exists, g.queue = true, nil
	case "end":
		*g = guest{}
	case "renew":
		*g = guest{exists: true}
	case "say":
		for i := range s.guests {
			if g := &s.guests[i]; g.in[d.room] {
				g.queue = append(slices.Clip(g.queue), s.said)
			}
		}
		s.said++
	}
}

// after returns a copy in which the pending deed is done.
func (s *rooms) after() *rooms {
	c := *s
	if c.pending != nil {
		c.done()
	}
	return &c
}

// host is the client that does the deeds.
type host struct {
	run    string
	state  *rooms
	ledger *Ledger
	report Report
}

func (h *host) note(change func(*rooms)) {
	h.ledger.note(func(w *World) { change(w.rooms) })
	change(h.state)
}

// work is the load of the host.
func (h *host) work(ctx context.Context, addr string, r *rand.Rand, pace pace) error {
	speaker, err := connect(ctx, addr, "speaker", mqtt.V50, true, false)
	if err != nil {
		return err
	}
	defer speaker.close()
	for {
		d := deed{deeds[r.IntN(len(deeds))], r.IntN(guests), r.IntN(roomCount)}
		h.note(func(s *rooms) { s.begin(d) })
		if d.what == "say" {
			err = speaker.publish(roomTopic(d.room), key{roomMessage, h.state.said}.payload(h.run), false)
		} else {
			err = h.visit(ctx, addr, d, mqtt.QoS(r.IntN(3)))
		}
		if err != nil {
			return fmt.Errorf("%s of %s: %w", d.what, guestName(d.guest), err)
		}
		h.note((*rooms).done)
		if err := pace.pause(ctx, r); err != nil {
			return err
		}
	}
}

// visit does a deed in the name of a guest and breaks its connection.
func (h *host) visit(ctx context.Context, addr string, d deed, qos mqtt.QoS) error {
	fresh := d.what == "end" || d.what == "renew"
	c, err := connect(ctx, addr, guestName(d.guest), mqtt.V50, fresh, d.what != "end")
	if err != nil {
		return err
	}
	defer c.close()
	g := h.state.guests[d.guest]
	if want := g.exists && !fresh; c.present != want {
		h.report.note(&h.report.Broken, "%s: session present is %t, want %t", guestName(d.guest), c.present, want)
	}
	switch d.what {
	case "enter":
		return c.subscribe(roomTopic(d.room), 1, nil)
	case "leave":
		return c.unsubscribe(roomTopic(d.room))
	case "drain":
		for _, n := range g.queue {
			p, err := c.await(mqtt.PUBLISH, nil)
			if err != nil {
				return fmt.Errorf("with message %d missing: %w", n, err)
			}
			if err := h.take(c, p, func(k key) {
				if want := (key{roomMessage, n}); k != want {
					h.report.note(&h.report.Disordered, "%s: %v came instead of %v", guestName(d.guest), k, want)
				}
			}); err != nil {
				return err
			}
		}
		// Its SUBACK tells that the acknowledgements are written down.
		return c.subscribe("barrier", qos, nil)
	}
	return nil
}

// take acknowledges a message of QoS 1.
func (h *host) take(c *conn, p mqtt.Packet, each func(key)) error {
	var m mqtt.Publish
	if err := m.Decode(p, mqtt.V50); err != nil {
		return err
	}
	if m.QoS != 1 {
		return fmt.Errorf("%s came with QoS %d", m.Topic, m.QoS)
	}
	k, ok := parsePayload(h.run, m.Payload)
	if !ok {
		h.report.note(&h.report.Lost, "%s: a payload of %d bytes is damaged or foreign: %.40q", m.Topic, len(m.Payload), m.Payload)
	}
	each(k)
	return c.send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID})
}

// check compares the guests after a crash with what they should be.
func (h *host) check(ctx context.Context, addr string) error {
	var visitors [guests]*conn
	before, after := h.state, h.state.after()
	for i := range visitors {
		c, err := connect(ctx, addr, guestName(i), mqtt.V50, false, true)
		if err != nil {
			return err
		}
		defer c.close()
		visitors[i] = c
		switch a, b := before.guests[i].exists, after.guests[i].exists; {
		case a && b && !c.present:
			h.report.note(&h.report.Lost, "%s: its session is gone", guestName(i))
		case !a && !b && c.present:
			h.report.note(&h.report.CameBack, "%s: its session is there again", guestName(i))
		}
	}
	var came [guests][]key
	for i, c := range visitors {
		if err := c.subscribe(guestEnd(i), 1, func(p mqtt.Packet) error {
			return h.take(c, p, func(k key) { came[i] = append(came[i], k) })
		}); err != nil {
			return err
		}
	}
	speaker, err := connect(ctx, addr, "speaker", mqtt.V50, true, false)
	if err != nil {
		return err
	}
	defer speaker.close()
	for i := range roomCount {
		if err := speaker.publish(roomTopic(i), key{probeMessage, i}.payload(h.run), false); err != nil {
			return err
		}
	}
	for i, c := range visitors {
		if err := speaker.publish(guestEnd(i), key{lastMessage, i}.payload(h.run), false); err != nil {
			return err
		}
		for ended := false; !ended; {
			p, err := c.await(mqtt.PUBLISH, nil)
			if err != nil {
				return err
			}
			err = h.take(c, p, func(k key) {
				ended = k.from == lastMessage
				came[i] = append(came[i], k)
			})
			if err != nil {
				return err
			}
		}
		h.judge(guestName(i), before.guests[i], after.guests[i], came[i])
	}
	return nil
}

// judge compares what came to a guest with what may have waited before the deed
// that was not acknowledged, and after it.
func (h *host) judge(name string, before, after guest, came []key) {
	var queue []int
	var in [roomCount]bool
	for _, k := range came {
		switch k.from {
		case roomMessage:
			if len(queue) > 0 && k.seq < queue[len(queue)-1] {
				h.report.note(&h.report.Disordered, "%s: %v came after %d", name, k, queue[len(queue)-1])
			}
			queue = append(queue, k.seq)
			if !slices.Contains(before.queue, k.seq) && !slices.Contains(after.queue, k.seq) {
				h.report.note(&h.report.CameBack, "%s: %v came and was no longer there, or never", name, k)
			}
		case probeMessage:
			in[k.seq] = true
		}
	}
	for _, n := range before.queue {
		if slices.Contains(after.queue, n) && !slices.Contains(queue, n) {
			h.report.note(&h.report.Lost, "%s: message %d was acknowledged and never came", name, n)
		}
	}
	for i := range in {
		switch a, b := before.in[i], after.in[i]; {
		case a && b && !in[i]:
			h.report.note(&h.report.Lost, "%s: the subscription to %s is gone", name, roomTopic(i))
		case !a && !b && in[i]:
			h.report.note(&h.report.CameBack, "%s: the subscription to %s is there again", name, roomTopic(i))
		}
	}
}
