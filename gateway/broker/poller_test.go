package broker_test

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// plainListener hides that its connections are TCP, so that each is served by a
// goroutine, as connections over TLS are.
type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainConn{nc, nc.(*net.TCPConn)}, nil
}

// plainConn can close its write side alone, as connections over TLS can.
type plainConn struct {
	net.Conn
	half interface{ CloseWrite() error }
}

func (c plainConn) CloseWrite() error { return c.half.CloseWrite() }

// An idle client has no goroutine.
func TestIdleGoroutines(t *testing.T) {
	if runtime.GOOS != "linux" || plain {
		t.Skip("each connection has a goroutine here")
	}
	s := newServer(t)
	connect(t, s, clean(mqtt.V50, "first")).barrier() // the pollers are there
	before := runtime.NumGoroutine()
	const clients = 200
	for i := range clients {
		packet := clean(mqtt.V50, strconv.Itoa(i))
		packet.KeepAlive = 60
		c := connect(t, s, packet)
		c.subscribe(filter("t", 1))
		c.barrier()
	}
	// The goroutines that said CONNACK and SUBACK are about to end.
	end := time.Now().Add(patience)
	for runtime.NumGoroutine() > before+clients/10 {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines more for %d clients", runtime.NumGoroutine()-before, clients)
		}
		runtime.Gosched()
	}
}

// What one client sends at once is handled in pieces if much follows from it, whole
// and in order, whether the pieces end with the packets that were read or not.
func TestMuchWork(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	const subscribers = 300
	var to []*rawClient
	for i := range subscribers {
		c := connect(t, s, clean(mqtt.V50, strconv.Itoa(i)))
		c.subscribe(filter("t", mqtt.SubscriptionOptions(i%2)))
		to = append(to, c)
	}
	const messages = 180 // half of them with QoS 1: fewer than the window
	var b []byte
	for i := range messages {
		b = pub("t", fmt.Sprint(i), mqtt.QoS(i%2), uint16(i+1)).Append(b, mqtt.V50)
	}
	from.raw(append(b, 0xC0, 0)) // and a PINGREQ
	for i := range messages {
		if i%2 == 1 {
			from.wantAck(mqtt.PUBACK, uint16(i+1), mqtt.Success)
		}
	}
	from.expect(mqtt.PINGRESP)
	for i, c := range to {
		for n := range messages {
			m := c.wantMessage("t", fmt.Sprint(n), mqtt.QoS(n%2)*mqtt.QoS(i%2))
			if m.QoS > 0 {
				c.ack(mqtt.PUBACK, m.PacketID)
			}
		}
		c.barrier()
	}
}

// More connections become readable at a time than a poller takes at once.
func TestManyAtOnce(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{AddressRate: 1000})
	var clients []*rawClient
	for i := range 600 {
		clients = append(clients, connect(t, s, clean(mqtt.V50, strconv.Itoa(i))))
	}
	for range 10 {
		for _, c := range clients {
			c.raw([]byte{0xC0, 0})
		}
		for _, c := range clients {
			c.expect(mqtt.PINGRESP)
		}
	}
}
