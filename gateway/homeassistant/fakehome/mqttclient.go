package fakehome

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"lintel/gateway/mqtt"
)

const (
	tryTimeout = 10 * time.Second // for a connection, until CONNACK
	maxPacket  = 1 << 20
	maxOutbox  = 10_000 // packets that wait to be written
)

// client is a connection of MQTT 3.1.1 with a clean session, as Home Assistant makes it.
type client struct {
	conn net.Conn
	r    *bufio.Reader

	mu     sync.Mutex
	outbox [][]byte
	more   chan struct{}
	closed chan struct{} // when nothing more is written

	packetID uint16 // the owner's
}

type clientOptions struct {
	clientID  string
	keepAlive time.Duration
	will      *mqtt.Message
}

// clientID is made up anew for every start.
func clientID() string { return "ha" + rand.Text()[:20] }

// dial connects and waits for the CONNACK, whose code it returns.
func dial(ctx context.Context, e Entry, o clientOptions) (*client, mqtt.ReasonCode, error) {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(e.Broker, strconv.Itoa(e.Port)))
	if err != nil {
		return nil, 0, err
	}
	c := &client{conn: conn, r: bufio.NewReader(conn), more: make(chan struct{}, 1), closed: make(chan struct{})}
	go c.write()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	connect := mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: uint16(o.keepAlive / time.Second),
		ClientID: o.clientID, Will: o.will, HasUserName: e.Username != "", UserName: e.Username,
		HasPassword: e.Username != "", Password: []byte(e.Password)}
	c.send(connect.Append(nil))
	p, err := c.read()
	if err != nil {
		c.close(false)
		return nil, 0, err
	}
	var answer mqtt.Connack
	if p.Type != mqtt.CONNACK {
		err = fmt.Errorf("%v instead of CONNACK", p.Type)
	} else {
		err = answer.Decode(p, mqtt.V311)
	}
	if err != nil {
		c.close(false)
		return nil, 0, err
	}
	return c, answer.Code, nil
}

// read returns the next packet, whose body is its own.
func (c *client) read() (mqtt.Packet, error) {
	for n := 2; ; {
		b, err := c.r.Peek(n)
		if err != nil {
			return mqtt.Packet{}, err
		}
		size, err := mqtt.Size(b)
		if err != nil {
			return mqtt.Packet{}, err
		}
		if size == 0 { // the length has more bytes
			n++
			continue
		}
		if size > maxPacket {
			return mqtt.Packet{}, fmt.Errorf("packet of %d bytes", size)
		}
		b = make([]byte, size)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return mqtt.Packet{}, err
		}
		p, _, err := mqtt.Parse(b, mqtt.V311, maxPacket)
		return p, err
	}
}

// send has a packet written, and does not wait for that.
func (c *client) send(packet []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.outbox) >= maxOutbox {
		c.conn.Close()
		return
	}
	c.outbox = append(c.outbox, packet)
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *client) publish(m mqtt.Message) {
	p := mqtt.Publish{QoS: m.QoS, Retain: m.Retain, Topic: []byte(m.Topic), Payload: m.Payload}
	if m.QoS > 0 {
		p.PacketID = c.nextID()
	}
	c.send(p.Append(nil, mqtt.V311))
}

func (c *client) nextID() uint16 {
	c.packetID++
	if c.packetID == 0 {
		c.packetID = 1
	}
	return c.packetID
}

// write writes until there is a nil packet, or until it fails.
func (c *client) write() {
	defer close(c.closed)
	for range c.more {
		c.mu.Lock()
		packets := c.outbox
		c.outbox = nil
		c.mu.Unlock()
		for _, p := range packets {
			if p == nil {
				return
			}
			if _, err := c.conn.Write(p); err != nil {
				c.conn.Close()
				return
			}
		}
	}
}

// close ends the connection: politely with DISCONNECT, so that the will is not sent.
func (c *client) close(politely bool) error {
	if politely {
		d := mqtt.Disconnect{Type: mqtt.DISCONNECT}
		c.send(d.Append(nil, mqtt.V311))
		c.send(nil)
		// Who does not read for this long is not waited for.
		c.conn.SetDeadline(time.Now().Add(tryTimeout))
		<-c.closed
		// The end of a connection with bytes that were not read is a reset, which
		// overtakes the DISCONNECT.
		if tcp, ok := c.conn.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
			io.Copy(io.Discard, c.conn)
		}
	}
	err := c.conn.Close()
	if !politely {
		c.send(nil)
		<-c.closed
	}
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
