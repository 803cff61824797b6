package broker_test

import (
	"context"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// inBubble runs a test in which time passes only while everybody waits
// (testing/synctest). Its clients are at the other end of pipes, which hold no
// bytes: who does not read is a socket that is full.
func inBubble(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, bubbleServer(t, t.TempDir(), broker.Options{})) })
}

// bubbled returns the stacks of the goroutines in the caller's bubble. Those of tests
// before it, which may still begin one while they end, are none of its business.
func bubbled(t *testing.T) []string {
	t.Helper()
	all := make([]byte, 8<<20)
	stacks := strings.Split(string(all[:runtime.Stack(all, true)]), "\n\n")
	head, _, _ := strings.Cut(stacks[0], "\n") // the caller's
	_, bubble, ok := strings.Cut(head, ", synctest bubble ")
	if !ok {
		t.Fatalf("%q names no bubble", head)
	}
	return slices.DeleteFunc(stacks, func(stack string) bool {
		head, _, _ := strings.Cut(stack, "\n")
		return !strings.HasSuffix(head, ", synctest bubble "+bubble)
	})
}

// bubbleServer is startServer without listeners, on a machine whose clock is right.
func bubbleServer(t *testing.T, dir string, o broker.Options) *server {
	t.Helper()
	return machineServer(t, dir, o, bubbleClock)
}

// bubbleClock reads the clocks of a machine that is started with each bubble.
func bubbleClock() persist.Reading {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of all bubbles
	return persist.Reading{Boot: "bubble", Up: time.Since(start), Wall: time.Now().AddDate(27, 0, 0), Sure: true}
}

// machineServer is bubbleServer on a machine with clocks of its own.
func machineServer(t *testing.T, dir string, o broker.Options, clock func() persist.Reading) *server {
	t.Helper()
	o.SysInterval = -1
	store, err := persist.Open(dir, persist.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(store, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	s := &server{Broker: b, dir: dir}
	s.stop = func() {
		if done == nil {
			return
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done = nil
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// openPipe is openRaw in a bubble.
func openPipe(t *testing.T, s *server, v mqtt.Version) *rawClient {
	t.Helper()
	client, nc := net.Pipe()
	go s.ServeConn(context.Background(), nc)
	client.SetDeadline(time.Now().Add(24 * time.Hour)) // of the bubble
	t.Cleanup(func() { client.Close() })
	return &rawClient{t: t, net: client, version: v}
}

// pipe is connect in a bubble.
func pipe(t *testing.T, s *server, packet mqtt.Connect) *rawClient {
	t.Helper()
	c := openPipe(t, s, packet.Version)
	c.raw(packet.Append(nil))
	c.decode(c.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return c.connack.Decode(p, c.version) })
	if c.connack.Code != mqtt.Success {
		t.Fatalf("CONNACK with %v", c.connack.Code)
	}
	return c
}

// vanish closes a pipe and waits until the broker has noticed.
func (c *rawClient) vanish() {
	c.net.Close()
	synctest.Wait()
}

// Keep alive to the moment: one and a half times after the last whole packet,
// whatever its type; none if it is 0, and one that is so long that half as much
// again does not fit into 16 bits [v3 MQTT-3.1.2-24, v5 MQTT-3.1.2-22].
func TestKeepAliveToTheMoment(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		for _, v := range versions {
			keeping := func(id string, seconds uint16) *rawClient {
				packet := clean(v, id)
				packet.KeepAlive = seconds
				return pipe(t, s, packet)
			}
			longest, never := keeping("longest", 43_700), keeping("never", 0)
			c := keeping("c", 60)
			for _, packet := range []interface {
				Append([]byte, mqtt.Version) []byte
			}{pub("t", "", 0, 0), &mqtt.Ack{Type: mqtt.PUBACK, PacketID: 9}, &mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: 9}} {
				time.Sleep(89 * time.Second)
				c.send(packet)
			}
			time.Sleep(89 * time.Second)
			c.barrier()
			last := time.Now()
			time.Sleep(80 * time.Second)
			c.raw([]byte{0x30, 10, 0}) // the beginning of a packet
			c.wantEnd(mqtt.KeepAliveTimeout)
			if d := time.Since(last); d < 90*time.Second || d > 91*time.Second {
				t.Errorf("%s: closed after %v", versionName(v), d)
			}
			longest.barrier()
			never.barrier()
			longest.bye()
			never.bye()
		}
	})
}

// Within a connection nothing is sent again, however long an acknowledgement
// takes [v3 MQTT-4.4.0-1, v5 MQTT-4.4.0-1], and the id of an incoming message of
// QoS 2 is remembered for as long [v3 MQTT-4.3.3-2, v5 MQTT-4.3.3-10].
func TestNoTimerForExchanges(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		for _, v := range versions {
			to, from := pipe(t, s, durable(v, "to")), pipe(t, s, clean(v, "from"))
			to.subscribe(filter("t", 2))
			from.publish("t", "one", 1, false)
			from.publish("t", "two", 2, false)
			from.publish("t", "released", 2, false)
			ids := make(map[string]uint16)
			readOpen(to, 3, ids)
			to.ack(mqtt.PUBREC, ids["released"])
			to.wantAck(mqtt.PUBREL, ids["released"], mqtt.Success)
			from.send(pub("else", "x", 2, 7))
			from.wantAck(mqtt.PUBREC, 7, mqtt.Success)
			watch := pipe(t, s, clean(v, "watch"))
			watch.subscribe(filter("else", 0))
			time.Sleep(time.Hour)
			to.barrier()
			again := pub("else", "x", 2, 7)
			again.Dup = true
			from.send(again)
			from.wantAck(mqtt.PUBREC, 7, mqtt.Success)
			watch.barrier()
			from.ack(mqtt.PUBREL, 7)
			from.wantAck(mqtt.PUBCOMP, 7, mqtt.Success)
			for _, c := range []*rawClient{to, from, watch} {
				c.bye()
			}
			pipe(t, s, clean(v, "to")).bye()
		}
	})
}

// What has expired in a queue that nobody touches goes by itself.
func TestExpiredQueueIsSwept(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		away := pipe(t, s, durable(mqtt.V50, "away"))
		away.subscribe(filter("q", 1))
		away.bye()
		from := pipe(t, s, clean(mqtt.V50, "from"))
		for _, seconds := range []uint32{30, 30, 0, 3600} {
			m := pub("q", "x", 1, 1)
			m.HasExpiry, m.Expiry = seconds > 0, seconds
			from.exchange(m)
		}
		if n := s.Stats().Queued; n != 4 {
			t.Fatalf("%d messages queued", n)
		}
		time.Sleep(5 * time.Minute)
		if n := s.Stats().Queued; n != 2 {
			t.Errorf("%d messages queued when two have expired, want 2", n)
		}
		if n := s.Stats().PublishDropped; n != 0 {
			t.Errorf("%d messages count as dropped", n)
		}
		away = pipe(t, s, durable(mqtt.V50, "away"))
		away.take(2, func(_ int, m *mqtt.Publish) {
			if m.HasExpiry && m.Expiry != 3300 {
				t.Errorf("expires in %d s", m.Expiry)
			}
		})
		away.barrier()
	})
}

// Wills when the broker ends in order: at once without a delay, else when the
// delay is over, on the next start.
func TestWillsAtTheEndOfTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := bubbleServer(t, dir, broker.Options{})
		watch := pipe(t, s, durable(mqtt.V311, "watch"))
		watch.subscribe(filter("will/#", 1))
		watch.bye()
		pipe(t, s, willing(expiring(mqtt.V50, "soon", 1000), 0))
		pipe(t, s, willing(expiring(mqtt.V50, "late", 1000), 100))
		pipe(t, s, willing(expiring(mqtt.V50, "away", 1000), 100)).vanish()
		s.stop()
		s = bubbleServer(t, dir, broker.Options{})
		watch = pipe(t, s, durable(mqtt.V311, "watch"))
		watch.wantWill("soon")
		watch.barrier()
		start := time.Now()
		for range 2 {
			watch.ack(mqtt.PUBACK, watch.message().PacketID)
		}
		if d := time.Since(start); d < 80*time.Second || d > 100*time.Second {
			t.Errorf("delayed wills came after %v", d)
		}
		watch.barrier()
	})
}

// Connections whose client is no more, and nobody told the broker: within a
// CONNECT, silent, within a packet, and with a socket that takes nothing any more.
// They end when their time is over, with their wills, and leave nothing behind.
func TestHalfOpen(t *testing.T) {
	inBubble(t, func(t *testing.T, s *server) {
		watch := pipe(t, s, clean(mqtt.V50, "watch"))
		watch.subscribe(filter("will/#", 1))
		from := pipe(t, s, clean(mqtt.V50, "from"))
		synctest.Wait()
		goroutines := len(bubbled(t))
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V50} {
			for _, session := range []func(mqtt.Version, string) mqtt.Connect{clean, durable} {
				var open []*rawClient
				vanished := func(id string) *rawClient {
					packet := willing(session(v, id), 0)
					packet.KeepAlive = 60
					c := pipe(t, s, packet)
					open = append(open, c)
					return c
				}
				nobody := openPipe(t, s, v)
				packet := willing(session(v, "unborn"), 0)
				connect := packet.Append(nil)
				nobody.raw(connect[:len(connect)-1])
				open = append(open, nobody)
				vanished("silent")
				vanished("within").raw([]byte{0x32, 20, 0, 1, 't'})
				vanished("full").subscribe(filter("load", 1))
				for range 100 {
					from.publish("load", strings.Repeat("x", 10_000), 0, false)
					from.publish("load", strings.Repeat("x", 10_000), 1, false)
				}
				start := time.Now()
				wills := make(map[string]bool)
				for range 3 {
					m := watch.message()
					wills[string(m.Topic)] = true
					watch.ack(mqtt.PUBACK, m.PacketID)
				}
				if d := time.Since(start); len(wills) != 3 || d > 91*time.Second {
					t.Errorf("%v after %v", wills, d)
				}
				time.Sleep(2 * time.Second) // for the last words that nobody hears
				synctest.Wait()
				if n := s.Stats().ClientsConnected; n != 2 {
					t.Errorf("%d clients are connected", n)
				}
				for range 100 { // the store has some too
					if len(bubbled(t)) <= goroutines {
						break
					}
					time.Sleep(time.Second)
				}
				if now := bubbled(t); len(now) > goroutines {
					t.Errorf("%d goroutines, %d before:\n%s", len(now), goroutines, strings.Join(now, "\n\n"))
				}
				watch.barrier() // the one within its CONNECT has no will
				for _, c := range open {
					c.net.Close()
				}
			}
		}
	})
}
