package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// ErrClosed is what a closed in-process client answers.
var ErrClosed = errors.New("broker: client is closed")

// What may wait for the handlers of a client. More of QoS 0 is dropped and counted,
// and the others wait in its session.
const (
	maxInbox      = 10_000
	maxInboxBytes = 4 << 20 // about what a socket holds on both sides
)

// Client is a client of the broker in the same process. It keeps the rules of
// an MQTT 5.0 client with a session that ends with it, but what a client on a
// socket would be disconnected for is an error here, and the client goes on. Its
// methods may be called from any goroutine.
type Client struct {
	broker  *Broker
	session *session
	closed  chan struct{} // Close was called, or the broker told it to go
	done    chan struct{} // let go of the session
	once    sync.Once

	changing    sync.Mutex        // held while subscriptions change
	identifiers map[string]uint32 // subscription identifiers by filter; guarded by changing
	identifier  uint32            // given last; guarded by changing

	mu       sync.Mutex
	router   router
	handlers map[uint32]func(mqtt.Message) // by subscription identifier
	inbox    []inboxEntry
	waiting  int // bytes in inbox
	wake     chan struct{}
}

type inboxEntry struct {
	message     mqtt.Message
	packetID    uint16
	identifiers []uint32
}

func (in *inboxEntry) size() int {
	return len(in.message.Topic) + len(in.message.Properties) + len(in.message.Payload)
}

// NewClient connects a client. Another session with this client id ends, and while
// the client is there no other can connect from outside with it. If id is empty the
// client gets one of its own.
func (b *Broker) NewClient(id string) (*Client, error) {
	if id == "" {
		id = newClientID()
	}
	c := &Client{
		broker: b, closed: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		identifiers: make(map[string]uint32), handlers: make(map[uint32]func(mqtt.Message)),
	}
	c.router.index, c.router.maxLevels = &b.index, b.options.MaxTopicLevels
	s, _, err := b.claim(id, true, c)
	if err != nil {
		return nil, fmt.Errorf("broker: connect %q: %w", id, err)
	}
	c.session, c.router.session = s, s
	s.mu.Lock()
	if b.options.Authorize != nil {
		s.request.Store(&ConnectRequest{ClientID: id, Version: mqtt.V50, CleanStart: true, InProcess: true})
	}
	s.version, s.remoteAddr = mqtt.V50, inProcess
	var f flushList
	s.resume(c, b.options.MaxInflight, &f)
	s.mu.Unlock()
	go c.dispatch()
	return c, nil
}

// Publish hands a message to the broker. For QoS 1 and 2 it returns when the
// message can no longer be lost, for QoS 0 when it was sent to who is there. A
// message that a client on a socket could not publish is refused, with an
// [mqtt.Error] that says why.
func (c *Client) Publish(ctx context.Context, m mqtt.Message) error {
	if err := c.check(&m); err != nil {
		return fmt.Errorf("broker: publish to %.40q: %w", m.Topic, err)
	}
	if m.QoS > 0 { // else nothing of it waits for the store
		if err := c.broker.store.Wait(ctx); err != nil {
			return fmt.Errorf("broker: publish to %s: %w", m.Topic, err)
		}
	}
	if c.isClosed() {
		return ErrClosed
	}
	r := c.route(m.Topic)
	if c.broker.traces.on() {
		c.tracePublish(&m)
	}
	msg := &message{Message: m, from: c.session.id, refusable: true}
	if !r.publish.allows(&msg.Message) {
		c.broker.stats.notAuthorized.Add(1)
		return c.refused(msg, &mqtt.Error{Code: mqtt.NotAuthorized})
	}
	c.broker.stats.publishReceived.Add(1)
	c.broker.stats.publishBytesReceived.Add(uint64(len(m.Payload)))
	c.session.received.Add(1)
	c.session.receivedBytes.Add(uint64(len(m.Payload)))
	var f flushList
	k := new(keeping)
	if m.QoS > 0 && c.broker.store.DiskLow() && c.broker.diskFull(msg, r, k) {
		return c.refused(msg, errDiskFull)
	}
	wait, err := c.broker.publish(msg, r, k, &f)
	if err != nil {
		return c.refused(msg, err)
	}
	if !wait {
		c.broker.flush(&f)
		return nil
	}
	committed := make(chan struct{})
	c.broker.keep(k, func() { close(committed) })
	c.broker.flush(&f)
	select {
	case <-committed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("broker: publish to %s: %w", m.Topic, ctx.Err())
	case <-c.broker.store.Failed():
		return fmt.Errorf("broker: publish to %s: %w", m.Topic, c.broker.store.Err())
	}
}

// refused is the error of a message that went to nobody.
func (c *Client) refused(m *message, err error) error {
	if m.Trace != 0 {
		e := traceMessage(TraceRefused, m, err.Error())
		e.Client, e.Address = c.session.id, inProcess
		c.broker.traces.tell(e)
	}
	return fmt.Errorf("broker: publish to %s: %w", m.Topic, err)
}

// check refuses what a client on a socket could not publish.
func (c *Client) check(m *mqtt.Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	limits := &c.broker.options
	if size := m.Size(); size > limits.MaxPacketSize {
		c.broker.exceeded(LimitPacketSize)
		return &mqtt.Error{Code: mqtt.PacketTooLarge, Detail: fmt.Sprintf("packet of %d bytes, the limit is %d", size, limits.MaxPacketSize)}
	}
	if m.Topic[0] == '$' { // the server's own (5.0 §4.7.2)
		return &mqtt.Error{Code: mqtt.NotAuthorized, Detail: "topics that begin with $ are the server's own"}
	}
	if levels(m.Topic) > limits.MaxTopicLevels {
		c.broker.exceeded(LimitTopicLevels)
		return &mqtt.Error{Code: mqtt.TopicNameInvalid, Detail: "topic name of too many levels"}
	}
	return nil
}

func (c *Client) route(topic string) *route {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.router.route([]byte(topic))
}

// Subscribe calls handle for each message that matches the filter, one at a
// time for all subscriptions of the client, retained messages first. A message
// that matches several filters comes once, at the highest QoS of them, and the
// handler of each is called with it. handle may publish, subscribe and
// unsubscribe. A message of QoS 1 or 2 counts as acknowledged when its handlers
// have returned; while they run others wait.
//
// Another subscription with the same filter takes the place of the first: what
// waits goes to the new handler.
func (c *Client) Subscribe(ctx context.Context, filter string, options mqtt.SubscriptionOptions, handle func(mqtt.Message)) error {
	if err := checkSubscription(filter, options); err != nil {
		return fmt.Errorf("broker: subscribe to %.40q: %w", filter, err)
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	if c.isClosed() {
		return ErrClosed
	}
	identifier, replaces := c.identifiers[filter]
	if !replaces {
		c.identifier++
		identifier = c.identifier
		c.setHandler(identifier, handle)
	}
	var batch persist.Batch // stays empty: the session is not persistent
	codes, made := c.session.subscribe([]mqtt.FilterRequest{{Filter: filter, Options: options}}, identifier, &batch)
	if codes == nil {
		return ErrClosed
	}
	if codes[0] >= 0x80 {
		if !replaces {
			c.setHandler(identifier, nil)
		}
		return fmt.Errorf("broker: subscribe to %.40q: %w", filter, &mqtt.Error{Code: codes[0]})
	}
	c.identifiers[filter] = identifier
	c.setHandler(identifier, handle)
	var f flushList
	c.session.sendRetained(made, &f)
	c.broker.flush(&f)
	return nil
}

// checkSubscription refuses what makes a SUBSCRIBE wrong as a whole.
func checkSubscription(filter string, options mqtt.SubscriptionOptions) error {
	s := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{{Filter: filter, Options: options}}}
	if len(filter) > 65535 {
		return &mqtt.Error{Code: mqtt.TopicFilterInvalid, Detail: "too long"}
	}
	p, _, err := mqtt.Parse(s.Append(nil, mqtt.V50), mqtt.V50, 0)
	if err != nil {
		return err
	}
	return s.Decode(p, mqtt.V50)
}

// Unsubscribe ends the subscription with this filter. Its handler is not called
// any more once Unsubscribe has returned, except that a call that is running goes
// on. But what the client has of a shared subscription still comes: nobody else gets
// it. That there is no such subscription is no error.
func (c *Client) Unsubscribe(ctx context.Context, filter string) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	if c.isClosed() {
		return ErrClosed
	}
	var batch persist.Batch // stays empty
	codes := c.session.unsubscribe([]string{filter}, &batch)
	if codes[0] >= 0x80 {
		return fmt.Errorf("broker: unsubscribe from %.40q: %w", filter, &mqtt.Error{Code: codes[0]})
	}
	if strings.HasPrefix(filter, "$share/") {
		return nil // its handler waits for what is left, or for another to take its place
	}
	c.setHandler(c.identifiers[filter], nil)
	delete(c.identifiers, filter)
	return nil
}

// setHandler sets the handler of a subscription; nil is none.
func (c *Client) setHandler(identifier uint32, handle func(mqtt.Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if handle == nil {
		delete(c.handlers, identifier)
		return
	}
	c.handlers[identifier] = handle
}

// Close disconnects the client and waits until its last handler has returned.
// It must not be called from a handler.
func (c *Client) Close() {
	c.kick(mqtt.Success)
	<-c.done
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// kick implements holder.
func (c *Client) kick(mqtt.ReasonCode) { c.once.Do(func() { close(c.closed) }) }

// released implements holder.
func (c *Client) released() <-chan struct{} { return c.done }

// dispatch calls the handlers.
func (c *Client) dispatch() {
	defer close(c.done)
	for {
		select {
		case <-c.closed:
			c.broker.detach(c.session, false)
			return
		case <-c.wake:
		}
		for in, ok := c.take(); ok; in, ok = c.take() {
			for _, identifier := range in.identifiers {
				if handle := c.handler(identifier); handle != nil {
					handle(in.message)
				}
			}
			c.finished(in.packetID)
		}
	}
}

// take takes the next message off the inbox. A closed client gets none.
func (c *Client) take() (in inboxEntry, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inbox) == 0 || c.isClosed() {
		return in, false
	}
	in = c.inbox[0]
	c.inbox[0] = inboxEntry{}
	c.inbox = c.inbox[1:]
	if len(c.inbox) == 0 {
		c.inbox = nil
	}
	c.waiting -= in.size()
	return in, true
}

// handler returns the handler of a subscription, or nil if that has ended.
func (c *Client) handler(identifier uint32) func(mqtt.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return nil
	}
	return c.handlers[identifier]
}

// finished acknowledges a message. Both ends are in one process: QoS 2 needs no
// second exchange.
func (c *Client) finished(packetID uint16) {
	var f flushList
	s := c.session
	s.mu.Lock()
	if e := s.inflight.get(packetID); e != nil {
		if e.message.Trace != 0 {
			s.traceEntry(TraceAcknowledged, e, "")
		}
		s.finish(e, &f)
	}
	s.pump(&f)
	s.mu.Unlock()
	c.broker.flush(&f)
}

// room implements peer.
func (c *Client) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.inbox) < maxInbox && c.waiting < maxInboxBytes
}

// publish implements peer.
func (c *Client) publish(m *message, d delivery, _ *flushList) bool {
	m = m.clone()
	in := inboxEntry{m.Message, d.packetID, d.identifiers}
	in.message.Expires, in.message.Provisional = m.expires(), false
	in.message.QoS, in.message.Retain = d.qos, d.retain
	if m.Trace != 0 {
		c.traceGiven(&in)
	}
	c.mu.Lock()
	c.inbox = append(c.inbox, in)
	c.waiting += in.size()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true
}

// pubrel implements peer. finished leaves nothing to release.
func (c *Client) pubrel(uint16, *flushList) {}
