package broker

import (
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// What is here tells what becomes of a message that is traced: one with a number.

// traceMessage begins an event about a message.
func traceMessage(kind TraceKind, m *message, detail string) TraceEvent {
	return TraceEvent{Kind: kind, Message: m.Trace, Topic: m.Topic, QoS: m.QoS, Retain: m.Retain, Bytes: len(m.Payload), Detail: detail}
}

// trace tells what becomes of a message for the client of the session. Called with mu held.
func (s *session) trace(kind TraceKind, m *message, detail string) {
	e := traceMessage(kind, m, detail)
	e.Client, e.Address = s.id, s.remoteAddr
	s.broker.traces.tell(e)
}

// traceEntry is trace for a message on its way under a packet id.
func (s *session) traceEntry(kind TraceKind, e *entry, detail string) {
	told := traceMessage(kind, e.message, detail)
	told.Client, told.Address, told.PacketID, told.QoS = s.id, s.remoteAddr, e.packetID, e.qos
	s.broker.traces.tell(told)
}

// dropTexts say the reasons to a person.
var dropTexts = [numDrops]string{
	DropSlow:       "the client does not read what it is sent",
	DropQueueFull:  "its queue is full",
	DropTooLarge:   "the packet is larger than the client takes",
	DropNotAllowed: "the client may not receive it any more",
	DropDamaged:    "it could not be read back from the store",
}

// traceExpired tells of an entry that has expired while it waited. Called with mu held.
func (s *session) traceExpired(e *entry) {
	if s.broker.traces.on() {
		s.traceEntry(TraceDropped, e, "it has expired")
	}
}

// acknowledged tells that the client has a message, or refuses it. Called with mu held.
func (s *session) acknowledged(e *entry, a *mqtt.Ack) {
	if e.message.Trace == 0 {
		return
	}
	detail := a.Type.String()
	if a.Code != mqtt.Success {
		detail += ", " + codeText(a.Code)
	}
	s.traceEntry(TraceAcknowledged, e, detail)
}

// traceQueued says why an entry has to wait. Called with mu held.
func (s *session) traceQueued(e *entry) {
	why := "behind others"
	switch {
	case s.peer == nil:
		why = "the client is away"
	case s.waiting() > 1 || len(s.backlog)+len(s.resend) > 0:
	case s.active >= s.window:
		why = "so many are in flight as the client takes"
	case !s.peer.room():
		why = "the client does not read what it is sent"
	}
	s.traceEntry(TraceQueued, e, why)
}

// traceWithheld tells of those who subscribed to the topic of a message and are not on its route.
func (b *Broker) traceWithheld(m *message, r *route) {
	on := make(map[*session]bool)
	for i := range r.receivers {
		on[r.receivers[i].session] = true
	}
	for _, to := range b.index.find(m.Topic).receivers {
		s := to.session
		if on[s] || !s.permit(Receive, m.Topic).denied() {
			continue
		}
		s.mu.Lock()
		s.trace(TraceWithheld, m, "it may not receive the topic")
		s.mu.Unlock()
	}
}

// tracedKeeping is what traceKept has to know.
type tracedKeeping struct {
	message *message
	refs    []*persist.Ref // of its entries
}

// traceKept tells what the store did with a message. It runs on the store's goroutine,
// after the commit.
func (b *Broker) traceKept(k *keeping) {
	t := k.traced
	written := k.after || len(t.refs) == 0
	for _, ref := range t.refs {
		written = written || ref.Written()
	}
	if written {
		b.traces.tell(traceMessage(TraceCommitted, t.message, ""))
	} else {
		b.traces.tell(traceMessage(TraceUnwritten, t.message, "all who were to get it have acknowledged it"))
	}
}

// tracePublish tells of a message of a client in the process, and numbers it if nobody has
// followed it so far.
func (c *Client) tracePublish(m *mqtt.Message) {
	if m.Trace == 0 {
		m.Trace = c.broker.traces.next()
	}
	c.traceMessage(TraceReceived, *m, 0)
}

// traceGiven tells that a message was put into the inbox of a client in the process.
func (c *Client) traceGiven(in *inboxEntry) { c.traceMessage(TraceSent, in.message, in.packetID) }

func (c *Client) traceMessage(kind TraceKind, m mqtt.Message, packetID uint16) {
	e := traceMessage(kind, &message{Message: m}, "")
	e.Client, e.Address, e.PacketID = c.session.id, inProcess, packetID
	if p, err := mqtt.DecodeProperties(m.Properties); err == nil {
		e.Properties = propertyTexts(&p)
	}
	if c.broker.traces.wantsPayload(m.Topic) {
		e.Payload = tracedPayload(m.Payload)
	}
	c.broker.traces.tell(e)
}

// traceRetained tells that a message is retained, or that there is none any more.
func (b *Broker) traceRetained(m *message) {
	detail := ""
	switch {
	case len(m.Payload) == 0:
		detail = "the topic has no retained message any more"
	case m.Volatile:
		detail = "until the end of the program"
	case m.QoS == 0:
		detail = "the latest of the topic is written every ten seconds"
	}
	b.traces.tell(traceMessage(TraceRetained, m, detail))
}

// traceAnswer tells that the publisher of a message is told that it is safe; that it is refused has been told.
func (c *connection) traceAnswer(t *traced, a mqtt.Ack) {
	if t == nil || a.Code >= 0x80 {
		return
	}
	e := c.traceEvent(TraceAnswered)
	e.Message, e.Topic, e.PacketID, e.Code, e.Detail = t.number, t.topic, a.PacketID, c.codeText(a.Code), a.Type.String()
	c.broker.traces.tell(e)
}
