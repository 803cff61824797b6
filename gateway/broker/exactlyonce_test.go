package broker_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// unsteady is a client with a session of its own, as the standard wants it
// (5.0 §4.1), whose connections break at any packet.
type unsteady struct {
	t       *testing.T
	v       mqtt.Version
	id      string
	r       *rand.Rand
	address func() string

	c *rawClient

	// The session of a publisher: what it has not brought to an end.
	open     map[uint16]*mqtt.Publish // nil: PUBREC came, PUBREL is owed
	order    []uint16
	lastID   uint16
	unsent   []string
	incoming map[uint16]bool // ids of QoS 2 messages without PUBREL
	received []string
}

// packet reads the next packet; ok is false when the connection is gone. Now and
// then it breaks it.
func (u *unsteady) packet() (p mqtt.Packet, ok bool) {
	if u.r.IntN(25) == 0 {
		u.c.net.Close()
		return p, false
	}
	p, err := u.c.next()
	if err != nil || p.Type == mqtt.DISCONNECT {
		u.c.net.Close()
		return p, false
	}
	return p, true
}

func (u *unsteady) write(packets ...interface {
	Append([]byte, mqtt.Version) []byte
}) {
	var b []byte
	for _, p := range packets {
		b = p.Append(b, u.v)
	}
	if u.r.IntN(25) == 0 { // a part gets through
		b = b[:u.r.IntN(len(b)+1)]
		u.c.net.Write(b)
		u.c.net.Close()
		return
	}
	u.c.net.Write(b)
}

// connect connects, or reports false.
func (u *unsteady) connect() bool {
	nc, err := net.Dial("tcp", u.address())
	if err != nil {
		return false // just being started anew
	}
	nc.SetDeadline(time.Now().Add(patience))
	c := &rawClient{t: u.t, net: nc, version: u.v}
	packet := durable(u.v, u.id)
	packet.Properties.SetUint(mqtt.ReceiveMaximum, 5)
	c.net.Write(packet.Append(nil))
	p, err := c.next()
	if err != nil || p.Type != mqtt.CONNACK {
		nc.Close()
		return false
	}
	u.c = c
	return true
}

// publish sends all messages with QoS 2.
func (u *unsteady) publish() {
	u.open = make(map[uint16]*mqtt.Publish)
	for len(u.unsent)+len(u.open) > 0 {
		if u.t.Failed() {
			return
		}
		if !u.connect() {
			continue
		}
		for _, id := range u.order { // what was open comes first, in its order
			if m := u.open[id]; m != nil {
				m.Dup = true
				u.write(m)
			} else {
				u.write(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: id})
			}
		}
		for len(u.unsent)+len(u.open) > 0 {
			for len(u.open) < 5 && len(u.unsent) > 0 {
				for u.lastID = u.lastID%7 + 1; ; u.lastID = u.lastID%7 + 1 { // few ids: they are used again soon
					if _, used := u.open[u.lastID]; !used {
						break
					}
				}
				m := pub("once", u.unsent[0], 2, u.lastID)
				u.unsent = u.unsent[1:]
				u.open[m.PacketID] = m
				u.order = append(u.order, m.PacketID)
				u.write(m)
			}
			p, ok := u.packet()
			if !ok {
				break
			}
			var a mqtt.Ack
			if err := a.Decode(p, u.v); err != nil {
				u.t.Errorf("publisher received %v % x: %v", p.Type, p.Body, err)
				return
			}
			switch _, known := u.open[a.PacketID]; {
			case !known:
			case p.Type == mqtt.PUBREC:
				u.open[a.PacketID] = nil
				u.write(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: a.PacketID})
			case p.Type == mqtt.PUBCOMP && u.open[a.PacketID] == nil:
				delete(u.open, a.PacketID)
				for i, id := range u.order {
					if id == a.PacketID {
						u.order = append(u.order[:i], u.order[i+1:]...)
						break
					}
				}
			}
		}
	}
	u.c.net.Close()
}

// receive takes n messages.
func (u *unsteady) receive(n int) {
	for len(u.received) < n || len(u.incoming) > 0 {
		if u.t.Failed() {
			return
		}
		if !u.connect() {
			continue
		}
		for len(u.received) < n || len(u.incoming) > 0 {
			p, ok := u.packet()
			if !ok {
				break
			}
			switch p.Type {
			case mqtt.PUBLISH:
				var m mqtt.Publish
				if err := m.Decode(p, u.v); err != nil || m.QoS != 2 {
					u.t.Errorf("subscriber received % x: %v", p.Body, err)
					return
				}
				if !u.incoming[m.PacketID] {
					u.incoming[m.PacketID] = true
					u.received = append(u.received, string(m.Payload))
				} else if !m.Dup {
					u.t.Errorf("%s came again without DUP", m.Payload)
				}
				u.write(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: m.PacketID})
			case mqtt.PUBREL:
				var a mqtt.Ack
				if err := a.Decode(p, u.v); err != nil {
					u.t.Errorf("subscriber received % x: %v", p.Body, err)
					return
				}
				delete(u.incoming, a.PacketID)
				u.write(&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: a.PacketID})
			default:
				u.t.Errorf("subscriber received %v", p.Type)
				return
			}
		}
	}
	u.c.net.Close()
}

// Exactly once, in order, while both connections break all the time and the
// broker is started anew.
func TestExactlyOnce(t *testing.T) {
	exactlyOnce(t, func(t *testing.T, dir string) *server { return startServer(t, dir, broker.Options{}) })
}

// The same with a broker that is killed each time.
func TestExactlyOnceKilled(t *testing.T) {
	exactlyOnce(t, func(t *testing.T, dir string) *server {
		addr, kill := startVictim(t, dir)
		return &server{Addr: addr, dir: dir, stop: kill}
	})
}

func exactlyOnce(t *testing.T, start func(t *testing.T, dir string) *server) {
	for seed, v := range []mqtt.Version{mqtt.V50, mqtt.V311, mqtt.V31} {
		t.Run(versionName(v), func(t *testing.T) {
			var mu sync.Mutex
			s := start(t, t.TempDir())
			address := func() string { mu.Lock(); defer mu.Unlock(); return s.Addr }
			first := connect(t, s, durable(v, "to"))
			first.subscribe(filter("once", 2))
			first.bye()
			const n = 600
			from := &unsteady{t: t, v: v, id: "from", r: rand.New(rand.NewPCG(uint64(seed), 1)), address: address}
			for i := range n {
				from.unsent = append(from.unsent, fmt.Sprint(i))
			}
			to := &unsteady{t: t, v: v, id: "to", r: rand.New(rand.NewPCG(uint64(seed), 2)), address: address, incoming: make(map[uint16]bool)}
			var g sync.WaitGroup
			done := make(chan struct{})
			g.Go(from.publish)
			g.Go(func() { to.receive(n); close(done) })
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			late := time.After(time.Minute)
			for restarts := 0; ; {
				select {
				case <-done:
					g.Wait()
					if restarts == 0 {
						t.Error("the broker was never started anew")
					}
					for i, payload := range to.received {
						if payload != fmt.Sprint(i) {
							t.Fatalf("message %d is %q", i, payload)
						}
					}
					last := connect(t, s, durable(v, "to"))
					last.raw([]byte{0xC0, 0})
					for p := (mqtt.Packet{}); p.Type != mqtt.PINGRESP; {
						var err error
						if p, err = last.next(); err != nil || p.Type == mqtt.PUBLISH {
							t.Fatalf("received %v % x, %v after the last message", p.Type, p.Body, err)
						}
					}
					return
				case <-late:
					t.Fatal("not all messages came in time")
				case <-tick.C:
					if restarts++; restarts > 8 {
						continue
					}
					mu.Lock()
					s.stop()
					s = start(t, s.dir)
					mu.Unlock()
				}
			}
		})
	}
}
