package broker

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// connection is an MQTT client on a network connection, from its first byte to
// its last. It is the peer of its session.
type connection struct {
	*conn
	broker  *Broker
	session *session
	done    chan struct{} // closed when the connection has let go of its session

	version       mqtt.Version
	bridge        bool // see mqtt.Connect
	clientID      string
	keepAlive     time.Duration // 0: none
	keepAliveSet  bool          // by the server: the client has to be told
	maxPacketSize uint32        // what the client accepts
	connectExpiry uint32        // Session Expiry Interval of CONNECT; DISCONNECT may not raise it from 0
	method        string        // of authentication, as CONNECT named it; "": none

	reauth    atomic.Pointer[reauthentication] // nil: none is under way
	dismissal atomic.Pointer[Refusal]          // what there is to say about the end

	// Only by the reader's goroutine.
	router   router
	aliases  map[uint16]string // topic aliases that the client defined
	scratch  *message          // for QoS 0 messages, which nobody keeps; nil before the first
	flushing flushList
	work     int                                 // deliveries that the present batch has caused
	left     bool                                // see handleAll
	stores   bool                                // the last batch gave the store something: the next waits for room there
	received struct{ publishes, payload uint64 } // in this batch
	open2    map[uint16]struct{}                 // QoS 2 messages of a 5.0 client without PUBCOMP; part of its Receive Maximum
	keeping  *keeping                            // for the next message that needs one
	keepWill bool                                // the client said goodbye and wants its will published

	// Acknowledgements leave in the order of the packets that they answer,
	// though the store may be ready with them in another. Guarded by conn.mu.
	acks    []*pendingAck
	pubacks int  // PUBACKs among them: they use up the client's Receive Maximum
	over    bool // the last packet is on its way: none may follow

	aliasMaximum uint16            // topic aliases that the client takes
	sentAliases  map[string]uint16 // by topic; guarded by conn.mu

	kicked  atomic.Uint32 // 0, or kickedFlag and the reason with which the connection is to end
	waiting *list.Element // in Broker.unconnected; guarded by its mu

	// With a poller.
	state    atomic.Uint32 // whether somebody serves the connection: see wake
	hangup   atomic.Bool   // the client's side is closed: read to the end
	onPoller bool          // who serves the connection must not wait; only by who serves it
	lastSeen atomic.Int64  // end of the last batch, nanoseconds after the start of the broker
	alive    *time.Timer   // looks at lastSeen; nil without keep alive
}

const kickedFlag = 1 << 8

type pendingAck struct {
	ack   mqtt.Ack
	ready bool
}

// serveConn runs one client until its connection ends, or hands it to a poller.
func (b *Broker) serveConn(ctx context.Context, nc net.Conn) {
	c := &connection{conn: newConn(b, nc), broker: b, done: make(chan struct{})}
	c.state.Store(serving)
	c.router.index, c.router.maxLevels = &b.index, b.options.MaxTopicLevels
	nc.SetReadDeadline(time.Now().Add(b.options.ConnectTimeout))
	b.unconnected.add(c, b.options.MaxUnconnected)
	b.stats.accepted.Add(1)
	// A client that does not say CONNECT must not hold up the end.
	stop := context.AfterFunc(ctx, func() { c.kick(mqtt.ServerShuttingDown) })
	err := c.handshake(ctx)
	stop()
	b.unconnected.remove(c)
	switch {
	case err != nil:
		c.refuse(err)
	case c.fd >= 0:
		c.serveParked()
	default:
		c.end(c.serve(ctx))
	}
}

// errDisconnect is the end of a connection by a DISCONNECT of the client.
var errDisconnect = errors.New("disconnected")

// serve reads and handles packets until the connection ends.
func (c *connection) serve(ctx context.Context) error {
	for {
		handled, err := c.handleAll(ctx)
		if err != nil {
			return err
		}
		if len(c.buf) == connectSize {
			c.releaseBuffer() // for one that takes a batch
		}
		if c.stores {
			if err := c.broker.store.Wait(ctx); err != nil {
				return &mqtt.Error{Code: mqtt.ServerShuttingDown}
			}
		}
		if c.left {
			continue
		}
		if handled && c.keepAlive > 0 {
			c.net.SetReadDeadline(time.Now().Add(c.patience()))
		}
		if err := c.kickedError(); err != nil {
			return err
		}
		err = c.fill()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err := c.kickedError(); err != nil {
				return err
			}
			return &mqtt.Error{Code: mqtt.KeepAliveTimeout}
		}
		if err != nil {
			return err
		}
	}
}

// patience is how long a client may be silent, counted from the last whole packet:
// one that never ends is no sign of life [v5 MQTT-3.1.2-22].
func (c *connection) patience() time.Duration {
	return time.Duration(c.broker.options.KeepAliveFactor * float64(c.keepAlive))
}

// maxWork bounds how many deliveries one batch of packets causes before it is sent
// and others have their turn. One packet is never split.
const maxWork = 4096

// handleAll handles the whole packets that were read and sends what they caused. If
// that is much it stops early: then left is set, and more is to be handled before
// anything is read.
func (c *connection) handleAll(ctx context.Context) (handled bool, err error) {
	packets := uint64(0)
	c.work, c.left, c.stores = 0, false, false
	for err == nil && !c.left {
		if c.onPoller && c.mayWait() {
			err = errMayWait
			break
		}
		p, ok, e := c.next(c.version, c.broker.options.MaxPacketSize)
		if e == nil && !ok {
			break
		}
		packets++
		if err = e; err == nil {
			err = c.handle(ctx, p)
		}
		c.left = c.work >= maxWork
	}
	c.count(packets)
	c.broker.flush(&c.flushing)
	return packets > 0, err
}

// count adds what a batch brought to the counters of the broker.
func (c *connection) count(packets uint64) {
	if packets == 0 {
		return
	}
	stats := &c.broker.stats
	stats.packetsReceived.Add(packets)
	if c.received.publishes > 0 {
		stats.publishReceived.Add(c.received.publishes)
		stats.publishBytesReceived.Add(c.received.payload)
		c.received.publishes, c.received.payload = 0, 0
	}
}

// kick implements holder.
func (c *connection) kick(code mqtt.ReasonCode) {
	c.kicked.CompareAndSwap(0, kickedFlag|uint32(code))
	c.mu.Lock()
	nc := c.net
	c.mu.Unlock()
	if nc != nil {
		// The deadline wakes the reader, which looks for the reason after
		// setting a deadline of its own.
		nc.SetReadDeadline(time.Unix(1, 0))
	} else if c.wake() {
		go c.turns()
	}
}

// kickedError returns the reason with which the connection is to end, if it is.
func (c *connection) kickedError() error {
	if k := c.kicked.Load(); k != 0 {
		return &mqtt.Error{Code: mqtt.ReasonCode(k &^ kickedFlag)}
	}
	return nil
}

func (c *connection) handle(ctx context.Context, p mqtt.Packet) error {
	switch p.Type {
	case mqtt.PUBLISH:
		return c.publishReceived(p)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP:
		var a mqtt.Ack
		if err := a.Decode(p, c.version); err != nil {
			return err
		}
		c.stores = c.stores || c.session.persistent
		answer, err := c.session.acknowledge(&a, &c.flushing)
		if answer != nil {
			c.sendAck(answer, &c.flushing)
		}
		return err
	case mqtt.PUBREL:
		return c.pubrelReceived(p)
	case mqtt.SUBSCRIBE:
		return c.subscribe(ctx, p)
	case mqtt.UNSUBSCRIBE:
		return c.unsubscribe(ctx, p)
	case mqtt.DISCONNECT:
		return c.disconnect(p)
	case mqtt.PINGREQ:
		if len(p.Body) > 0 {
			return &mqtt.Error{Code: mqtt.MalformedPacket, Detail: "PINGREQ with a body"}
		}
		c.send(func(b []byte) []byte { return append(b, byte(mqtt.PINGRESP)<<4, 0) })
		return nil
	case mqtt.AUTH:
		return c.authReceived(ctx, p)
	}
	return &mqtt.Error{Code: mqtt.ProtocolError, Detail: p.Type.String() + " from a client"}
}

// send appends a packet for the client.
func (c *connection) send(encode func([]byte) []byte) {
	c.append(encode)
	c.flushing.add(c.conn)
}

func (c *connection) sendAck(a *mqtt.Ack, f *flushList) {
	c.append(func(b []byte) []byte { return a.Append(b, c.version) })
	f.add(c.conn)
}

// publishReceived handles a PUBLISH of the client.
func (c *connection) publishReceived(packet mqtt.Packet) error {
	var p mqtt.Publish
	if err := p.Decode(packet, c.version); err != nil {
		return err
	}
	c.received.publishes++
	c.received.payload += uint64(len(p.Payload))
	if len(p.Identifiers) > 0 { // [v5 MQTT-3.3.4-6]
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "subscription identifier from a client"}
	}
	if err := c.resolveAlias(&p); err != nil {
		return err
	}
	if p.QoS > 0 && c.version == mqtt.V50 && c.exceeded(&p) {
		return &mqtt.Error{Code: mqtt.ReceiveMaximumExceeded} // [v5 MQTT-3.3.4-7]
	}
	if p.Topic[0] == '$' { // the server's own (5.0 §4.7.2)
		return c.refusePublish(&p, mqtt.NotAuthorized)
	}
	r := c.router.route(p.Topic)
	if r == nil {
		c.broker.exceeded(LimitTopicLevels)
		return &mqtt.Error{Code: mqtt.TopicNameInvalid, Detail: "topic name of too many levels"}
	}
	// A repeat of what was taken is acknowledged, whatever has changed since: a
	// refusal would free a packet id that the session still holds.
	if r.denied && !(p.QoS == 2 && c.session.knowsIncoming(p.PacketID)) {
		return c.refusePublish(&p, mqtt.NotAuthorized)
	}
	var m *message
	if p.QoS > 0 {
		kept := new(struct {
			message
			entry
		})
		m, kept.own = &kept.message, &kept.entry
		own := append(append(make([]byte, 0, len(p.Payload)+len(p.Properties)), p.Payload...), p.Properties...)
		p.Payload, p.Properties = own[:len(p.Payload):len(p.Payload)], own[len(p.Payload):]
	} else {
		m = c.borrow()
	}
	m.from, m.refusable = c.clientID, p.QoS > 0 && c.version == mqtt.V50
	m.Message = mqtt.Message{Topic: r.topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties}
	if p.HasExpiry {
		m.Expires = time.Now().Add(time.Duration(p.Expiry) * time.Second)
	}
	c.work += len(r.receivers) + len(r.shares)
	if p.QoS == 0 {
		c.broker.publish(m, r, nil, &c.flushing)
		return nil
	}
	answer := mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID}
	if c.keeping == nil {
		c.keeping = new(keeping)
	}
	k := c.keeping
	if p.QoS == 2 {
		answer.Type = mqtt.PUBREC
		if !c.session.addIncoming(p.PacketID, &k.batch) {
			// A repeat: PUBREC again, when what the first one brought is
			// safe, and nothing else [v5 MQTT-4.3.3-10].
			c.answerWhenKept(answer)
			return nil
		}
	}
	wait, err := c.broker.publish(m, r, k, &c.flushing)
	switch {
	case err != nil:
		c.keeping = nil // with the packet id of what was refused
		if p.QoS == 2 {
			c.session.removeIncoming(p.PacketID, new(persist.Batch))
		}
		return c.refusePublish(&p, mqtt.QuotaExceeded)
	case wait:
		c.answerWhenKept(answer)
	default:
		c.answer(answer)
	}
	return nil
}

// borrow returns the message that all QoS 0 messages of the connection use in turn,
// with the memory of encoded forms that are not too large to keep.
func (c *connection) borrow() *message {
	m := c.scratch
	if m == nil {
		m = &message{borrowed: true}
		c.scratch = m
	}
	if m.encoded == nil {
		return m
	}
	for i, packet := range m.encoded {
		if m.encoded[i] = packet[:0]; cap(packet) > writeSize {
			m.encoded[i] = nil
		}
	}
	return m
}

// resolveAlias replaces a topic alias by the topic that it stands for, and
// defines aliases (5.0 §3.3.2.3.4).
func (c *connection) resolveAlias(p *mqtt.Publish) error {
	if p.TopicAlias == 0 {
		return nil
	}
	if p.TopicAlias > topicAliasMaximum { // [v5 MQTT-3.3.2-9]
		return &mqtt.Error{Code: mqtt.TopicAliasInvalid, Detail: fmt.Sprintf("topic alias %d, the maximum is %d", p.TopicAlias, topicAliasMaximum)}
	}
	if len(p.Topic) > 0 {
		if c.aliases == nil {
			c.aliases = make(map[uint16]string)
		}
		c.aliases[p.TopicAlias] = string(p.Topic)
		return nil
	}
	topic, ok := c.aliases[p.TopicAlias]
	if !ok {
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: fmt.Sprintf("unknown topic alias %d", p.TopicAlias)}
	}
	p.Topic = []byte(topic)
	return nil
}

// topicAliasMaximum is how many topic aliases a client may define.
const topicAliasMaximum = 64

// refusePublish answers a message that the client may not publish. MQTT before
// 5.0 has no word for it: the message is acknowledged and dropped
// [v3 MQTT-3.3.5-2].
func (c *connection) refusePublish(p *mqtt.Publish, code mqtt.ReasonCode) error {
	if code == mqtt.NotAuthorized {
		c.broker.stats.notAuthorized.Add(1)
	}
	switch p.QoS {
	case 1:
		c.answer(mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID, Code: code})
	case 2:
		delete(c.open2, p.PacketID)
		if c.version != mqtt.V50 {
			var none persist.Batch
			c.session.addIncoming(p.PacketID, &none)
		}
		c.answer(mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID, Code: code})
	}
	return nil
}

// answer acknowledges what cannot be lost, in its turn: after what waits for the
// store.
func (c *connection) answer(a mqtt.Ack) {
	c.mu.Lock()
	if len(c.acks) == 0 {
		c.appendLocked(func(b []byte) []byte { return a.Append(b, c.version) })
	} else {
		c.expect(a, true)
	}
	c.mu.Unlock()
	c.flushing.add(c.conn)
}

// answerWhenKept gives c.keeping to the store and acknowledges when it is
// committed.
func (c *connection) answerWhenKept(a mqtt.Ack) {
	c.stores = true
	c.mu.Lock()
	pending := c.expect(a, false)
	c.mu.Unlock()
	k := c.keeping
	c.keeping = nil
	c.broker.keep(k, func() { c.acknowledge(pending, &c.broker.committed) })
}

// expect takes the place of an acknowledgement in the order. Called with conn.mu
// held.
func (c *connection) expect(a mqtt.Ack, ready bool) *pendingAck {
	pending := &pendingAck{a, ready}
	c.acks = append(c.acks, pending)
	if a.Type == mqtt.PUBACK {
		c.pubacks++
	}
	return pending
}

// acknowledge is called by the store when what a answers is committed.
func (c *connection) acknowledge(a *pendingAck, f *flushList) {
	c.mu.Lock()
	a.ready = true
	if c.acks[0] != a || c.over {
		c.mu.Unlock()
		return
	}
	n := 0
	for n < len(c.acks) && c.acks[n].ready {
		n++
	}
	ready := c.acks[:n]
	c.acks = c.acks[n:]
	if len(c.acks) == 0 {
		c.acks = nil
	}
	c.packets += uint64(n - 1)
	c.appendLocked(func(b []byte) []byte {
		for _, a := range ready {
			if a.ack.Type == mqtt.PUBACK {
				c.pubacks--
			}
			b = a.ack.Append(b, c.version)
		}
		return b
	})
	c.mu.Unlock()
	f.add(c.conn)
}

// exceeded reports whether a message is one too many for the Receive Maximum
// that the client was given. It counts from the beginning of the connection: what
// is open from an earlier one counts when it is sent again (5.0 §4.9).
func (c *connection) exceeded(p *mqtt.Publish) bool {
	if _, repeat := c.open2[p.PacketID]; repeat && p.QoS == 2 {
		return false
	}
	c.mu.Lock()
	pubacks := c.pubacks
	c.mu.Unlock()
	if pubacks+len(c.open2) >= c.broker.options.ReceiveMaximum {
		return true
	}
	if p.QoS == 2 {
		if c.open2 == nil {
			c.open2 = make(map[uint16]struct{})
		}
		c.open2[p.PacketID] = struct{}{}
	}
	return false
}

// pubrelReceived handles the release of an incoming QoS 2 message.
func (c *connection) pubrelReceived(p mqtt.Packet) error {
	var rel mqtt.Ack
	if err := rel.Decode(p, c.version); err != nil {
		return err
	}
	delete(c.open2, rel.PacketID)
	answer := mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: rel.PacketID}
	if c.keeping == nil {
		c.keeping = new(keeping)
	}
	if !c.session.removeIncoming(rel.PacketID, &c.keeping.batch) {
		answer.Code = mqtt.PacketIdentifierNotFound
	}
	if c.session.persistent {
		// PUBCOMP lets the client use the id again: not before the store has
		// forgotten it, or the next message would be taken for a repeat.
		c.answerWhenKept(answer)
	} else {
		c.answer(answer)
	}
	return nil
}

// room implements peer.
func (c *connection) room() bool { return c.hasRoom() }

// publish implements peer.
func (c *connection) publish(m *message, d delivery, f *flushList) bool {
	now := time.Time{}
	if !m.Expires.IsZero() {
		now = time.Now()
	}
	c.mu.Lock()
	alias, known := c.alias(m.Topic)
	d.alias, d.aliased = alias, known
	fits := c.appendPublish(m, d, now)
	switch {
	case fits && alias != 0 && !known:
		// Only now: an alias holds once its first packet is in the stream.
		c.sentAliases[m.Topic] = alias
	case !fits && alias != 0: // with its three bytes
		d.alias, d.aliased = 0, false
		fits = c.appendPublish(m, d, now)
	}
	c.mu.Unlock()
	f.add(c.conn)
	return fits
}

// appendPublish appends a PUBLISH unless it is too large for the client. Called
// with conn.mu held.
func (c *connection) appendPublish(m *message, d delivery, now time.Time) (fits bool) {
	fits = true
	c.appendLocked(func(b []byte) []byte {
		n := len(b)
		b = m.append(b, c.version, d, now)
		if uint32(len(b)-n) > c.maxPacketSize {
			fits = false
			c.packets--
			b = b[:n]
		}
		return b
	})
	return fits
}

// alias returns the topic alias for a topic, and whether the client knows it. The
// first topics that are sent get one, as many as the client takes
// [v5 MQTT-3.1.2-26, MQTT-3.1.2-27]. Called with conn.mu held.
func (c *connection) alias(topic string) (alias uint16, known bool) {
	if c.aliasMaximum == 0 {
		return 0, false
	}
	if alias, known = c.sentAliases[topic]; known {
		return alias, true
	}
	if len(c.sentAliases) >= int(min(c.aliasMaximum, maxSentAliases)) {
		return 0, false
	}
	if c.sentAliases == nil {
		c.sentAliases = make(map[string]uint16)
	}
	return uint16(len(c.sentAliases) + 1), false
}

// maxSentAliases bounds what is remembered for a client that takes many aliases.
const maxSentAliases = 256

// pubrel implements peer.
func (c *connection) pubrel(packetID uint16, f *flushList) {
	c.sendAck(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: packetID}, f)
}

// disconnect handles DISCONNECT: an error other than errDisconnect says what is
// wrong with it. Only an orderly one takes the will with it [v5 MQTT-3.14.4-3].
func (c *connection) disconnect(p mqtt.Packet) error {
	var d mqtt.Disconnect
	if err := d.Decode(p, c.version); err != nil {
		return err
	}
	if !d.ClientMaySend() {
		return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "DISCONNECT of a client with " + d.Code.String()}
	}
	if c.version == mqtt.V50 && d.Properties.Has(mqtt.SessionExpiryInterval) {
		expiry := d.Properties.Uint(mqtt.SessionExpiryInterval, 0)
		if c.connectExpiry == 0 && expiry != 0 { // 5.0 §3.14.2.2.2
			return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "session expiry raised from 0"}
		}
		c.session.setExpiry(expiry)
	}
	c.keepWill = d.Code != mqtt.Success
	return errDisconnect
}

// end lets go of the session and closes the connection.
func (c *connection) end(err error) {
	c.endReauthentication()
	var reason *mqtt.Error
	var last []byte
	if errors.As(err, &reason) {
		c.broker.countError(reason)
		if c.version == mqtt.V50 { // before 5.0 a server only closes
			last = c.farewell(reason.Code)
		}
		c.broker.log.Info("client disconnected", "client", c.clientID, "err", err)
	} else {
		c.broker.log.Debug("client disconnected", "client", c.clientID, "err", err)
	}
	if c.alive != nil {
		c.alive.Stop()
	}
	c.broker.leave(c)
	c.broker.detach(c.session, c.keepWill || err != errDisconnect)
	close(c.done) // before lingering: who takes the session over waits for this
	c.mu.Lock()
	c.over = true // [v5 MQTT-3.14.4-1]
	c.mu.Unlock()
	c.close(last)
}

// seconds turns seconds into a Duration; what never ends is about 292 years.
func seconds(s uint32) time.Duration {
	if s == persist.NeverExpires {
		return math.MaxInt64
	}
	return time.Duration(s) * time.Second
}
