package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// Options are what an uplink is to do. Name, URL, ClientID and one map must be there.
type Options struct {
	Name     string // of small letters, digits and hyphens
	URL      string // mqtt, mqtts, ws or wss
	TLS      *tls.Config
	User     string // empty: none
	Password string

	// ClientID is that at the remote, which must be this uplink's alone.
	ClientID  string
	Version   mqtt.Version  // 3.1.1 or 5.0; 0: whatever the remote speaks
	KeepAlive time.Duration // default 30 s
	Clean     bool          // what the remote has while the uplink is away is not for it

	Maps  []Map
	First []string       // filters of topics of the box: their retained messages are sent before others, in this order
	Wills []mqtt.Message // what the remote publishes when the box is gone, under the remote's topics

	// Memory keeps which topics are retained at the remote; nil: none is cleared there.
	Memory Memory
	Logger *slog.Logger // nil: silent
}

// Memory is a *persist.Bucket[string].
type Memory interface {
	All() iter.Seq2[string, string]
	Put(ctx context.Context, key, topic string) error
	Delete(ctx context.Context, key string) error
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// CheckName reports what is wrong with the name of an uplink.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%.40q is no name; right are up to 32 small letters, digits and hyphens, such as \"cloud\"", name)
	}
	return nil
}

// SessionID is the client id of the uplink of that name at the box.
func SessionID(name string) string { return sessionPrefix + name }

const sessionPrefix = "lintel-uplink-"

const (
	inWindow      = 100             // messages from the remote that are not acknowledged
	sessionTime   = 7 * 24 * 3600   // seconds for which a 5.0 remote keeps what waits for the box
	goodbyeTime   = 3 * time.Second // for the other side to hang up
	maxRemembered = 100_000         // topics in Memory
	suspicion     = 5               // connections that end the same way
)

// timing is what tests make shorter.
type timing struct {
	first, most time.Duration // between two tries
	refused     time.Duration // when the remote does not let the box in
	stable      time.Duration // after which a connection counts as good
	look        time.Duration // between looks at whether retained messages may be sent
	quiet       time.Duration // without a retained message from the remote, for maps of both directions
}

var usual = timing{first: time.Second, most: time.Minute, refused: time.Minute, stable: 30 * time.Second,
	look: 100 * time.Millisecond, quiet: time.Second}

// Uplink is a client of another broker. New makes one.
type Uplink struct {
	broker *broker.Broker
	dialer func(context.Context) (net.Conn, error) // to the remote
	o      Options
	url    *url.URL
	log    *slog.Logger
	mark   []byte // the hop of this uplink, as a property
	t      timing

	// Only by Run.
	dialect    int  // how the remote is spoken to: see dialects
	startClean bool // the box has forgotten its session: the remote has to as well
	suspect    struct {
		id    uint16 // the only message on its way when the connection ended; 0: none
		times int
	}

	remembered remembered

	wantsCertificate atomic.Bool // the remote has asked for one

	mu     sync.Mutex
	status Status
}

// New returns an uplink that does nothing until Run.
func New(b *broker.Broker, o Options) (*Uplink, error) {
	u := &Uplink{broker: b, o: o, log: o.Logger, t: usual}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	u.log = u.log.With("uplink", o.Name)
	if u.o.KeepAlive == 0 {
		u.o.KeepAlive = 30 * time.Second
	}
	if err := CheckName(o.Name); err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	var err error
	if u.url, err = ParseURL(o.URL); err != nil {
		return nil, fmt.Errorf("uplink %s: %w", o.Name, err)
	}
	if o.ClientID == "" || len(o.Maps) == 0 {
		return nil, fmt.Errorf("uplink %s: client id or maps are missing", o.Name)
	}
	for i := range o.Maps {
		if err := o.Maps[i].Validate(); err != nil {
			return nil, fmt.Errorf("uplink %s: map %d: %w", o.Name, i+1, err)
		}
	}
	for i := range o.Wills {
		if err := o.Wills[i].Validate(); err != nil {
			return nil, fmt.Errorf("uplink %s: will: %w", o.Name, err)
		}
	}
	switch o.Version {
	case 0, mqtt.V311, mqtt.V50:
	default:
		return nil, fmt.Errorf("uplink %s: version %d; right is 4 (3.1.1) or 5", o.Name, o.Version)
	}
	if o.Version == mqtt.V311 {
		u.dialect = 1
	}
	var p mqtt.Properties
	p.AddUser(hop, o.ClientID)
	u.mark = p.Encode(nil)
	u.remembered.load(o.Memory)
	u.dialer = u.dial
	u.status = Status{Name: o.Name, URL: u.url.Redacted()}
	return u, nil
}

// Run keeps the uplink connected until ctx ends.
func (u *Uplink) Run(ctx context.Context) error {
	// Before the remote is there: from now on its session at the box keeps messages.
	for wait := time.Second; ; wait = min(2*wait, u.t.most) {
		err := u.subscribeLocal(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			break
		}
		u.failed(err)
		if !sleep(ctx, wait) {
			return nil
		}
	}
	for wait := u.t.first; ; {
		began := time.Now()
		err := u.session(ctx)
		if ctx.Err() != nil {
			u.remembered.flush(context.WithoutCancel(ctx))
			return nil
		}
		u.failed(err)
		if time.Since(began) > u.t.stable {
			wait = u.t.first
		}
		if u.otherDialect(err) {
			continue
		}
		pause := wait
		if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.final() || errors.Is(err, errFull) {
			pause = u.t.refused + time.Duration(rand.Int64N(int64(u.t.refused)))
		} else {
			wait = min(2*wait, u.t.most)
			pause += time.Duration(float64(pause) * (rand.Float64() - 0.5) / 2)
		}
		u.log.Info("uplink not connected", "err", err, "again", pause)
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// sleep reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dialects are the ways to speak to the remote, the best first.
var dialects = [...]struct {
	version mqtt.Version
	bridge  bool
}{{mqtt.V50, false}, {mqtt.V311, true}, {mqtt.V311, false}}

// otherDialect goes on to the next way of speaking if it may be that the remote does not
// know this one. It reports false if all were tried.
func (u *Uplink) otherDialect(err error) bool {
	refusal, refused := errors.AsType[*Refusal](err)
	if !errors.Is(err, errSilentEnd) && !(refused && refusal.Code == mqtt.UnsupportedProtocolVersion) || u.o.Version == mqtt.V50 {
		return false
	}
	u.dialect++
	if u.dialect < len(dialects) {
		return true
	}
	if u.dialect = 0; u.o.Version == mqtt.V311 {
		u.dialect = 1
	}
	return false
}

// connectLocal opens the session at the box.
func (u *Uplink) connectLocal(ctx context.Context, window int) (*conn, error) {
	nc, err := u.broker.Dial(context.WithoutCancel(ctx)) // it is closed by whom it is given to
	if err != nil {
		return nil, err
	}
	c := newConn(nc, mqtt.V50, 0)
	connect := mqtt.Connect{Version: mqtt.V50, ClientID: SessionID(u.o.Name)}
	connect.Properties.SetUint(mqtt.SessionExpiryInterval, 0xFFFFFFFF)
	connect.Properties.SetUint(mqtt.ReceiveMaximum, uint32(window))
	if err := c.connect(&connect); err != nil {
		nc.Close()
		return nil, fmt.Errorf("the box's own broker: %w", err)
	}
	return c, nil
}

// subscribeLocal opens the session at the box for the first time, with the subscriptions of
// the maps and no others.
func (u *Uplink) subscribeLocal(ctx context.Context) error {
	c, err := u.connectLocal(ctx, 1)
	if err != nil {
		return err
	}
	defer c.net.Close()
	stop := context.AfterFunc(ctx, func() { c.net.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	u.startClean = !c.present
	wanted := u.subscriptions(In, (*Map).local, 2)
	var packets []byte
	waiting := 0
	var surplus []string
	for _, filter := range u.broker.SessionFilters(SessionID(u.o.Name)) {
		if !hasFilter(wanted, filter) {
			surplus = append(surplus, filter)
		}
	}
	if len(surplus) > 0 {
		packets = (&mqtt.Unsubscribe{PacketID: 1, Filters: surplus}).Append(packets, mqtt.V50)
		waiting++
	}
	if len(wanted) > 0 {
		packets = (&mqtt.Subscribe{PacketID: 2, Filters: withoutRetained(wanted)}).Append(packets, mqtt.V50)
		waiting++
	}
	c.net.SetDeadline(time.Now().Add(answerTime))
	if waiting > 0 {
		// Not in this goroutine: what waits in the session comes meanwhile.
		go c.net.Write(packets)
	}
	for waiting > 0 {
		p, err := c.read()
		if err != nil {
			return fmt.Errorf("the box's own broker: %w", err)
		}
		if p.Type != mqtt.SUBACK && p.Type != mqtt.UNSUBACK {
			continue // it comes again
		}
		var answer mqtt.Suback
		if err := answer.Decode(p, mqtt.V50); err != nil {
			return err
		}
		for _, code := range answer.Codes {
			if code >= 0x80 {
				return fmt.Errorf("the box's own broker: subscribe: %w", &mqtt.Error{Code: code})
			}
		}
		waiting--
	}
	go c.net.Write((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, mqtt.V50))
	for err == nil { // until the broker has read it
		_, err = c.read()
	}
	return nil
}

func hasFilter(requests []mqtt.FilterRequest, filter string) bool {
	for _, r := range requests {
		if r.Filter == filter {
			return true
		}
	}
	return false
}

// withoutRetained makes subscriptions bring no retained messages.
func withoutRetained(requests []mqtt.FilterRequest) []mqtt.FilterRequest {
	for i := range requests {
		requests[i].Options |= 2 << 4
	}
	return requests
}

// connectRemote opens the session at the remote.
func (u *Uplink) connectRemote(ctx context.Context, connect mqtt.Connect) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	nc, err := u.dialer(ctx)
	if err != nil {
		return nil, u.asked(err)
	}
	d := dialects[u.dialect]
	connect.Version, connect.Bridge = d.version, d.bridge
	connect.KeepAlive = uint16(u.o.KeepAlive / time.Second)
	if u.o.User != "" || u.o.Password != "" {
		connect.HasUserName, connect.UserName = true, u.o.User
		connect.HasPassword, connect.Password = u.o.Password != "", []byte(u.o.Password)
	}
	if d.version == mqtt.V50 {
		if !u.o.Clean && connect.ClientID == u.o.ClientID {
			connect.Properties.SetUint(mqtt.SessionExpiryInterval, sessionTime)
		}
		connect.Properties.SetUint(mqtt.ReceiveMaximum, inWindow)
		connect.Properties.SetUint(mqtt.MaximumPacketSize, uint32(u.broker.MaxPacketSize()))
	}
	c := newConn(nc, d.version, u.broker.MaxPacketSize())
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = c.connect(&connect)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, u.asked(err)
	}
	return c, nil
}

// session is one connection, from its first byte to its last.
func (u *Uplink) session(ctx context.Context) error {
	connect := mqtt.Connect{ClientID: u.o.ClientID, CleanStart: u.o.Clean || u.startClean}
	if len(u.o.Wills) > 0 {
		connect.Will = &u.o.Wills[0]
	}
	// 3.1.1 has no way to start clean and to keep what comes then.
	if connect.CleanStart && !u.o.Clean && dialects[u.dialect].version != mqtt.V50 {
		c, err := u.connectRemote(ctx, mqtt.Connect{ClientID: u.o.ClientID, CleanStart: true})
		if err != nil {
			return err
		}
		c.net.Write((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, mqtt.V311))
		c.net.Close()
		connect.CleanStart = false
	}
	remote, err := u.connectRemote(ctx, connect)
	if err != nil {
		return err
	}
	defer remote.net.Close()
	u.count(func(s *Status) { s.Problem = "" }) // that of the connection before: what comes now may have its own
	u.startClean = false
	window := max(1, min(remote.receiveMaximum-1, inWindow))
	if u.suspect.times > 0 {
		window = 1 // to see which it is
	}
	local, err := u.connectLocal(ctx, window)
	if err != nil {
		return err
	}
	defer local.net.Close()
	// Before anything says that the box is there: what is to be said when it is gone.
	var wills []*conn
	for i := 1; i < len(u.o.Wills); i++ {
		c, err := u.connectRemote(ctx, mqtt.Connect{ClientID: fmt.Sprintf("%s-will-%d", u.o.ClientID, i), CleanStart: true, Will: &u.o.Wills[i]})
		if err != nil {
			return err
		}
		defer c.net.Close()
		wills = append(wills, c)
	}
	r := newRelay(u, local, remote)
	all, ctx := errgroup.WithContext(ctx)
	for _, c := range wills {
		all.Go(func() error { return c.holdWill(ctx) })
	}
	for _, c := range []*conn{local, remote} {
		all.Go(func() error {
			defer c.net.Close() // which ends who reads
			return closed(c.write())
		})
	}
	all.Go(func() error { return r.fromLocal() })
	all.Go(func() error { return r.fromRemote() })
	all.Go(func() error { return remote.ping(ctx) })
	all.Go(func() error { return r.sendRetained(ctx) })
	all.Go(func() error { return u.remembered.run(ctx) })
	all.Go(func() error {
		<-ctx.Done()
		remote.leave(len(u.o.Wills) > 0)
		local.leave(false)
		return nil
	})
	r.subscribe()
	u.connected(r)
	err = all.Wait()
	u.lookForCulprit(r, err)
	return err
}

// lookForCulprit counts how often the remote has closed the connection with the same message
// as the only one on its way. The box's packet id tells which: it stays until the
// message is acknowledged.
func (u *Uplink) lookForCulprit(r *relay, err error) {
	id, only := r.alone()
	switch {
	case !errors.Is(err, errClosed) || r.progress():
		u.suspect.id, u.suspect.times = 0, 0
	case !only:
		u.suspect.id, u.suspect.times = 0, 1
	case id == u.suspect.id:
		u.suspect.times++
	default:
		u.suspect.id, u.suspect.times = id, 1
	}
}

// ping sends PINGREQ as often as the keep alive wants.
func (c *conn) ping(ctx context.Context) error {
	if c.keepAlive == 0 {
		return nil
	}
	tick := time.NewTicker(c.keepAlive * 3 / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.send(func(b []byte) []byte { return append(b, byte(mqtt.PINGREQ)<<4, 0) })
		}
	}
}

// holdWill keeps a connection that is there for nothing but its will: one has one only.
func (c *conn) holdWill(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer c.net.Close()
		return closed(c.write())
	})
	all.Go(func() error { return c.ping(ctx) })
	all.Go(func() error {
		for {
			if _, err := c.read(); err != nil {
				return closed(err)
			}
		}
	})
	all.Go(func() error {
		<-ctx.Done()
		c.leave(true)
		return nil
	})
	return all.Wait()
}

// leave ends the connection when all is written, with or without its will being
// published. Before 5.0 nothing asks for that but an end without a word.
func (c *conn) leave(will bool) {
	d := mqtt.Disconnect{Type: mqtt.DISCONNECT}
	if will {
		d.Code = mqtt.DisconnectWithWill
	}
	if !will || c.version == mqtt.V50 {
		c.send(func(b []byte) []byte { return d.Append(b, c.version) })
	}
	c.end(errEnded)
}
