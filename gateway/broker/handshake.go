package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"math"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// released implements holder.
func (c *connection) released() <-chan struct{} { return c.done }

// handshake reads the CONNECT, takes the session and answers. When it fails
// nothing is held and nothing was answered.
func (c *connection) handshake(ctx context.Context) error {
	var connect mqtt.Connect
	for {
		if c.head < c.tail && mqtt.PacketType(c.buf[c.head]>>4) != mqtt.CONNECT {
			return errNotConnect // [v5 MQTT-3.1.0-1]
		}
		p, ok, err := c.next(0, c.broker.options.MaxPacketSize)
		if err != nil {
			return err
		}
		if ok {
			err := connect.Decode(p)
			c.version = connect.Version
			if c.version == 0 && bytes.HasPrefix(p.Body, []byte("\x00\x04MQTT\x00")) {
				c.version = mqtt.V311 // level 0 has an answer, a foreign protocol has none [v3 MQTT-3.1.2-2]
			}
			if err != nil {
				return err
			}
			break
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
	c.broker.stats.connects.Add(1)
	c.broker.stats.packetsReceived.Add(1)
	if err := c.accept(&connect); err != nil {
		return err
	}
	expiry := uint32(persist.NeverExpires)
	switch {
	case c.version == mqtt.V50:
		expiry = connect.Properties.Uint(mqtt.SessionExpiryInterval, 0)
	case connect.CleanStart:
		expiry = 0
	}
	c.connectExpiry = expiry
	assigned := connect.ClientID == ""
	if assigned {
		connect.ClientID = rand.Text()[:20]
	}
	c.clientID = connect.ClientID
	var answer mqtt.Connack
	if c.version == mqtt.V50 {
		answer.Properties.SetUint(mqtt.ReceiveMaximum, uint32(c.broker.options.ReceiveMaximum))
		answer.Properties.SetUint(mqtt.MaximumPacketSize, uint32(c.broker.options.MaxPacketSize))
		answer.Properties.SetUint(mqtt.TopicAliasMaximum, topicAliasMaximum)
		if c.keepAliveSet { // [v5 MQTT-3.2.2-21]
			answer.Properties.SetUint(mqtt.ServerKeepAlive, uint32(c.keepAlive/time.Second))
		}
		if assigned { // [v5 MQTT-3.2.2-16]
			answer.Properties.SetText(mqtt.AssignedClientIdentifier, connect.ClientID)
		}
	}
	if uint32(len(answer.Append(nil, c.version))) > c.maxPacketSize { // [v5 MQTT-3.1.2-24]
		return &mqtt.Error{Code: mqtt.PacketTooLarge, Detail: "the client takes no packet as large as CONNACK"}
	}
	if !c.broker.enter(c) {
		return &mqtt.Error{Code: mqtt.ServerBusy, Detail: "too many connections"}
	}
	s, present, err := c.broker.claim(connect.ClientID, connect.CleanStart, c)
	if err != nil {
		c.broker.leave(c)
		return err
	}
	c.session = s
	if err := c.open(ctx, &connect, expiry); err != nil {
		c.broker.leave(c)
		c.broker.detach(s, false)
		return err
	}
	answer.SessionPresent = present && c.version != mqtt.V31
	c.send(func(b []byte) []byte { return answer.Append(b, c.version) })
	var deadline time.Time
	if c.keepAlive > 0 {
		deadline = time.Now().Add(c.keepAlive * 3 / 2)
	}
	c.net.SetReadDeadline(deadline)
	c.drained = c.pump
	s.mu.Lock()
	s.resume(c, c.window(&connect), &c.flushing)
	s.mu.Unlock()
	c.broker.flush(&c.flushing)
	c.broker.log.Info("client connected", "client", c.clientID, "addr", s.remoteAddr, "version", byte(c.version))
	return nil
}

var errNotConnect = errors.New("first packet is not CONNECT")

// accept checks what the standard lets a server refuse.
func (c *connection) accept(connect *mqtt.Connect) error {
	c.maxPacketSize = connect.Properties.Uint(mqtt.MaximumPacketSize, math.MaxUint32)
	if connect.Properties.Has(mqtt.AuthenticationMethod) { // [v5 MQTT-4.12.0-1]
		return &mqtt.Error{Code: mqtt.BadAuthenticationMethod, Detail: connect.Properties.Text(mqtt.AuthenticationMethod)}
	}
	if connect.ClientID == "" && (c.version == mqtt.V31 || c.version == mqtt.V311 && !connect.CleanStart) { // [v3 MQTT-3.1.3-8]
		return &mqtt.Error{Code: mqtt.ClientIdentifierNotValid, Detail: "empty client identifier"}
	}
	if connect.Will != nil && levels(connect.Will.Topic) > c.broker.options.MaxTopicLevels {
		return &mqtt.Error{Code: mqtt.TopicNameInvalid, Detail: "will topic of too many levels"}
	}
	c.keepAlive = time.Duration(connect.KeepAlive) * time.Second
	if limit := c.broker.options.MaxKeepAlive; limit > 0 && c.version == mqtt.V50 && (c.keepAlive == 0 || c.keepAlive > limit) {
		c.keepAlive, c.keepAliveSet = limit, true
	}
	c.aliasMaximum = uint16(connect.Properties.Uint(mqtt.TopicAliasMaximum, 0))
	c.bridge = connect.Bridge
	return nil
}

// window is how many messages of QoS 1 and 2 may be in flight to the client.
func (c *connection) window(connect *mqtt.Connect) int {
	return min(c.broker.options.MaxInflight, int(connect.Properties.Uint(mqtt.ReceiveMaximum, math.MaxUint16)))
}

// open sets the session up for this connection. A persistent one is in the
// store before the client hears of it.
func (c *connection) open(ctx context.Context, connect *mqtt.Connect, expiry uint32) error {
	s := c.session
	s.mu.Lock()
	s.version = c.version
	s.expiry, s.persistent = expiry, expiry > 0
	s.remoteAddr = c.net.RemoteAddr().String()
	s.keepAlive = c.keepAlive
	s.since = time.Now()
	s.will = nil // of the connection before; a new one comes with each CONNECT
	if connect.Will != nil {
		s.will = &will{message: *connect.Will, delay: connect.WillDelay, expiry: connect.WillExpiry, expires: connect.HasWillExpiry, from: s.id}
	}
	if !s.persistent && !s.stored {
		s.mu.Unlock()
		return nil
	}
	s.stored = true
	record := s.record()
	record.Disconnected = time.Time{}
	s.mu.Unlock()
	var batch persist.Batch
	batch.PutSession(record)
	return c.broker.commit(ctx, &batch)
}

// commit waits until the store has a batch.
func (b *Broker) commit(ctx context.Context, batch *persist.Batch) error {
	done := make(chan struct{})
	b.store.Append(batch, func() { close(done) })
	select {
	case <-done:
		return nil
	case <-b.store.Failed():
	case <-ctx.Done():
	}
	return &mqtt.Error{Code: mqtt.ServerShuttingDown}
}

// pump goes on when a socket that was full has taken everything.
func (c *connection) pump() {
	var f flushList
	c.session.mu.Lock()
	if c.session.peer == peer(c) {
		c.session.pump(&f)
	}
	c.session.mu.Unlock()
	c.broker.flush(&f)
}

// refuse answers a CONNECT that failed, as far as the standard has an answer,
// and closes the connection.
func (c *connection) refuse(err error) {
	var last []byte
	var reason *mqtt.Error
	if errors.As(err, &reason) {
		c.broker.countError(reason)
		code, known := reason.Code.ConnectReturnCode()
		switch {
		case c.version == 0: // not MQTT
		case c.version <= mqtt.V311:
			if known { // before 5.0 a malformed CONNECT has no answer [v3 MQTT-3.1.4-1]
				last = (&mqtt.Connack{Code: mqtt.ReasonCode(code)}).Append(nil, c.version)
			}
		default:
			last = (&mqtt.Connack{Code: connackCode(reason.Code)}).Append(nil, mqtt.V50)
			if c.maxPacketSize > 0 && uint32(len(last)) > c.maxPacketSize {
				last = nil
			}
		}
		c.broker.log.Info("connection refused", "addr", c.net.RemoteAddr().String(), "client", c.clientID, "err", err)
	} else {
		c.broker.log.Debug("connection without CONNECT", "addr", c.net.RemoteAddr().String(), "err", err)
	}
	close(c.done)
	c.close(last)
}

// connackCode returns c if CONNACK knows it (5.0 table 3-1).
func connackCode(c mqtt.ReasonCode) mqtt.ReasonCode {
	switch c {
	case mqtt.SessionTakenOver, mqtt.ServerShuttingDown:
		return mqtt.ServerUnavailable
	case mqtt.TopicAliasInvalid, mqtt.ReceiveMaximumExceeded:
		return mqtt.ProtocolError
	}
	return c
}

// enter counts a connection in, unless there are too many.
func (b *Broker) enter(c *connection) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.connections) >= b.options.MaxConnections {
		return false
	}
	b.connections[c] = struct{}{}
	return true
}

func (b *Broker) leave(c *connection) {
	b.mu.Lock()
	delete(b.connections, c)
	b.mu.Unlock()
}
