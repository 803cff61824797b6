package rflink

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
)

// maxPending are the commands that the gateway has not answered yet.
const maxPending = 16

// A gateway is a stick that is spoken with.
type gateway struct {
	port    serialbridge.Port
	sink    serialbridge.Sink
	decoder *decoder
	pending []serialbridge.Reading // what is so once the gateway says OK, oldest first
}

func newGateway(port serialbridge.Port, sink serialbridge.Sink, labels map[string]*definition) *gateway {
	g := &gateway{port: port, sink: sink, decoder: newDecoder(sink, labels, true)}
	g.decoder.onReply = g.replied
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
			if h.Err != nil {
				return h.Err
			}
		case c := <-commands:
			if c.Key == serialbridge.ForgetButton().Key {
				g.decoder.forget(c.Device)
				continue
			}
			line, values, ok := g.decoder.commandLine(c)
			if !ok {
				continue
			}
			g.decoder.keep(c.Device)
			if len(g.pending) == maxPending {
				g.pending = g.pending[1:]
			}
			g.pending = append(g.pending, serialbridge.Reading{Device: c.Device, Values: values})
			if _, err := g.port.Write([]byte(line)); err != nil {
				return err
			}
		}
	}
}

// replied takes the gateway's answer to the oldest command.
func (g *gateway) replied(ok bool) {
	if len(g.pending) == 0 {
		return
	}
	r := g.pending[0]
	g.pending = g.pending[1:]
	if !ok {
		g.sink.Damaged(damagedRefused)
		return
	}
	r.Time = time.Now()
	g.sink.Reading(r)
}

// commandLine returns the line that does what is wanted, and what is so then:
// "10;protocol;id;switch;command;".
func (d *decoder) commandLine(c serialbridge.Command) (line string, values map[string]any, ok bool) {
	t := d.transmitters[c.Device]
	if t == nil || !canSend(t.protocol) {
		return "", nil, false
	}
	number, ok := t.switches[c.Key]
	if !ok {
		return "", nil, false
	}
	values = map[string]any{c.Key: c.Value}
	var command string
	switch c.Key {
	case levelOf(t.protocol, number).Key:
		level, ok := c.Value.(float64)
		if !ok || !(level >= 0 && level <= maxLevel) {
			return "", nil, false
		}
		// Level 0 does not exist: it is off.
		n := int64(level + 0.5)
		command = "OFF"
		if n > 0 {
			command = strconv.FormatInt(n, 10)
		}
		values = map[string]any{c.Key: n, switchOf(t.protocol, number).Key: n > 0}
	default:
		switch v := c.Value.(type) {
		case bool:
			command = "OFF"
			if v {
				command = "ON"
			}
		case string:
			command = v // one of blindCommands
		default:
			return "", nil, false
		}
	}
	// The gateway wants six digits at least.
	zeros := strings.Repeat("0", max(0, 6-len(t.id)))
	return fmt.Sprintf("10;%s;%s%s;%s;%s;\r\n", t.protocol, zeros, t.id, number, command), values, true
}
