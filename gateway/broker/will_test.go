package broker_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// willing gives a CONNECT a will to will/ID.
func willing(packet mqtt.Connect, delay uint32) mqtt.Connect {
	packet.Will = &mqtt.Message{Topic: "will/" + packet.ClientID, Payload: []byte("gone"), QoS: 1}
	packet.WillDelay = delay
	return packet
}

// watcher is a client that receives all wills.
func watcher(t testing.TB, s *server) *rawClient {
	t.Helper()
	c := connect(t, s, clean(mqtt.V50, ""))
	c.subscribe(filter("will/#", 2))
	return c
}

func (c *rawClient) wantWill(id string) {
	c.t.Helper()
	c.ack(mqtt.PUBACK, c.wantMessage("will/"+id, "gone", 1).PacketID)
}

// TestWillAtTheEnd ends connections in all ways.
func TestWillAtTheEnd(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	disconnect := func(code mqtt.ReasonCode) func(*rawClient) {
		return func(c *rawClient) {
			c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT, Code: code})
			c.end()
		}
	}
	for i, x := range []struct {
		name     string
		versions []mqtt.Version
		packet   func(v mqtt.Version, id string) mqtt.Connect
		end      func(*rawClient)
		will     bool
	}{
		{"closed", versions, clean, (*rawClient).drop, true},
		{"closed, session kept", versions, durable, (*rawClient).drop, true},
		{"DISCONNECT", versions, clean, (*rawClient).bye, false},
		{"DISCONNECT, session kept", versions, durable, (*rawClient).bye, false},
		{"DISCONNECT with will", []mqtt.Version{mqtt.V50}, durable, disconnect(mqtt.DisconnectWithWill), true},
		{"DISCONNECT with error", []mqtt.Version{mqtt.V50}, clean, disconnect(mqtt.UnspecifiedError), true},
		{"closed within a packet", versions, clean, func(c *rawClient) { c.raw([]byte{0x30, 9, 0}); c.drop() }, true},
		// The delay is longer than the session: the earlier end counts
		// [v5 MQTT-3.1.2-8], §3.1.3.2.2.
		{"delay without session", []mqtt.Version{mqtt.V50}, func(v mqtt.Version, id string) mqtt.Connect {
			return willing(clean(v, id), 1000)
		}, (*rawClient).drop, true},
		{"delay, session ended by DISCONNECT with will", []mqtt.Version{mqtt.V50}, func(v mqtt.Version, id string) mqtt.Connect {
			return willing(durable(v, id), 1000)
		}, func(c *rawClient) {
			d := mqtt.Disconnect{Type: mqtt.DISCONNECT, Code: mqtt.DisconnectWithWill}
			d.Properties.SetUint(mqtt.SessionExpiryInterval, 0)
			c.send(&d)
			c.end()
		}, true},
	} {
		for _, v := range x.versions {
			t.Run(versionName(v)+" "+x.name, func(t *testing.T) {
				watch.t = t
				id := fmt.Sprint(i, "-", v)
				packet := x.packet(v, id)
				x.end(connect(t, s, willing(packet, packet.WillDelay)))
				if x.will {
					watch.wantWill(id)
				}
				watch.barrier()
			})
		}
	}
}

// TestTakeOver connects a second client with the id of the first.
func TestTakeOver(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	five := mqtt.V50
	for i, x := range []struct {
		name          string
		first, second func(id string) mqtt.Connect
		present, will bool
	}{
		{"3.1.1, both clean", old(clean), old(clean), false, true},
		{"3.1.1, both kept", old(durable), old(durable), true, true},
		{"3.1.1, kept then clean", old(durable), old(clean), false, true},
		{"3.1.1, clean then kept", old(clean), old(durable), false, true},
		{"5.0, both clean", with(five, 0, true, 0), with(five, 0, true, 0), false, true},
		{"5.0, no delay, session lives on", with(five, 60, false, 0), with(five, 60, false, 0), true, true},
		{"5.0, delay, session lives on", with(five, 60, false, 30), with(five, 60, false, 0), true, false},
		{"5.0, delay, session has no expiry", with(five, 0, false, 30), with(five, 60, false, 0), false, true},
		{"5.0, delay, clean start", with(five, 60, false, 30), with(five, 60, true, 0), false, true},
		{"5.0 then 3.1.1", with(five, 60, false, 0), old(durable), true, true},
		{"3.1.1 then 5.0", old(durable), with(five, 60, false, 0), true, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			watch.t = t
			id := fmt.Sprint("over", i)
			first := x.first(id)
			a := connect(t, s, willing(first, first.WillDelay))
			a.subscribe(filter("inherited", 1))
			b := connect(t, s, x.second(id))
			if b.connack.SessionPresent != x.present {
				t.Errorf("session present %t", b.connack.SessionPresent)
			}
			a.wantEnd(mqtt.SessionTakenOver) // [v5 MQTT-3.1.4-3]
			if x.will {
				watch.wantWill(id)
			}
			watch.barrier()
			// What the first one left must not disturb the second.
			b.send(&mqtt.Publish{Topic: []byte("inherited"), Payload: []byte("yes")})
			if x.present {
				b.wantMessage("inherited", "yes", 0)
			}
			b.barrier()
		})
	}
}

func old(packet func(mqtt.Version, string) mqtt.Connect) func(string) mqtt.Connect {
	return func(id string) mqtt.Connect { return packet(mqtt.V311, id) }
}

func with(v mqtt.Version, expiry uint32, cleanStart bool, delay uint32) func(string) mqtt.Connect {
	return func(id string) mqtt.Connect {
		c := expiring(v, id, expiry)
		c.CleanStart, c.WillDelay = cleanStart, delay
		return c
	}
}

// A CONNECT that is refused throws nobody off.
func TestRefusedConnectTakesNothingOver(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, clean(mqtt.V50, "holder"))
	bad := clean(mqtt.V50, "holder")
	bad.Properties.SetText(mqtt.AuthenticationMethod, "none")
	bad = willing(bad, 0)
	watch := watcher(t, s)
	r := openRaw(t, s, mqtt.V50)
	r.raw(bad.Append(nil))
	r.end()
	c.barrier()
	watch.barrier() // and its will is never published [v5 MQTT-3.1.2-7]
}

// The will that waits belongs to a session that ends with Clean Start.
func TestDelayedWillAndCleanStart(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	connect(t, s, willing(with(mqtt.V50, 60, false, 30)("c"), 30)).drop()
	watch.barrier()
	connect(t, s, clean(mqtt.V50, "c"))
	watch.wantWill("c")
}

// Within its delay a client that comes back has no will published
// [v5 MQTT-3.1.3-9]; the old will does not outlive a CONNECT without one.
func TestDelayedWillAndReturn(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	connect(t, s, willing(expiring(mqtt.V50, "c", 60), 1)).drop()
	back := connect(t, s, expiring(mqtt.V50, "c", 60))
	if !back.connack.SessionPresent {
		t.Fatal("session not present")
	}
	connect(t, s, willing(expiring(mqtt.V50, "marker", 60), 1)).drop()
	watch.wantWill("marker") // later than the other would have come
	back.drop()
	watch.barrier()
}

// The earlier of delay and end of the session; each will once.
func TestWillDelay(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	start := time.Now()
	connect(t, s, willing(expiring(mqtt.V50, "delay", 60), 1)).drop()
	connect(t, s, willing(expiring(mqtt.V50, "expiry", 1), 60)).drop()
	watch.barrier()
	got := make(map[string]bool)
	for range 2 {
		m := watch.message()
		watch.ack(mqtt.PUBACK, m.PacketID)
		got[string(m.Topic)] = true
	}
	if !got["will/delay"] || !got["will/expiry"] {
		t.Fatalf("received %v", got)
	}
	if d := time.Since(start); d < 900*time.Millisecond || d > 4*time.Second {
		t.Fatalf("after %v", d)
	}
	if c := connect(t, s, expiring(mqtt.V50, "delay", 60)); !c.connack.SessionPresent {
		t.Fatal("the session went with its will")
	}
	if c := connect(t, s, expiring(mqtt.V50, "expiry", 1)); c.connack.SessionPresent {
		t.Fatal("the session is still there")
	}
	watch.barrier()
}

// A delayed will is session state: it survives a restart.
func TestWillAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, broker.Options{})
	packet := willing(expiring(mqtt.V50, "c", 60), 1)
	packet.Will.Properties = []byte{0x26, 0, 1, 'k', 0, 1, 'v', 0x01, 0}
	packet.HasWillExpiry, packet.WillExpiry = true, 100
	connect(t, s, packet).drop()
	watch := connect(t, s, durable(mqtt.V50, "watch"))
	watch.subscribe(filter("will/#", 1))
	watch.bye()
	s.stop()
	s = startServer(t, dir, broker.Options{})
	m := connect(t, s, durable(mqtt.V50, "watch")).wantMessage("will/c", "gone", 1)
	if string(m.Properties) != string(packet.Will.Properties) || m.Expiry < 90 || m.Expiry > 100 {
		t.Fatalf("properties % x, expiry %d", m.Properties, m.Expiry)
	}
}

// Will properties travel on, in their order, an explicit 0 too; the delay does
// not [v5 MQTT-3.1.3-10, MQTT-3.3.2-4, MQTT-3.3.2-18].
func TestWillProperties(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	packet := willing(clean(mqtt.V50, "c"), 7)
	packet.Will.Properties = []byte("\x26\x00\x01b\x00\x012\x01\x00\x03\x00\x01t\x08\x00\x01r\x09\x00\x01c\x26\x00\x01a\x00\x011\x26\x00\x01b\x00\x012")
	packet.HasWillExpiry, packet.WillExpiry = true, 50
	connect(t, s, packet).drop()
	m := watch.wantMessage("will/c", "gone", 1)
	if string(m.Properties) != string(packet.Will.Properties) || m.Expiry != 50 {
		t.Fatalf("properties % x, expiry %d", m.Properties, m.Expiry)
	}
}

// An empty will clears the retained message of its topic.
func TestEmptyRetainedWill(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		watch.t = t
		packet := clean(v, "c")
		packet.Will = &mqtt.Message{Topic: "will/here", Retain: true}
		c := connect(t, s, packet)
		c.publish("will/here", "online", 1, true)
		watch.ack(mqtt.PUBACK, watch.wantMessage("will/here", "online", 1).PacketID)
		c.drop()
		watch.wantMessage("will/here", "", 0)
		late := connect(t, s, clean(v, "late"))
		late.subscribe(filter("will/here", 1))
		late.barrier()
	}, versions...)
}

// Keep alive: one and a half times, counted from the last whole packet; the will
// of a client that fell silent counts its expiry.
func TestKeepAlive(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		t.Parallel()
		packet := willing(clean(v, "silent-"+versionName(v)), 0)
		packet.KeepAlive = 1
		c := connect(t, s, packet)
		last := time.Now()
		c.raw([]byte{0x30, 100}) // the beginning of a packet is no sign of life
		c.wantEnd(mqtt.KeepAliveTimeout)
		if d := time.Since(last); d < 1400*time.Millisecond || d > 3*time.Second {
			t.Fatalf("closed after %v", d)
		}
	}, mqtt.V311, mqtt.V50)
	t.Cleanup(func() {
		for range 2 {
			m := watch.message()
			watch.ack(mqtt.PUBACK, m.PacketID)
		}
		watch.barrier()
	})
}

// An orderly end of the broker tells its clients and publishes their wills.
func TestShutdown(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, dir, broker.Options{})
	kept := connect(t, s, durable(mqtt.V311, "kept"))
	kept.subscribe(filter("will/#", 1))
	kept.drop()
	five := connect(t, s, willing(clean(mqtt.V50, "five"), 0))
	three := connect(t, s, clean(mqtt.V311, "three"))
	silent := openRaw(t, s, mqtt.V50) // says nothing at all
	eventually(t, "the silent connection is accepted", func() bool { return s.Stats().ConnectionsAccepted == 4 })
	var g sync.WaitGroup
	g.Go(func() { five.wantEnd(mqtt.ServerShuttingDown) })
	g.Go(func() { three.wantEnd(mqtt.ServerShuttingDown) })
	start := time.Now()
	s.stop()
	g.Wait()
	silent.end()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("the end took %v", d)
	}
	s = startServer(t, dir, broker.Options{})
	connect(t, s, durable(mqtt.V311, "kept")).wantMessage("will/five", "gone", 1)
}

// Many clients with one id at a time: in the end there is one, and each will of
// the others was published.
func TestTakeOverStorm(t *testing.T) {
	s := newServer(t)
	watch := watcher(t, s)
	const clients, rounds = 20, 5
	var g sync.WaitGroup
	for i := range clients {
		g.Go(func() {
			for round := range rounds {
				packet := willing(expiring(mqtt.V50, "storm", 100), 0)
				packet.CleanStart = (i+round)%3 == 0
				c := openRaw(t, s, mqtt.V50)
				b := packet.Append(nil)
				b = (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("storm", 2)}}).Append(b, mqtt.V50)
				b = (&mqtt.Publish{Topic: []byte("storm"), QoS: 2, PacketID: 2}).Append(b, mqtt.V50)
				if _, err := c.net.Write(b); err != nil {
					t.Error(err)
				}
				for {
					p, err := c.next()
					if err != nil || p.Type == mqtt.PUBREC {
						break
					}
				}
				c.net.Close()
			}
		})
	}
	g.Wait()
	for range clients * rounds {
		watch.wantWill("storm")
	}
	last := connect(t, s, clean(mqtt.V50, "storm"))
	watch.barrier()
	last.bye()
	if n := s.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions are left", n)
	}
}
