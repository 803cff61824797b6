package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"lintel/gateway/mqtt"
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

	Listener   string               // by which it came: see Serve and WebSocket
	RemoteAddr net.Addr             // nil for an in-process client
	LocalAddr  net.Addr             // nil for an in-process client
	TLS        *tls.ConnectionState // nil: without TLS

	// InProcess is set for the clients that NewClient makes. They are not
	// authenticated: whoever calls NewClient is trusted with the name. There is
	// nothing else in the request but the ClientID.
	InProcess bool

	// Vouched is what somebody in the process knows of the client, see WebSocketOf, and
	// nothing that the client itself could say; nil: nothing.
	Vouched any

	// Identity is whatever Authenticate or a Method leaves there for Authorize: the
	// broker does not look at it.
	Identity any

	// Expires is when the login ends, as Authenticate or a Method leaves it; zero:
	// never. Then the client is disconnected, with 0xA0 if it speaks 5.0, and may
	// log in again; its session goes on as it asked for. How long that is gets
	// found out once, when the client is let in: a clock that jumps later
	// disconnects nobody. One that authenticates anew in time stays for as long as
	// the new Expires says.
	Expires time.Time
}

// Address is where the client comes from; zero: from no IP address, as over a unix
// socket.
func (r *ConnectRequest) Address() netip.Addr { return addressOf(r.RemoteAddr) }

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
		Listener:             c.listener,
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
		r.TLS, r.Vouched = nc.tls, nc.vouched
	}
	return r
}

// Action is what Authorize is asked about.
type Action byte

// The actions.
const (
	Publish Action = iota + 1
	Subscribe
	Receive
)

func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	case Receive:
		return "receive"
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

// EndSession disconnects a client and ends its session, whosever it is: what waits for
// it is gone, and anybody may take its client id. It reports whether there was one. The
// code is as for Disconnect. An in-process client is closed.
func (b *Broker) EndSession(clientID string, reason *Refusal) (found bool) {
	h := make(momentary)
	for {
		b.mu.Lock()
		s := b.sessions[clientID]
		if s == nil || b.closing {
			b.mu.Unlock()
			return found
		}
		found = true
		other := s.owner
		if other == nil {
			s.owner = h
			b.running.Add(1)
			b.mu.Unlock()
			b.endSession(s)
			close(h)
			b.running.Done()
			return true
		}
		b.mu.Unlock()
		if c, ok := other.(*connection); ok {
			c.dismiss(reason)
		} else {
			other.kick(reason.Code)
		}
		<-other.released()
	}
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

// endLogin has the connection end at a time; zero: never. For a login that ends with
// its token and the like the standard has 0xA0, "the maximum connection time authorized
// for this connection has been exceeded" (5.0 §3.14.2.1): the client may come back, and
// is not to take it for a refusal. The timer runs on monotonic time. Called with
// session.mu held.
func (c *connection) endLogin(at time.Time) {
	if c.loginEnd != nil {
		c.loginEnd.Stop()
		c.loginEnd = nil
	}
	if !at.IsZero() {
		c.loginEnd = time.AfterFunc(time.Until(at), func() {
			c.dismiss(&Refusal{Code: mqtt.MaximumConnectTime, Reason: "the login has expired: log in again"})
		})
	}
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
