package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
)

const (
	mqttKeepAlive = 60 * time.Second
	mqttPatience  = 30 * time.Second // for an answer of the broker
	maxMQTTPacket = 64 << 20         // bytes of a packet that is read
)

// mqttClient is a client of a broker. Who has it reads; writing takes turns with the ping.
type mqttClient struct {
	version mqtt.Version
	conn    net.Conn
	buf     []byte
	head    int
	lastID  uint16
	arrived map[uint16]bool // QoS 2, by packet identifier: between PUBLISH and PUBREL

	writing sync.Mutex
	stop    func() bool   // watching the context
	ended   atomic.Bool   // the context has
	over    chan struct{} // closed by close
}

// connect connects to the broker until ctx ends.
func (l *login) connect(ctx context.Context) (*mqttClient, error) {
	u, err := l.parseBroker()
	if err != nil {
		return nil, err
	}
	connect, err := l.connectPacket()
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, mqttPatience)
	defer cancel()
	nc, err := l.dial(dialing, u)
	if err != nil {
		return nil, fmt.Errorf("the broker cannot be reached: %w", err)
	}
	c := &mqttClient{version: connect.Version, conn: nc, arrived: make(map[uint16]bool), over: make(chan struct{})}
	c.stop = context.AfterFunc(ctx, func() {
		c.ended.Store(true)
		nc.SetDeadline(time.Unix(1, 0))
	})
	if err := c.login(connect); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// login says CONNECT and takes in the answer.
func (c *mqttClient) login(connect *mqtt.Connect) error {
	if err := c.write(connect.Append(nil)); err != nil {
		return fmt.Errorf("the broker has hung up: %w", err)
	}
	p, err := c.read(time.Now().Add(mqttPatience))
	if err != nil {
		return fmt.Errorf("the broker does not answer the CONNECT: %w", err)
	}
	if p.Type != mqtt.CONNACK {
		return fmt.Errorf("the broker answers %v in place of CONNACK", p.Type)
	}
	if c.version == mqtt.V50 && len(p.Body) == 2 {
		return errors.New("the broker does not speak MQTT 5.0: try --mqtt 3.1.1")
	}
	var answer mqtt.Connack
	if err := answer.Decode(p, c.version); err != nil {
		return err
	}
	if answer.Code != mqtt.Success {
		return c.refusal("let in", answer.Code, answer.Properties.Text(mqtt.ReasonString))
	}
	keepAlive := mqttKeepAlive
	if s := answer.Properties.Uint(mqtt.ServerKeepAlive, uint32(keepAlive/time.Second)); s > 0 {
		keepAlive = time.Duration(s) * time.Second
	}
	go c.ping(keepAlive / 2)
	return nil
}

// returnCodes are those of 3.1.1 (§3.2.2.3).
var returnCodes = [...]string{1: "it does not speak this version of MQTT", 2: "it does not take the client identifier",
	3: "it is not available, try again in a moment", 4: "user name or password is wrong", 5: "not authorized"}

// refusal is an error with the code as the status.
func (c *mqttClient) refusal(what string, code mqtt.ReasonCode, reason string) error {
	text := code.String()
	if c.version != mqtt.V50 && int(code) < len(returnCodes) {
		text = returnCodes[code]
	}
	if reason != "" {
		text += ": " + printable(reason)
	}
	return &statusError{int(code), fmt.Errorf("the broker has not %s: %s", what, text)}
}

// ping keeps the connection alive until it is over.
func (c *mqttClient) ping(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-c.over:
			return
		case <-tick.C:
			c.write([]byte{byte(mqtt.PINGREQ) << 4, 0}) // who reads sees what is wrong
		}
	}
}

func (c *mqttClient) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.conn.Write(b)
	return err
}

// read returns the next packet, which is good until the next call.
func (c *mqttClient) read(until time.Time) (mqtt.Packet, error) {
	for {
		p, n, err := mqtt.Parse(c.buf[c.head:], c.version, maxMQTTPacket)
		if err != nil {
			return p, fmt.Errorf("the broker sends what is no MQTT: %w", err)
		}
		if n > 0 {
			c.head += n
			if p.Type == mqtt.DISCONNECT {
				var d mqtt.Disconnect
				if err := d.Decode(p, c.version); err != nil {
					return p, err
				}
				return p, c.refusal("kept the connection", d.Code, d.Properties.Text(mqtt.ReasonString))
			}
			return p, nil
		}
		c.buf = append(c.buf[:0], c.buf[c.head:]...)
		c.head = 0
		if len(c.buf) == cap(c.buf) {
			c.buf = append(c.buf, make([]byte, max(16<<10, len(c.buf)))...)[:len(c.buf)]
		}
		if err := c.conn.SetReadDeadline(until); err != nil {
			return p, err
		}
		if c.ended.Load() { // whose deadline was just moved
			return p, os.ErrDeadlineExceeded
		}
		got, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+got]
		if got == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the broker has closed the connection")
			}
			return p, err
		}
	}
}

// nextID returns a packet identifier.
func (c *mqttClient) nextID() uint16 {
	if c.lastID++; c.lastID == 0 {
		c.lastID = 1
	}
	return c.lastID
}

// publish publishes a message and waits until the broker has it.
func (c *mqttClient) publish(m mqtt.Publish) error {
	if m.QoS > 0 {
		m.PacketID = c.nextID()
	}
	if err := c.write(m.Append(nil, c.version)); err != nil {
		return fmt.Errorf("the broker has hung up: %w", err)
	}
	want := map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC}[m.QoS]
	for until := time.Now().Add(mqttPatience); want != 0; {
		p, err := c.read(until)
		if err != nil {
			return fmt.Errorf("whether the broker has it is not known: %w", err)
		}
		if p.Type != want {
			continue
		}
		var ack mqtt.Ack
		if err := ack.Decode(p, c.version); err != nil {
			return err
		}
		switch {
		case ack.PacketID != m.PacketID:
			continue
		case ack.Code >= 0x80:
			return c.refusal("taken the message", ack.Code, ack.Properties.Text(mqtt.ReasonString))
		case want == mqtt.PUBREC:
			release := mqtt.Ack{Type: mqtt.PUBREL, PacketID: m.PacketID}
			if err := c.write(release.Append(nil, c.version)); err != nil {
				return err
			}
			want = mqtt.PUBCOMP
		default:
			want = 0
		}
	}
	return nil
}

// subscribe subscribes to filters. Messages that come before the answer are given to take.
func (c *mqttClient) subscribe(filters []string, options mqtt.SubscriptionOptions, take func(*mqtt.Publish) error) error {
	s := mqtt.Subscribe{PacketID: c.nextID()}
	for _, f := range filters {
		s.Filters = append(s.Filters, mqtt.FilterRequest{Filter: f, Options: options})
	}
	if err := c.write(s.Append(nil, c.version)); err != nil {
		return fmt.Errorf("the broker has hung up: %w", err)
	}
	for until := time.Now().Add(mqttPatience); ; {
		p, err := c.read(until)
		if err != nil {
			return fmt.Errorf("the broker does not answer the SUBSCRIBE: %w", err)
		}
		if p.Type != mqtt.SUBACK {
			if err := c.take(p, take); err != nil {
				return err
			}
			continue
		}
		var ack mqtt.Suback
		if err := ack.Decode(p, c.version); err != nil {
			return err
		}
		for i, code := range ack.Codes {
			if code >= 0x80 && i < len(filters) {
				return c.refusal("taken the subscription to "+filters[i], code, ack.Properties.Text(mqtt.ReasonString))
			}
		}
		return nil
	}
}

// receive returns when take fails, at the time until, or when the connection is over.
func (c *mqttClient) receive(until time.Time, take func(*mqtt.Publish) error) error {
	for {
		p, err := c.read(until)
		if err == nil {
			err = c.take(p, take)
		}
		if err != nil {
			return err
		}
	}
}

// take gives a message to take and acknowledges it.
func (c *mqttClient) take(p mqtt.Packet, take func(*mqtt.Publish) error) error {
	switch p.Type {
	case mqtt.PUBREL:
		var release mqtt.Ack
		if err := release.Decode(p, c.version); err != nil {
			return err
		}
		delete(c.arrived, release.PacketID)
		complete := mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: release.PacketID}
		return c.write(complete.Append(nil, c.version))
	case mqtt.PUBLISH:
	default:
		return nil
	}
	var m mqtt.Publish
	if err := m.Decode(p, c.version); err != nil {
		return err
	}
	if m.QoS < 2 || !c.arrived[m.PacketID] {
		if err := take(&m); err != nil {
			return err
		}
	}
	ack := mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID}
	switch m.QoS {
	case 0:
		return nil
	case 2:
		c.arrived[m.PacketID] = true
		ack.Type = mqtt.PUBREC
	}
	return c.write(ack.Append(nil, c.version))
}

// disconnect says goodbye, and waits until the broker has read all that was sent.
func (c *mqttClient) disconnect() {
	goodbye := mqtt.Disconnect{Type: mqtt.DISCONNECT}
	if c.write(goodbye.Append(nil, c.version)) == nil {
		until := time.Now().Add(5 * time.Second)
		for {
			if _, err := c.read(until); err != nil {
				break
			}
		}
	}
	c.close()
}

func (c *mqttClient) close() {
	c.stop()
	close(c.over)
	c.conn.Close()
}
