package broker_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// The tests here are about what waits in the store alone: with QueueMemory 1 a
// queue has one message in memory and then pages of them.

// pipelined publishes messages without waiting for each to be acknowledged.
func (c *rawClient) pipelined(first, n int, message func(i int) *mqtt.Publish) {
	c.t.Helper()
	var b []byte
	answers := 0
	for i := first; i < first+n; i++ {
		m := message(i)
		m.PacketID = uint16(1 + i%60000)
		b = m.Append(b, c.version)
		answers++
		if m.QoS == 2 {
			b = (&mqtt.Ack{Type: mqtt.PUBREL, PacketID: m.PacketID}).Append(b, c.version)
			answers++
		}
	}
	go c.net.Write(b)
	for range answers {
		switch p, err := c.next(); {
		case err != nil:
			c.t.Fatal(err)
		case p.Type != mqtt.PUBACK && p.Type != mqtt.PUBREC && p.Type != mqtt.PUBCOMP || len(p.Body) > 2 && p.Body[2] != 0:
			c.t.Fatalf("received %v % x", p.Type, p.Body)
		}
	}
}

func counted(topic string, qos mqtt.QoS) func(i int) *mqtt.Publish {
	return func(i int) *mqtt.Publish { return pub(topic, fmt.Sprint(i), qos, 1) }
}

// wantNumbered takes the messages from first to last, in order.
func wantNumbered(c *rawClient, first, last int) {
	c.t.Helper()
	c.take(last-first+1, func(i int, m *mqtt.Publish) {
		if want := fmt.Sprint(first + i); string(m.Payload) != want {
			c.t.Fatalf("received %s, want %s", m.Payload, want)
		}
	})
}

// A queue far longer than memory, with restarts while it fills and while it
// drains, and with messages that come meanwhile.
func TestLongQueue(t *testing.T) {
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			l := newLasting(t, broker.Options{QueueMemory: 1})
			away := connect(t, l.server, durable(mqtt.V50, "away"))
			other := connect(t, l.server, durable(mqtt.V50, "other")) // has the same bodies
			for _, c := range []*rawClient{away, other} {
				c.subscribe(filter("q", mqtt.SubscriptionOptions(qos)))
				c.bye()
			}
			from := connect(t, l.server, clean(mqtt.V311, "from"))
			payload := strings.Repeat("x", 200) // a record of its own
			message := func(i int) *mqtt.Publish {
				m := counted("q", qos)(i)
				if i%3 == 0 {
					m.Payload = append(m.Payload, payload...)
				}
				return m
			}
			from.pipelined(0, 1500, message)
			eventually(t, "nearly all is out of memory", func() bool {
				s := l.Stats()
				return s.Queued == 3000 && s.QueuedMemory <= 1000 && s.QueuedBytes > 3000*64
			})
			bytes := l.Stats().QueuedBytes
			from.bye()
			l.restart()
			if s := l.Stats(); s.Queued != 3000 || s.QueuedBytes != bytes || s.QueuedMemory != 0 {
				t.Errorf("after the restart %d messages, %d bytes, %d in memory; there were %d bytes", s.Queued, s.QueuedBytes, s.QueuedMemory, bytes)
			}
			from = connect(t, l.server, clean(mqtt.V311, "from"))
			from.pipelined(1500, 500, message)
			// want takes messages in order and returns the number of the first.
			want := func(c *rawClient, first, last int) int {
				t.Helper()
				next := -1
				open := make(map[uint16]bool)
				for next <= last || len(open) > 0 {
					p, err := c.next()
					if err != nil {
						t.Fatalf("when %d was to come: %v", next, err)
					}
					if p.Type == mqtt.PUBREL {
						id := binary.BigEndian.Uint16(p.Body)
						c.ack(mqtt.PUBCOMP, id)
						delete(open, id)
						continue
					}
					var m mqtt.Publish
					c.decode(p, func(p mqtt.Packet) error { return m.Decode(p, c.version) })
					if next < 0 {
						fmt.Sscanf(string(m.Payload), "%d", &next)
						first = next
					}
					if string(m.Payload) != string(message(next).Payload) {
						t.Fatalf("received %.10s, want %d", m.Payload, next)
					}
					if next++; m.QoS == 1 {
						c.ack(mqtt.PUBACK, m.PacketID)
					} else {
						c.ack(mqtt.PUBREC, m.PacketID)
						if open[m.PacketID] = true; next > last && last < 2000 {
							break
						}
					}
				}
				return first
			}
			away = connect(t, l.server, durable(mqtt.V50, "away"))
			if first := want(away, 0, 699); first != 0 {
				t.Fatalf("received %d first", first)
			}
			from.pipelined(2000, 10, message)
			want(away, 700, 1299)
			away.drop()
			from.bye()
			l.restart()
			from = connect(t, l.server, clean(mqtt.V311, "from"))
			away = connect(t, l.server, durable(mqtt.V50, "away"))
			from.pipelined(2010, 5, message)
			// What was in flight comes again.
			if first := want(away, 1300, 2014); first < 1000 || first > 1300 {
				t.Fatalf("received %d first", first)
			}
			away.barrier()
			other = connect(t, l.server, durable(mqtt.V50, "other"))
			if first := want(other, 0, 2014); first != 0 {
				t.Fatalf("received %d first", first)
			}
			other.barrier()
			if s := l.Stats(); s.Queued != 0 || s.QueuedBytes != 0 || s.QueuedMemory != 0 {
				t.Errorf("in the end %d messages, %d bytes, %d in memory", s.Queued, s.QueuedBytes, s.QueuedMemory)
			}
			l.stop()
			wantRecords(t, l.dir, 2, 0)
		})
	}
}

// wantRecords looks into the store of a broker that was stopped.
func wantRecords(t *testing.T, dir string, sessions, entries int) {
	t.Helper()
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	state, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range state.Sessions {
		n += len(s.Inflight) + s.Queued.Count
	}
	if len(state.Sessions) != sessions || n != entries || len(state.Damaged) != 0 {
		t.Errorf("the store has %d sessions and %d entries, want %d and %d; damaged %q", len(state.Sessions), n, sessions, entries, state.Damaged)
	}
	// A restart would have removed what belongs to nothing: is nothing there?
	if stats := store.Stats(); stats.Groups > 1 {
		t.Errorf("%d transactions removed records without owner", stats.Groups)
	}
}

// A session that ends takes with it what it has in the store.
func TestLongQueueEnds(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{QueueMemory: 1})
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("q", 2))
	away.bye()
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.pipelined(0, 1000, counted("q", 1))
	connect(t, s, clean(mqtt.V50, "away")).bye()
	if n := s.Stats(); n.Queued != 0 || n.QueuedBytes != 0 || n.QueuedMemory != 0 {
		t.Errorf("%d messages, %d bytes, %d in memory", n.Queued, n.QueuedBytes, n.QueuedMemory)
	}
	again := connect(t, s, durable(mqtt.V50, "away"))
	again.barrier()
	again.bye()
	from.bye()
	s.stop()
	store, err := persist.Open(s.dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if state, err := store.Load(); err != nil || len(state.Sessions) != 1 || state.Sessions[0].Queued.Count != 0 {
		t.Errorf("%+v, %v", state, err)
	}
}

// What a member of a shared subscription has in the store alone goes to another
// one when it goes away, and when its session ends.
func TestLongQueueOfShare(t *testing.T) {
	for _, ends := range []bool{false, true} {
		t.Run(fmt.Sprint("ends ", ends), func(t *testing.T) {
			s := startServer(t, t.TempDir(), broker.Options{QueueMemory: 1})
			other := connect(t, s, durable(mqtt.V50, "o"))
			other.subscribe(filter("$share/g/q", 1))
			other.bye()
			member := connect(t, s, window(durable(mqtt.V50, "m"), 1))
			member.subscribe(filter("$share/g/q", 1))
			from := connect(t, s, clean(mqtt.V311, "from"))
			from.pipelined(0, 1000, counted("q", 1))
			first := member.wantMessage("q", "0", 1)
			begin := 0
			if ends { // the other one is away and gets all the same what nobody keeps
				member.drop()
				connect(t, s, clean(mqtt.V50, "m")).bye()
				other = connect(t, s, durable(mqtt.V50, "o"))
			} else {
				other = connect(t, s, durable(mqtt.V50, "o"))
				member.drop()
				begin = 1 // is in flight and waits for the member
			}
			wantNumbered(other, begin, 999)
			other.barrier()
			if !ends {
				member = connect(t, s, durable(mqtt.V50, "m"))
				if m := member.wantMessage("q", "0", 1); !m.Dup || m.PacketID != first.PacketID {
					t.Errorf("id %d with DUP %t", m.PacketID, m.Dup)
				}
				member.ack(mqtt.PUBACK, first.PacketID)
				member.barrier()
			}
			if n := s.Stats(); n.Queued != 0 || n.QueuedBytes != 0 || n.QueuedMemory != 0 {
				t.Errorf("%d messages, %d bytes, %d in memory", n.Queued, n.QueuedBytes, n.QueuedMemory)
			}
		})
	}
}

// The three choices for a full queue, in memory and in the store.
func TestQueueFull(t *testing.T) {
	for _, memory := range []int{0, 1} {
		for _, policy := range []broker.QueueFull{broker.DropNewest, broker.DropOldest, broker.Refuse} {
			t.Run(fmt.Sprintf("memory %d, policy %d", memory, policy), func(t *testing.T) { fullQueue(t, memory, policy) })
		}
	}
}

func fullQueue(t *testing.T, memory int, policy broker.QueueFull) {
	const limit = 400
	l := newLasting(t, broker.Options{QueueMemory: memory, QueueFull: policy, MaxQueuedMessages: limit})
	away := connect(t, l.server, durable(mqtt.V50, "away"))
	away.subscribe(filter("q", 1))
	away.bye()
	bystander := connect(t, l.server, clean(mqtt.V50, "bystander"))
	bystander.subscribe(filter("q", 0))
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	from.pipelined(0, limit, counted("q", 1))
	wantNumbered(bystander, 0, limit-1)
	m := pub("q", fmt.Sprint(limit), 1, 7)
	from.send(m)
	if policy == broker.Refuse {
		from.wantAck(mqtt.PUBACK, 7, mqtt.QuotaExceeded)
		bystander.barrier()
		from.send(pub("q", "x", 2, 8))
		from.wantAck(mqtt.PUBREC, 8, mqtt.QuotaExceeded)
		inside, err := l.NewClient("inside")
		if err != nil {
			t.Fatal(err)
		}
		if err := inside.Publish(context.Background(), mqtt.Message{Topic: "q", QoS: 1}); err == nil {
			t.Error("a client in the process is not told")
		}
		inside.Close()
		// Who cannot be told is served as far as it goes.
		old := connect(t, l.server, clean(mqtt.V311, "old"))
		old.publish("q", fmt.Sprint(limit), 1, false)
	} else {
		from.wantAck(mqtt.PUBACK, 7, mqtt.Success)
	}
	wantNumbered(bystander, limit, limit)
	bystander.drop()
	first := 0
	if policy == broker.DropOldest {
		first = 1
		eventually(t, "the oldest is dropped", func() bool { return l.Stats().PublishDropped == 1 })
	}
	if n := l.Stats(); n.Exceeded[broker.LimitQueuedMessages] == 0 {
		t.Error("it was not counted")
	}
	from.bye()
	l.restart()
	away = connect(t, l.server, durable(mqtt.V50, "away"))
	wantNumbered(away, first, first+limit-1)
	away.barrier()
	if n := l.Stats(); n.Queued != 0 || n.QueuedBytes != 0 {
		t.Errorf("%d messages, %d bytes are left", n.Queued, n.QueuedBytes)
	}
}

// A right that is withdrawn holds for what waits in the store, too.
func TestLongQueueAndAccess(t *testing.T) {
	var denied atomic.Bool
	s := startServer(t, t.TempDir(), broker.Options{QueueMemory: 1, Authorize: func(_ *broker.ConnectRequest, a broker.Action, topic string) broker.Permit {
		return broker.Permitted(!denied.Load() || a == broker.Publish || topic != "secret")
	}})
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("secret", 1), filter("open", 1))
	away.bye()
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.pipelined(0, 1000, func(i int) *mqtt.Publish {
		return pub([]string{"secret", "open"}[i%2], fmt.Sprint(i), 1, 1)
	})
	denied.Store(true)
	s.AccessChanged()
	denied.Store(false) // what comes now is another matter
	from.pipelined(1000, 2, counted("open", 1))
	away = connect(t, s, durable(mqtt.V50, "away"))
	away.take(502, func(i int, m *mqtt.Publish) {
		if want := min(2*i+1, 999+max(0, i-499)); string(m.Topic) != "open" || string(m.Payload) != fmt.Sprint(want) {
			t.Fatalf("received %s %s, want %d", m.Topic, m.Payload, want)
		}
	})
	away.barrier()
	if n := s.Stats(); n.Queued != 0 || n.PublishDropped != 500 {
		t.Errorf("%d are left, %d were dropped", n.Queued, n.PublishDropped)
	}
}

// What waits in the store of a client that is away, and a member of the share has
// that is not in the store, stays in the store until that one acknowledges it. The
// client that comes back is not to read it there, and gets all the rest.
func TestLongQueueLent(t *testing.T) {
	const n = 1200
	s := startServer(t, t.TempDir(), broker.Options{QueueMemory: 1, MaxInflight: n})
	away := connect(t, s, window(durable(mqtt.V50, "away"), 1))
	away.subscribe(filter("$share/g/shared", 1), filter("own", 1))
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.pipelined(0, n, func(i int) *mqtt.Publish {
		return pub([]string{"shared", "own"}[i%2], fmt.Sprint(i), 1, 1)
	})
	other := connect(t, s, window(clean(mqtt.V50, "other"), n))
	other.subscribe(filter("$share/g/shared", 1))
	away.drop()
	var last *mqtt.Publish
	for i := 2; i < n; i += 2 { // 0 was sent
		if last = other.message(); string(last.Payload) != fmt.Sprint(i) {
			t.Fatalf("the other member received %s, want %d", last.Payload, i)
		}
	}
	away = connect(t, s, durable(mqtt.V50, "away"))
	want := []string{"0"}
	for i := 1; i < n; i += 2 {
		want = append(want, fmt.Sprint(i))
	}
	away.take(len(want), func(i int, m *mqtt.Publish) {
		if string(m.Payload) != want[i] {
			t.Fatalf("received %s, want %s", m.Payload, want[i])
		}
	})
	other.ack(mqtt.PUBACK, last.PacketID)
	other.net.Close()
	for i := 2; i < n-2; i += 2 {
		want[i/2-1] = fmt.Sprint(i)
	}
	away.take(n/2-2, func(i int, m *mqtt.Publish) {
		if string(m.Payload) != want[i] {
			t.Fatalf("received %s of the other member, want %s", m.Payload, want[i])
		}
	})
	away.barrier()
}
