package broker_test

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

var versions = []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V50}

// versionName names a subtest.
func versionName(v mqtt.Version) string {
	return map[mqtt.Version]string{mqtt.V31: "3.1", mqtt.V311: "3.1.1", mqtt.V50: "5.0"}[v]
}

// forVersions runs a test once for each of the versions.
func forVersions(t *testing.T, test func(t *testing.T, v mqtt.Version), vs ...mqtt.Version) {
	for _, v := range vs {
		t.Run(versionName(v), func(t *testing.T) { test(t, v) })
	}
}

// rawClient is a client that sends and reads packets and decides nothing by
// itself.
type rawClient struct {
	t       testing.TB
	net     net.Conn
	version mqtt.Version
	buf     []byte
	connack mqtt.Connack
}

// openRaw makes a network connection without CONNECT.
func openRaw(t testing.TB, s *server, v mqtt.Version) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	c := &rawClient{t: t, net: nc, version: v}
	t.Cleanup(func() { nc.Close() })
	return c
}

// clean is the CONNECT of a client whose session ends with its connection.
func clean(v mqtt.Version, id string) mqtt.Connect {
	return mqtt.Connect{Version: v, ClientID: id, CleanStart: true}
}

// durable is the CONNECT of a client whose session has no end, and that goes on
// with one that is there.
func durable(v mqtt.Version, id string) mqtt.Connect {
	return expiring(v, id, persist.NeverExpires)
}

// expiring is durable with a Session Expiry Interval, which older versions do
// not know.
func expiring(v mqtt.Version, id string, seconds uint32) mqtt.Connect {
	c := mqtt.Connect{Version: v, ClientID: id}
	if v == mqtt.V50 {
		c.Properties.SetUint(mqtt.SessionExpiryInterval, seconds)
	}
	return c
}

// connect connects and wants to be accepted.
func connect(t testing.TB, s *server, packet mqtt.Connect) *rawClient {
	t.Helper()
	c := openRaw(t, s, packet.Version)
	c.raw(packet.Append(nil))
	c.decode(c.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return c.connack.Decode(p, c.version) })
	if c.connack.Code != mqtt.Success {
		t.Fatalf("CONNACK with %v", c.connack.Code)
	}
	return c
}

// raw sends bytes.
func (c *rawClient) raw(b []byte) {
	c.t.Helper()
	if _, err := c.net.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// send sends packets in one write.
func (c *rawClient) send(packets ...interface {
	Append([]byte, mqtt.Version) []byte
}) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		b = p.Append(b, c.version)
	}
	c.raw(b)
}

// next reads one packet, whose body is its own.
func (c *rawClient) next() (mqtt.Packet, error) {
	for {
		p, n, err := mqtt.Parse(c.buf, c.version, 0)
		if err != nil {
			return p, err
		}
		if n > 0 {
			p.Body = slices.Clone(p.Body)
			c.buf = c.buf[n:]
			return p, nil
		}
		var b [64 << 10]byte
		n, err = c.net.Read(b[:])
		c.buf = append(c.buf, b[:n]...)
		if n == 0 && err != nil {
			return mqtt.Packet{}, err
		}
	}
}

// expect reads a packet of a type.
func (c *rawClient) expect(want mqtt.PacketType) mqtt.Packet {
	c.t.Helper()
	p, err := c.next()
	if err != nil {
		c.t.Fatalf("waiting for %v: %v", want, err)
	}
	if p.Type != want {
		c.t.Fatalf("received %v % x, want %v", p.Type, p.Body, want)
	}
	return p
}

// either reads two packets that come in no certain order.
func (c *rawClient) either(a, b mqtt.PacketType) {
	c.t.Helper()
	for range 2 {
		p, err := c.next()
		if err != nil || p.Type != a && p.Type != b {
			c.t.Fatalf("received %v % x, %v, want %v or %v", p.Type, p.Body, err, a, b)
		}
	}
}

func (c *rawClient) decode(p mqtt.Packet, decode func(mqtt.Packet) error) {
	c.t.Helper()
	if err := decode(p); err != nil {
		c.t.Fatalf("%v % x: %v", p.Type, p.Body, err)
	}
}

// message reads a PUBLISH.
func (c *rawClient) message() *mqtt.Publish {
	c.t.Helper()
	var m mqtt.Publish
	c.decode(c.expect(mqtt.PUBLISH), func(p mqtt.Packet) error { return m.Decode(p, c.version) })
	return &m
}

// wantMessage reads a PUBLISH and compares what matters most.
func (c *rawClient) wantMessage(topic, payload string, qos mqtt.QoS) *mqtt.Publish {
	c.t.Helper()
	m := c.message()
	if string(m.Topic) != topic || string(m.Payload) != payload || m.QoS != qos {
		c.t.Fatalf("received %q %.60q with QoS %d, want %q %.60q with QoS %d", m.Topic, m.Payload, m.QoS, topic, payload, qos)
	}
	return m
}

// wantAck reads a PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *rawClient) wantAck(typ mqtt.PacketType, id uint16, code mqtt.ReasonCode) {
	c.t.Helper()
	var a mqtt.Ack
	c.decode(c.expect(typ), func(p mqtt.Packet) error { return a.Decode(p, c.version) })
	if a.PacketID != id || a.Code != code {
		c.t.Fatalf("received %v %d with %v, want %d with %v", typ, a.PacketID, a.Code, id, code)
	}
}

// ack sends a PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *rawClient) ack(typ mqtt.PacketType, id uint16) {
	c.t.Helper()
	c.send(&mqtt.Ack{Type: typ, PacketID: id})
}

// barrier returns when the broker has handled everything that was sent before,
// and wants nothing to have come meanwhile.
func (c *rawClient) barrier() {
	c.t.Helper()
	c.raw([]byte{0xC0, 0})
	c.expect(mqtt.PINGRESP)
}

// publish sends a message and goes through the whole exchange. The packet id is
// always 1.
func (c *rawClient) publish(topic, payload string, qos mqtt.QoS, retain bool) {
	c.t.Helper()
	c.exchange(&mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, Retain: retain, PacketID: uint16(min(qos, 1))})
}

// exchange sends a PUBLISH and goes through the whole exchange. When it returns
// the message is on its way to everybody who is connected.
func (c *rawClient) exchange(m *mqtt.Publish) {
	c.t.Helper()
	c.send(m)
	switch m.QoS {
	case 0:
		c.barrier()
	case 1:
		c.wantAck(mqtt.PUBACK, m.PacketID, mqtt.Success)
	case 2:
		c.wantAck(mqtt.PUBREC, m.PacketID, mqtt.Success)
		c.ack(mqtt.PUBREL, m.PacketID)
		c.wantAck(mqtt.PUBCOMP, m.PacketID, mqtt.Success)
	}
}

// take reads n messages and acknowledges them, through all steps.
func (c *rawClient) take(n int, check func(i int, m *mqtt.Publish)) {
	c.t.Helper()
	open := make(map[uint16]bool) // exchanges that this call has begun; the PUBREL of an older one may come between
	for i := 0; i < n || len(open) > 0; {
		p, err := c.next()
		if err != nil {
			c.t.Fatalf("after %d messages: %v", i, err)
		}
		if p.Type == mqtt.PUBREL {
			var rel mqtt.Ack
			c.decode(p, func(p mqtt.Packet) error { return rel.Decode(p, c.version) })
			c.ack(mqtt.PUBCOMP, rel.PacketID)
			delete(open, rel.PacketID)
			continue
		}
		if p.Type != mqtt.PUBLISH {
			c.t.Fatalf("received %v % x after %d messages", p.Type, p.Body, i)
		}
		var m mqtt.Publish
		c.decode(p, func(p mqtt.Packet) error { return m.Decode(p, c.version) })
		check(i, &m)
		i++
		switch m.QoS {
		case 1:
			c.ack(mqtt.PUBACK, m.PacketID)
		case 2:
			c.ack(mqtt.PUBREC, m.PacketID)
			open[m.PacketID] = true
		}
	}
}

// filter is a FilterRequest in short.
func filter(f string, options mqtt.SubscriptionOptions) mqtt.FilterRequest {
	return mqtt.FilterRequest{Filter: f, Options: options}
}

// subscribe subscribes and wants every filter to be granted as asked for.
func (c *rawClient) subscribe(filters ...mqtt.FilterRequest) {
	c.t.Helper()
	c.send(&mqtt.Subscribe{PacketID: 0xABCD, Filters: filters})
	var want []mqtt.ReasonCode
	for _, f := range filters {
		want = append(want, mqtt.ReasonCode(f.Options.QoS()))
	}
	c.wantCodes(mqtt.SUBACK, 0xABCD, want...)
}

// wantCodes reads a SUBACK or UNSUBACK.
func (c *rawClient) wantCodes(typ mqtt.PacketType, id uint16, want ...mqtt.ReasonCode) {
	c.t.Helper()
	var a mqtt.Suback
	c.decode(c.expect(typ), func(p mqtt.Packet) error { return a.Decode(p, c.version) })
	if a.PacketID != id || !slices.Equal(a.Codes, want) {
		c.t.Fatalf("received %v %d with %v, want %d with %v", typ, a.PacketID, a.Codes, id, want)
	}
}

// end reads until the broker closes the connection. It returns the packets that
// came before.
func (c *rawClient) end() []mqtt.Packet {
	c.t.Helper()
	var packets []mqtt.Packet
	for {
		p, err := c.next()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			c.t.Fatalf("the connection is still open after %v", packets)
		}
		if err != nil {
			c.net.Close()
			return packets
		}
		packets = append(packets, p)
	}
}

// wantEnd wants the connection to be closed, in 5.0 after a DISCONNECT with the
// code, before without.
func (c *rawClient) wantEnd(code mqtt.ReasonCode) {
	c.t.Helper()
	packets := c.end()
	if c.version != mqtt.V50 {
		if len(packets) > 0 {
			c.t.Fatalf("received %v before the end", packets)
		}
		return
	}
	if len(packets) != 1 || packets[0].Type != mqtt.DISCONNECT {
		c.t.Fatalf("received %v before the end, want DISCONNECT", packets)
	}
	var d mqtt.Disconnect
	c.decode(packets[0], func(p mqtt.Packet) error { return d.Decode(p, c.version) })
	if d.Code != code {
		c.t.Fatalf("DISCONNECT with %v, want %v", d.Code, code)
	}
	if !d.ServerMaySend() {
		c.t.Fatalf("DISCONNECT with %v is not for servers", d.Code)
	}
}

// bye says goodbye and waits until the broker has closed.
func (c *rawClient) bye() {
	c.t.Helper()
	c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT})
	if packets := c.end(); len(packets) > 0 {
		c.t.Fatalf("received %v after DISCONNECT", packets)
	}
}

// drop breaks the connection and waits until the broker has noticed: it closes
// its side when it has let go of the session.
func (c *rawClient) drop() {
	c.t.Helper()
	c.net.(*net.TCPConn).CloseWrite()
	c.end()
	c.net.Close()
}

// eventually waits for what shows in counters only.
func eventually(t testing.TB, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !reached(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
