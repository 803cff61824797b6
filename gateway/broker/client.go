package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// ErrClosed is what a closed in-process client answers.
var ErrClosed = errors.New("broker: client is closed")

// maxInbox is how many messages of QoS 0 may wait for a handler.
const maxInbox = 10_000

// Client is a client of the broker in the same process. It keeps the rules of
// an MQTT 5.0 client with a session that ends with it. Its methods may be
// called from any goroutine.
type Client struct {
	broker  *Broker
	session *session
	closed  chan struct{} // Close was called, or the broker told it to go
	done    chan struct{} // let go of the session
	once    sync.Once

	mu       sync.Mutex
	router   router
	handlers []func(mqtt.Message) // by subscription identifier - 1
	inbox    []inboxEntry
	wake     chan struct{}
}

type inboxEntry struct {
	message  mqtt.Message
	packetID uint16
	handlers []uint32
}

// NewClient connects a client. Another session with this client id ends.
func (b *Broker) NewClient(id string) (*Client, error) {
	c := &Client{broker: b, closed: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1)}
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
	s.version, s.remoteAddr = mqtt.V50, "in-process"
	var f flushList
	s.resume(c, b.options.MaxInflight, &f)
	s.mu.Unlock()
	go c.dispatch()
	return c, nil
}

// Publish hands a message to the broker. For QoS 1 and 2 it returns when the
// message can no longer be lost, for QoS 0 when it was sent to who is there.
func (c *Client) Publish(ctx context.Context, m mqtt.Message) error {
	if !mqtt.ValidTopicName(m.Topic) || levels(m.Topic) > c.broker.options.MaxTopicLevels || m.QoS > 2 {
		return fmt.Errorf("broker: publish: %q with QoS %d is no message", m.Topic, m.QoS)
	}
	if size := len(m.Topic) + len(m.Properties) + len(m.Payload); size > c.broker.options.MaxPacketSize {
		c.broker.exceeded(LimitPacketSize)
		return fmt.Errorf("broker: publish to %s: %w", m.Topic, &mqtt.Error{Code: mqtt.PacketTooLarge, Detail: fmt.Sprintf("%d bytes", size)})
	}
	if err := c.broker.store.Wait(ctx); err != nil {
		return fmt.Errorf("broker: publish to %s: %w", m.Topic, err)
	}
	if c.isClosed() {
		return ErrClosed
	}
	r := c.route(m.Topic)
	if r.denied {
		c.broker.stats.notAuthorized.Add(1)
		return fmt.Errorf("broker: publish to %s: %w", m.Topic, &mqtt.Error{Code: mqtt.NotAuthorized})
	}
	c.broker.stats.publishReceived.Add(1)
	c.broker.stats.publishBytesReceived.Add(uint64(len(m.Payload)))
	msg := &message{Message: m, from: c.session.id, refusable: true}
	var f flushList
	k := new(keeping)
	wait, err := c.broker.publish(msg, r, k, &f)
	if err != nil {
		return fmt.Errorf("broker: publish to %s: %w", m.Topic, err)
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

func (c *Client) route(topic string) *route {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.router.route([]byte(topic))
}

// Subscribe calls handle for each message that matches the filter, one at a
// time for all subscriptions of the client, retained messages first. A message
// of QoS 1 or 2 counts as acknowledged when handle returns.
func (c *Client) Subscribe(ctx context.Context, filter string, qos mqtt.QoS, handle func(mqtt.Message)) error {
	if qos > 2 {
		return fmt.Errorf("broker: subscribe to %q: there is no QoS %d", filter, qos)
	}
	c.mu.Lock()
	c.handlers = append(c.handlers, handle)
	identifier := uint32(len(c.handlers))
	c.mu.Unlock()
	var batch persist.Batch // stays empty: the session is not persistent
	codes, made := c.session.subscribe([]mqtt.FilterRequest{{Filter: filter, Options: mqtt.SubscriptionOptions(qos)}}, identifier, &batch)
	if codes == nil {
		return ErrClosed
	}
	if codes[0] >= 0x80 {
		return fmt.Errorf("broker: subscribe to %q: %w", filter, &mqtt.Error{Code: codes[0]})
	}
	var f flushList
	c.session.sendRetained(made, &f)
	c.broker.flush(&f)
	return nil
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
		c.mu.Lock()
		inbox := c.inbox
		c.inbox = nil
		handlers := slices.Clone(c.handlers)
		c.mu.Unlock()
		for _, in := range inbox {
			if c.isClosed() {
				break
			}
			for _, id := range in.handlers {
				handlers[id-1](in.message)
			}
			c.finished(in.packetID)
		}
	}
}

// finished acknowledges a message. Both ends are in one process: QoS 2 needs no
// second exchange.
func (c *Client) finished(packetID uint16) {
	var f flushList
	s := c.session
	s.mu.Lock()
	if e := s.inflight.get(packetID); e != nil {
		s.finish(e)
	}
	s.pump(&f)
	s.mu.Unlock()
	c.broker.flush(&f)
}

// room implements peer.
func (c *Client) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.inbox) < maxInbox
}

// publish implements peer.
func (c *Client) publish(m *message, d delivery, _ *flushList) bool {
	m = m.clone()
	in := inboxEntry{m.Message, d.packetID, d.identifiers}
	in.message.QoS, in.message.Retain = d.qos, d.retain
	c.mu.Lock()
	c.inbox = append(c.inbox, in)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true
}

// pubrel implements peer. finished leaves nothing to release.
func (c *Client) pubrel(uint16, *flushList) {}
