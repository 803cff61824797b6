package broker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
)

// TraceOptions say what a trace tells of. What is empty leaves nothing out, and all that is
// said has to hold.
type TraceOptions struct {
	Client  string       // client id
	Topic   string       // a valid filter without $share/NAME/; what has no topic is left out
	Address netip.Prefix // of the client; a single address has all its bits
	Payload bool         // with the first 256 bytes of payloads
	Buffer  int          // events that wait for the receiver; 0: 1024
}

// TraceKind is what an event of a trace is about.
type TraceKind string

// The kinds. Packet is set for the first two alone; those from Withheld on are about a
// message, and but for Retained, Committed and Unwritten about one client.
const (
	TraceReceived     TraceKind = "received"     // a packet from the client, or a message from one in the process
	TraceSent         TraceKind = "sent"         // a packet on its way to the client, or a message to one in the process
	TraceConnected    TraceKind = "connected"    // the session is open
	TraceRefused      TraceKind = "refused"      // a CONNECT, or a message of the client
	TraceDisconnected TraceKind = "disconnected" // the connection has ended
	TraceWill         TraceKind = "will"         // the will of the client is published
	TraceWithheld     TraceKind = "withheld"     // the client may not have the message, or published it itself (No Local)
	TraceQueued       TraceKind = "queued"       // the message waits for the client
	TraceDropped      TraceKind = "dropped"      // the client does not get the message
	TraceAcknowledged TraceKind = "acknowledged" // the client has the message
	TraceAnswered     TraceKind = "answered"     // the client that published it is told that it is safe
	TraceRetained     TraceKind = "retained"     // it is the retained message of its topic now
	TraceCommitted    TraceKind = "committed"    // the store has it
	TraceUnwritten    TraceKind = "unwritten"    // the store need not have it
)

// TracedPayload is how many bytes of a payload an event has at most.
const TracedPayload = 256

// TraceEvent is something that happened. Passwords and authentication data are in none.
// What comes from clients is as they sent it: of any length that a packet has, and hostile.
type TraceEvent struct {
	Time    time.Time `json:"time"`
	Kind    TraceKind `json:"kind"`
	Client  string    `json:"client,omitempty"`  // id; as the client said it, before it is connected
	Address string    `json:"address,omitempty"` // with port; "in-process" of the house's own
	Message uint64    `json:"message,omitempty"` // number of the message, the same in all events about it: [mqtt.Message].Trace
	Lost    int       `json:"lost,omitempty"`    // events before this one that the receiver was too slow for

	Packet     string   `json:"packet,omitempty"`    // its type, such as PUBLISH
	Size       int      `json:"size,omitempty"`      // bytes of the packet
	PacketID   uint16   `json:"packet_id,omitempty"` // 0: it has none
	Topic      string   `json:"topic,omitempty"`
	QoS        mqtt.QoS `json:"qos"`
	Retain     bool     `json:"retain,omitempty"`
	Dup        bool     `json:"dup,omitempty"`
	Code       string   `json:"code,omitempty"`       // reason code, with its name
	Properties []string `json:"properties,omitempty"` // "Name: value"; of 5.0
	Detail     string   `json:"detail,omitempty"`     // for a person
	Payload    []byte   `json:"payload,omitempty"`
	Bytes      int      `json:"payload_size,omitempty"` // of the payload
}

// ErrManyTraces is the answer to one trace too many.
var ErrManyTraces = errors.New("broker: there are 32 traces already: end one of them first")

const maxTraces = 32

// Trace tells what happens from now on until ctx ends; then the channel is closed. The
// broker does not wait for who receives: what finds the channel full is lost and counted
// in the next event. While there is no trace nothing but a look at a pointer is spent on it,
// once for each batch of packets that comes, each packet that goes, and what is seldom.
func (b *Broker) Trace(ctx context.Context, o TraceOptions) (<-chan TraceEvent, error) {
	if o.Topic != "" && !mqtt.ValidFilter(o.Topic) {
		return nil, &mqtt.Error{Code: mqtt.TopicFilterInvalid, Detail: "not a topic filter"}
	}
	if o.Buffer <= 0 {
		o.Buffer = 1024
	}
	t := &trace{o: o, events: make(chan TraceEvent, o.Buffer)}
	b.traces.mu.Lock()
	defer b.traces.mu.Unlock()
	var all []*trace
	if now := b.traces.now.Load(); now != nil {
		all = *now
	}
	if len(all) >= maxTraces {
		return nil, ErrManyTraces
	}
	all = append(slices.Clip(all), t)
	b.traces.now.Store(&all)
	context.AfterFunc(ctx, func() { b.traces.end(t) })
	return t.events, nil
}

// traces are those that there are. Events go to what now points at, which nobody changes.
type traces struct {
	now    atomic.Pointer[[]*trace] // nil: nobody looks
	number atomic.Uint64            // given last

	mu sync.Mutex // held while another list takes the place of the one before
}

func (ts *traces) end(t *trace) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if now := ts.now.Load(); now != nil {
		left := slices.DeleteFunc(slices.Clone(*now), func(other *trace) bool { return other == t })
		if len(left) == 0 {
			ts.now.Store(nil)
		} else {
			ts.now.Store(&left)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	close(t.events)
}

// on reports whether anybody looks.
func (ts *traces) on() bool { return ts.now.Load() != nil }

// next returns a number for a message. They are odd: even ones are for messages that
// somebody follows before they are published.
func (ts *traces) next() uint64 { return 2*ts.number.Add(1) - 1 }

// tell gives an event to those who want it.
func (ts *traces) tell(e TraceEvent) {
	now := ts.now.Load()
	if now == nil {
		return
	}
	e.Time = time.Now()
	for _, t := range *now {
		t.take(e)
	}
}

// wantsPayload reports whether an event about a topic is to have a payload for anybody.
func (ts *traces) wantsPayload(topic string) bool {
	now := ts.now.Load()
	return now != nil && slices.ContainsFunc(*now, func(t *trace) bool {
		return t.o.Payload && (t.o.Topic == "" || mqtt.Match(t.o.Topic, topic))
	})
}

// trace is one of them.
type trace struct {
	o TraceOptions

	mu     sync.Mutex
	events chan TraceEvent
	lost   int
	over   bool
}

func (t *trace) take(e TraceEvent) {
	o := &t.o
	if o.Client != "" && o.Client != e.Client ||
		o.Topic != "" && (e.Topic == "" || !mqtt.Match(o.Topic, e.Topic)) ||
		o.Address.IsValid() && !o.Address.Contains(hostOf(e.Address)) {
		return
	}
	if !o.Payload {
		e.Payload = nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	e.Lost = t.lost
	select {
	case t.events <- e:
		t.lost = 0
	default:
		t.lost++
	}
}

// hostOf returns the address of a client without its port; zero: it is in the process, or on
// a unix socket.
func hostOf(address string) netip.Addr {
	a, _ := netip.ParseAddrPort(address)
	return a.Addr().Unmap().WithZone("")
}
