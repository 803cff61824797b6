package uplink

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"lintel/gateway/mqtt"
)

// stage is how far a message of QoS 1 or 2 is.
type stage byte

const (
	handed  stage = iota + 1 // to the other side, which answers
	lowered                  // of QoS 2 to a remote that gets it with QoS 1
	settled                  // nothing is to come from the other side
	own                      // of the uplink itself, by sendRetained
)

// passage is a message of QoS 1 or 2 on its way, by its packet identifier: it has the
// same one on both sides.
type passage struct {
	stage   stage
	forget  bool // the next PUBCOMP of the box is about an older message
	topic   string
	quoting bool // retained: see errFull
}

// relay carries packets between the session at the box and the one at the remote, for as
// long as both are connected.
type relay struct {
	u             *Uplink
	began         time.Time // what the box gets from then on comes from local
	local, remote *conn
	inLimit       int // messages on their way in at a time

	mu       sync.Mutex
	changed  sync.Cond // something has left out or in, or the relay is over
	out, in  map[uint16]passage
	passed   int // messages of QoS 1 and 2 from the box that are done with
	closed   bool
	heard    time.Time           // when the last retained message came from the remote
	replayed map[string]struct{} // topics at the box that the remote has retained, from others
}

func newRelay(u *Uplink, local, remote *conn) *relay {
	r := &relay{u: u, began: time.Now(), local: local, remote: remote, inLimit: min(local.receiveMaximum, inWindow),
		out: make(map[uint16]passage), in: make(map[uint16]passage), replayed: make(map[string]struct{}), heard: time.Now()}
	r.changed.L = &r.mu
	return r
}

// errClosed is the end of a connection by the other side.
var errClosed = errors.New("the broker has closed the connection")

func closed(err error) error {
	switch {
	case errors.Is(err, errEnded), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return errEnded
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	return err
}

// errLocal is the end of a connection by the box.
var errLocal = errors.New("the box's own broker has ended the connection")

// errFull is a message that the box cannot keep now.
var errFull = errors.New("the box has no room for a message")

// over lets go of whoever waits.
func (r *relay) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.changed.Broadcast()
}

// The identifiers of our own packets: SUBSCRIBE shares them with messages.
const (
	subscribeID = 65535
	maxPacketID = 65534
)

// subscribe asks both sides for what the maps want.
func (r *relay) subscribe() {
	if wanted := r.u.subscriptions(In, (*Map).local, r.remote.maxQoS); len(wanted) > 0 {
		s := mqtt.Subscribe{PacketID: subscribeID, Filters: withoutRetained(wanted)}
		r.local.send(func(b []byte) []byte { return s.Append(b, mqtt.V50) })
	}
	wanted := r.u.subscriptions(Out, (*Map).remote, 2)
	if r.remote.version != mqtt.V50 {
		for i := range wanted { // the options are those of 5.0
			wanted[i].Options &= 3
		}
	}
	if len(wanted) > 0 {
		s := mqtt.Subscribe{PacketID: subscribeID, Filters: wanted}
		r.remote.send(func(b []byte) []byte { return s.Append(b, r.remote.version) })
	}
}

// fromLocal handles what the box sends.
func (r *relay) fromLocal() error {
	defer r.over()
	for {
		p, err := r.local.read()
		if errors.Is(err, io.EOF) {
			return errLocal
		}
		if err != nil {
			return closed(err)
		}
		switch p.Type {
		case mqtt.PUBLISH:
			var m mqtt.Publish
			if err = m.Decode(p, mqtt.V50); err == nil {
				r.outward(&m)
			}
		case mqtt.PUBREL, mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP:
			var a mqtt.Ack
			if err = a.Decode(p, mqtt.V50); err == nil {
				err = r.localAck(&a)
			}
		case mqtt.SUBACK, mqtt.PINGRESP:
		default:
			err = errLocal
		}
		if err != nil {
			return err
		}
	}
}

// fromRemote handles what the remote sends.
func (r *relay) fromRemote() error {
	defer r.over()
	for {
		p, err := r.remote.read()
		if err != nil {
			return closed(err)
		}
		switch p.Type {
		case mqtt.PUBLISH:
			var m mqtt.Publish
			if err = m.Decode(p, r.remote.version); err == nil {
				err = r.inward(&m)
			}
		case mqtt.PUBREL, mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP:
			var a mqtt.Ack
			if err = a.Decode(p, r.remote.version); err == nil {
				r.remoteAck(&a)
			}
		case mqtt.SUBACK:
			var s mqtt.Suback
			if err = s.Decode(p, r.remote.version); err == nil {
				r.subscribed(&s)
			}
		case mqtt.PINGRESP:
		case mqtt.DISCONNECT:
			var d mqtt.Disconnect
			if err = d.Decode(p, r.remote.version); err == nil {
				err = fmt.Errorf("%w: %w", errClosed, &mqtt.Error{Code: d.Code, Detail: printable(d.Properties.Text(mqtt.ReasonString))})
			}
		default:
			err = &mqtt.Error{Code: mqtt.ProtocolError, Detail: p.Type.String() + " from a server"}
		}
		if err != nil {
			return err
		}
	}
}

// subscribed looks whether the remote gives what was asked for.
func (r *relay) subscribed(s *mqtt.Suback) {
	wanted := r.u.subscriptions(Out, (*Map).remote, 2)
	for i, code := range s.Codes {
		if code >= 0x80 && i < len(wanted) {
			r.u.complain("The broker does not let the box subscribe to %s: %v. Give its user the right to read that.", wanted[i].Filter, code)
		}
	}
}

// ack sends an acknowledgement.
func (c *conn) ack(t mqtt.PacketType, id uint16, code mqtt.ReasonCode) {
	a := mqtt.Ack{Type: t, PacketID: id, Code: code}
	c.send(func(b []byte) []byte { return a.Append(b, c.version) })
}

// remoteAck handles what the remote says to messages that went out, and its PUBREL for
// those that came in.
func (r *relay) remoteAck(a *mqtt.Ack) {
	r.mu.Lock()
	p := r.out[a.PacketID]
	came := r.in[a.PacketID]
	r.mu.Unlock()
	if a.Type == mqtt.PUBREL {
		switch {
		case came.stage == settled:
			r.leftIn(a.PacketID)
			r.remote.ack(mqtt.PUBCOMP, a.PacketID, mqtt.Success)
		default: // what is not known here may be at the box, from before
			r.local.ack(mqtt.PUBREL, a.PacketID, mqtt.Success)
		}
		return
	}
	if a.Code >= 0x80 && a.Type != mqtt.PUBCOMP && p.stage != 0 {
		r.u.dropped("The broker has refused a message under %s: %v.", p.topic, a.Code)
	}
	switch {
	case a.Type == mqtt.PUBCOMP:
		// Also for a PUBREL from before, which is not in out.
		if p.stage == 0 || p.stage == handed {
			r.done(a.PacketID)
			r.local.ack(mqtt.PUBCOMP, a.PacketID, mqtt.Success)
		}
	case p.stage == 0:
	case a.Type == mqtt.PUBACK && p.stage == own:
		r.disown(a.PacketID)
	case a.Type == mqtt.PUBACK && p.stage == handed:
		r.done(a.PacketID)
		r.local.ack(mqtt.PUBACK, a.PacketID, mqtt.Success)
	case a.Type == mqtt.PUBACK && p.stage == lowered, a.Type == mqtt.PUBREC && a.Code >= 0x80:
		r.mu.Lock()
		r.out[a.PacketID] = passage{stage: settled}
		r.mu.Unlock()
		r.local.ack(mqtt.PUBREC, a.PacketID, mqtt.Success)
	case a.Type == mqtt.PUBREC && p.stage == handed:
		r.local.ack(mqtt.PUBREC, a.PacketID, mqtt.Success)
	}
}

// localAck handles what the box says to messages that came in, and its PUBREL for those
// that go out.
func (r *relay) localAck(a *mqtt.Ack) error {
	r.mu.Lock()
	for !r.closed && a.Type == mqtt.PUBREL && r.out[a.PacketID].stage == own {
		r.changed.Wait() // it has the id of a message from before
	}
	gone, p := r.out[a.PacketID], r.in[a.PacketID]
	r.mu.Unlock()
	if a.Type == mqtt.PUBREL {
		switch {
		case gone.stage == settled, gone.stage == 0 && r.remote.maxQoS < 2:
			r.done(a.PacketID)
			r.local.ack(mqtt.PUBCOMP, a.PacketID, mqtt.Success)
		default:
			r.remote.ack(mqtt.PUBREL, a.PacketID, mqtt.Success)
		}
		return nil
	}
	if p.stage == 0 {
		if a.Type == mqtt.PUBCOMP { // of a PUBREL from before
			r.remote.ack(mqtt.PUBCOMP, a.PacketID, mqtt.Success)
		}
		return nil
	}
	if a.Type == mqtt.PUBCOMP {
		if p.forget {
			p.forget = false
			r.mu.Lock()
			r.in[a.PacketID] = p
			r.mu.Unlock()
			return nil
		}
		r.leftIn(a.PacketID)
		r.remote.ack(mqtt.PUBCOMP, a.PacketID, mqtt.Success)
		return nil
	}
	if a.Code == mqtt.QuotaExceeded && !p.quoting {
		return errFull // it is not acknowledged and comes again
	}
	code := mqtt.Success
	if a.Code >= 0x80 {
		r.u.dropped("The box has refused a message under %s: %v.", p.topic, a.Code)
		code = a.Code
	}
	if a.Type == mqtt.PUBACK || code >= 0x80 && r.remote.version == mqtt.V50 {
		r.leftIn(a.PacketID)
	} else if code >= 0x80 {
		r.mu.Lock()
		r.in[a.PacketID] = passage{stage: settled}
		r.mu.Unlock()
	}
	r.remote.ack(a.Type, a.PacketID, code)
	return nil
}
