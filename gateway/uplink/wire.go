package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"lintel/gateway/mqtt"
)

const (
	writeTime  = 30 * time.Second // for what waits to be written
	maxUnsent  = 256 << 10        // bytes that wait before readers do
	readChunk  = 16 << 10
	answerTime = 15 * time.Second // for a CONNACK, and for the network before it

	// Before 5.0 a server does not say how many messages it takes that it has not
	// acknowledged. Mosquitto hangs up at the 21st (max_inflight_messages).
	window311 = 20
)

// conn is the client's end of a connection to a broker.
type conn struct {
	net     net.Conn
	version mqtt.Version

	// What the server has said in its CONNACK.
	present        bool // the session was there
	maxQoS         mqtt.QoS
	retains        bool
	receiveMaximum int
	maxPacket      int
	keepAlive      time.Duration

	// Only by who reads.
	buf        []byte
	head, tail int
	maxRead    int // bytes of a packet
	headless   int // bytes that are left of a PUBLISH that was too large: see tooLarge
	size       int // of the packet that read has returned, if it was too large; else 0

	mu      sync.Mutex
	changed sync.Cond // something was written, or the connection is over
	unsent  []byte
	over    error // why nothing is written any more
}

func newConn(nc net.Conn, v mqtt.Version, maxRead int) *conn {
	c := &conn{net: nc, version: v, maxRead: maxRead, maxQoS: 2, retains: true, receiveMaximum: 65535, maxPacket: mqtt.MaxRemainingLength + 5}
	c.changed.L = &c.mu
	return c
}

// read returns the next packet. It is good until the next call.
func (c *conn) read() (mqtt.Packet, error) {
	c.size = 0
	for {
		if skip := min(c.headless, c.tail-c.head); skip > 0 {
			c.head += skip
			c.headless -= skip
		}
		p, n, err := mqtt.Parse(c.buf[c.head:c.tail], c.version, c.maxRead)
		if wrong, ok := errors.AsType[*mqtt.Error](err); ok && wrong.Code == mqtt.PacketTooLarge && p.Type == mqtt.PUBLISH && c.version != mqtt.V50 {
			p, n, err = c.tooLarge(p)
		}
		if err != nil {
			return p, err
		}
		if n > 0 {
			c.head += n
			return p, nil
		}
		if c.head > 0 {
			copy(c.buf, c.buf[c.head:c.tail])
			c.head, c.tail = 0, c.tail-c.head
		}
		switch {
		case c.tail == len(c.buf): // as data really comes, not as a header says
			c.buf = append(c.buf, make([]byte, max(readChunk, len(c.buf)))...)
		case c.tail == 0 && len(c.buf) > 4*readChunk: // after a large packet
			c.buf = make([]byte, readChunk)
		}
		if c.keepAlive > 0 {
			c.net.SetReadDeadline(time.Now().Add(c.keepAlive * 3 / 2))
		}
		n, err = c.net.Read(c.buf[c.tail:])
		c.tail += n
		if n == 0 && err != nil {
			return mqtt.Packet{}, err
		}
	}
}

// tooLarge returns the beginning of a PUBLISH that is too large, as far as its packet
// identifier; the rest is skipped. Before 5.0 nobody can be told what is too large, and
// would send it again for ever. n is 0 if that much has not come.
func (c *conn) tooLarge(p mqtt.Packet) (_ mqtt.Packet, n int, err error) {
	b := c.buf[c.head:c.tail]
	size, err := mqtt.Size(b)
	if err != nil {
		return p, 0, err
	}
	header := 2
	for b[header-1] >= 0x80 {
		header++
	}
	if len(b) < header+2 {
		return p, 0, nil
	}
	body := 2 + int(binary.BigEndian.Uint16(b[header:]))
	if p.Flags&6 != 0 {
		body += 2
	}
	if header+body > size {
		return p, 0, &mqtt.Error{Code: mqtt.MalformedPacket, Detail: "topic name runs past the end of the packet"}
	}
	if len(b) < header+body {
		return p, 0, nil
	}
	p.Body = b[header : header+body]
	c.size, c.headless = size, size-header-body
	return p, header + body, nil
}

// send appends a packet to what is to be written. Who reads another connection and has
// much to send waits here until some of it is written.
func (c *conn) send(packet func([]byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) > maxUnsent && c.over == nil {
		c.changed.Wait()
	}
	if c.over == nil {
		c.unsent = packet(c.unsent)
		c.changed.Broadcast()
	}
}

// write writes what is to be written until that fails or end is called.
func (c *conn) write() error {
	var spare []byte
	for {
		c.mu.Lock()
		for len(c.unsent) == 0 && c.over == nil {
			c.changed.Wait()
		}
		if len(c.unsent) == 0 {
			defer c.mu.Unlock()
			return c.over
		}
		b := c.unsent
		c.unsent = spare[:0]
		c.changed.Broadcast()
		c.mu.Unlock()
		c.net.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := c.net.Write(b); err != nil {
			c.end(err)
			return err
		}
		if spare = b; cap(spare) > 2*maxUnsent {
			spare = nil
		}
	}
}

// errEnded ends a connection that nothing is wrong with.
var errEnded = errors.New("ended")

// end makes write return when all is written, and send do nothing.
func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over == nil {
		c.over = err
		c.changed.Broadcast()
	}
}

// Refusal is a CONNACK that lets nobody in.
type Refusal struct {
	Code   mqtt.ReasonCode // of 5.0, also for those before
	Reason string          // in the broker's words; may be empty
}

func (r *Refusal) Error() string {
	return (&mqtt.Error{Code: r.Code, Detail: r.Reason}).Error()
}

// final reports whether trying again soon is of no use: a person has to act.
func (r *Refusal) final() bool {
	switch r.Code {
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.Banned, mqtt.BadAuthenticationMethod, mqtt.ClientIdentifierNotValid:
		return true
	}
	return false
}

// returnCodes are those of 3.1.1 in words of 5.0 (3.1.1 §3.2.2.3).
var returnCodes = [...]mqtt.ReasonCode{mqtt.Success, mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid,
	mqtt.ServerUnavailable, mqtt.BadUserNameOrPassword, mqtt.NotAuthorized}

// errSilentEnd is a connection that was closed before anything was said. Servers that
// do not know a protocol level do so.
var errSilentEnd = errors.New("the broker has closed the connection without an answer")

// errWantsTLS is an alert of TLS (RFC 8446 §5.1) in answer to what is none.
var errWantsTLS = errors.New("the broker has answered with an alert of TLS")

// connect says CONNECT and takes in what the answer says.
func (c *conn) connect(connect *mqtt.Connect) error {
	c.net.SetDeadline(time.Now().Add(answerTime))
	_, failed := c.net.Write(connect.Append(nil))
	p, err := c.read()
	if c.tail >= 2 && c.buf[0] == 0x15 && c.buf[1] == 3 {
		return errWantsTLS // it looks like a CONNECT of three bytes
	}
	if err != nil {
		if failed != nil && !isAlert(err) { // which says why
			err = failed
		}
		if c.tail == 0 && !isTimeout(err) && !isWrong(err) && !isAlert(err) {
			return fmt.Errorf("%w: %w", errSilentEnd, err)
		}
		return err
	}
	if p.Type != mqtt.CONNACK {
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: p.Type.String() + " in place of CONNACK"}
	}
	if c.version == mqtt.V50 && len(p.Body) == 2 { // of a server that knows 3.1.1 only
		c.version = mqtt.V311
	}
	var answer mqtt.Connack
	if err := answer.Decode(p, c.version); err != nil {
		return err
	}
	if c.version != mqtt.V50 && answer.Code != mqtt.Success {
		return &Refusal{Code: returnCodes[answer.Code]}
	}
	if answer.Code != mqtt.Success {
		return &Refusal{answer.Code, printable(answer.Properties.Text(mqtt.ReasonString))}
	}
	if connect.Version == mqtt.V50 && c.version != mqtt.V50 {
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "CONNACK of an older version"}
	}
	c.present = answer.SessionPresent
	c.maxQoS = mqtt.QoS(answer.Properties.Uint(mqtt.MaximumQoS, 2))
	c.retains = answer.Properties.Uint(mqtt.RetainAvailable, 1) == 1
	c.receiveMaximum = int(answer.Properties.Uint(mqtt.ReceiveMaximum, 65535))
	if c.version != mqtt.V50 {
		c.receiveMaximum = window311
	}
	c.maxPacket = int(answer.Properties.Uint(mqtt.MaximumPacketSize, uint32(c.maxPacket)))
	c.keepAlive = time.Duration(answer.Properties.Uint(mqtt.ServerKeepAlive, uint32(connect.KeepAlive))) * time.Second
	c.net.SetDeadline(time.Time{})
	return nil
}
