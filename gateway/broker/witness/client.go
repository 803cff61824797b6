package witness

import (
	"context"
	"fmt"
	"math"
	"net"
	"time"

	"lintel/gateway/mqtt"
)

// patience is how long a client waits for a packet that it is owed.
const patience = 30 * time.Second

// conn is the connection of a client.
type conn struct {
	net     net.Conn
	version mqtt.Version
	present bool // the broker had the session
	buf     []byte
	parsed  int // of buf, by the packet before
	stop    func() bool
}

type packet interface {
	Append([]byte, mqtt.Version) []byte
}

// connect returns a connection that ends with ctx. A lasting session never
// expires; else it ends with the connection.
func connect(ctx context.Context, addr, id string, v mqtt.Version, cleanStart, lasting bool) (*conn, error) {
	nc, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{net: nc, version: v, stop: context.AfterFunc(ctx, func() { nc.Close() })}
	request := mqtt.Connect{Version: v, ClientID: id, CleanStart: cleanStart}
	if v == mqtt.V50 && lasting {
		request.Properties.SetUint(mqtt.SessionExpiryInterval, math.MaxUint32)
	}
	if _, err := nc.Write(request.Append(nil)); err != nil {
		c.close()
		return nil, err
	}
	p, err := c.next(patience)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s waits for CONNACK: %w", id, err)
	}
	var a mqtt.Connack
	if err = a.Decode(p, v); err == nil && (p.Type != mqtt.CONNACK || a.Code != 0) {
		err = fmt.Errorf("%v with code %v", p.Type, a.Code)
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%s is refused: %w", id, err)
	}
	c.present = a.SessionPresent
	return c, nil
}

// close breaks the connection, without DISCONNECT.
func (c *conn) close() {
	c.stop()
	c.net.Close()
}

// next returns the next packet, whose body is good until the call after.
func (c *conn) next(timeout time.Duration) (mqtt.Packet, error) {
	c.net.SetReadDeadline(time.Now().Add(timeout))
	c.buf = c.buf[c.parsed:]
	c.parsed = 0
	for {
		p, n, err := mqtt.Parse(c.buf, c.version, 0)
		if err != nil {
			return p, err
		}
		if n > 0 {
			c.parsed = n
			return p, nil
		}
		if cap(c.buf)-len(c.buf) < 4096 {
			c.buf = append(make([]byte, 0, 2*len(c.buf)+16<<10), c.buf...)
		}
		n, err = c.net.Read(c.buf[len(c.buf):cap(c.buf)])
		if n == 0 && err != nil {
			return p, err
		}
		c.buf = c.buf[:len(c.buf)+n]
	}
}

// buffered reports whether there is more to read already.
func (c *conn) buffered() bool { return len(c.buf) > c.parsed }

func (c *conn) send(packets ...packet) error {
	var b []byte
	for _, p := range packets {
		b = p.Append(b, c.version)
	}
	return c.write(b)
}

func (c *conn) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c.net.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.net.Write(b)
	return err
}

// await returns the answer to a request, giving packets that come before to
// other, which may be nil.
func (c *conn) await(t mqtt.PacketType, other func(mqtt.Packet) error) (mqtt.Packet, error) {
	for {
		p, err := c.next(patience)
		if err != nil {
			return p, fmt.Errorf("waiting for %v: %w", t, err)
		}
		if p.Type == t {
			return p, nil
		}
		if other == nil {
			continue
		}
		if err := other(p); err != nil {
			return p, err
		}
	}
}

// subscribe subscribes to one filter and waits for the SUBACK.
func (c *conn) subscribe(filter string, qos mqtt.QoS, other func(mqtt.Packet) error) error {
	err := c.send(&mqtt.Subscribe{PacketID: subscribeID, Filters: []mqtt.FilterRequest{{Filter: filter, Options: mqtt.SubscriptionOptions(qos)}}})
	if err != nil {
		return err
	}
	p, err := c.await(mqtt.SUBACK, other)
	if err != nil {
		return err
	}
	return granted(p, c.version, qos)
}

// subscribeID is the packet id of every SUBSCRIBE and UNSUBSCRIBE.
const subscribeID = 60000

// granted checks a SUBACK.
func granted(p mqtt.Packet, v mqtt.Version, qos mqtt.QoS) error {
	var a mqtt.Suback
	if err := a.Decode(p, v); err != nil {
		return err
	}
	if len(a.Codes) != 1 || a.Codes[0] != mqtt.ReasonCode(qos) {
		return fmt.Errorf("SUBACK with %v", a.Codes)
	}
	return nil
}

// unsubscribe unsubscribes from one filter and waits for the UNSUBACK.
func (c *conn) unsubscribe(filter string) error {
	if err := c.send(&mqtt.Unsubscribe{PacketID: subscribeID, Filters: []string{filter}}); err != nil {
		return err
	}
	_, err := c.await(mqtt.UNSUBACK, nil)
	return err
}

// publish publishes one message with QoS 1 and waits for the PUBACK.
func (c *conn) publish(topic string, payload []byte, retain bool) error {
	if err := c.send(&mqtt.Publish{QoS: 1, Retain: retain, PacketID: 1, Topic: []byte(topic), Payload: payload}); err != nil {
		return err
	}
	p, err := c.await(mqtt.PUBACK, nil)
	if err != nil {
		return err
	}
	_, err = decodeAck(p, c.version)
	return err
}

// decodeAck returns the packet id of an acknowledgement that is no refusal.
func decodeAck(p mqtt.Packet, v mqtt.Version) (uint16, error) {
	var a mqtt.Ack
	if err := a.Decode(p, v); err != nil {
		return 0, err
	}
	if a.Code >= 0x80 && p.Type != mqtt.PUBCOMP && p.Type != mqtt.PUBREL {
		return 0, fmt.Errorf("the broker refuses a message with %v", a.Code)
	}
	return a.PacketID, nil
}
