package broker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// Options are the limits of a broker, and who may do what. Zero values take the
// defaults.
type Options struct {
	MaxPacketSize     int           // bytes, fixed header included; default 4 MiB
	MaxConnections    int           // network connections; default 2000
	MaxInflight       int           // messages in flight to one client; default 100
	MaxQueuedMessages int           // messages that wait for one client; default 100,000
	MaxQueuedBytes    int           // their bytes; default 64 MiB
	MaxQueuedTotal    int           // bytes that wait for all clients together; default 256 MiB
	QueueFull         QueueFull     // what happens to a message over one of these three
	QueueMemory       int           // bytes that wait in memory; queues of persistent sessions wait in the store beyond it; default 32 MiB
	ReceiveMaximum    int           // messages in flight from one MQTT 5.0 client; default 1000
	MaxSubscriptions  int           // of one client; default 10,000
	MaxTopicLevels    int           // of topic names and filters; default 200
	MaxRetained       int           // retained messages; default 200,000
	MaxRetainedBytes  int           // what they take: topics, payloads, properties and 64 for each topic level; default 64 MiB
	MaxKeepAlive      time.Duration // MQTT 5.0 clients that ask for more, or for none, are told this; default: no limit
	KeepAliveFactor   float64       // a client may be silent for so many times its keep alive; default 1.5, which is the least
	ConnectRate       int           // CONNECTs per second, in the long run; default 1000
	AddressRate       int           // those from one IPv4 address or IPv6 /64; default 100, and five times as many at once
	MaxUnconnected    int           // network connections whose CONNECT has not come; default 500
	ConnectTimeout    time.Duration // from accepting a connection to its CONNECT, and for each authentication; default 10 s
	SysInterval       time.Duration // between looks at the $SYS topics; default 10 s, negative: no $SYS topics
	Version           string        // of the program, for $SYS/broker/version
	Logger            *slog.Logger  // nil: none

	// Authenticate decides whether a client that names no authentication method
	// is let in; nil: everybody is. It is called before anything of a session is
	// touched, for several clients at a time, and may take until ctx ends, which
	// it does after ConnectTimeout and with the broker. A *Refusal or *mqtt.Error
	// says what the client is told. Any other error, and whatever comes after the
	// end of ctx, is "server unavailable": clients take a refusal for good.
	//
	// It may set UserName to the name that it found out, Identity and Expires: what
	// it leaves in r is what Authorize gets. Password and AuthenticationData are
	// erased. The session belongs to UserName: see Access in the package comment.
	Authenticate func(ctx context.Context, r *ConnectRequest) error

	// Methods are the methods of enhanced authentication, by name. A client that
	// names one is decided by it alone: Authenticate is not asked.
	Methods map[string]Method

	// Authorize tells whether a client may publish to a topic, subscribe to a filter,
	// or receive what is published to a topic; nil: it may. A filter comes without
	// $share/NAME/. What depends on the message is a yes for a filter: each topic
	// that matches is asked about with Receive before anything of it is delivered,
	// retained and queued messages included. What Authorize says is remembered until
	// AccessChanged. It is asked for in-process clients too (see ConnectRequest), and
	// not for those that were away at a restart, until they come back. It must be
	// quick, must not change r or call the broker, and is called for several clients
	// at a time.
	Authorize func(r *ConnectRequest, action Action, topic string) Permit
}

func (o Options) withDefaults() Options {
	set := func(p *int, value int) {
		if *p == 0 {
			*p = value
		}
	}
	set(&o.MaxPacketSize, 4<<20)
	set(&o.MaxConnections, 2000)
	set(&o.MaxInflight, 100)
	set(&o.MaxQueuedMessages, 100_000)
	set(&o.MaxQueuedBytes, 64<<20)
	set(&o.MaxQueuedTotal, 256<<20)
	set(&o.QueueMemory, 32<<20)
	set(&o.ReceiveMaximum, 1000)
	set(&o.MaxSubscriptions, 10_000)
	set(&o.MaxTopicLevels, 200)
	set(&o.MaxRetained, 200_000)
	set(&o.MaxRetainedBytes, 64<<20)
	set(&o.ConnectRate, 1000)
	set(&o.AddressRate, 100)
	set(&o.MaxUnconnected, 500)
	if o.KeepAliveFactor == 0 {
		o.KeepAliveFactor = 1.5
	}
	if o.SysInterval == 0 {
		o.SysInterval = 10 * time.Second
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Broker is an MQTT broker. New makes one.
type Broker struct {
	options   Options
	store     *persist.Store
	log       *slog.Logger
	index     index
	retained  retainedStore
	messageID atomic.Uint64
	stats     counters
	traces    traces
	started   time.Time

	connectRate  tokenBucket
	addressRates addressRates
	unconnected  unconnected
	queuedBytes  atomic.Int64 // of all sessions
	swappedBytes atomic.Int64 // those of them that are in the store alone

	// off is for how long the machine was off before this start, once that is
	// known: what the store held ends by so much earlier, where it left that
	// out. See persist.Store.LookAtClock.
	off atomic.Int64

	// committed collects what the store's callbacks have sent; it belongs to
	// the goroutine that calls them and is flushed after each group.
	committed flushList

	mu           sync.Mutex
	sessions     map[string]*session
	connections  map[*connection]struct{}
	nextSession  uint32
	mostSessions int // at a time, since the start
	closing      bool
	running      sync.WaitGroup // connections, and timers of sessions at work
	pollers      pollers
}

// New returns a broker that goes on where the store left off. It has to have
// the store to itself.
func New(store *persist.Store, o Options) (*Broker, error) {
	o = o.withDefaults()
	if o.MaxPacketSize > persist.MaxMessageSize {
		return nil, fmt.Errorf("broker: packets of %d bytes: the store takes messages of %d at most", o.MaxPacketSize, persist.MaxMessageSize)
	}
	if o.KeepAliveFactor < 1.5 { // [v5 MQTT-3.1.2-22]
		return nil, fmt.Errorf("broker: keep alive factor %g: the standard gives a client 1.5 at least", o.KeepAliveFactor)
	}
	b := &Broker{
		options:     o,
		store:       store,
		log:         o.Logger,
		started:     time.Now(),
		connectRate: tokenBucket{rate: float64(o.ConnectRate), burst: float64(max(2*o.ConnectRate, o.MaxConnections))},
		addressRates: addressRates{rate: float64(o.AddressRate), burst: float64(5 * o.AddressRate),
			buckets: make(map[netip.Prefix]*tokenBucket)},
		sessions:    make(map[string]*session),
		connections: make(map[*connection]struct{}),
	}
	b.retained.dirty = make(map[string]struct{})
	b.retained.maxCount, b.retained.maxBytes = o.MaxRetained, int64(o.MaxRetainedBytes)
	state, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("broker: load sessions: %w", err)
	}
	store.SetGroupDone(func() { b.flush(&b.committed) })
	b.restore(state)
	b.retained.started = b.started
	return b, nil
}

// Run does what has to be done from time to time until ctx ends. Then it
// disconnects everybody, which publishes the wills that are due, and returns
// when the last connection is gone and everything is on its way into the store.
// It fails if the store does: from then on nothing may be acknowledged and the
// process has to start anew.
func (b *Broker) Run(ctx context.Context) error {
	tick := time.NewTicker(retainedInterval)
	defer tick.Stop()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	clock := time.NewTicker(clockInterval)
	defer clock.Stop()
	var sys sysTree
	var sysTick <-chan time.Time // never, unless it is wanted
	if b.options.SysInterval > 0 {
		t := time.NewTicker(b.options.SysInterval)
		defer t.Stop()
		sysTick = t.C
		sys.publish(b)
	}
	for {
		select {
		case <-tick.C:
			b.retained.flush(b.store)
		case <-sweep.C:
			b.sweep()
		case <-clock.C:
			b.lookAtClock()
		case <-sysTick:
			sys.publish(b)
		case <-b.store.Failed():
			b.shutdown()
			return fmt.Errorf("broker: %w", b.store.Err())
		case <-ctx.Done():
			b.shutdown()
			b.retained.flush(b.store)
			return nil
		}
	}
}

// sweepInterval is how long a message that has expired may stay in a queue.
const sweepInterval = time.Minute

// sweep takes out of all queues what has expired: nobody else looks into that of
// a client that is away for long.
func (b *Broker) sweep() {
	b.eachSession((*session).sweep)
}

// eachSession calls do for each session, with its mu held.
func (b *Broker) eachSession(do func(*session)) {
	b.mu.Lock()
	sessions := slices.Collect(maps.Values(b.sessions))
	b.mu.Unlock()
	for _, s := range sessions {
		s.mu.Lock()
		do(s)
		s.mu.Unlock()
	}
}

// shutdown disconnects everybody.
func (b *Broker) shutdown() {
	b.mu.Lock()
	b.closing = true
	var holders []holder
	for c := range b.connections {
		holders = append(holders, c)
	}
	for _, s := range b.sessions {
		s.mu.Lock()
		if s.timer != nil {
			s.timer.Stop()
		}
		s.mu.Unlock()
		if client, ok := s.owner.(*Client); ok {
			holders = append(holders, client)
		}
	}
	b.mu.Unlock()
	for _, h := range holders {
		h.kick(mqtt.ServerShuttingDown)
	}
	b.running.Wait()
	b.pollers.close()
}

// Stats tells how the broker is doing.
func (b *Broker) Stats() Stats {
	c := &b.stats
	s := Stats{
		Uptime:              time.Since(b.started),
		SessionsExpired:     c.expired.Load(),
		Connects:            c.connects.Load(),
		ConnectionsAccepted: c.accepted.Load(),
		PacketsReceived:     c.packetsReceived.Load(),
		PacketsSent:         c.packetsSent.Load(),
		PublishReceived:     c.publishReceived.Load(),
		PublishSent:         c.publishSent.Load(),
		PublishDropped:      c.publishDropped.Load(),
		PayloadReceived:     c.publishBytesReceived.Load(),
		PayloadSent:         c.publishBytesSent.Load(),
		BytesReceived:       c.bytesReceived.Load(),
		BytesSent:           c.bytesSent.Load(),
		MalformedPackets:    c.malformed.Load(),
		NotAuthorized:       c.notAuthorized.Load(),
		QueuedBytes:         b.queuedBytes.Load(),
		QueuedMemory:        b.queuedMemory(),
		Store:               b.store.Stats(),
	}
	for l := range s.Exceeded {
		s.Exceeded[l] = c.exceeded[l].Load()
	}
	b.mu.Lock()
	s.Sessions, s.SessionsMaximum = len(b.sessions), b.mostSessions
	s.ClientsConnected = len(b.connections)
	b.mu.Unlock()
	b.eachSession(func(one *session) {
		s.Queued += one.inflight.count + one.waiting()
		if one.peer == nil {
			s.SessionsOffline++
		}
	})
	b.index.mu.RLock()
	s.Subscriptions, s.SharedSubscriptions = b.index.count, b.index.shared
	b.index.mu.RUnlock()
	b.retained.mu.RLock()
	s.Retained, s.RetainedBytes = b.retained.count, b.retained.bytes
	s.Store.BytesCoalesced += b.retained.coalesced
	b.retained.mu.RUnlock()
	return s
}

func (b *Broker) countError(err *mqtt.Error) {
	switch err.Code {
	case mqtt.MalformedPacket, mqtt.ProtocolError, mqtt.PacketTooLarge, mqtt.TopicNameInvalid, mqtt.TopicAliasInvalid:
		b.stats.malformed.Add(1)
	case mqtt.ReceiveMaximumExceeded:
		b.exceeded(LimitReceiveMaximum)
	case mqtt.KeepAliveTimeout:
		b.exceeded(LimitKeepAlive)
	}
}
