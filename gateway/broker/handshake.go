package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"math"
	"os"
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
	c.buf = make([]byte, connectSize)
	last := false
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
			c.said = connect.ClientID
			if err == nil && c.broker.traces.on() {
				c.traceConnect(&connect, packetSize(len(p.Body)))
			}
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
			switch {
			case !errors.Is(err, os.ErrDeadlineExceeded):
			case last:
				c.broker.exceeded(LimitUnconnected)
			case c.broker.unconnected.remove(c):
				c.broker.exceeded(LimitConnectTimeout)
			default: // it has to make room
				last = true
				c.net.SetReadDeadline(time.Now().Add(lastLook))
				continue
			}
			return err
		}
	}
	c.broker.unconnected.remove(c)
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
	var request *ConnectRequest
	var final []byte
	if o := &c.broker.options; c.inHouse() {
		c.user = houseUser
		request = &ConnectRequest{Version: c.version, InProcess: true}
	} else if o.Authenticate != nil || o.Authorize != nil || c.method != "" {
		request = c.request(&connect)
		var err error
		if final, err = c.authenticate(ctx, request); err != nil {
			return err
		}
	}
	assigned := connect.ClientID == ""
	if assigned {
		connect.ClientID = newClientID()
	}
	c.clientID = connect.ClientID
	var loginEnd time.Time
	if request != nil {
		request.ClientID = connect.ClientID
		loginEnd = request.Expires
		if !c.inHouse() && (c.broker.options.Authenticate != nil || c.method != "") { // else the name is only said
			c.user = request.UserName
		}
	}
	if authorize := c.broker.options.Authorize; authorize != nil && connect.Will != nil && !authorize(request, Publish, connect.Will.Topic).allows(connect.Will) {
		c.broker.stats.notAuthorized.Add(1)
		return &mqtt.Error{Code: mqtt.NotAuthorized, Detail: "will to " + connect.Will.Topic}
	}
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
		if c.method != "" { // [v5 MQTT-4.12.0-5]
			answer.Properties.SetText(mqtt.AuthenticationMethod, c.method)
		}
		if final != nil {
			answer.Properties.SetText(mqtt.AuthenticationData, string(final))
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
	c.session, c.router.session = s, s
	if c.broker.options.Authorize == nil && c.method == "" {
		request = nil // nobody will ask again
	}
	if err := c.open(ctx, &connect, expiry, request); err != nil {
		c.broker.leave(c)
		c.broker.detach(s, false)
		return err
	}
	answer.SessionPresent = present && c.version != mqtt.V31
	c.drained = c.pump
	if !c.park() {
		var deadline time.Time
		if c.keepAlive > 0 {
			deadline = time.Now().Add(c.patience())
		}
		c.net.SetReadDeadline(deadline)
	}
	if c.broker.traces.on() {
		e := c.traceEvent(TraceConnected)
		if c.user != "" && c.user != houseUser {
			e.Detail = "user " + c.user
		}
		c.broker.traces.tell(e)
	}
	c.send(func(b []byte) []byte { return answer.Append(b, c.version) })
	s.mu.Lock()
	c.endLogin(loginEnd)
	s.resume(c, c.window(&connect), &c.flushing)
	s.mu.Unlock()
	c.broker.flush(&c.flushing)
	c.broker.log.Info("client connected", "client", c.clientID, "addr", s.remoteAddr, "version", byte(c.version))
	return nil
}

// connectSize is what most CONNECT packets fit in.
const connectSize = 512

// newClientID makes a client id for a client that has none [v5 MQTT-3.1.3-6].
func newClientID() string { return rand.Text()[:20] }

var errNotConnect = errors.New("first packet is not CONNECT")

// accept checks what the standard lets a server refuse.
func (c *connection) accept(connect *mqtt.Connect) error {
	c.maxPacketSize = connect.Properties.Uint(mqtt.MaximumPacketSize, math.MaxUint32)
	now := time.Now()
	if !c.broker.addressRates.take(addressOf(c.net.RemoteAddr()), now) { // first: who floods leaves the others theirs
		c.broker.exceeded(LimitAddressRate)
		return &mqtt.Error{Code: mqtt.ConnectionRateExceeded}
	}
	if !c.broker.connectRate.take(now) {
		c.broker.exceeded(LimitConnectRate)
		return &mqtt.Error{Code: mqtt.ConnectionRateExceeded}
	}
	if connect.Properties.Has(mqtt.AuthenticationMethod) {
		c.method = connect.Properties.Text(mqtt.AuthenticationMethod)
		if c.method == "" || c.broker.options.Methods[c.method] == nil { // [v5 MQTT-4.12.0-1]
			return &mqtt.Error{Code: mqtt.BadAuthenticationMethod, Detail: c.method}
		}
	}
	if connect.ClientID == "" && (c.version == mqtt.V31 || c.version == mqtt.V311 && !connect.CleanStart) { // [v3 MQTT-3.1.3-8]
		return &mqtt.Error{Code: mqtt.ClientIdentifierNotValid, Detail: "empty client identifier"}
	}
	if connect.Will != nil && levels(connect.Will.Topic) > c.broker.options.MaxTopicLevels {
		c.broker.exceeded(LimitTopicLevels)
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
// store before the client hears of it, and one that it replaces is not any more.
func (c *connection) open(ctx context.Context, connect *mqtt.Connect, expiry uint32, request *ConnectRequest) error {
	s := c.session
	var batch persist.Batch
	s.mu.Lock()
	s.request.Store(request)
	s.version = c.version
	s.expiry, s.persistent = expiry, expiry > 0
	s.remoteAddr = c.address
	s.keepAlive = c.keepAlive
	s.since, s.provisional = time.Now(), false
	s.will = nil // of the connection before; a new one comes with each CONNECT
	if c.broker.options.Authorize != nil && len(s.subscriptions) > 0 {
		c.broker.index.generation.Add(1) // the routes of others hold what the one before was allowed
	}
	if s.userName() != c.user {
		s.setUser(c.user)
		s.revokeSent()
	}
	s.revoke(&batch)
	if connect.Will != nil {
		s.will = &will{message: *connect.Will, delay: connect.WillDelay, expiry: connect.WillExpiry, expires: connect.HasWillExpiry, from: s.id}
	}
	if !s.persistent && !s.stored {
		replaces := s.replaces
		s.mu.Unlock()
		if replaces {
			return c.broker.commit(ctx, &batch)
		}
		return nil
	}
	s.stored = true
	record := s.record()
	record.Disconnected = time.Time{}
	s.mu.Unlock()
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
	var wrong *mqtt.Error
	if errors.As(err, &wrong) {
		c.broker.countError(wrong)
	}
	if reason := refusalOf(err); reason != nil {
		code, known := reason.Code.ConnectReturnCode()
		switch {
		case c.version == 0: // not MQTT
		case c.version <= mqtt.V311:
			if known { // before 5.0 a malformed CONNECT has no answer [v3 MQTT-3.1.4-1]
				last = (&mqtt.Connack{Code: mqtt.ReasonCode(code)}).Append(nil, c.version)
			}
		default:
			answer := mqtt.Connack{Code: connackCode(reason.Code)}
			last = reason.append(c.maxPacketSize, func(p mqtt.Properties) []byte {
				answer.Properties = p
				return answer.Append(nil, mqtt.V50)
			})
		}
		c.broker.log.Info("connection refused", "addr", c.net.RemoteAddr().String(), "client", c.clientID, "err", err)
	} else {
		c.broker.log.Debug("connection ended before CONNACK", "addr", c.net.RemoteAddr().String(), "err", err)
	}
	if c.broker.traces.on() {
		e := c.traceEvent(TraceRefused)
		e.Detail = err.Error()
		if wrong != nil {
			e.Code = codeText(wrong.Code)
		}
		c.broker.traces.tell(e)
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
		b.exceeded(LimitConnections)
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
