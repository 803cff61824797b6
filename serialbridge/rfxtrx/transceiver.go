package rfxtrx

import (
	"context"
	"errors"
	"time"

	"lintel/serialbridge"
)

const (
	// Commands of interface control.
	cmdReset  = 0x00
	cmdStatus = 0x02
	cmdStart  = 0x07 // newer firmware stays silent without; older one ignores it

	// resetTime is how long the transceiver is deaf after a reset; what it
	// says then is of before.
	resetTime = 500 * time.Millisecond
	// statusTime is how long it may take to say how it is.
	statusTime = 10 * time.Second
	// maxPending are commands that were not confirmed yet.
	maxPending = 16
)

var errMute = errors.New("the transceiver does not tell its status: unplug it, wait a moment and plug it in again")

// A transceiver is a stick that is spoken with.
type transceiver struct {
	port    serialbridge.Port
	sink    serialbridge.Sink
	decoder *decoder
	number  byte // of the last packet that was sent
	alive   bool // it has told its status
	pending []pending
}

// pending is what is so once the transceiver confirms a packet.
type pending struct {
	number  byte
	reading serialbridge.Reading
}

func newTransceiver(port serialbridge.Port, sink serialbridge.Sink) *transceiver {
	x := &transceiver{port: port, sink: sink, decoder: newDecoder(sink, true)}
	x.decoder.onAnswer = x.answered
	return x
}

// run speaks with the transceiver until ctx ends or the port fails.
func (x *transceiver) run(ctx context.Context, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	incoming := serialbridge.Hear(ctx, x.port)

	if err := x.control(cmdReset); err != nil {
		return err
	}
	awake := time.NewTimer(resetTime)
	defer awake.Stop()
	patience := time.NewTimer(resetTime + statusTime)
	defer patience.Stop()
	deaf := true
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-awake.C:
			deaf = false
			if err := x.control(cmdStatus); err != nil {
				return err
			}
			if err := x.control(cmdStart); err != nil {
				return err
			}
		case <-patience.C:
			if !x.alive {
				return errMute
			}
		case h := <-incoming:
			if !deaf {
				x.decoder.Decode(h.Data, time.Now())
			}
			if h.Err != nil {
				return h.Err
			}
		case c := <-commands:
			if err := x.command(c); err != nil {
				return err
			}
		}
	}
}

func (x *transceiver) send(p packet) error {
	_, err := x.port.Write(append([]byte{byte(len(p))}, p...))
	return err
}

// control sends a command for the transceiver itself.
func (x *transceiver) control(command byte) error {
	p := make(packet, 0x0D)
	p[0], p[2], p[3] = interfaceControl, x.number, command
	x.number++
	return x.send(p)
}

func (x *transceiver) command(c serialbridge.Command) error {
	if c.Key == serialbridge.ForgetButton().Key {
		x.decoder.forget(c.Device)
		return nil
	}
	p, values, ok := x.decoder.command(c, x.number)
	if !ok {
		return nil
	}
	x.decoder.keep(c.Device)
	if len(x.pending) == maxPending {
		x.pending = x.pending[1:]
	}
	x.pending = append(x.pending, pending{x.number, serialbridge.Reading{Device: c.Device, Values: values}})
	x.number++
	return x.send(p)
}

// answered takes what the transceiver says of itself: its status, or whether a
// packet was sent.
func (x *transceiver) answered(p packet) {
	if p.kind() == interfaceMessage {
		x.alive = true
		return
	}
	if p.subtype() != 0x01 {
		return // an error that is not about a packet of ours
	}
	for i, w := range x.pending {
		if w.number != p.number() {
			continue
		}
		x.pending = append(x.pending[:i], x.pending[i+1:]...)
		if p[3] > 1 { // 0 sent, 1 will be sent, 2 and 3 not
			x.sink.Damaged(serialbridge.DamagedRefused)
			return
		}
		w.reading.Time = time.Now()
		x.sink.Reading(w.reading)
		return
	}
}
