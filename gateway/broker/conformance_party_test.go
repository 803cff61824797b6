package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// socketParty is a client on a socket.
type socketParty struct {
	*rawClient
	inbox   []received
	filters []string // by subscription identifier - 1
}

func newSocketParty(t testing.TB, s *server, v mqtt.Version, id string) party {
	t.Helper()
	return &socketParty{rawClient: connect(t, s, clean(v, id))}
}

// newWebParty connects a client of 5.0 over WebSocket.
func newWebParty(t testing.TB, s *server, id string) party {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), s.URL, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(-1)
	c := &rawClient{t: t, net: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), version: mqtt.V50}
	packet := clean(mqtt.V50, id)
	c.raw(packet.Append(nil))
	c.decode(c.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return c.connack.Decode(p, c.version) })
	return &socketParty{rawClient: c}
}

// read returns the next packet. If it is a part of receiving messages it has been
// seen to, and ours is set.
func (c *socketParty) read() (p mqtt.Packet, ours bool, err error) {
	c.t.Helper()
	c.net.SetDeadline(time.Now().Add(patience))
	if p, err = c.rawClient.next(); err != nil {
		return p, false, err
	}
	switch p.Type {
	case mqtt.PUBLISH:
		c.receive(p)
	case mqtt.PUBREL:
		var rel mqtt.Ack
		c.decode(p, func(p mqtt.Packet) error { return rel.Decode(p, c.version) })
		c.ack(mqtt.PUBCOMP, rel.PacketID)
	default:
		return p, false, nil
	}
	return p, true, nil
}

// receive puts a message into the inbox and acknowledges it.
func (c *socketParty) receive(p mqtt.Packet) {
	c.t.Helper()
	var m mqtt.Publish
	c.decode(p, func(p mqtt.Packet) error { return m.Decode(p, c.version) })
	r := received{Message: mqtt.Message{Topic: string(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: m.Properties}, left: -1}
	if m.HasExpiry {
		r.left = int(m.Expiry)
	}
	for _, identifier := range m.Identifiers {
		r.by = append(r.by, c.filters[identifier-1])
	}
	c.inbox = append(c.inbox, r)
	switch m.QoS {
	case 1:
		c.ack(mqtt.PUBACK, m.PacketID)
	case 2:
		c.ack(mqtt.PUBREC, m.PacketID)
	}
}

// packet returns the next packet that is not ours.
func (c *socketParty) packet() (mqtt.Packet, error) {
	c.t.Helper()
	for {
		if p, ours, err := c.read(); !ours {
			return p, err
		}
	}
}

func (c *socketParty) next() received {
	c.t.Helper()
	for len(c.inbox) == 0 {
		if p, ours, err := c.read(); !ours {
			c.t.Fatalf("received %v % x, %v, want a message", p.Type, p.Body, err)
		}
	}
	r := c.inbox[0]
	c.inbox = c.inbox[1:]
	return r
}

// publishPacket is the PUBLISH of a message.
func publishPacket(m mqtt.Message, id uint16) *mqtt.Publish {
	p := &mqtt.Publish{Topic: []byte(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Properties: m.Properties, PacketID: id}
	if !m.Expires.IsZero() {
		p.HasExpiry, p.Expiry = true, uint32(secondsLeft(m.Expires))
	}
	return p
}

func secondsLeft(expires time.Time) int {
	return int((time.Until(expires) + time.Second - 1) / time.Second)
}

// publish sends all messages at once: there are no more than the Receive Maximum.
func (c *socketParty) publish(messages ...mqtt.Message) {
	c.t.Helper()
	var b []byte
	open := 1 // the PINGRESP, which tells that those of QoS 0 were handled
	for i, m := range messages {
		b = publishPacket(m, uint16(i+1)).Append(b, c.version)
		if m.QoS > 0 {
			open++
		}
	}
	c.raw(append(b, byte(mqtt.PINGREQ)<<4, 0))
	for open > 0 {
		p, err := c.packet()
		if err != nil {
			c.t.Fatalf("publishing: %v", err)
		}
		if p.Type == mqtt.PINGRESP {
			open--
			continue
		}
		if p.Type != mqtt.PUBACK && p.Type != mqtt.PUBREC && p.Type != mqtt.PUBCOMP {
			c.t.Fatalf("received %v % x while publishing", p.Type, p.Body)
		}
		var a mqtt.Ack
		c.decode(p, func(p mqtt.Packet) error { return a.Decode(p, c.version) })
		if a.Code >= 0x80 {
			c.t.Fatalf("publishing %d: %v", a.PacketID, a.Code)
		}
		if p.Type == mqtt.PUBREC {
			c.ack(mqtt.PUBREL, a.PacketID)
			continue
		}
		open--
	}
}

func (c *socketParty) try(m mqtt.Message) mqtt.ReasonCode {
	c.t.Helper()
	c.send(publishPacket(m, 1))
	if m.QoS == 0 {
		c.raw([]byte{byte(mqtt.PINGREQ) << 4, 0})
	}
	return c.answer()
}

func (c *socketParty) subscribe(filter string, options mqtt.SubscriptionOptions) mqtt.ReasonCode {
	c.t.Helper()
	m := mqtt.Subscribe{PacketID: 7, Filters: []mqtt.FilterRequest{{Filter: filter, Options: options}}}
	if c.version == mqtt.V50 {
		c.filters = append(c.filters, filter)
		m.Properties = identifier(uint32(len(c.filters)))
	}
	c.send(&m)
	return c.answer()
}

func (c *socketParty) unsubscribe(filter string) mqtt.ReasonCode {
	c.t.Helper()
	c.send(&mqtt.Unsubscribe{PacketID: 7, Filters: []string{filter}})
	return c.answer()
}

// answer reads what the broker says to the last packet.
func (c *socketParty) answer() mqtt.ReasonCode {
	c.t.Helper()
	p, err := c.packet()
	if err != nil {
		return mqtt.UnspecifiedError
	}
	switch p.Type {
	case mqtt.PUBACK, mqtt.PUBREC:
		var a mqtt.Ack
		c.decode(p, func(p mqtt.Packet) error { return a.Decode(p, c.version) })
		return a.Code
	case mqtt.SUBACK, mqtt.UNSUBACK:
		var a mqtt.Suback
		c.decode(p, func(p mqtt.Packet) error { return a.Decode(p, c.version) })
		if len(a.Codes) == 1 {
			return a.Codes[0]
		}
	case mqtt.DISCONNECT:
		var d mqtt.Disconnect
		c.decode(p, func(p mqtt.Packet) error { return d.Decode(p, c.version) })
		if p, err := c.packet(); err == nil {
			c.t.Fatalf("received %v after DISCONNECT", p.Type)
		}
		return d.Code
	}
	return mqtt.Success
}

// A socket that nobody reads is slow enough.
func (c *socketParty) hold()    {}
func (c *socketParty) release() {}

func (c *socketParty) ended(code mqtt.ReasonCode) {
	c.t.Helper()
	if c.version != mqtt.V50 {
		code = mqtt.UnspecifiedError
	}
	if got := c.answer(); got != code {
		c.t.Errorf("the connection ended with %v, want %v", got, code)
	}
}

func (c *socketParty) leave() {
	c.t.Helper()
	c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT})
	c.end() // what comes before is not acknowledged any more
}

// insideParty is a client in the process.
type insideParty struct {
	t     testing.TB
	c     *broker.Client
	inbox chan received
	gate  sync.Mutex
	held  bool
}

func newInsideParty(t testing.TB, s *server, id string) party {
	t.Helper()
	c, err := s.NewClient(id)
	if err != nil {
		t.Fatal(err)
	}
	p := &insideParty{t: t, c: c, inbox: make(chan received, 20_000)}
	t.Cleanup(func() {
		p.release()
		c.Close()
	})
	return p
}

func (p *insideParty) publish(messages ...mqtt.Message) {
	p.t.Helper()
	for _, m := range messages {
		if err := p.c.Publish(p.t.Context(), m); err != nil {
			p.t.Fatal(err)
		}
	}
}

// reason is what an error says; an error without a reason code fails the test.
func (p *insideParty) reason(err error) mqtt.ReasonCode {
	p.t.Helper()
	if err == nil {
		return mqtt.Success
	}
	var reason *mqtt.Error
	if !errors.As(err, &reason) {
		p.t.Fatalf("%v has no reason code", err)
	}
	return reason.Code
}

func (p *insideParty) try(m mqtt.Message) mqtt.ReasonCode {
	p.t.Helper()
	return p.reason(p.c.Publish(p.t.Context(), m))
}

func (p *insideParty) subscribe(filter string, options mqtt.SubscriptionOptions) mqtt.ReasonCode {
	p.t.Helper()
	err := p.c.Subscribe(p.t.Context(), filter, options, func(m mqtt.Message) {
		r := received{Message: m, left: -1, by: []string{filter}}
		if !m.Expires.IsZero() {
			r.left = secondsLeft(m.Expires)
			r.Expires = time.Time{}
		}
		p.gate.Lock()
		defer p.gate.Unlock()
		p.inbox <- r
	})
	if err == nil {
		return mqtt.ReasonCode(options.QoS())
	}
	return p.reason(err)
}

func (p *insideParty) unsubscribe(filter string) mqtt.ReasonCode {
	p.t.Helper()
	return p.reason(p.c.Unsubscribe(p.t.Context(), filter))
}

func (p *insideParty) next() received {
	p.t.Helper()
	select {
	case r := <-p.inbox:
		return r
	case <-time.After(patience):
		p.t.Fatal("no message came")
		panic("unreachable")
	}
}

func (p *insideParty) hold() {
	p.gate.Lock()
	p.held = true
}

func (p *insideParty) release() {
	if p.held {
		p.held = false
		p.gate.Unlock()
	}
}

func (p *insideParty) ended(mqtt.ReasonCode) {
	p.t.Helper()
	if err := p.c.Publish(p.t.Context(), mqtt.Message{Topic: "x"}); !errors.Is(err, broker.ErrClosed) {
		p.t.Errorf("publishing after the end: %v, want %v", err, broker.ErrClosed)
	}
	if err := p.c.Subscribe(p.t.Context(), "x", 0, func(mqtt.Message) {}); !errors.Is(err, broker.ErrClosed) {
		p.t.Errorf("subscribing after the end: %v, want %v", err, broker.ErrClosed)
	}
	if err := p.c.Unsubscribe(p.t.Context(), "x"); !errors.Is(err, broker.ErrClosed) {
		p.t.Errorf("unsubscribing after the end: %v, want %v", err, broker.ErrClosed)
	}
}

func (p *insideParty) leave() { p.c.Close() }
