package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// TestConformance runs every scenario of the tables for each way into the broker,
// with publishers and subscribers that came the same way and with some that did
// not. The rules are the same for all of them. Where they differ nevertheless:
//
//   - Before MQTT 5.0 there are no properties, no subscription options but the
//     QoS, and a refusal has no reason. Scenarios that need them say so.
//   - What is a malformed packet or a protocol error ends the connection of a
//     client on a socket. In the process it is an error, with the reason code
//     that a 5.0 client is told, and the client goes on: see party.try and
//     world.mistake.
//   - A handler in the process stands for a subscription identifier: the one copy
//     of a message goes to the handlers of all subscriptions that it matches, see
//     overlapping.
//   - UNSUBACK does not keep from a socket what is on its way to it
//     [v5 MQTT-3.10.4-3]. In the process no handler begins after Unsubscribe has
//     returned: see TestInProcessUnsubscribe.
//   - The client id of a client in the process cannot be had from outside: see
//     TestInProcessKeepsItsID.
//   - That there was nothing to unsubscribe from is told to 5.0 clients only.
//   - How much waits for a slow receiver outside of its session: see
//     TestInProcessInbox.
func TestConformance(t *testing.T) {
	pairs := []struct{ from, to way }{
		{socket50, socket50}, {inProcess, socket311},
		{socket311, socket311}, {overWebSocket, overWebSocket}, {inProcess, inProcess},
		{socket311, socket50}, {socket50, socket311}, {socket311, inProcess}, {socket50, inProcess}, {inProcess, socket50},
	}
	if testing.Short() {
		pairs = pairs[:2]
	}
	for _, pair := range pairs {
		t.Run(pair.from.name+" to "+pair.to.name, func(t *testing.T) {
			for _, x := range conformance {
				if x.options && !pair.to.has5 || x.properties && !(pair.from.has5 && pair.to.has5) {
					continue
				}
				t.Run(x.name, func(t *testing.T) {
					x.run(&world{T: t, s: startServer(t, t.TempDir(), x.limits), from: pair.from, to: pair.to})
				})
			}
		})
	}
}

// conformance is what is the same for everybody.
var conformance = slices.Concat(deliveries, subscriptions, expiries, refusals)

// scenario is one row of it.
type scenario struct {
	name       string
	options    bool // needs the subscription options of 5.0
	properties bool // needs 5.0 on both sides
	limits     broker.Options
	run        func(w *world)
}

// way is a way into the broker.
type way struct {
	name    string
	has5    bool // knows what came with 5.0
	inside  bool
	connect func(t testing.TB, s *server, id string) party
}

var (
	socket311     = way{name: "3.1.1", connect: func(t testing.TB, s *server, id string) party { return newSocketParty(t, s, mqtt.V311, id) }}
	socket50      = way{name: "5.0", has5: true, connect: func(t testing.TB, s *server, id string) party { return newSocketParty(t, s, mqtt.V50, id) }}
	overWebSocket = way{name: "WebSocket", has5: true, connect: newWebParty}
	inProcess     = way{name: "in-process", has5: true, inside: true, connect: newInsideParty}
)

// party is what a scenario needs of a client. What should not fail ends the test.
type party interface {
	// publish publishes messages. When it returns they are acknowledged,
	// those of QoS 0 handled.
	publish(messages ...mqtt.Message)
	// try publishes one message and returns what the client is told of it.
	// A connection that ends without a reason is UnspecifiedError.
	try(m mqtt.Message) mqtt.ReasonCode
	// subscribe returns the reason code, as try does.
	subscribe(filter string, options mqtt.SubscriptionOptions) mqtt.ReasonCode
	// unsubscribe returns the reason code, as try does.
	unsubscribe(filter string) mqtt.ReasonCode
	// next returns the next message.
	next() received
	// hold makes a slow receiver of the client, until release.
	hold()
	release()
	// ended waits until the broker has ended the client for this reason, as
	// far as the client hears of it.
	ended(code mqtt.ReasonCode)
	// leave disconnects.
	leave()
}

// received is a message as a client sees it.
type received struct {
	mqtt.Message          // without Expires
	left         int      // seconds until it expires; -1: never
	by           []string // the filters of the subscriptions that it came by; 3.1.1 does not know
}

// world is the place of one scenario.
type world struct {
	*testing.T
	s        *server
	from, to way
	ids      map[party]string
	settled  int
}

func (w *world) publisher(id string) party { return w.connect(w.from, id) }

func (w *world) subscriber(id string) party { return w.connect(w.to, id) }

func (w *world) connect(by way, id string) party {
	w.Helper()
	p := by.connect(w.T, w.s, id)
	if w.ids == nil {
		w.ids = make(map[party]string)
	}
	w.ids[p] = id
	w.subscribe(p, settleTopic+id, 2)
	return p
}

// settleTopic begins the topics that world.rest uses.
const settleTopic = "settle/"

// rest returns everything else that was on its way to a client: what comes before
// a message that it sends to itself.
func (w *world) rest(p party) []received {
	w.Helper()
	w.settled++
	mark := fmt.Sprint(w.settled)
	p.publish(mqtt.Message{Topic: settleTopic + w.ids[p], Payload: []byte(mark), QoS: 2})
	var rest []received
	for {
		r := p.next()
		if r.Topic == settleTopic+w.ids[p] && string(r.Payload) == mark {
			return rest
		}
		if !strings.HasPrefix(r.Topic, settleTopic) {
			rest = append(rest, r)
		}
	}
}

// next returns the next message that is not one of rest's.
func (w *world) next(p party) received {
	w.Helper()
	for {
		if r := p.next(); !strings.HasPrefix(r.Topic, settleTopic) {
			return r
		}
	}
}

// want wants nothing else than these payloads to have come, in this order.
func (w *world) want(p party, payloads ...string) []received {
	w.Helper()
	rest := w.rest(p)
	if got := payloadsOf(rest); strings.Join(got, " ") != strings.Join(payloads, " ") {
		w.Fatalf("received %q, want %q", got, payloads)
	}
	return rest
}

func payloadsOf(messages []received) (payloads []string) {
	for _, r := range messages {
		payloads = append(payloads, string(r.Payload))
	}
	return payloads
}

func (w *world) subscribe(p party, filter string, options mqtt.SubscriptionOptions) {
	w.Helper()
	if code := p.subscribe(filter, options); code != mqtt.ReasonCode(options.QoS()) {
		w.Fatalf("subscribing to %.80q: %v", filter, code)
	}
}

// wantCode compares what a client that came this way was told with the reason of
// 5.0.
func (w *world) wantCode(by way, what string, got, want mqtt.ReasonCode) {
	w.Helper()
	if !by.has5 && want >= 0x80 {
		want = mqtt.UnspecifiedError
	}
	if got != want {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

// mistake wants a client to be refused that does what it must not, and to be
// disconnected unless it is in the process.
func (w *world) mistake(by way, what string, want mqtt.ReasonCode, do func(p party) mqtt.ReasonCode) {
	w.Helper()
	p := w.connect(by, "mistaken")
	w.wantCode(by, what, do(p), want)
	if by.inside {
		p.publish(mqtt.Message{Topic: "goes/on", QoS: 1})
		p.leave()
	}
}

// msg is a message in short.
func msg(topic, payload string, qos mqtt.QoS) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos}
}

// retained is a retained message in short.
func retained(topic, payload string, qos mqtt.QoS) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: true}
}
