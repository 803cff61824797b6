package main

import (
	"fmt"
	"net"
	"time"

	"lintel/gateway/mqtt"
)

// client is one of a house: a connection with a goroutine that reads it.
type client struct {
	id           string
	clean        bool
	filter       string // subscribed to unless the broker knows the session
	qos          mqtt.QoS
	received     func(*mqtt.Publish)
	acknowledged func(id uint16)

	conn  net.Conn
	ready chan struct{} // closed when the broker has granted what was asked for
	ended chan struct{} // closed when nothing is read any more
	err   error         // why; ended guards it
}

const (
	clientPatience = time.Minute // for an answer at the start; mochi needs it for a long queue
	maxHousePacket = 1 << 20
)

// dial connects, and subscribes if there is need.
func (c *client) dial(address string) (err error) {
	if c.conn, err = net.DialTimeout("tcp", address, clientPatience); err != nil {
		return err
	}
	c.ready, c.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.ended)
		c.err = c.read()
	}()
	_, err = c.conn.Write((&mqtt.Connect{Version: mqtt.V311, CleanStart: c.clean, ClientID: c.id}).Append(nil))
	if err == nil {
		select {
		case <-c.ready:
			return nil
		case <-c.ended:
			err = c.err
		case <-time.After(clientPatience):
			err = errSilent
		}
	}
	c.conn.Close()
	return fmt.Errorf("client %s: %w", c.id, err)
}

func (c *client) disconnect() {
	c.conn.Write((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, mqtt.V311))
	// The broker closes when it has read that; it may be too late, or gone.
	c.conn.SetReadDeadline(time.Now().Add(time.Second))
	<-c.ended
	c.conn.Close()
}

// read handles what the broker sends until the connection ends.
func (c *client) read() error {
	buf := make([]byte, 0, 4096)
	for {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := c.conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		var answer []byte
		rest := buf
		for {
			p, size, err := mqtt.Parse(rest, mqtt.V311, maxHousePacket)
			if err != nil {
				return err
			}
			if size == 0 {
				break
			}
			if answer, err = c.handle(answer, p); err != nil {
				return err
			}
			rest = rest[size:]
		}
		buf = buf[:copy(buf, rest)]
		if len(answer) > 0 {
			if _, err := c.conn.Write(answer); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// handle appends to answer what a packet asks for.
func (c *client) handle(answer []byte, p mqtt.Packet) ([]byte, error) {
	switch p.Type {
	case mqtt.CONNACK:
		var a mqtt.Connack
		if err := a.Decode(p, mqtt.V311); err != nil {
			return nil, err
		}
		if a.Code != 0 {
			return nil, fmt.Errorf("the broker refuses the connection with code %d", a.Code)
		}
		if c.filter == "" || a.SessionPresent {
			close(c.ready)
			return answer, nil
		}
		return (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: c.filter, Options: mqtt.SubscriptionOptions(c.qos)}}}).Append(answer, mqtt.V311), nil
	case mqtt.SUBACK:
		close(c.ready)
	case mqtt.PUBLISH:
		var m mqtt.Publish
		if err := m.Decode(p, mqtt.V311); err != nil {
			return nil, err
		}
		c.received(&m)
		if m.QoS == 1 {
			return (&mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID}).Append(answer, mqtt.V311), nil
		}
	case mqtt.PUBACK:
		var a mqtt.Ack
		if err := a.Decode(p, mqtt.V311); err != nil {
			return nil, err
		}
		c.acknowledged(a.PacketID)
	}
	return answer, nil
}
