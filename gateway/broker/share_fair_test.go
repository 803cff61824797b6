package broker_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"lintel/gateway/mqtt"
)

// counter is a client that acknowledges everything and counts what is not on the
// topic "sync".
type counter struct {
	*rawClient
	count  [3]atomic.Int64 // by QoS
	synced chan struct{}   // a message on "sync" came
}

func newCounter(t *testing.T, s *server, id string, share string, qos mqtt.QoS) *counter {
	c := &counter{rawClient: connect(t, s, clean(mqtt.V50, id)), synced: make(chan struct{}, 1)}
	c.subscribe(filter(share, mqtt.SubscriptionOptions(qos)), filter("sync", 0))
	go c.run()
	return c
}

func (c *counter) run() {
	for {
		p, err := c.next()
		if err != nil {
			close(c.synced)
			return
		}
		var m mqtt.Publish
		var a mqtt.Ack
		switch {
		case p.Type == mqtt.PUBREL && a.Decode(p, c.version) == nil:
			c.net.Write((&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: a.PacketID}).Append(nil, c.version))
		case p.Type != mqtt.PUBLISH || m.Decode(p, c.version) != nil:
			c.t.Errorf("received %v % x", p.Type, p.Body)
		case string(m.Topic) == "sync":
			c.synced <- struct{}{}
		default:
			c.count[m.QoS].Add(1)
			if m.QoS > 0 {
				typ := map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC}[m.QoS]
				c.net.Write((&mqtt.Ack{Type: typ, PacketID: m.PacketID}).Append(nil, c.version))
			}
		}
	}
}

func (c *counter) got(qos mqtt.QoS) int { return int(c.count[qos].Load()) }

// settle waits until everything that was published has come to the counters.
func settle(from *rawClient, counters ...*counter) {
	from.t.Helper()
	from.publish("sync", "", 0, false)
	for _, c := range counters {
		if _, ok := <-c.synced; !ok {
			from.t.Fatal("a member lost its connection")
		}
	}
}

// One of three members does not read. The other two get all that it has not in its
// buffers already, each the half of it, and nothing is lost.
func TestShareWithStalledMember(t *testing.T) {
	s := newServer(t)
	t.Run("QoS 0", func(t *testing.T) {
		stalled := connect(t, s, clean(mqtt.V50, "stalled"))
		if err := stalled.net.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		stalled.subscribe(filter("$share/g/zero", 0))
		a, b := newCounter(t, s, "a", "$share/g/zero", 0), newCounter(t, s, "b", "$share/g/zero", 0)
		from := connect(t, s, clean(mqtt.V50, "from"))
		const n = 3000
		m := pub("zero", strings.Repeat("x", 16<<10), 0, 0)
		for range n / 10 { // fewer bytes than may wait for a member that reads
			for range 10 {
				from.send(m)
			}
			settle(from, a, b)
		}
		if dropped := s.Stats().PublishDropped; dropped != 0 {
			t.Errorf("%d messages were dropped", dropped)
		}
		last := &mqtt.Unsubscribe{PacketID: 1, Filters: []string{"$share/g/zero"}}
		stalled.send(last)
		held := 0
		for {
			p, err := stalled.next()
			if err != nil {
				t.Fatal(err)
			}
			if p.Type == mqtt.UNSUBACK {
				break
			}
			held++
		}
		if held > n/5 || held+a.got(0)+b.got(0) != n {
			t.Errorf("the one that does not read got %d, the others %d and %d of %d", held, a.got(0), b.got(0), n)
		}
		if d := a.got(0) - b.got(0); d < -2 || d > 2 {
			t.Errorf("the others got %d and %d", a.got(0), b.got(0))
		}
	})
	t.Run("QoS 1", func(t *testing.T) {
		const n, kept = 600, 20
		stalled := connect(t, s, window(clean(mqtt.V50, "stalled"), kept))
		stalled.subscribe(filter("$share/g/one", 1))
		a, b := newCounter(t, s, "a1", "$share/g/one", 1), newCounter(t, s, "b1", "$share/g/one", 1)
		from := connect(t, s, clean(mqtt.V50, "from"))
		for i := range n {
			from.publish("one", "x", 1, false)
			if i%50 == 0 { // within the windows
				settle(from, a, b)
			}
		}
		settle(from, a, b)
		if d := a.got(1) - b.got(1); d < -2 || d > 2 || a.got(1)+b.got(1) != n-kept {
			t.Errorf("the others got %d and %d of %d", a.got(1), b.got(1), n)
		}
		stalled.drop() // what it had in its window is the others' now
		settle(from, a, b)
		if d := a.got(1) - b.got(1); d < -2 || d > 2 || a.got(1)+b.got(1) != n {
			t.Errorf("in the end the others got %d and %d of %d", a.got(1), b.got(1), n)
		}
	})
}

// Members with different QoS have equal parts, each with its own QoS
// [v5 MQTT-4.8.2-3].
func TestShareOfMixedQoS(t *testing.T) {
	s := newServer(t)
	var members []*counter
	for qos, id := range []string{"zero", "one", "two"} {
		members = append(members, newCounter(t, s, id, "$share/g/t", mqtt.QoS(qos)))
	}
	from := connect(t, s, clean(mqtt.V50, "from"))
	const n = 90
	for i := range n {
		from.publish("t", "x", 2, false)
		if i%30 == 0 {
			settle(from, members...)
		}
	}
	settle(from, members...)
	for granted, c := range members {
		for qos := range mqtt.QoS(3) {
			want := 0
			if qos == mqtt.QoS(granted) {
				want = n / 3
			}
			if got := c.got(qos); got != want {
				t.Errorf("the member with QoS %d got %d messages with QoS %d, want %d", granted, got, qos, want)
			}
		}
	}
}
