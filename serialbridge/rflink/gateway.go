package rflink

import (
	"context"
	"fmt"
	"math"
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
		g.sink.Damaged(serialbridge.DamagedRefused)
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
	on, isSwitch := c.Value.(bool)
	wanted, isObject := c.Value.(map[string]any)
	brightness, bright := wanted["brightness"].(float64)
	switch light := c.Key == levelOf(t.protocol, number).Key; {
	case isSwitch && !light && t.protocol != blindProtocol:
		command = map[bool]string{true: "ON", false: "OFF"}[on]
	case isObject && light && (wanted["state"] == "OFF" || bright && brightness == 0):
		command = "OFF" // level 0 does not exist
		values = map[string]any{c.Key: lighted(false)}
	case isObject && light && bright:
		n := max(1, int64(math.Round(brightness*maxLevel/255)))
		command = strconv.FormatInt(n, 10)
		values = map[string]any{c.Key: lit(n)}
	case isObject && light && wanted["state"] == "ON":
		command = "ON"
		values = map[string]any{c.Key: lighted(true)}
	case isObject && !light && blindCommands[wanted["state"]] != "":
		command = blindCommands[wanted["state"]]
		values = map[string]any{c.Key: map[string]any{"state": blindStates[command]}}
	default:
		return "", nil, false
	}
	// The gateway wants six digits at least.
	zeros := strings.Repeat("0", max(0, 6-len(t.id)))
	return fmt.Sprintf("10;%s;%s%s;%s;%s;\r\n", t.protocol, zeros, t.id, number, command), values, true
}
