package broker_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// flow is a client that does what a script of bytes says, right and wrong things,
// and holds whatever the broker sends to the rules about packet identifiers, the
// steps of QoS 2, Receive Maximum, Maximum Packet Size, topic aliases and the end
// of a connection. While it does nothing wrong it must not be disconnected.
type flow struct {
	t      *testing.T
	s      *server
	script []byte
	house  *broker.Client // publishes too

	*rawClient
	id         string
	connects   int
	clean      bool
	window     int // Receive Maximum; the broker's own for older clients
	packetSize int
	aliases    map[uint16]string
	aliasLimit uint16
	violated   bool // the broker has to end the connection

	// Of the session.
	known    bool // the broker has to have it
	granted  map[string]mqtt.QoS
	incoming map[uint16]*exchange // from the broker
	outgoing map[uint16]bool      // QoS 2 to the broker, before PUBREL
	lastID   uint16
	asked    map[uint16]int // PUBRECs of ids that are none, by id

	// What the broker owes on this connection, each in its order.
	acks    []mqtt.Ack // PUBACK, PUBREC and PUBCOMP
	subacks []mqtt.Suback
	pings   int
}

// exchange is a message of QoS 1 or 2 that the broker has sent.
type exchange struct {
	qos      mqtt.QoS
	payload  string
	pubrec   bool // it was sent
	released bool // PUBREL came
	here     bool // PUBLISH or PUBREL came on this connection
}

const flowInflight, flowReceiveMaximum = 4, 6

var (
	flowTopics  = []string{"a", "a/b", "a/b/c", "/", "b", "$SYS/x"}
	flowFilters = []string{"a", "a/#", "+/b", "#", "+", "$share/g/a/#", "/", "a/+/c"}
)

func (f *flow) byte() int {
	if len(f.script) == 0 {
		return 0
	}
	b := f.script[0]
	f.script = f.script[1:]
	return int(b)
}

func (f *flow) flag() bool { return f.byte()&1 == 1 }

// run plays the script and then waits for all that is owed.
func (f *flow) run() {
	f.id = "flow"
	f.connect()
	for len(f.script) > 0 {
		f.step()
		if f.violated {
			f.ended()
			f.connect()
		}
	}
	f.settle()
	f.net.Close()
}

// connect connects, with the session that there is or with a new one.
func (f *flow) connect() {
	f.t.Helper()
	how := f.byte()
	v := versions[how%3]
	f.clean = how&0x30 == 0x30
	packet := mqtt.Connect{Version: v, ClientID: f.id, CleanStart: f.clean}
	kept := !f.clean
	f.window, f.packetSize, f.aliasLimit = flowInflight, 1<<20, 0
	if v == mqtt.V50 {
		expiry := uint32(1000)
		if kept = how&0x40 == 0; !kept {
			expiry = 0
		}
		packet.Properties.SetUint(mqtt.SessionExpiryInterval, expiry)
		if how&4 != 0 {
			f.window = 1 + how>>3&3
			packet.Properties.SetUint(mqtt.ReceiveMaximum, uint32(f.window))
			f.window = min(f.window, flowInflight)
		}
		if how&8 != 0 {
			f.packetSize = 60
			packet.Properties.SetUint(mqtt.MaximumPacketSize, 60)
		}
		if f.aliasLimit = uint16(how >> 5 & 3); f.aliasLimit > 0 {
			packet.Properties.SetUint(mqtt.TopicAliasMaximum, uint32(f.aliasLimit))
		}
	}
	present := f.known && !f.clean
	if !present {
		f.granted, f.incoming, f.outgoing = make(map[string]mqtt.QoS), make(map[uint16]*exchange), make(map[uint16]bool)
		f.connects = 0
	}
	f.connects++
	for id, e := range f.incoming {
		if e.here = false; len(e.payload) >= f.packetSize && !e.pubrec {
			delete(f.incoming, id) // it is too large now and counts as delivered
		}
	}
	f.aliases, f.asked = make(map[uint16]string), make(map[uint16]int)
	f.acks, f.subacks, f.pings, f.violated = nil, nil, 0, false
	f.known = kept

	client, nc := net.Pipe()
	go f.s.ServeConn(context.Background(), nc)
	client.SetDeadline(time.Now().Add(2 * patience))
	f.rawClient = &rawClient{t: f.t, net: client, version: v}
	f.raw(packet.Append(nil))
	var answer mqtt.Connack
	f.decode(f.expect(mqtt.CONNACK), func(p mqtt.Packet) error { return answer.Decode(p, v) })
	if answer.Code != mqtt.Success || answer.SessionPresent != (present && v != mqtt.V31) {
		f.t.Fatalf("CONNACK with %v, session present %t, want %t", answer.Code, answer.SessionPresent, present)
	}
}

// step does one thing.
func (f *flow) step() {
	switch what := f.byte(); what % 16 {
	case 0, 1, 2, 3:
		f.publishSomething()
	case 4:
		f.release()
	case 5:
		f.subscribeSomething()
	case 6:
		filter := flowFilters[f.byte()%len(flowFilters)]
		f.send(&mqtt.Unsubscribe{PacketID: f.freshID(), Filters: []string{filter}})
		f.subacks = append(f.subacks, mqtt.Suback{Type: mqtt.UNSUBACK, PacketID: f.lastID, Codes: make([]mqtt.ReasonCode, 1)})
	case 7, 8, 9:
		f.answerSomething()
	case 10: // an identifier that stands for nothing
		typ := []mqtt.PacketType{mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP}[f.byte()%3]
		id := uint16(60000 + f.byte())
		if f.incoming[id] != nil {
			return
		}
		if f.ack(typ, id); typ == mqtt.PUBREC {
			f.asked[id]++
		}
	case 11: // the house speaks
		m := mqtt.Message{Topic: flowTopics[f.byte()%len(flowTopics)], Payload: f.payload(), QoS: byte(f.byte() % 3), Retain: f.flag()}
		if err := f.house.Publish(context.Background(), m); (err != nil) != (m.Topic[0] == '$') {
			f.t.Fatal(err)
		}
	case 12:
		f.await()
	case 13:
		f.violate()
	case 14: // the connection breaks, perhaps within a packet
		if f.flag() {
			f.raw([]byte{0x32, 100, 0})
		}
		f.net.Close()
		f.gone()
		f.connect()
	case 15:
		f.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT})
		for _, p := range f.end() {
			f.received(p)
		}
		f.connect()
	}
}

// gone waits until the broker has noticed the end.
func (f *flow) gone() {
	eventually(f.t, "the connection is gone", func() bool { return f.s.Stats().ClientsConnected == 0 })
}

var flowPayloads int

func (f *flow) payload() []byte {
	flowPayloads++
	size := 0
	if f.flag() {
		size = 60
	}
	return fmt.Appendf(nil, "%d %*s", flowPayloads, size, "")
}

// freshID returns an identifier that stands for nothing on this side.
func (f *flow) freshID() uint16 {
	for {
		f.lastID = f.lastID%50 + 1
		free := !f.outgoing[f.lastID]
		for _, a := range f.acks {
			free = free && a.PacketID != f.lastID
		}
		for _, a := range f.subacks {
			free = free && a.PacketID != f.lastID
		}
		if free {
			return f.lastID
		}
	}
}

func (f *flow) publishSomething() {
	m := mqtt.Publish{Topic: []byte(flowTopics[f.byte()%len(flowTopics)]), Payload: f.payload(), QoS: byte(f.byte() % 3), Retain: f.flag()}
	closed := m.Topic[0] == '$'
	if m.QoS > 0 {
		if f.version == mqtt.V50 && len(f.outgoing)+len(f.acks) >= flowReceiveMaximum {
			f.await()
			if len(f.outgoing)+len(f.acks) >= flowReceiveMaximum {
				f.release()
				return
			}
		}
		repeat := false
		if m.QoS == 2 && f.flag() {
			for _, id := range slices.Sorted(maps.Keys(f.outgoing))[:min(1, len(f.outgoing))] { // once more
				m.PacketID, m.Dup, m.Topic = id, f.flag(), []byte("a")
				repeat, closed = true, false
			}
		}
		if !repeat {
			m.PacketID = f.freshID()
		}
		a := mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID}
		if closed && f.version == mqtt.V50 {
			a.Code = mqtt.NotAuthorized
		}
		if m.QoS == 2 {
			a.Type = mqtt.PUBREC
			if a.Code == mqtt.Success {
				f.outgoing[m.PacketID] = true
			}
		}
		f.acks = append(f.acks, a)
	}
	f.send(&m)
}

// release sends a PUBREL, of an exchange that is open or of none.
func (f *flow) release() {
	a := mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: 50_000}
	if f.version == mqtt.V50 {
		a.Code = mqtt.PacketIdentifierNotFound
	}
	if f.flag() || len(f.outgoing) >= flowReceiveMaximum-1 {
		for _, id := range slices.Sorted(maps.Keys(f.outgoing))[:min(1, len(f.outgoing))] {
			a.PacketID, a.Code = id, mqtt.Success
			delete(f.outgoing, id)
		}
	}
	f.ack(mqtt.PUBREL, a.PacketID)
	f.acks = append(f.acks, a)
}

func (f *flow) subscribeSomething() {
	name := flowFilters[f.byte()%len(flowFilters)]
	options := mqtt.SubscriptionOptions(f.byte() % 3)
	sub := mqtt.Subscribe{PacketID: f.freshID()}
	if f.version == mqtt.V50 {
		options |= mqtt.SubscriptionOptions(f.byte()) & (mqtt.RetainAsPublished | 0x10)
		if f.flag() {
			sub.Properties = identifier(uint32(1 + f.byte()))
		}
	}
	sub.Filters = []mqtt.FilterRequest{filter(name, options)}
	f.send(&sub)
	f.subacks = append(f.subacks, mqtt.Suback{Type: mqtt.SUBACK, PacketID: sub.PacketID, Codes: []mqtt.ReasonCode{mqtt.ReasonCode(options.QoS())}})
	_, plain, _ := mqtt.SplitShared(name)
	f.granted[plain] = max(f.granted[plain], options.QoS()) // ever: messages may be on their way
}

// answerSomething takes the next step of an exchange with the broker.
func (f *flow) answerSomething() {
	for _, id := range slices.Sorted(maps.Keys(f.incoming)) { // a script does the same each time
		e := f.incoming[id]
		if !e.here {
			continue // it has not come on this connection yet
		}
		a := mqtt.Ack{PacketID: id}
		if f.version == mqtt.V50 && f.byte()%8 == 7 {
			a.Code = mqtt.QuotaExceeded
		}
		switch {
		case e.qos == 1:
			a.Type = mqtt.PUBACK
			delete(f.incoming, id)
		case e.released:
			a.Type, a.Code = mqtt.PUBCOMP, mqtt.Success
			delete(f.incoming, id)
		case e.pubrec: // PUBREL is on its way: asking again is allowed
			continue
		default:
			if a.Type, e.pubrec = mqtt.PUBREC, true; a.Code != mqtt.Success {
				delete(f.incoming, id)
			}
		}
		f.send(&a)
		return
	}
	f.await()
}

// violate does what ends the connection.
func (f *flow) violate() {
	v := f.version
	if v == mqtt.V31 {
		v = mqtt.V311
	}
	for i := f.byte(); ; i++ {
		x := violations[i%len(violations)]
		if x.versions&(1<<v) == 0 || f.version == mqtt.V31 && x.packet != "\xC1\x00" { // 3.1 allows much
			continue
		}
		f.raw([]byte(x.packet))
		f.violated = true
		return
	}
}

// ended reads up to the end that a violation brings.
func (f *flow) ended() {
	packets := f.end()
	for i, p := range packets {
		if p.Type != mqtt.DISCONNECT {
			f.received(p)
			continue
		}
		var d mqtt.Disconnect
		f.decode(p, func(p mqtt.Packet) error { return d.Decode(p, f.version) })
		if f.version != mqtt.V50 || i != len(packets)-1 || !d.ServerMaySend() || d.Code < 0x80 {
			f.t.Fatalf("DISCONNECT with %v as packet %d of %d", d.Code, i+1, len(packets))
		}
	}
	f.gone()
}

// await reads up to the answer to a PINGREQ.
func (f *flow) await() {
	f.raw([]byte{0xC0, 0})
	for f.pings++; f.pings > 0; {
		p, err := f.next()
		if err != nil {
			f.t.Fatalf("waiting for PINGRESP: %v", err)
		}
		f.received(p)
	}
}

// settle brings everything to its end.
func (f *flow) settle() {
	f.t.Helper()
	for id := range f.outgoing {
		f.ack(mqtt.PUBREL, id)
		f.acks = append(f.acks, mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: id})
	}
	for deadline := time.Now().Add(patience); ; {
		f.await()
		for id, e := range f.incoming {
			switch {
			case e.here && e.qos == 1:
				f.ack(mqtt.PUBACK, id)
				delete(f.incoming, id)
			case e.here && e.released:
				f.ack(mqtt.PUBCOMP, id)
				delete(f.incoming, id)
			case e.here && !e.pubrec:
				f.ack(mqtt.PUBREC, id)
				e.pubrec = true
			}
		}
		queued := 0
		for _, c := range f.s.Clients() {
			if c.ID == f.id {
				queued = c.Queued
			}
		}
		if len(f.incoming)+len(f.acks)+len(f.subacks)+queued == 0 {
			f.await()
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%d exchanges open, %d acknowledgements owed, %d queued", len(f.incoming), len(f.acks)+len(f.subacks), queued)
		}
	}
}

// received checks a packet of the broker.
func (f *flow) received(p mqtt.Packet) {
	f.t.Helper()
	switch p.Type {
	case mqtt.PINGRESP:
		if f.pings--; f.pings < 0 {
			f.t.Fatal("PINGRESP to nothing")
		}
	case mqtt.PUBLISH:
		f.publishReceived(p)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP:
		var a mqtt.Ack
		f.decode(p, func(p mqtt.Packet) error { return a.Decode(p, f.version) })
		if len(f.acks) == 0 {
			f.t.Fatalf("%v %d answers nothing", a.Type, a.PacketID)
		}
		if want := f.acks[0]; a.Type != want.Type || a.PacketID != want.PacketID || a.Code != want.Code {
			f.t.Fatalf("%v %d with %v, want %v %d with %v", a.Type, a.PacketID, a.Code, want.Type, want.PacketID, want.Code)
		}
		f.acks = f.acks[1:]
	case mqtt.PUBREL:
		var a mqtt.Ack
		f.decode(p, func(p mqtt.Packet) error { return a.Decode(p, f.version) })
		if f.asked[a.PacketID] > 0 {
			if f.asked[a.PacketID]--; a.Code != missing(f.version) {
				f.t.Fatalf("PUBREL %d with %v", a.PacketID, a.Code)
			}
			return
		}
		e := f.incoming[a.PacketID]
		if e == nil || e.qos != 2 || !e.pubrec || a.Code != mqtt.Success || e.released && e.here {
			f.t.Fatalf("PUBREL %d with %v for %+v", a.PacketID, a.Code, e)
		}
		e.released = true
		f.inWindow(e)
	case mqtt.SUBACK, mqtt.UNSUBACK:
		var a mqtt.Suback
		f.decode(p, func(p mqtt.Packet) error { return a.Decode(p, f.version) })
		if len(f.subacks) == 0 || f.subacks[0].Type != a.Type || f.subacks[0].PacketID != a.PacketID || a.Type == mqtt.SUBACK && a.Codes[0] != f.subacks[0].Codes[0] {
			f.t.Fatalf("%v %d with %v, want %+v", a.Type, a.PacketID, a.Codes, f.subacks)
		}
		f.subacks = f.subacks[1:]
	default:
		f.t.Fatalf("received %v % x", p.Type, p.Body)
	}
}

func (f *flow) publishReceived(p mqtt.Packet) {
	f.t.Helper()
	var m mqtt.Publish
	f.decode(p, func(p mqtt.Packet) error { return m.Decode(p, f.version) })
	if size := len(m.Append(nil, f.version)); size > f.packetSize {
		f.t.Fatalf("a packet of %d bytes, the limit is %d", size, f.packetSize)
	}
	topic := string(m.Topic)
	if m.TopicAlias > f.aliasLimit {
		f.t.Fatalf("topic alias %d, the maximum is %d", m.TopicAlias, f.aliasLimit)
	}
	if m.TopicAlias > 0 && topic != "" {
		f.aliases[m.TopicAlias] = topic
	} else if m.TopicAlias > 0 {
		topic = f.aliases[m.TopicAlias]
	}
	highest, matches := mqtt.QoS(0), false
	for filter, qos := range f.granted {
		if mqtt.Match(filter, topic) {
			highest, matches = max(highest, qos), true
		}
	}
	if !matches || m.QoS > highest {
		f.t.Fatalf("%q with QoS %d, granted was %d, %t", topic, m.QoS, highest, matches)
	}
	if m.QoS == 0 {
		return
	}
	e := f.incoming[m.PacketID]
	switch {
	case e == nil:
		if m.Dup && f.connects == 1 {
			f.t.Fatalf("DUP on the first sending of %d", m.PacketID)
		}
		e = &exchange{qos: m.QoS, payload: string(m.Payload)}
		f.incoming[m.PacketID] = e
	case e.here || e.pubrec || !m.Dup || e.qos != m.QoS || e.payload != string(m.Payload):
		f.t.Fatalf("%d again: %+v, then QoS %d, DUP %t, %q", m.PacketID, e, m.QoS, m.Dup, m.Payload)
	}
	f.inWindow(e)
}

// inWindow notes that an exchange is open on this connection.
func (f *flow) inWindow(e *exchange) {
	f.t.Helper()
	e.here = true
	open := 0
	for _, e := range f.incoming {
		if e.here {
			open++
		}
	}
	if open > f.window {
		f.t.Fatalf("%d messages in flight, the maximum is %d", open, f.window)
	}
}

// playFlow runs one script on a broker and leaves nothing behind.
func playFlow(t *testing.T, s *server, script []byte) {
	house := newClient(t, s, "house")
	f := &flow{t: t, s: s, script: script, house: house}
	f.run()
	f.gone()
	for _, topic := range flowTopics {
		if topic[0] == '$' {
			continue // nobody may publish there
		}
		if err := house.Publish(t.Context(), mqtt.Message{Topic: topic, Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	house.Close()
	last, err := s.NewClient("flow") // takes the session away
	if err != nil {
		t.Fatal(err)
	}
	last.Close()
}

// flowServer starts a server for scripts, which connect as often as they can.
func flowServer(t testing.TB) *server {
	const often = 1 << 20
	return startServer(t, t.TempDir(), broker.Options{MaxInflight: flowInflight, ReceiveMaximum: flowReceiveMaximum,
		ConnectRate: often, AddressRate: often})
}

// FuzzFlow lets the fuzzer write the scripts.
func FuzzFlow(f *testing.F) {
	s := flowServer(f)
	for _, version := range []byte{0, 1, 2, 6, 14} {
		f.Add([]byte{version, 5, 1, 2, 0, 0, 0, 0, 1, 1, 0, 12, 7, 12, 14, 1, version, 12, 7, 7, 12, 4, 1, 12})
		f.Add([]byte{version, 5, 3, 2, 11, 1, 0, 2, 1, 11, 1, 0, 2, 1, 11, 1, 0, 2, 1, 13, 7, version, 12, 7, 12, 15, version, 12})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 500 {
			return
		}
		playFlow(t, s, script)
	})
}

// TestFlow plays scripts out of random numbers.
func TestFlow(t *testing.T) {
	s := flowServer(t)
	playFlow(t, s, nil) // what the broker starts when it needs it is there
	left := nothingLeft(t)
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		script := make([]byte, 20+r.IntN(200))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playFlow(t, s, script) })
	}
	left()
}
