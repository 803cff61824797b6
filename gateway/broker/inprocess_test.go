package broker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

func newClient(t testing.TB, s *server, id string) *broker.Client {
	t.Helper()
	c, err := s.NewClient(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// inbox subscribes an in-process client and collects what comes.
func inbox(t testing.TB, c *broker.Client, filter string, options mqtt.SubscriptionOptions) chan mqtt.Message {
	t.Helper()
	messages := make(chan mqtt.Message, 20_000)
	if err := c.Subscribe(t.Context(), filter, options, func(m mqtt.Message) { messages <- m }); err != nil {
		t.Fatal(err)
	}
	return messages
}

// gate makes handlers wait until open is called, or the test ends. It is made
// after the clients, which wait for their handlers at the end.
func gate(t testing.TB) (wait, open func()) {
	opened := make(chan struct{})
	open = sync.OnceFunc(func() { close(opened) })
	t.Cleanup(open)
	return func() { <-opened }, open
}

func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case x := <-from:
		return x
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// A handler that is slow loses nothing of QoS 1 and 2, and keeps nobody waiting.
func TestSlowHandler(t *testing.T) {
	s := newServer(t)
	inside := newClient(t, s, "inside")
	var mu sync.Mutex
	mu.Lock() // the handler is as slow as can be
	got := make(chan string, 5000)
	if err := inside.Subscribe(t.Context(), "slow/#", 2, func(m mqtt.Message) {
		mu.Lock()
		defer mu.Unlock()
		got <- string(m.Payload)
	}); err != nil {
		t.Fatal(err)
	}
	const n = 2000
	from := connect(t, s, clean(mqtt.V311, "from"))
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		for i := range n {
			from.send(pub("slow/x", fmt.Sprint(qos, i), qos, uint16(i+1)))
		}
		for i := range n {
			from.wantAck(mqtt.PUBACK+mqtt.PacketType(qos)-1, uint16(i+1), mqtt.Success)
		}
	}
	other := newClient(t, s, "other")
	receiveOther := inbox(t, other, "other", 1)
	if err := inside.Publish(t.Context(), mqtt.Message{Topic: "other", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	receive(t, receiveOther)
	mu.Unlock()
	for qos := 1; qos <= 2; qos++ {
		for i := range n {
			select {
			case payload := <-got:
				if payload != fmt.Sprint(qos, i) {
					t.Fatalf("received %q, want %q", payload, fmt.Sprint(qos, i))
				}
			case <-time.After(patience):
				t.Fatalf("message %d of QoS %d did not come", i, qos)
			}
		}
	}
}

// All retained messages reach an in-process client too.
func TestInProcessManyRetained(t *testing.T) {
	s := newServer(t)
	inside := newClient(t, s, "inside")
	const n = 15_000 // more than the inbox holds
	for i := range n {
		if err := inside.Publish(t.Context(), mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: []byte("x"), Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	for qos := range mqtt.QoS(2) {
		messages := inbox(t, newClient(t, s, fmt.Sprint("late", qos)), "r/#", mqtt.SubscriptionOptions(qos))
		for range n {
			receive(t, messages)
		}
	}
}

// What only a client in the process could do wrong is refused too.
func TestInProcessRefusals(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	for _, m := range []mqtt.Message{
		{Topic: "a", QoS: 3},
		{Topic: strings.Repeat("a", 65536)},
		// What belongs to a hop: message expiry, topic alias.
		{Topic: "a", Properties: []byte("\x02\x00\x00\x00\x01")},
		{Topic: "a", Properties: []byte("\x23\x00\x01")},
	} {
		if c.Publish(t.Context(), m) == nil {
			t.Errorf("%.80q with QoS %d and properties %q was published", m.Topic, m.QoS, m.Properties)
		}
	}
	if c.Subscribe(t.Context(), strings.Repeat("a", 65537), 0, func(mqtt.Message) {}) == nil {
		t.Error("a filter of 65,537 bytes was taken")
	}
	c.Close()
	c.Close()
	if n := s.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// A handler takes the place of another with the same filter, for what waits too.
func TestInProcessReplace(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	from := newClient(t, s, "from")
	wait, open := gate(t)
	entered := make(chan string, 1000)
	first := func(m mqtt.Message) { entered <- string(m.Payload); wait() }
	if err := c.Subscribe(t.Context(), "t", 1, first); err != nil {
		t.Fatal(err)
	}
	const n = 300 // more than may be in flight
	for i := range n {
		if err := from.Publish(t.Context(), msg("t", fmt.Sprint(i), mqtt.QoS(min(i, 1)))); err != nil {
			t.Fatal(err)
		}
	}
	if payload := receive(t, entered); payload != "0" {
		t.Errorf("the first handler received %s", payload)
	}
	second := inbox(t, c, "t", 2)
	if err := c.Subscribe(t.Context(), "a#", 2, first); err == nil {
		t.Error("a wrong subscription was made")
	}
	open()
	for i := 1; i < n; i++ {
		if m := receive(t, second); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("the second handler received %s, want %d", m.Payload, i)
		}
	}
}

// Once Unsubscribe has returned no handler begins, though messages wait; those
// count as acknowledged. What waits for another handler still comes.
func TestInProcessUnsubscribe(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	from := newClient(t, s, "from")
	wait, open := gate(t)
	entered := make(chan struct{}, 1000)
	if err := c.Subscribe(t.Context(), "t/+", 2, func(mqtt.Message) { entered <- struct{}{}; wait() }); err != nil {
		t.Fatal(err)
	}
	other := inbox(t, c, "t/#", 1)
	const n = 300 // more than may be in flight
	for i := range n {
		if err := from.Publish(t.Context(), msg("t/x", fmt.Sprint(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, entered)
	if err := c.Unsubscribe(t.Context(), "t/+"); err != nil {
		t.Fatal(err)
	}
	open()
	for i := range n {
		if m := receive(t, other); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("received %s, want %d", m.Payload, i)
		}
	}
	if n := len(entered); n > 0 {
		t.Errorf("%d more handlers ran", n)
	}
	eventually(t, "nothing waits", func() bool { return s.Stats().Queued == 0 })
	// The same filter once more is another subscription.
	again := inbox(t, c, "t/+", 1)
	if err := from.Publish(t.Context(), msg("t/x", "again", 1)); err != nil {
		t.Fatal(err)
	}
	receive(t, again)
	receive(t, other)
}

// What a client has of a share when it unsubscribes nobody else gets: its handler
// still does.
func TestInProcessUnsubscribeShared(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	from := newClient(t, s, "from")
	wait, open := gate(t)
	const n = 300 // more than may be in flight
	entered := make(chan string, n)
	if err := c.Subscribe(t.Context(), "$share/g/t", 2, func(m mqtt.Message) { wait(); entered <- string(m.Payload) }); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := from.Publish(t.Context(), msg("t", fmt.Sprint(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Unsubscribe(t.Context(), "$share/g/t"); err != nil {
		t.Fatal(err)
	}
	if err := from.Publish(t.Context(), msg("t", "for nobody", 1)); err != nil {
		t.Fatal(err)
	}
	open()
	for i := range n {
		if payload := receive(t, entered); payload != fmt.Sprint(i) {
			t.Fatalf("received %s, want %d", payload, i)
		}
	}
	again := inbox(t, c, "$share/g/t", 1)
	if err := from.Publish(t.Context(), msg("t", "again", 1)); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, again); string(m.Payload) != "again" || len(entered) > 0 {
		t.Errorf("received %s, and %d by the first handler", m.Payload, len(entered))
	}
}

// A handler may publish, subscribe and unsubscribe, also on topics of its own.
func TestInProcessHandlerCalls(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	const n = 1000
	got := make(chan string, n)
	done := make(chan error, 1)
	check := func(err error) {
		if err != nil {
			done <- err
		}
	}
	deeper := func(m mqtt.Message) { got <- string(m.Payload) }
	count := 0
	if err := c.Subscribe(t.Context(), "begin", 2, func(m mqtt.Message) {
		count++
		topic := fmt.Sprint("deeper/", count)
		check(c.Subscribe(t.Context(), topic, 2, deeper))
		check(c.Publish(t.Context(), msg(topic, topic, mqtt.QoS(count%3))))
		if count == n {
			check(c.Unsubscribe(t.Context(), "begin"))
		}
		check(c.Publish(t.Context(), msg("begin", "", mqtt.QoS(1+count%2))))
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(t.Context(), mqtt.Message{Topic: "begin"}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		select {
		case err := <-done:
			t.Fatal(err)
		case payload := <-got:
			if payload != fmt.Sprint("deeper/", i+1) {
				t.Fatalf("received %s, want deeper/%d", payload, i+1)
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d came", i, n)
		}
	}
}

// Subscribing and unsubscribing for ever costs nothing, nor does being refused.
func TestInProcessSubscribeForEver(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxSubscriptions: 2})
	c := newClient(t, s, "c")
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	inbox(t, c, "stays", 1)
	var before uint64
	for i := range 300 {
		if i == 100 {
			before = memory()
		}
		large := make([]byte, 1<<20)
		handle := func(m mqtt.Message) { m.Payload = append(m.Payload, large...) }
		if err := c.Subscribe(t.Context(), "comes", 1, handle); err != nil {
			t.Fatal(err)
		}
		if err := c.Subscribe(t.Context(), "comes", 0, handle); err != nil {
			t.Fatal(err)
		}
		if c.Subscribe(t.Context(), fmt.Sprint("too many/", i), 1, handle) == nil || c.Subscribe(t.Context(), "a#", 1, handle) == nil {
			t.Fatal("a wrong subscription was made")
		}
		if err := c.Unsubscribe(t.Context(), "comes"); err != nil {
			t.Fatal(err)
		}
	}
	if after := memory(); after > before+50<<20 {
		t.Errorf("from %d MiB to %d MiB", before>>20, after>>20)
	}
}

// What waits for a slow handler is bounded, by count and by bytes: more of QoS 0 is
// dropped and counted.
func TestInProcessInbox(t *testing.T) {
	for _, x := range []struct{ size, want int }{{0, 10_000}, {64 << 10, 64}} {
		s := newServer(t)
		c, from := newClient(t, s, "c"), newClient(t, s, "from")
		wait, open := gate(t)
		entered := make(chan int, 20_000)
		if err := c.Subscribe(t.Context(), "t", 1, func(m mqtt.Message) { entered <- len(m.Payload); wait() }); err != nil {
			t.Fatal(err)
		}
		m := mqtt.Message{Topic: "t", Payload: make([]byte, x.size)}
		publish := func(m mqtt.Message) {
			t.Helper()
			if err := from.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		publish(m)
		receive(t, entered) // the handler has one, which does not count
		for range x.want + 100 {
			publish(m)
		}
		if dropped := s.Stats().PublishDropped; dropped != 100 {
			t.Errorf("%d messages of %d bytes were dropped, want 100", dropped, x.size)
		}
		publish(msg("t", "last", 1)) // waits in the session
		open()
		for {
			if size := receive(t, entered); size == len("last") {
				break
			}
		}
		// There is room again.
		dropped := s.Stats().PublishDropped
		publish(m)
		if size := receive(t, entered); size != x.size || s.Stats().PublishDropped != dropped {
			t.Errorf("received %d bytes, %d dropped", size, s.Stats().PublishDropped-dropped)
		}
	}
}

// Close does not wait for all that is in the inbox, only for the handler that
// runs; a second client with the same id takes over.
func TestInProcessClose(t *testing.T) {
	s := newServer(t)
	c := newClient(t, s, "c")
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	if err := c.Subscribe(t.Context(), "t", 0, func(mqtt.Message) { entered <- struct{}{}; <-leave }); err != nil {
		t.Fatal(err)
	}
	other := newClient(t, s, "other")
	for range 100 {
		if err := other.Publish(t.Context(), mqtt.Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	<-entered
	var g sync.WaitGroup
	g.Go(c.Close)
	eventually(t, "the client is told to go", func() bool {
		return errors.Is(c.Publish(t.Context(), mqtt.Message{Topic: "x"}), broker.ErrClosed)
	})
	close(leave)
	g.Wait()
	if n := len(entered); n > 0 {
		t.Errorf("%d more handlers ran", n)
	}
	first := newClient(t, s, "same")
	second := newClient(t, s, "same")
	if err := first.Publish(t.Context(), mqtt.Message{Topic: "x"}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("the first client still publishes: %v", err)
	}
	if err := second.Publish(t.Context(), mqtt.Message{Topic: "x"}); err != nil {
		t.Error(err)
	}
}

// Nobody on a socket puts an end to a client in the process by its client id, which
// is refused while it is in use. The other way round the client on the socket ends.
func TestInProcessKeepsItsID(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		outside := connect(t, s, clean(v, "house"))
		c := newClient(t, s, "house")
		outside.wantEnd(mqtt.SessionTakenOver)
		messages := inbox(t, c, "t", 1)
		for _, packet := range []mqtt.Connect{clean(v, "house"), durable(v, "house")} {
			refused := openRaw(t, s, v)
			refused.raw(packet.Append(nil))
			refused.decode(refused.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return refused.connack.Decode(p, v) })
			want := mqtt.ClientIdentifierNotValid
			if v != mqtt.V50 {
				want = 2 // identifier rejected
			}
			if refused.connack.Code != want {
				t.Errorf("CONNACK with %v, want %v", refused.connack.Code, want)
			}
			if packets := refused.end(); len(packets) > 0 {
				t.Errorf("received %v after CONNACK", packets)
			}
		}
		if err := c.Publish(t.Context(), msg("t", "still here", 1)); err != nil {
			t.Fatal(err)
		}
		receive(t, messages)
		c.Close()
		connect(t, s, clean(v, "house")).bye()
	}, versions...)
}

// Publishing of QoS 1 and 2 returns when the message is in the store.
func TestInProcessDurable(t *testing.T) {
	l := newLasting(t, broker.Options{})
	to := connect(t, l.server, durable(mqtt.V311, "to"))
	to.subscribe(filter("t", 2))
	to.bye()
	c := newClient(t, l.server, "c")
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		if err := c.Publish(context.Background(), mqtt.Message{Topic: "t", Payload: []byte{'0' + qos}, QoS: qos}); err != nil {
			t.Fatal(err)
		}
	}
	l.restart()
	connect(t, l.server, durable(mqtt.V311, "to")).take(2, func(i int, m *mqtt.Publish) {
		if m.QoS != mqtt.QoS(i+1) || string(m.Payload) != fmt.Sprint(i+1) {
			t.Errorf("received %s with QoS %d", m.Payload, m.QoS)
		}
	})
}

// Retained messages of QoS 1 and 2 that a client has not acknowledged are part
// of its session like all others, also over a restart.
func TestRestartWithRetainedInFlight(t *testing.T) {
	for qos := mqtt.QoS(1); qos <= 2; qos++ {
		l := newLasting(t, broker.Options{MaxInflight: 2})
		from := connect(t, l.server, clean(mqtt.V311, "from"))
		for i := range 4 {
			from.publish(fmt.Sprint("r/", i), "x", qos, true)
		}
		to := connect(t, l.server, durable(mqtt.V311, "to"))
		to.subscribe(filter("r/#", 2))
		first := map[string]uint16{}
		for range 2 {
			m := to.message()
			first[string(m.Topic)] = m.PacketID
		}
		to = l.again(to, durable(mqtt.V311, "to"))
		seen := make(map[string]bool)
		to.take(4, func(i int, m *mqtt.Publish) {
			id, before := first[string(m.Topic)]
			if m.Dup != before || before && m.PacketID != id || m.QoS != qos {
				t.Errorf("%s with id %d, DUP %t and QoS %d; first sent as %d", m.Topic, m.PacketID, m.Dup, m.QoS, id)
			}
			seen[string(m.Topic)] = true
		})
		if len(seen) != 4 {
			t.Errorf("received %v", seen)
		}
	}
}
