package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

func trace(t testing.TB, s *server, o broker.TraceOptions) <-chan broker.TraceEvent {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	events, err := s.Trace(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// fates reads events until one is last, and returns those about the message of the first
// that has one, as "kind client".
func fates(t *testing.T, events <-chan broker.TraceEvent, last string) (list []string, all []broker.TraceEvent) {
	t.Helper()
	var number uint64
	var before time.Time
	for {
		e := receive(t, events)
		if number == 0 {
			number = e.Message
		}
		if e.Time.Before(before) {
			t.Errorf("%v is before what came earlier", e)
		}
		before = e.Time
		all = append(all, e)
		if e.Message == 0 || e.Message != number {
			continue
		}
		list = append(list, strings.TrimSpace(string(e.Kind)+" "+e.Client))
		if list[len(list)-1] == last {
			return list, all
		}
	}
}

// What becomes of a message is told in the order in which it does: who may not have it,
// who gets it, who is away, that the store has it, and who is told so.
func TestTraceMessage(t *testing.T) {
	may := broker.Options{Authorize: func(r *broker.ConnectRequest, action broker.Action, topic string) broker.Permit {
		return broker.Permitted(r.ClientID != "denied" || action != broker.Receive)
	}}
	s := startServer(t, t.TempDir(), may)
	for _, id := range []string{"away", "denied"} {
		c := connect(t, s, durable(mqtt.V50, id))
		c.subscribe(filter("trace/#", 1))
		if id == "away" {
			c.net.Close()
			waitOffline(t, s, id)
		}
	}
	here := connect(t, s, clean(mqtt.V50, "here"))
	here.subscribe(filter("trace/+", 1))
	events := trace(t, s, broker.TraceOptions{Topic: "trace/#", Payload: true})
	from := connect(t, s, clean(mqtt.V50, "from"))
	from.send(pub("trace/x", strings.Repeat("y", 300), 1, 7))
	here.expect(mqtt.PUBLISH)
	from.expect(mqtt.PUBACK)
	list, all := fates(t, events, "answered from")
	slices.Sort(list[2:4]) // sessions are in no order
	want := []string{"received from", "withheld denied", "queued away", "sent here", "committed", "answered from"}
	if !slices.Equal(list, want) {
		t.Errorf("told %q, want %q", list, want)
	}
	first := all[0]
	if first.Packet != "PUBLISH" || first.PacketID != 7 || first.QoS != 1 || first.Bytes != 300 || len(first.Payload) != broker.TracedPayload ||
		first.Size != len(pub("trace/x", strings.Repeat("y", 300), 1, 7).Append(nil, mqtt.V50)) || first.Address != from.net.LocalAddr().String() {
		t.Errorf("told %+v", first)
	}
	here.ack(mqtt.PUBACK, 1)
	if e := receive(t, events); e.Kind != broker.TraceAcknowledged || e.Client != "here" || e.Message != first.Message || e.PacketID != 1 {
		t.Errorf("told %+v, want the acknowledgement", e)
	}
}

// waitOffline waits until the connection of a client has ended.
func waitOffline(t *testing.T, s *server, id string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		if c, ok := s.Session(id); ok && !c.Connected {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", id)
		}
	}
}

// A message that everybody has acknowledged before its turn is told to be unwritten.
func TestTraceUnwritten(t *testing.T) {
	s := newServer(t)
	to := connect(t, s, durable(mqtt.V50, "to"))
	to.subscribe(filter("trace", 1))
	events := trace(t, s, broker.TraceOptions{Topic: "trace"})
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.send(pub("trace", "x", 1, 1))
	to.expect(mqtt.PUBLISH)
	to.ack(mqtt.PUBACK, 1)
	list, _ := fates(t, events, "answered from")
	if want := []string{"received from", "sent to", "acknowledged to", "unwritten", "answered from"}; !slices.Equal(list, want) {
		t.Errorf("told %q, want %q", list, want)
	}
}

// Messages of clients in the process keep the number that they came with, and are told of
// like those of others.
func TestTraceInProcess(t *testing.T) {
	s := newServer(t)
	to, from := newClient(t, s, "to"), newClient(t, s, "from")
	messages := inbox(t, to, "trace/#", 1)
	events := trace(t, s, broker.TraceOptions{Topic: "trace/#"})
	if err := from.Publish(t.Context(), mqtt.Message{Topic: "trace/x", QoS: 1, Trace: 42}); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, messages); m.Trace != 42 {
		t.Errorf("the message came with the number %d", m.Trace)
	}
	list, all := fates(t, events, "acknowledged to")
	slices.Sort(list) // the handler may be faster
	if want := []string{"acknowledged to", "received from", "sent to", "unwritten"}; !slices.Equal(list, want) || all[0].Message != 42 {
		t.Errorf("told %q of %d, want %q", list, all[0].Message, want)
	}
}

// What a client does not get is told with the reason.
func TestTraceDropped(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{MaxQueuedMessages: 1})
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("trace", 1))
	away.net.Close()
	waitOffline(t, s, "away")
	small := clean(mqtt.V50, "small")
	small.Properties.SetUint(mqtt.MaximumPacketSize, 60)
	connect(t, s, small).subscribe(filter("trace", 0))
	events := trace(t, s, broker.TraceOptions{Topic: "trace"})
	from := connect(t, s, clean(mqtt.V50, "from"))
	why := make(map[string]string)
	for i, payload := range []string{"", "", strings.Repeat("x", 60)} {
		from.send(pub("trace", payload, 1, uint16(i+1)))
		from.expect(mqtt.PUBACK)
		_, all := fates(t, events, "answered from")
		for _, e := range all {
			if e.Kind == broker.TraceDropped {
				why[fmt.Sprint(i, " ", e.Client)] = e.Detail
			}
		}
	}
	from.send(pub("trace", "", 0, 0))
	for e := receive(t, events); ; e = receive(t, events) {
		if e.Kind == broker.TraceDropped {
			why["3 "+e.Client] = e.Detail
			break
		}
	}
	want := map[string]string{
		"1 away": "its queue is full", "2 away": "its queue is full",
		"2 small": "the packet is larger than the client takes", "3 away": "the client is away, and nothing of QoS 0 is kept",
	}
	if !reflect.DeepEqual(why, want) {
		t.Errorf("dropped %q, want %q", why, want)
	}
}

// No event has a password or authentication data in it, and a refused CONNECT is told of.
func TestTraceSecrets(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{Authenticate: func(_ context.Context, r *broker.ConnectRequest) error {
		if string(r.Password) != "secret-word" {
			return &mqtt.Error{Code: mqtt.BadUserNameOrPassword}
		}
		return nil
	}})
	events := trace(t, s, broker.TraceOptions{Client: "one"})
	packet := clean(mqtt.V50, "one")
	packet.HasUserName, packet.UserName, packet.HasPassword, packet.Password = true, "somebody", true, []byte("secret-wrong")
	refused := openRaw(t, s, mqtt.V50)
	refused.raw(packet.Append(nil))
	refused.expect(mqtt.CONNACK)
	packet.Password = []byte("secret-word")
	c := connect(t, s, packet)
	c.subscribe(filter("a/b", 1))
	packet.Properties.SetText(mqtt.AuthenticationMethod, "NONE")
	packet.Properties.SetText(mqtt.AuthenticationData, "secret-data")
	bad := openRaw(t, s, mqtt.V50)
	bad.raw(packet.Append(nil))
	bad.expect(mqtt.CONNACK)
	var kinds []string
	for len(kinds) < 10 {
		e := receive(t, events)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "secret") {
			t.Errorf("told %s", text)
		}
		kinds = append(kinds, strings.Join(strings.Fields(string(e.Kind)+" "+e.Packet+" "+e.Code), " "))
	}
	want := []string{"received CONNECT", "refused 0x86 " + mqtt.BadUserNameOrPassword.String(), "sent CONNACK 0x86 " + mqtt.BadUserNameOrPassword.String(),
		"received CONNECT", "connected", "sent CONNACK 0x00 " + mqtt.Success.String(), "received SUBSCRIBE", "sent SUBACK", "received CONNECT"}
	if !slices.Equal(kinds[:9], want) || !strings.HasPrefix(kinds[9], "refused 0x8c") {
		t.Errorf("told %q, want %q and a refusal", kinds, want)
	}
}

// Who does not receive loses events, and is told how many; the broker goes on.
func TestTraceSlow(t *testing.T) {
	s := newServer(t)
	events := trace(t, s, broker.TraceOptions{Buffer: 2})
	c := connect(t, s, clean(mqtt.V50, "one"))
	for range 10 {
		c.raw([]byte{byte(mqtt.PINGREQ) << 4, 0})
		c.expect(mqtt.PINGRESP)
	}
	for range 2 {
		receive(t, events)
	}
	c.raw([]byte{byte(mqtt.PINGREQ) << 4, 0})
	c.expect(mqtt.PINGRESP)
	if e := receive(t, events); e.Lost != 21 || e.Packet != "PINGREQ" { // of CONNECT, CONNACK, connected, 20 and 2
		t.Errorf("told %+v", e)
	}
}

// A trace is of the addresses that were asked for, and there are not too many.
func TestTraceAddress(t *testing.T) {
	s := newServer(t)
	others := trace(t, s, broker.TraceOptions{Address: netip.MustParsePrefix("192.0.2.0/24")})
	own := trace(t, s, broker.TraceOptions{Address: netip.MustParsePrefix("127.0.0.1/32")})
	connect(t, s, clean(mqtt.V50, "one"))
	if e := receive(t, own); e.Packet != "CONNECT" || e.Client != "one" {
		t.Errorf("told %+v", e)
	}
	if len(others) > 0 {
		t.Errorf("told %+v, of another address", <-others)
	}
	if _, err := s.Trace(t.Context(), broker.TraceOptions{Topic: "a/#/b"}); err == nil {
		t.Error("a trace of something that is no filter")
	}
	for range 30 {
		trace(t, s, broker.TraceOptions{Buffer: 1})
	}
	if _, err := s.Trace(t.Context(), broker.TraceOptions{}); err != broker.ErrManyTraces {
		t.Errorf("one trace too many: %v", err)
	}
}

// Once nobody looks any more nothing is left of a trace: no goroutine, no allocation.
func TestTraceEnds(t *testing.T) {
	if plain {
		t.Skip("a connection without a poller starts a goroutine to write")
	}
	p := newPump(t, mqtt.V50, 2, allowShort)
	p.run(t, 1000)
	goroutines := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	events, err := p.server.Trace(ctx, broker.TraceOptions{Payload: true})
	if err != nil {
		t.Fatal(err)
	}
	p.run(t, 1000)
	if e := receive(t, events); e.Topic == "" {
		t.Errorf("told %+v", e)
	}
	cancel()
	for range events {
	}
	p.run(t, 1000)
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, there were %d", n, goroutines)
	}
	const n = 20_000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.run(t, n)
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / n; per > 0.1 {
		t.Errorf("%.3f allocations for a message after the trace", per)
	}
}
