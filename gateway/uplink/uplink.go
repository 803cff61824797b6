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
