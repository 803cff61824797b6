package broker

import (
	"context"
	"errors"
	"fmt"
	"math"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// Method is a method of enhanced authentication (5.0 §4.12), such as SCRAM. It is
// written as if the client were next to it: exchange sends a challenge and returns
// what the client answers. The first data of the client are in r. A nil error lets
// the client in; final is the data that goes with that, nil for none. Errors, and
// what may be done to r, are as for Authenticate.
//
// It is called for a CONNECT, and again when the client wants to authenticate once
// more: then r is a copy, and what it leaves there takes the place of the old one if
// it succeeds. Other packets of the client are handled meanwhile, with its old
// rights. A client that fails is disconnected.
//
// exchange is for the goroutine that Method was called on. It fails when the client
// is gone or breaks the rules, ctx ends, or it was called too often; from then on
// the authentication has failed whatever Method returns.
type Method func(ctx context.Context, r *ConnectRequest, exchange func(challenge []byte) (response []byte, err error)) (final []byte, err error)

// maxChallenges is how many challenges one authentication may take.
const maxChallenges = 32

// exchange is the packets of one authentication.
type exchange struct {
	c          *connection
	receive    func() ([]byte, error) // the data of the client's next AUTH
	challenges int
	err        error // ended it
}

// run runs the method of the client.
func (x *exchange) run(ctx context.Context, r *ConnectRequest) (final []byte, err error) {
	final, err = x.c.broker.options.Methods[x.c.method](ctx, r, x.challenge)
	if err == nil && len(final) > math.MaxUint16 {
		return nil, fmt.Errorf("authentication data of %d bytes", len(final))
	}
	return final, err
}

func (x *exchange) challenge(data []byte) (response []byte, err error) {
	if x.err != nil {
		return nil, x.err
	}
	if x.challenges++; x.challenges > maxChallenges {
		x.err = &mqtt.Error{Code: mqtt.QuotaExceeded, Detail: "too many challenges in one authentication"}
		return nil, x.err
	}
	if x.err = x.c.sendAuth(mqtt.ContinueAuthentication, data); x.err != nil { // [v5 MQTT-4.12.0-2]
		return nil, x.err
	}
	response, x.err = x.receive()
	return response, x.err
}

// sendAuth sends AUTH, without a Reason String or User Properties
// [v5 MQTT-3.15.2-2, MQTT-3.15.2-3].
func (c *connection) sendAuth(code mqtt.ReasonCode, data []byte) error {
	if len(data) > math.MaxUint16 {
		return &mqtt.Error{Code: mqtt.ImplementationSpecificError, Detail: fmt.Sprintf("authentication data of %d bytes", len(data))}
	}
	a := mqtt.Disconnect{Type: mqtt.AUTH, Code: code}
	a.Properties.SetText(mqtt.AuthenticationMethod, c.method) // [v5 MQTT-4.12.0-5]
	if data != nil {
		a.Properties.SetText(mqtt.AuthenticationData, string(data))
	}
	packet := a.Append(nil, c.version)
	if uint32(len(packet)) > c.maxPacketSize { // [v5 MQTT-3.1.2-24]
		return &mqtt.Error{Code: mqtt.PacketTooLarge, Detail: "AUTH larger than the client accepts"}
	}
	c.append(func(b []byte) []byte { return append(b, packet...) })
	var f flushList
	f.add(c.conn)
	c.broker.flush(&f)
	return nil
}

// decodeAuth reads an AUTH of the client. Its method is the one of CONNECT
// [v5 MQTT-4.12.0-5, MQTT-4.12.1-1], or there is none and no AUTH either
// [v5 MQTT-4.12.0-7].
func (c *connection) decodeAuth(p mqtt.Packet) (code mqtt.ReasonCode, data []byte, err error) {
	if c.method == "" {
		return 0, nil, &mqtt.Error{Code: mqtt.ProtocolError, Detail: "AUTH without an authentication method"}
	}
	var a mqtt.Disconnect
	if err := a.Decode(p, c.version); err != nil {
		return 0, nil, err
	}
	if method := a.Properties.Text(mqtt.AuthenticationMethod); method != c.method {
		return 0, nil, &mqtt.Error{Code: mqtt.ProtocolError, Detail: fmt.Sprintf("AUTH with method %.40q, CONNECT had %.40q", method, c.method)}
	}
	if a.Properties.Has(mqtt.AuthenticationData) {
		data = []byte(a.Properties.Text(mqtt.AuthenticationData))
	}
	return a.Code, data, nil
}

// receiveAuth reads the client's answer before the CONNACK. There may be nothing but
// AUTH and DISCONNECT before it [v5 MQTT-3.1.2-30].
func (c *connection) receiveAuth() ([]byte, error) {
	for {
		p, ok, err := c.next(c.version, c.broker.options.MaxPacketSize)
		if err != nil {
			return nil, err
		}
		if !ok {
			if err := c.fill(); err != nil {
				return nil, err
			}
			continue
		}
		c.broker.stats.packetsReceived.Add(1)
		switch p.Type {
		case mqtt.AUTH:
			code, data, err := c.decodeAuth(p)
			if err == nil && code != mqtt.ContinueAuthentication { // [v5 MQTT-4.12.0-3]
				err = &mqtt.Error{Code: mqtt.ProtocolError, Detail: "AUTH with " + code.String() + " before CONNACK"}
			}
			return data, err
		case mqtt.DISCONNECT:
			return nil, errGivenUp
		}
		return nil, &mqtt.Error{Code: mqtt.ProtocolError, Detail: p.Type.String() + " before CONNACK"}
	}
}

// settle waits until nobody writes: the connection may go on in other hands after the
// handshake. A deadline bounds it.
func (c *connection) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing {
		c.written.Wait()
	}
}

var errGivenUp = errors.New("client gave up its authentication")

// reauthentication is an authentication of a client that is connected (5.0 §4.12.1).
// It has a goroutine of its own, which ends with the connection.
type reauthentication struct {
	responses chan []byte // of the client; room for one
	cancel    context.CancelFunc
}

// authReceived handles an AUTH after the CONNACK.
func (c *connection) authReceived(ctx context.Context, p mqtt.Packet) error {
	code, data, err := c.decodeAuth(p)
	if err != nil {
		return err
	}
	underWay := c.reauth.Load()
	switch {
	case code == mqtt.ContinueAuthentication && underWay != nil:
		select {
		case underWay.responses <- data:
			return nil
		default: // a second answer to one challenge
		}
	case code == mqtt.ReAuthenticate && underWay == nil:
		r := *c.session.request.Load()
		r.AuthenticationData = data
		ctx, cancel := context.WithTimeout(ctx, c.broker.options.ConnectTimeout)
		next := &reauthentication{make(chan []byte, 1), cancel}
		c.reauth.Store(next)
		c.broker.running.Go(func() {
			defer cancel()
			c.reauthenticate(ctx, &r, next)
		})
		return nil
	}
	return &mqtt.Error{Code: mqtt.ProtocolError, Detail: "AUTH with " + code.String() + " out of turn"}
}

// reauthenticate tells the client whether it may stay, by AUTH or by DISCONNECT
// [v5 MQTT-4.12.1-2].
func (c *connection) reauthenticate(ctx context.Context, r *ConnectRequest, own *reauthentication) {
	x := exchange{c: c, receive: func() ([]byte, error) {
		select {
		case data := <-own.responses:
			return data, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	final, err := x.run(ctx, r)
	if x.err != nil {
		err = x.err
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		r.AuthenticationData = nil
		c.session.identify(c, r)
		c.reauth.Store(nil) // before the client knows: it may begin the next
		err = c.sendAuth(mqtt.Success, final)
	}
	if err == nil {
		return
	}
	why := refusalOf(err)
	if why == nil || ctx.Err() != nil { // in doubt
		why = &Refusal{Code: mqtt.ServerUnavailable}
	}
	c.broker.log.Info("client failed to authenticate again", "client", c.clientID, "err", err)
	c.dismiss(why)
}

// endReauthentication ends the one that is under way with the connection.
func (c *connection) endReauthentication() {
	if underWay := c.reauth.Load(); underWay != nil {
		underWay.cancel()
	}
}

// identify replaces the request of the session, unless it has left c meanwhile.
func (s *session) identify(c *connection, r *ConnectRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peer != peer(c) {
		return
	}
	s.request.Store(r)
	c.endLogin(r.Expires)
	if s.userName() != r.UserName {
		s.setUser(r.UserName)
		if s.stored {
			var batch persist.Batch
			batch.PutSession(s.record())
			s.broker.store.Append(&batch, nil)
		}
	}
	s.broker.index.generation.Add(1) // the routes hold what the old one was allowed
	s.review()
}
