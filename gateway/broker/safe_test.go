package broker_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// resources counts the goroutines and descriptors of the process.
func resources(t *testing.T) (goroutines, descriptors int) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err) // not Linux
	}
	return runtime.NumGoroutine(), len(open)
}

// nothingLeft returns a function that waits until goroutines and descriptors are
// as few as they are now.
func nothingLeft(t *testing.T) func() {
	t.Helper()
	goroutines, descriptors := resources(t)
	return func() {
		t.Helper()
		eventually(t, fmt.Sprintf("%d goroutines and %d descriptors are left", goroutines, descriptors), func() bool {
			g, d := resources(t)
			return g <= goroutines && d <= descriptors
		})
	}
}

// Strangers that connect and say nothing, in numbers, are closed when their time is
// over; those that connect and leave at once cost nothing either, whether they say
// CONNECT or not. A client that is there notices nothing, and others get in.
func TestConnectFlood(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{ConnectTimeout: time.Second})
	there := connect(t, s, clean(mqtt.V50, "there"))
	there.subscribe(filter("t", 1))
	connect(t, s, clean(mqtt.V50, "warm")).bye()
	left := nothingLeft(t)
	const silent, leaving = 1000, 2000
	var open []net.Conn
	for i := range silent {
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			nc.Write([]byte{0x10, 200}[:1+i/2%2]) // the beginning of a CONNECT
		}
		open = append(open, nc)
	}
	there.send(pub("t", "x", 1, 1))
	there.either(mqtt.PUBLISH, mqtt.PUBACK)
	there.ack(mqtt.PUBACK, 1)
	connect(t, s, clean(mqtt.V50, "another")).bye()
	for _, nc := range open {
		nc.SetDeadline(time.Now().Add(patience))
		if n, err := nc.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
			t.Fatalf("a connection without CONNECT: %d bytes, %v", n, err)
		}
		nc.Close()
	}
	malformed := s.Stats().MalformedPackets
	var g sync.WaitGroup
	for worker := range 4 {
		g.Go(func() {
			for i := range leaving / 4 {
				nc, err := net.Dial("tcp", s.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 1 {
					packet := clean(mqtt.V311, fmt.Sprint("leaving", worker))
					nc.Write(packet.Append(nil))
				}
				if i%4 >= 2 {
					nc.(*net.TCPConn).SetLinger(0) // with a reset
				}
				nc.Close()
			}
		})
	}
	g.Wait()
	there.barrier()
	eventually(t, "all are gone", func() bool { return s.Stats().Sessions == 1 && s.Stats().ClientsConnected == 1 })
	left()
	if n := s.Stats().MalformedPackets - malformed; n > 0 {
		t.Errorf("%d malformed packets were counted", n)
	}
	there.barrier()
}

// Twenty clients fight for one client id: one is left. With a session that is kept
// no message of QoS 1 is lost on the way from one to the next.
func TestTakeOverStormLeavesOne(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, x := range []struct {
		session func(mqtt.Version, string) mqtt.Connect
		kept    bool
	}{{durable, true}, {clean, false}} {
		forVersions(t, func(t *testing.T, v mqtt.Version) {
			from.t = t
			first := connect(t, s, x.session(v, "storm"))
			first.subscribe(filter("storm", 1))
			first.bye()
			left := nothingLeft(t)
			const clients, messages = 20, 300
			var mu sync.Mutex
			received := make(map[string]bool)
			var lost, won atomic.Int32
			var g sync.WaitGroup
			start := make(chan struct{})
			for range clients {
				g.Go(func() {
					c := openRaw(t, s, v)
					defer c.net.Close()
					packet := x.session(v, "storm")
					b := packet.Append(nil)
					if !x.kept {
						b = (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("storm", 1)}}).Append(b, v)
					}
					<-start
					if _, err := c.net.Write(b); err != nil {
						t.Error(err)
						return
					}
					for {
						p, err := c.next()
						if err != nil {
							if os.IsTimeout(err) {
								t.Error("neither taken over nor told of the end")
							}
							lost.Add(1)
							return
						}
						var m mqtt.Publish
						if p.Type != mqtt.PUBLISH || m.Decode(p, v) != nil {
							continue
						}
						mu.Lock()
						received[string(m.Payload)] = true
						mu.Unlock()
						c.net.Write((&mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID}).Append(nil, v))
						if string(m.Payload) == "end" {
							won.Add(1)
							c.net.Write([]byte{0xE0, 0})
							c.end()
							return
						}
					}
				})
			}
			close(start)
			for i := range messages {
				from.publish("storm", fmt.Sprint(i), 1, false)
			}
			eventually(t, "all but one have lost", func() bool { return lost.Load() == clients-1 })
			if n := s.Stats().ClientsConnected; n != 2 {
				t.Errorf("%d clients are connected", n)
			}
			from.publish("storm", "end", 1, false)
			g.Wait()
			if won.Load() != 1 || lost.Load() != clients-1 {
				t.Errorf("%d won, %d lost", won.Load(), lost.Load())
			}
			for i := range messages {
				if x.kept && !received[fmt.Sprint(i)] {
					t.Fatalf("message %d is lost", i)
				}
			}
			connect(t, s, clean(v, "storm")).bye()
			if n := s.Stats().Sessions; n != 1 {
				t.Errorf("%d sessions are left", n)
			}
			left()
		}, versions...)
	}
}

// Five thousand retained messages, found by wildcards of all shapes: each filter
// brings exactly what it matches, once.
func TestRetainedByWildcards(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V311, "from"))
	var topics []string
	for floor := range 10 {
		for room := range 25 {
			for device := range 20 {
				topics = append(topics, fmt.Sprintf("house/%d/room%d/device%d", floor, room, device))
			}
		}
	}
	topics = append(topics, "house", "house/", "house/3", "house//room3/device3", "/house", "house/3/room4/device5/state")
	var b []byte
	for _, topic := range topics {
		m := pub(topic, topic, 0, 0)
		m.Retain = true
		b = m.Append(b, mqtt.V311)
	}
	from.raw(b)
	from.barrier()
	filters := []string{"#", "house/#", "+/#", "house/+/+/+", "house/3/#", "house/+/room4/#", "+/+/+/device5/#", "house/+", "+", "+/", "/+", "house//#", "+/3/room4/device5/state",
		"house/3/room4/device5", "house/+/+/device5", "nothing/#"}
	for _, f := range filters {
		want := make(map[string]bool)
		for _, topic := range topics {
			if mqtt.Match(f, topic) {
				want[topic] = true
			}
		}
		c := connect(t, s, clean(mqtt.V50, "c"))
		c.subscribe(filter(f, 0))
		for n := len(want); n > 0; n-- {
			m := c.message()
			if !want[string(m.Topic)] || string(m.Payload) != string(m.Topic) || !m.Retain {
				t.Fatalf("%s brought %s, %q, RETAIN %t", f, m.Topic, m.Payload, m.Retain)
			}
			delete(want, string(m.Topic))
		}
		c.barrier()
		c.bye()
	}
	// All of these at once, and the socket is slow.
	c := connect(t, s, clean(mqtt.V50, "c"))
	var requests []mqtt.FilterRequest
	n := 0
	for _, f := range filters {
		requests = append(requests, filter(f, 0))
		for _, topic := range topics {
			if mqtt.Match(f, topic) {
				n++
			}
		}
	}
	c.subscribe(requests...)
	for range n {
		c.message()
	}
	c.barrier()
}

// dribble is a connection that carries one byte at a time, both ways.
type dribble struct{ net.Conn }

func (d dribble) Read(b []byte) (int, error) { return d.Conn.Read(b[:min(1, len(b))]) }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// A whole session of which each byte comes by itself: through a pipe no two of them
// are read at once.
func TestSessionByteByByte(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		watch := pipe(t, s, clean(mqtt.V50, "watch"))
		watch.subscribe(filter("will/#", 1))
		for _, v := range versions {
			packet := willing(durable(v, "c"), 0)
			if v != mqtt.V31 {
				packet.HasUserName, packet.UserName = true, "somebody"
				packet.HasPassword, packet.Password = true, []byte("secret")
			}
			packet.Will.Properties = []byte("\x26\x00\x01k\x00\x01v")
			c := openPipe(t, s, v)
			c.net = dribble{c.net}
			c.raw(packet.Append(nil))
			c.expect(mqtt.CONNACK)
			c.subscribe(filter("a/+", 2), filter("$share/g/b", 1))
			other := pipe(t, s, clean(v, "other"))
			for qos := range mqtt.QoS(3) {
				payload := strings.Repeat("p", 300)
				other.publish("a/b", payload, qos, true)
				c.take(1, func(_ int, m *mqtt.Publish) {
					if string(m.Payload) != payload || m.QoS != qos {
						t.Errorf("received %d bytes with QoS %d", len(m.Payload), m.QoS)
					}
				})
				c.publish("else", payload, qos, false)
				c.publish("$closed", payload, 0, false)
			}
			c.send(&mqtt.Unsubscribe{PacketID: 9, Filters: []string{"a/+", "$share/g/b"}})
			c.expect(mqtt.UNSUBACK)
			c.barrier()
			if v == mqtt.V50 {
				c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT, Code: mqtt.DisconnectWithWill})
				c.end()
				watch.wantWill("c")
			} else {
				c.bye()
			}
			other.publish("a/b", "", 0, true)
			other.bye()
			pipe(t, s, clean(v, "c")).bye()
		}
		watch.barrier()
	})
}

// A slow reader misses messages and no topic: an alias that it is sent was defined
// by a message that it was sent [v5 MQTT-3.3.2-11].
func TestAliasesOfSlowReader(t *testing.T) {
	s := newServer(t)
	slow := connect(t, s, limited(clean(mqtt.V50, "slow"), mqtt.TopicAliasMaximum, 300))
	slow.subscribe(filter("load/#", 0), filter("end", 1))
	from := connect(t, s, clean(mqtt.V311, "from"))
	padding := strings.Repeat("x", 1000)
	sent := 0
	for s.Stats().PublishDropped < 1000 {
		var b []byte
		for range 200 {
			// Some topics come before the kernel's buffers are full, however small they are,
			// and new ones all the time, when messages are dropped too.
			topic := fmt.Sprint("load/", min(sent/8, 20)+sent*sent/100_000)
			b = pub(topic, topic+" "+padding, 0, 0).Append(b, mqtt.V311)
			sent++
		}
		from.raw(b)
		from.barrier()
	}
	from.publish("end", "", 1, false)
	topics := make(map[uint16]string)
	received := 0
	for {
		m := slow.message()
		if len(m.Topic) > 0 && m.TopicAlias > 0 {
			topics[m.TopicAlias] = string(m.Topic)
		} else if len(m.Topic) == 0 {
			m.Topic = []byte(topics[m.TopicAlias])
		}
		if m.QoS == 1 {
			break
		}
		received++
		if topic, _, _ := strings.Cut(string(m.Payload), " "); topic != string(m.Topic) {
			t.Fatalf("%s came as %q under alias %d", topic, m.Topic, m.TopicAlias)
		}
	}
	if dropped := int(s.Stats().PublishDropped); received+dropped != sent || len(topics) < 20 {
		t.Errorf("%d received and %d dropped of %d, %d aliases", received, dropped, sent, len(topics))
	}
}
