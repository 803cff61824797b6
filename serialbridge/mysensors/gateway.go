package mysensors

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"lintel/serialbridge"
)

// maxNode is the greatest number that a node may have.
const maxNode = 254

// A gateway is a stick that is spoken with.
type gateway struct {
	port    serialbridge.Port
	decoder *decoder
	asked   map[int]bool // nodes that were asked to present themselves
	failed  error        // of a write while bytes were decoded
}

func newGateway(port serialbridge.Port, sink serialbridge.Sink, known map[int]*variable) *gateway {
	g := &gateway{port: port, decoder: newDecoder(sink, known, true), asked: make(map[int]bool)}
	g.decoder.onMessage = g.answer
	return g
}

// run speaks with the gateway until ctx ends or the port fails.
func (g *gateway) run(ctx context.Context, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	incoming := serialbridge.Hear(ctx, g.port)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-incoming:
			g.decoder.Decode(h.Data, time.Now())
			if g.failed != nil {
				return g.failed
			}
			if h.Err != nil {
				return h.Err
			}
		case c := <-commands:
			if g.decoder.forgets(c) {
				break
			}
			for _, m := range g.decoder.command(c) {
				g.send(m)
			}
			if g.failed != nil {
				return g.failed
			}
		}
	}
}

// send sends a message. Its failure ends run.
func (g *gateway) send(m message) {
	if _, err := g.port.Write([]byte(m.String())); err != nil && g.failed == nil {
		g.failed = err
	}
}

// answer answers a message that wants it.
func (g *gateway) answer(m message) {
	if m.command == internal {
		switch m.typ {
		case idRequest:
			if id, ok := g.freeNumber(); ok {
				g.decoder.give(id)
				g.send(message{node: m.node, child: m.child, command: internal, typ: idResponse, payload: strconv.Itoa(id)})
			}
			return
		case configRequest:
			g.send(message{node: m.node, child: m.child, command: internal, typ: configRequest, payload: "M"})
		case gatewayReady:
			g.send(message{node: nobody, child: wholeNode, command: internal, typ: discover})
			return
		}
	}
	// A node that was heard but has not said what it is.
	n := g.decoder.nodes[m.node]
	if (n == nil && m.command != presentation || n != nil && !n.presented) && !g.asked[m.node] && m.node != 0 && m.node != nobody {
		g.asked[m.node] = true
		g.send(message{node: m.node, child: wholeNode, command: internal, typ: present})
	}
}

// freeNumber draws a number that no node is known to have. It is drawn by lot:
// nodes that were there before the memory was are not known while they sleep.
// It reports false if there is none.
func (g *gateway) freeNumber() (int, bool) {
	var free, given []int
	for id := 1; id <= maxNode; id++ {
		_, once := g.decoder.once[id]
		switch {
		case g.decoder.nodes[id] != nil || once:
		case g.decoder.given[id]:
			given = append(given, id)
		default:
			free = append(free, id)
		}
	}
	if len(free) == 0 {
		// A node asks again when the answer gets lost: most of what was
		// given and not used never will be.
		free = given
	}
	if len(free) == 0 {
		g.decoder.sink.Ignored("a node asks for a number: all are in use, forget some")
		return 0, false
	}
	return free[rand.IntN(len(free))], true
}

// command returns the messages that do what is wanted. The node is to
// acknowledge them: what it sends back then is the new state.
func (d *decoder) command(c serialbridge.Command) (messages []message) {
	for _, n := range d.nodes {
		if n.device.ID != c.Device {
			continue
		}
		at, ok := n.places[c.Key]
		if !ok {
			return nil
		}
		var orders []order
		if wanted, isObject := c.Value.(object); isObject && at.typ == wholeChild {
			orders = composites[n.children[at.child].typ].orders(n, at.child, wanted)
		} else if at.typ != wholeChild {
			payload, ok := d.variables[at.typ].write(c.Value)
			if !ok {
				return nil
			}
			orders = []order{{at.typ, payload}}
		}
		for _, o := range orders {
			messages = append(messages, message{node: n.number, child: at.child, command: set, ack: true, typ: o.typ, payload: o.payload})
		}
	}
	return messages
}
