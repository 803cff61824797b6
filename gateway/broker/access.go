package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// ConnectRequest is a client that wants to be let in, and later the one that was:
// its CONNECT, and where it comes from.
type ConnectRequest struct {
	ClientID             string // empty in Authenticate and Method if the broker is to assign one
	Version              mqtt.Version
	CleanStart           bool
	HasUserName          bool
	UserName             string
	HasPassword          bool
	Password             []byte
	WillTopic            string // empty: no will
	AuthenticationMethod string // empty: none
	AuthenticationData   []byte

	RemoteAddr net.Addr             // nil for an in-process client
	LocalAddr  net.Addr             // nil for an in-process client
	TLS        *tls.ConnectionState // nil: without TLS

	// InProcess is set for the clients that NewClient makes. They are not
	// authenticated: whoever calls NewClient is trusted with the name. There is
	// nothing else in the request but the ClientID.
	InProcess bool
}

// request makes a ConnectRequest of a CONNECT.
func (c *connection) request(connect *mqtt.Connect) *ConnectRequest {
	r := &ConnectRequest{
		ClientID:             connect.ClientID,
		Version:              connect.Version,
		CleanStart:           connect.CleanStart,
		HasUserName:          connect.HasUserName,
		UserName:             connect.UserName,
		HasPassword:          connect.HasPassword,
		Password:             connect.Password,
		AuthenticationMethod: c.method,
		RemoteAddr:           c.net.RemoteAddr(),
		LocalAddr:            c.net.LocalAddr(),
	}
	if connect.Will != nil {
		r.WillTopic = connect.Will.Topic
	}
	if connect.Properties.Has(mqtt.AuthenticationData) {
		r.AuthenticationData = []byte(connect.Properties.Text(mqtt.AuthenticationData))
	}
	switch nc := c.net.(type) {
	case interface{ ConnectionState() tls.ConnectionState }:
		state := nc.ConnectionState()
		r.TLS = &state
	case *webSocketConn:
		r.TLS = nc.tls
	}
	return r
}

// Action is what Authorize is asked about.
type Action byte

// The actions.
const (
	Publish Action = iota + 1
	Subscribe
)

func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	}
	return "no action"
}

// Refusal is an error that tells a client more than a code: why it is not let in,
// or why it has to go. Before MQTT 5.0 there is no more than the return code of
// CONNACK; a code that has none closes the connection without.
type Refusal struct {
	Code   mqtt.ReasonCode // 0x80 or more
	Reason string          // for a person; empty: none

	// ServerReference is where to go instead, in the form HOST, HOST:PORT or
	// several of them with spaces between (5.0 §4.11). It is sent with
	// UseAnotherServer and ServerMoved only.
	ServerReference string
}

func (r *Refusal) Error() string {
	return (&mqtt.Error{Code: r.Code, Detail: r.Reason}).Error()
}

// refusalOf returns what err says to a client; nil is nothing.
func refusalOf(err error) *Refusal {
	var r *Refusal
	var e *mqtt.Error
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &e):
		return &Refusal{Code: e.Code} // the detail is for the log
	}
	return nil
}

// append returns the packet that encode makes with as much of the refusal as the
// client takes in limit bytes (0: any number), or nil if it takes none
// [v5 MQTT-3.2.2-19, MQTT-3.14.2-3]. CONNACK and DISCONNECT may carry a Reason
// String even to a client that wants no problem information [v5 MQTT-3.1.2-29].
func (r *Refusal) append(limit uint32, encode func(mqtt.Properties) []byte) []byte {
	if limit == 0 {
		limit = math.MaxUint32
	}
	var full, terse, bare mqtt.Properties
	if moved := r.Code == mqtt.UseAnotherServer || r.Code == mqtt.ServerMoved; moved && sendable(r.ServerReference) {
		terse.SetText(mqtt.ServerReference, r.ServerReference)
		full.SetText(mqtt.ServerReference, r.ServerReference)
	}
	if sendable(r.Reason) {
		full.SetText(mqtt.ReasonString, r.Reason)
	}
	for _, p := range []mqtt.Properties{full, terse, bare} {
		if b := encode(p); len(b) <= int(limit) {
			return b
		}
	}
	return nil
}

// sendable reports whether there is something to send as a UTF-8 encoded string.
func sendable(s string) bool {
	return s != "" && len(s) <= math.MaxUint16 && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// Disconnect ends the connection of a client. One of MQTT 5.0 is told why; a code
// that DISCONNECT does not have becomes the nearest that it has. The client's will
// is published and its session goes on as it asked for. It reports whether the client
// was connected. An in-process client is closed.
func (b *Broker) Disconnect(clientID string, reason *Refusal) bool {
	b.mu.Lock()
	var h holder
	if s := b.sessions[clientID]; s != nil {
		h = s.owner
	}
	b.mu.Unlock()
	switch h := h.(type) {
	case *connection:
		h.dismiss(reason)
		return true
	case *Client:
		h.kick(reason.Code)
		return true
	}
	return false
}

// dismiss makes the connection end with a reason.
func (c *connection) dismiss(reason *Refusal) {
	r := *reason
	r.Code = disconnectCode(r.Code)
	c.dismissal.CompareAndSwap(nil, &r)
	c.kick(r.Code)
}

// disconnectCode returns c if a server may send DISCONNECT with it (5.0 §3.14.2.1).
func disconnectCode(c mqtt.ReasonCode) mqtt.ReasonCode {
	switch {
	case c >= 0x80 && c.BelongsTo(mqtt.DISCONNECT):
		return c
	case c == mqtt.ServerUnavailable:
		return mqtt.ServerBusy
	case c == mqtt.BadUserNameOrPassword, c == mqtt.Banned, c == mqtt.BadAuthenticationMethod:
		return mqtt.NotAuthorized
	}
	return mqtt.AdministrativeAction
}

// farewell is the DISCONNECT with which the connection ends.
func (c *connection) farewell(code mqtt.ReasonCode) []byte {
	r := &Refusal{Code: code}
	if d := c.dismissal.Load(); d != nil && d.Code == code {
		r = d
	}
	return r.append(c.maxPacketSize, func(p mqtt.Properties) []byte {
		return (&mqtt.Disconnect{Type: mqtt.DISCONNECT, Code: code, Properties: p}).Append(nil, c.version)
	})
}

// authenticate asks who decides about the client. final is for the CONNACK.
func (c *connection) authenticate(ctx context.Context, r *ConnectRequest) (final []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.broker.options.ConnectTimeout)
	defer cancel()
	switch authenticate := c.broker.options.Authenticate; {
	case c.method != "":
		x := exchange{c: c, receive: c.receiveAuth}
		deadline, _ := ctx.Deadline()
		c.net.SetDeadline(deadline)
		if ctx.Err() == nil { // else the deadline may have hidden the end of the broker
			final, err = x.run(ctx, r)
		}
		if x.err != nil {
			return nil, x.err
		}
		c.settle()
		c.net.SetWriteDeadline(time.Time{})
	case authenticate != nil:
		err = authenticate(ctx, r)
	}
	r.Password, r.AuthenticationData = nil, nil
	// In doubt nobody is refused for good: Home Assistant takes one "not
	// authorized" as final until a person acts.
	if ctx.Err() != nil {
		return nil, &mqtt.Error{Code: mqtt.ServerUnavailable, Detail: "authentication was not done in time"}
	}
	if err == nil {
		return final, nil
	}
	if why := refusalOf(err); why == nil || why.Code < 0x80 || !why.Code.BelongsTo(mqtt.CONNACK) {
		return nil, &mqtt.Error{Code: mqtt.ServerUnavailable, Detail: err.Error()}
	}
	return nil, err
}

// allowed asks Authorize.
func (s *session) allowed(action Action, topic string) bool {
	authorize := s.broker.options.Authorize
	return authorize == nil || authorize(s.request.Load(), action, topic)
}

// AccessChanged makes the broker ask Authorize again. Subscriptions that are no
// longer allowed are removed, and what waits for the client because of them is
// dropped; what is on its way already is still delivered, as after UNSUBSCRIBE. Wills that
// are no longer allowed are removed. All this holds for the sessions of clients that
// are away too, after a restart only when they come back: a client that comes back to
// its session is always asked about anew. When AccessChanged returns, a message that
// a client has not sent yet is judged by the new rights. It calls Authorize itself: the
// caller must hold no lock that Authorize takes.
//
// Nobody is disconnected: see Disconnect.
func (b *Broker) AccessChanged() {
	b.index.generation.Add(1)
	b.eachSession((*session).review)
}

// review is revoke for a session that is at work. Called with mu held.
func (s *session) review() {
	if s.ended {
		return
	}
	var batch persist.Batch
	s.revoke(&batch)
	if batch.Len() > 0 {
		s.broker.store.Append(&batch, nil)
	}
}

// revoke takes from a session what Authorize does not allow. Called with mu held.
func (s *session) revoke(batch *persist.Batch) {
	if s.broker.options.Authorize == nil || s.request.Load() == nil {
		return // nobody to ask, or to ask about: a client that was away at a restart
	}
	if s.will != nil && !s.allowed(Publish, s.will.message.Topic) {
		s.will = nil
		if s.stored {
			batch.PutSession(s.record())
		}
	}
	revoked := false
	for name := range s.subscriptions {
		if _, filter, _ := mqtt.SplitShared(name); s.allowed(Subscribe, filter) {
			continue
		}
		revoked = true
		delete(s.subscriptions, name)
		s.broker.index.remove(s, name)
		if s.stored {
			batch.DeleteSubscription(s.number, name)
		}
	}
	if !revoked {
		return
	}
	s.backlog = slices.DeleteFunc(s.backlog, func(o owed) bool { return s.subscriptions[o.filter] == nil })
	left := s.ownIndex()
	refuse := func(e *entry) bool {
		if left.receives(e.message.Topic) {
			return false
		}
		s.expire(e, nil)
		s.drop()
		return true
	}
	s.queue = slices.DeleteFunc(s.queue, refuse)
	s.swap.tail = slices.DeleteFunc(s.swap.tail, refuse)
	s.swap.revoked = s.broker.messageID.Load() + 1
}

// ownIndex has the subscriptions of this session alone.
func (s *session) ownIndex() *index {
	x := new(index)
	for _, sub := range s.subscriptions {
		x.add(sub)
	}
	return x
}

// receives reports whether anybody receives a topic.
func (x *index) receives(topic string) bool {
	r := x.find(topic)
	return len(r.receivers)+len(r.shares) > 0
}
