package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// TestLimits goes over each limit: the client gets the reason of the standard, the
// counter of the limit and no other moves, and a bystander goes on.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		limit   broker.Limit
		options broker.Options
		over    func(t *testing.T, s *server)
		count   uint64 // how often that is over the limit
	}{
		{broker.LimitPacketSize, broker.Options{MaxPacketSize: 1000}, overPacketSize, 3},
		{broker.LimitConnections, broker.Options{MaxConnections: 1}, overConnections, 2},
		{broker.LimitConnectRate, broker.Options{MaxConnections: 2, ConnectRate: 1}, overConnectRate, 2},
		{broker.LimitAddressRate, broker.Options{AddressRate: 1}, overConnectRate, 2},
		{broker.LimitUnconnected, broker.Options{MaxUnconnected: 2}, overUnconnected, 3},
		{broker.LimitConnectTimeout, broker.Options{ConnectTimeout: time.Second}, overConnectTimeout, 1},
		{broker.LimitReceiveMaximum, broker.Options{ReceiveMaximum: 1}, overReceiveMaximum, 1},
		{broker.LimitQueuedMessages, broker.Options{MaxQueuedMessages: 2}, overQueue, 2},
		{broker.LimitQueuedBytes, broker.Options{MaxQueuedBytes: 1000}, overQueue, 2},
		{broker.LimitQueuedTotal, broker.Options{MaxQueuedTotal: 10_000, MaxConnections: 5}, overQueuedTotal, 2},
		{broker.LimitSubscriptions, broker.Options{MaxSubscriptions: 1}, overSubscriptions, 2},
		{broker.LimitTopicLevels, broker.Options{MaxTopicLevels: 2}, overTopicLevels, 3},
		{broker.LimitRetained, broker.Options{MaxRetained: 1}, overRetained, 7},
		{broker.LimitRetainedBytes, broker.Options{MaxRetainedBytes: 1000}, overRetained, 7},
		{broker.LimitKeepAlive, broker.Options{}, overKeepAlive, 2},
	} {
		t.Run(tt.limit.String(), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, t.TempDir(), tt.options)
			bystander := connect(t, s, clean(mqtt.V50, "bystander"))
			bystander.subscribe(filter("by", 1))
			tt.over(t, s)
			bystander.send(pub("by", "x", 1, 1))
			bystander.either(mqtt.PUBACK, mqtt.PUBLISH)
			bystander.barrier()
			eventually(t, "what went over is counted", func() bool { return s.Stats().Exceeded[tt.limit] == tt.count })
			for l, n := range s.Stats().Exceeded {
				if l := broker.Limit(l); l != tt.limit && n != 0 {
					t.Errorf("%v was exceeded %d times", l, n)
				}
			}
		})
	}
	t.Run("inflight", func(t *testing.T) { // nothing is refused: messages wait
		s := startServer(t, t.TempDir(), broker.Options{MaxInflight: 1})
		bystander := connect(t, s, clean(mqtt.V50, "bystander"))
		bystander.subscribe(filter("t", 0))
		c := connect(t, s, clean(mqtt.V50, "c"))
		c.subscribe(filter("t", 1))
		for i := range 3 {
			bystander.send(pub("t", fmt.Sprint(i), 1, 1))
			bystander.either(mqtt.PUBACK, mqtt.PUBLISH)
		}
		first := c.wantMessage("t", "0", 1)
		c.barrier()
		if n := s.Stats().Queued; n != 3 {
			t.Errorf("%d messages wait, want 3", n)
		}
		c.ack(mqtt.PUBACK, first.PacketID)
		c.wantMessage("t", "1", 1)
		c.barrier()
	})
}

func overPacketSize(t *testing.T, s *server) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "large"))
		c.send(pub("t", strings.Repeat("x", 2000), 0, 0))
		c.wantEnd(mqtt.PacketTooLarge)
	}, mqtt.V311, mqtt.V50)
	packet := clean(mqtt.V50, strings.Repeat("x", 2000))
	if body := refused(t, s, packet.Append(nil)); body != nil { // of no version yet
		t.Errorf("CONNACK % x", body)
	}
}

func overConnections(t *testing.T, s *server) {
	wantRefusal(t, s, clean(mqtt.V311, "many"), "\x00\x03")
	wantRefusal(t, s, clean(mqtt.V50, "many"), "\x00\x89\x00")
}

func wantRefusal(t *testing.T, s *server, packet mqtt.Connect, want string) {
	t.Helper()
	if body := refused(t, s, packet.Append(nil)); string(body) != want {
		t.Errorf("CONNACK % x, want % x", body, want)
	}
}

// A burst passes, and then one in a second.
func overConnectRate(t *testing.T, s *server) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		want := map[mqtt.Version]string{mqtt.V311: "\x00\x03", mqtt.V50: "\x00\x9F\x00"}[v]
		for range 2000 {
			c := openRaw(t, s, v)
			packet := clean(v, "often")
			c.raw(packet.Append(nil))
			if body := c.expect(mqtt.CONNACK).Body; body[1] == 0 {
				c.bye()
			} else if more := c.end(); string(body) != want || len(more) > 0 {
				t.Errorf("CONNACK % x and then %v, want % x", body, more, want)
			} else {
				return
			}
		}
		t.Error("all were accepted")
	}, mqtt.V311, mqtt.V50)
}

// Silent connections make room, the oldest first, and keep nobody out.
func overUnconnected(t *testing.T, s *server) {
	accepted := s.Stats().ConnectionsAccepted
	next := func() { // who comes after it is newer then
		t.Helper()
		accepted++
		eventually(t, "the connection is accepted", func() bool { return s.Stats().ConnectionsAccepted == accepted })
	}
	ws, _, err := dialWebSocket(t, s, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	next()
	var silent [3]*rawClient
	for i := range silent {
		silent[i] = openRaw(t, s, mqtt.V50)
		silent[i].raw([]byte{0x10})
		next()
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("WebSocket: %v, want it to be closed", err)
	}
	silent[0].wantNothing()
	connect(t, s, clean(mqtt.V50, "speaks")).barrier()
	silent[1].wantNothing()
	packet := clean(mqtt.V50, "late")
	silent[2].raw(packet.Append(nil)[1:])
	silent[2].expect(mqtt.CONNACK)
	silent[2].barrier()
}

// wantNothing wants the connection to be closed without a word.
func (c *rawClient) wantNothing() {
	c.t.Helper()
	if packets := c.end(); len(packets) > 0 {
		c.t.Errorf("received %v", packets)
	}
}

func overConnectTimeout(t *testing.T, s *server) {
	c := openRaw(t, s, mqtt.V50)
	c.raw([]byte{0x10})
	c.wantNothing()
}

func overReceiveMaximum(t *testing.T, s *server) {
	c := connect(t, s, clean(mqtt.V50, "fast"))
	c.send(pub("t", "", 2, 1), pub("t", "", 2, 2))
	c.wantAck(mqtt.PUBREC, 1, mqtt.Success)
	c.wantEnd(mqtt.ReceiveMaximumExceeded)
}

// The publisher is told nothing: others may have got the message.
func overQueue(t *testing.T, s *server) {
	c := connect(t, s, durable(mqtt.V50, "away"))
	c.subscribe(filter("q", 1))
	c.drop()
	from := connect(t, s, clean(mqtt.V50, "from"))
	for i := range 4 {
		m := pub("q", fmt.Sprint(i), 1, 1)
		m.Properties = []byte("\x26\x00\x01k\x02\x00" + strings.Repeat("v", 0x200)) // they count too
		from.exchange(m)
	}
	if n := s.Stats().PublishDropped; n != 2 {
		t.Errorf("%d messages were dropped", n)
	}
	c = connect(t, s, durable(mqtt.V50, "away"))
	c.take(2, func(i int, m *mqtt.Publish) {
		if string(m.Payload) != fmt.Sprint(i) {
			t.Errorf("received %s", m.Payload)
		}
	})
	c.barrier()
	if n := s.Stats().QueuedBytes; n != 0 {
		t.Errorf("%d bytes are queued when nothing is", n)
	}
}

// Whoever fills half of the total leaves their share to the others.
func overQueuedTotal(t *testing.T, s *server) {
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, id := range []string{"greedy", "modest", "gone"} {
		c := connect(t, s, durable(mqtt.V50, id))
		c.subscribe(filter(id, 1))
		c.drop()
	}
	payload := strings.Repeat("x", 600)
	publish := func(to string, n int) {
		t.Helper()
		for range n {
			from.publish(to, payload, 1, false)
		}
	}
	publish("greedy", 8) // over 5000 bytes
	if n := s.Stats().PublishDropped; n != 0 {
		t.Errorf("%d messages were dropped", n)
	}
	publish("greedy", 1)
	publish("modest", 2) // a thousand bytes are its share
	publish("gone", 1)
	if n := s.Stats().QueuedBytes; n < 10*600 || n >= 10_000 {
		t.Errorf("%d bytes are queued", n)
	}
	connect(t, s, clean(mqtt.V50, "gone")).bye() // ends the session
	for id, n := range map[string]int{"greedy": 8, "modest": 1} {
		c := connect(t, s, durable(mqtt.V50, id))
		c.take(n, func(int, *mqtt.Publish) {})
		c.barrier()
		c.drop()
	}
	if n := s.Stats().QueuedBytes; n != 0 {
		t.Errorf("%d bytes are queued when nothing is", n)
	}
	publish("greedy", 8) // there is room again
}

func overSubscriptions(t *testing.T, s *server) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		c := connect(t, s, clean(v, "many"))
		c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("a", 0), filter("b", 0)}})
		c.wantCodes(mqtt.SUBACK, 1, mqtt.Success, map[mqtt.Version]mqtt.ReasonCode{mqtt.V311: mqtt.UnspecifiedError, mqtt.V50: mqtt.QuotaExceeded}[v])
	}, mqtt.V311, mqtt.V50)
}

func overTopicLevels(t *testing.T, s *server) {
	c := connect(t, s, clean(mqtt.V50, "deep"))
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("a/b", 0), filter("a/b/#", 0)}})
	c.wantCodes(mqtt.SUBACK, 1, mqtt.Success, mqtt.TopicFilterInvalid)
	c.send(pub("a/b/c", "", 0, 0))
	c.wantEnd(mqtt.TopicNameInvalid)
	old := connect(t, s, clean(mqtt.V311, "deep"))
	old.send(pub("a/b/c", "", 0, 0))
	old.wantEnd(mqtt.TopicNameInvalid)
}

// A retained message too many goes to nobody if its publisher can be told, else to
// who is there now and not to who comes later.
func overRetained(t *testing.T, s *server) {
	from := connect(t, s, clean(mqtt.V50, "from"))
	from.publish("r/1", strings.Repeat("x", 500), 1, true)
	watch := connect(t, s, clean(mqtt.V50, "watch"))
	watch.subscribe(filter("r/2", mqtt.SubscriptionOptions(1)|mqtt.RetainAsPublished), filter("else", 0))

	large := strings.Repeat("y", 500)
	for qos, typ := range map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		m := pub("r/2", large, qos, 7)
		m.Retain = true
		from.send(m)
		from.wantAck(typ, 7, mqtt.QuotaExceeded)
		from.exchange(pub("else", "x", 2, 7)) // the id is free
		watch.wantMessage("else", "x", 0)
	}
	inside := newClient(t, s, "inside")
	for qos := range mqtt.QoS(2) {
		err := inside.Publish(t.Context(), mqtt.Message{Topic: "r/2", Payload: []byte(large), QoS: qos, Retain: true})
		if reason := (*mqtt.Error)(nil); !errors.As(err, &reason) || reason.Code != mqtt.QuotaExceeded {
			t.Errorf("in the process: %v", err)
		}
	}
	watch.barrier()

	old := connect(t, s, clean(mqtt.V311, "old"))
	from.publish("r/2", large, 0, true)
	old.publish("r/2", large, 1, true)
	willed := clean(mqtt.V50, "willed")
	willed.Will = &mqtt.Message{Topic: "r/2", Payload: []byte(large), QoS: 1, Retain: true}
	connect(t, s, willed).drop()
	watch.take(3, func(i int, m *mqtt.Publish) {
		if string(m.Payload) != large || !m.Retain {
			t.Errorf("message %d: %.10q with RETAIN %t", i, m.Payload, m.Retain)
		}
	})
	if n := s.Stats().Retained; n != 1 {
		t.Errorf("%d messages are retained", n)
	}
	late := connect(t, s, clean(mqtt.V50, "late"))
	late.subscribe(filter("r/2", 1))
	late.barrier()

	// What is there may change and go, and then there is room.
	from.publish("r/1", "smaller", 1, true)
	from.publish("r/1", "", 1, true)
	from.publish("r/2", large, 1, true)
	late.wantMessage("r/2", large, 1)
}

func overKeepAlive(t *testing.T, s *server) {
	var clients []*rawClient
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V50} {
		packet := clean(v, versionName(v))
		packet.KeepAlive = 1
		clients = append(clients, connect(t, s, packet))
	}
	for _, c := range clients {
		c.wantEnd(mqtt.KeepAliveTimeout)
	}
}

func TestKeepAliveFactor(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), broker.Options{KeepAliveFactor: 2.5})
	packet := clean(mqtt.V50, "patient")
	packet.KeepAlive = 1
	c := connect(t, s, packet)
	start := time.Now()
	c.wantEnd(mqtt.KeepAliveTimeout)
	if d := time.Since(start); d < 2400*time.Millisecond {
		t.Errorf("the end came after %v", d)
	}
	if _, err := broker.New(nil, broker.Options{KeepAliveFactor: 1}); err == nil {
		t.Error("less than the standard's 1.5 is accepted")
	}
}

// Who has sent a CONNECT gets in, however many come at once.
func TestUnconnectedBurst(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxUnconnected: 1})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	clients := make([]*rawClient, 200)
	for i := range clients {
		clients[i] = openRaw(t, s, mqtt.V50)
		packet := clean(mqtt.V50, fmt.Sprint(i))
		clients[i].raw(packet.Append(nil))
	}
	// Only now are they let in: who has a connection and waits for a processor
	// before the CONNECT is one that is silent.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l, "late") }()
	defer func() { cancel(); <-ended }()
	for _, c := range clients {
		c.expect(mqtt.CONNACK)
		c.barrier()
	}
}

// A retained message that is not the latest any more is gone, from the store too.
func TestStaleRetained(t *testing.T) {
	l := newLasting(t, broker.Options{MaxRetainedBytes: 1000})
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	large := strings.Repeat("x", 1000)
	from.publish("refused", "state", 1, true)
	from.publish("live", "state", 1, true)
	m := pub("refused", large, 1, 1)
	m.Retain = true
	from.send(m)
	from.wantAck(mqtt.PUBACK, 1, mqtt.QuotaExceeded)
	from.publish("live", large, 0, true)
	for range 2 {
		c := connect(t, l.server, clean(mqtt.V311, "c"))
		c.subscribe(filter("#", 0))
		c.wantMessage("refused", "state", 0)
		c.barrier()
		l.restart()
	}
}

// The packet id of a message that was refused is free, after a restart too.
func TestIdentifierOfRefusedRetained(t *testing.T) {
	l := newLasting(t, broker.Options{MaxRetainedBytes: 1000})
	from := connect(t, l.server, durable(mqtt.V50, "from"))
	m := pub("r", strings.Repeat("x", 1000), 2, 7)
	m.Retain = true
	from.send(m)
	from.wantAck(mqtt.PUBREC, 7, mqtt.QuotaExceeded)
	from.publish("r", "x", 1, true) // waits for the store
	from = l.again(from, durable(mqtt.V50, "from"))
	from.subscribe(filter("t", 0))
	from.send(pub("t", "x", 2, 7))
	from.either(mqtt.PUBREC, mqtt.PUBLISH)
}

// What the store holds is taken, whatever the limits are now. It may change, but
// not grow.
func TestRetainedOverLimitsAtStart(t *testing.T) {
	l := newLasting(t, broker.Options{})
	from := connect(t, l.server, clean(mqtt.V50, "from"))
	for i := range 3 {
		from.publish(fmt.Sprint("r/", i), "state", 1, true)
	}
	l.o.MaxRetained, l.o.MaxRetainedBytes = 1, 1
	l.restart()
	if n := l.Stats().Retained; n != 3 {
		t.Errorf("%d messages are retained", n)
	}
	from = connect(t, l.server, clean(mqtt.V50, "from"))
	from.publish("r/0", "STATE", 1, true)
	from.publish("r/1", "", 1, true)
	for topic, payload := range map[string]string{"r/0": "larger state", "r/1": "state"} {
		m := pub(topic, payload, 1, 1)
		m.Retain = true
		from.send(m)
		from.wantAck(mqtt.PUBACK, 1, mqtt.QuotaExceeded)
	}
	if n := l.Stats().Retained; n != 2 {
		t.Errorf("%d messages are retained", n)
	}
}

// The $SYS topics are no part of what is limited.
func TestSysIsNotLimited(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxRetained: 1, MaxRetainedBytes: 100, SysInterval: time.Hour})
	c := connect(t, s, clean(mqtt.V50, "c"))
	c.publish("r", "x", 1, true)
	c.subscribe(filter("$SYS/broker/limits/retained", 0))
	c.wantMessage("$SYS/broker/limits/retained", "0", 0)
	if n := s.Stats().Retained; n != 1 {
		t.Errorf("%d messages are retained", n)
	}
}
