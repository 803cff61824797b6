package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

func TestTopicLevels(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxTopicLevels: 3})
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "levels"))
		c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("a/b/c", 0), filter("a/b/c/#", 0)}})
		refused := mqtt.TopicFilterInvalid
		if v == mqtt.V311 {
			refused = mqtt.UnspecifiedError
		}
		c.wantCodes(mqtt.SUBACK, 1, mqtt.Success, refused)
		c.send(&mqtt.Publish{Topic: []byte("a/b/c"), Payload: []byte("fits")})
		c.wantMessage("a/b/c", "fits", 0)
		c.send(&mqtt.Publish{Topic: []byte("a/b/c/d"), Payload: []byte("does not")})
		c.wantEnd(mqtt.TopicNameInvalid)
	}, mqtt.V311, mqtt.V50)
}

func TestMaxSubscriptions(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxSubscriptions: 2})
	c := connect(t, s, clean(mqtt.V50, "many"))
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("a", 0), filter("b", 1), filter("c", 0), filter("a", 2)}})
	// The last one takes the place of the first.
	c.wantCodes(mqtt.SUBACK, 1, mqtt.Success, mqtt.GrantedQoS1, mqtt.QuotaExceeded, mqtt.GrantedQoS2)
	other := connect(t, s, clean(mqtt.V50, "other"))
	other.subscribe(filter("a", 0), filter("b", 0))
}

// The server's keep alive counts, and only clients that can be told are bound by
// it [v5 MQTT-3.2.2-21, MQTT-3.1.2-21].
func TestServerKeepAlive(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxKeepAlive: time.Second})
	for asked, told := range map[uint16]bool{0: true, 60: true, 1: false} {
		packet := clean(mqtt.V50, fmt.Sprint("keep-alive-", asked))
		packet.KeepAlive = asked
		c := connect(t, s, packet)
		if c.connack.Properties.Has(mqtt.ServerKeepAlive) != told || told && c.connack.Properties.Uint(mqtt.ServerKeepAlive, 0) != 1 {
			t.Errorf("asked for %d s: told %d", asked, c.connack.Properties.Uint(mqtt.ServerKeepAlive, 0))
		}
		c.wantEnd(mqtt.KeepAliveTimeout)
	}
	old := connect(t, s, clean(mqtt.V311, "old"))
	old.barrier()
}

// A client that subscribes again and again and does not read makes nobody keep
// more than its retained messages once.
func TestRetainedBacklogIsBounded(t *testing.T) {
	s := newServer(t)
	const retained, subscribes = 200, 50
	payload := strings.Repeat("x", 4<<10)
	from := connect(t, s, clean(mqtt.V311, "from"))
	for i := range retained {
		from.publish(fmt.Sprintf("r/%d", i), payload, 0, true)
	}
	from.barrier()
	c := connect(t, s, clean(mqtt.V311, "greedy"))
	for i := range subscribes {
		c.send(&mqtt.Subscribe{PacketID: uint16(i + 1), Filters: []mqtt.FilterRequest{filter("r/#", 0)}})
	}
	// A message of QoS 1 waits until the retained ones are sent.
	c.send(&mqtt.Subscribe{PacketID: subscribes + 1, Filters: []mqtt.FilterRequest{filter("done", 1)}},
		&mqtt.Publish{Topic: []byte("done"), QoS: 1, PacketID: 1})
	got := 0
	for {
		p, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if p.Type != mqtt.PUBLISH {
			continue
		}
		var m mqtt.Publish
		c.decode(p, func(p mqtt.Packet) error { return m.Decode(p, c.version) })
		if string(m.Topic) == "done" {
			break
		}
		got++
	}
	if got < retained || got >= retained*subscribes {
		t.Errorf("%d messages for %d retained and %d subscriptions", got, retained, subscribes)
	}
}

// The expiry of a will counts from its publication, over a restart too
// (5.0 §3.1.3.2.4).
func TestWillExpiryOverRestart(t *testing.T) {
	s := newServer(t)
	packet := durable(mqtt.V50, "willed")
	packet.Will, packet.WillDelay = &mqtt.Message{Topic: "will", Payload: []byte("gone")}, 1
	packet.WillExpiry, packet.HasWillExpiry = 100, true
	connect(t, s, packet).drop()
	eventually(t, "the session to be offline", func() bool { return s.Stats().SessionsOffline == 1 })
	s.stop()
	s = startServer(t, s.dir, broker.Options{})
	c := connect(t, s, clean(mqtt.V50, "watcher"))
	c.subscribe(filter("will", 0))
	if m := c.wantMessage("will", "gone", 0); m.Expiry != 100 {
		t.Errorf("will expires in %d s, want 100", m.Expiry)
	}
}
