package broker

import (
	"container/list"
	"context"
	"errors"
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

	listener string      // by which it came
	address  string      // of the client, with its port
	said     string      // client id of the CONNECT
	user     string      // who it was found to be; empty: nobody
	loginEnd *time.Timer // disconnects it when its login ends; guarded by session.mu

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
	router    router
	aliases   map[uint16]string // topic aliases that the client defined
	scratch   *message          // for QoS 0 messages, which nobody keeps; nil before the first
	flushing  flushList
	work      int                                 // deliveries that the present batch has caused
	left      bool                                // see handleAll
	stores    bool                                // the last batch gave the store something: the next waits for room there
	received  struct{ publishes, payload uint64 } // in this batch
	open2     map[uint16]struct{}                 // QoS 2 messages of a 5.0 client without PUBCOMP; part of its Receive Maximum
	diskLow   bool                                // the disk is, if diskAsked in this batch
	diskAsked bool
	tracing   bool     // somebody traced when the present batch began
	traced    *traced  // the message that the present packet brings, if so
	keeping   *keeping // for the next message that needs one
	keepWill  bool     // the client said goodbye and wants its will published

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

// serveConn runs one client until its connection ends, or hands it to a poller.
func (b *Broker) serveConn(ctx context.Context, nc net.Conn, listener string) {
	c := &connection{conn: newConn(b, nc), broker: b, listener: listener, address: nc.RemoteAddr().String(), done: make(chan struct{})}
	c.client = c
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
		if ws, ok := nc.(*webSocketConn); ok && ws.vouched != nil {
			defer context.AfterFunc(ctx, func() { c.dismiss(dismissalOf(context.Cause(ctx))) })()
		}
		c.end(c.serve(ctx))
	}
}

// dismissalOf is what a client is told whose time has ended because of err.
func dismissalOf(err error) *Refusal {
	if r := refusalOf(err); r != nil {
		return r
	}
	return &Refusal{Code: mqtt.ServerShuttingDown}
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
	c.work, c.left, c.stores, c.diskAsked = 0, false, false, false
	c.tracing, c.traced = c.broker.traces.on(), nil
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
			if c.tracing {
				c.traced = c.traceReceived(p)
			}
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
		c.session.received.Add(c.received.publishes)
		c.session.receivedBytes.Add(c.received.payload)
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
	c.session.mu.Lock()
	c.endLogin(time.Time{})
	c.session.mu.Unlock()
	if c.broker.traces.on() {
		e := c.traceEvent(TraceDisconnected)
		e.Detail = err.Error()
		c.broker.traces.tell(e)
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
