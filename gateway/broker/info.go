package broker

import (
	"cmp"
	"crypto/tls"
	"slices"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// ClientInfo is what the broker knows about a session, for pages and tools. Counters
// begin at 0 when the session, or the broker, starts.
type ClientInfo struct {
	ID            string
	User          string // whom the session belongs to; empty: nobody
	Version       byte   // 3, 4 or 5; of the last connection
	Connected     bool
	RemoteAddr    string    // of the last connection; "in-process" for the house's own
	Listener      string    // by which the last connection came; see [Broker.Serve]
	TLSVersion    uint16    // of the last connection, as in crypto/tls; 0: without, or not known
	Certificate   string    // common name of the one that the client showed; empty: none
	Since         time.Time // when it connected or disconnected
	CleanStart    bool      // of the last connection
	KeepAlive     time.Duration
	Persistent    bool
	SessionExpiry uint32 // seconds from the end of its connection; [persist.NeverExpires]: no end
	Subscriptions int
	Queued        int  // messages that wait for it, those in flight included
	QueuedBytes   int  // what they take
	InFlight      int  // of them, sent and not acknowledged
	Pending       int  // bytes on their way to its socket
	Blocked       bool // its socket takes nothing at the moment, or not enough
	Dropped       uint64
	Drops         Drops  // of Dropped, by reason
	Received      uint64 // messages from it
	ReceivedBytes uint64 // their payloads
	Sent          uint64 // messages to it
	SentBytes     uint64 // their payloads
}

// Drop is why a message did not reach a client.
type Drop int

// The reasons.
const (
	DropSlow       Drop = iota // QoS 0, and the client did not read what came before
	DropQueueFull              // the client's queue was, or the total of all
	DropTooLarge               // for what the client accepts
	DropNotAllowed             // it waited, and the client may no longer receive it
	DropDamaged                // it could not be read back from the store
	numDrops
)

var dropNames = [numDrops]string{"slow", "queue_full", "too_large", "not_allowed", "damaged"}

func (d Drop) String() string { return dropNames[d] }

// Drops are counts by [Drop].
type Drops [numDrops]uint64

// Total is all of them.
func (d Drops) Total() (n uint64) {
	for _, count := range d {
		n += count
	}
	return n
}

// SubscriptionInfo is one subscription of a session.
type SubscriptionInfo struct {
	Filter     string // with $share/NAME/ if shared
	Options    mqtt.SubscriptionOptions
	Identifier uint32 // 0: none
}

// WillInfo is the message that a client left for the case that it does not say goodbye.
type WillInfo struct {
	Topic   string
	Payload []byte // not to be changed
	QoS     mqtt.QoS
	Retain  bool
	Delay   uint32 // seconds
}

// ClientDetail is a ClientInfo and what is too much for a list.
type ClientDetail struct {
	ClientInfo
	Filters []SubscriptionInfo // by filter
	Will    *WillInfo          // nil: none
}

// Stats tells how the broker is doing. Counters begin at 0 when it starts.
type Stats struct {
	Uptime              time.Duration
	ClientsConnected    int // on network connections
	Sessions            int // online and offline
	SessionsMaximum     int
	SessionsOffline     int
	SessionsExpired     uint64
	Subscriptions       int
	SharedSubscriptions int   // among them
	Retained            int   // messages, without the $SYS topics
	RetainedBytes       int64 // what they take
	Queued              int   // messages that wait in sessions, those in flight included
	QueuedBytes         int64 // what they take
	QueuedMemory        int64 // of it, in memory
	Connects            uint64
	ConnectionsAccepted uint64 // with or without a CONNECT
	PacketsReceived     uint64 // of all types
	PacketsSent         uint64
	PublishReceived     uint64
	PublishSent         uint64
	PublishDropped      uint64
	PayloadReceived     uint64 // bytes in PUBLISH
	PayloadSent         uint64
	BytesReceived       uint64
	BytesSent           uint64
	MalformedPackets    uint64
	Exceeded            [numLimits]uint64 // by Limit: what went over
	NotAuthorized       uint64            // messages, subscriptions, wills and client ids of others that were refused

	// Store counts what the store wrote and what it need not write. Its
	// BytesCoalesced include retained messages of QoS 0 that gave way to others
	// before they were written.
	Store persist.Stats
}

// Clients tells about all sessions, online and offline.
func (b *Broker) Clients() []ClientInfo {
	infos := []ClientInfo{} // none is an empty list in JSON too
	b.eachSession(func(s *session) { infos = append(infos, s.info()) })
	return infos
}

// Client tells about the session with a client id.
func (b *Broker) Client(clientID string) (d ClientDetail, ok bool) {
	b.mu.Lock()
	s := b.sessions[clientID]
	b.mu.Unlock()
	if s == nil {
		return d, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.ClientInfo = s.info()
	for _, sub := range s.subscriptions {
		d.Filters = append(d.Filters, SubscriptionInfo{sub.filter, sub.options, sub.identifier})
	}
	slices.SortFunc(d.Filters, func(a, b SubscriptionInfo) int { return cmp.Compare(a.Filter, b.Filter) })
	if w := s.will; w != nil {
		d.Will = &WillInfo{w.message.Topic, w.message.Payload, w.message.QoS, w.message.Retain, w.delay}
	}
	return d, true
}

// Identity returns what Authenticate or a Method has left of a client, see
// [ConnectRequest.Identity]; nil if it has left nothing, or nobody knows the client.
func (b *Broker) Identity(clientID string) any {
	b.mu.Lock()
	s := b.sessions[clientID]
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	if r := s.request.Load(); r != nil {
		return r.Identity
	}
	return nil
}

// info tells about the session. Called with mu held.
func (s *session) info() ClientInfo {
	now := time.Now()
	user := s.userName()
	if user == houseUser {
		user = ""
	}
	info := ClientInfo{
		ID:            s.id,
		User:          user,
		Version:       byte(s.version),
		Connected:     s.peer != nil,
		RemoteAddr:    s.remoteAddr,
		Since:         now.Add(-now.Sub(s.since)), // by the wall clock as it is now
		KeepAlive:     s.keepAlive,
		Persistent:    s.persistent,
		SessionExpiry: s.expiry,
		Subscriptions: len(s.subscriptions),
		Queued:        s.inflight.count + s.waiting(),
		QueuedBytes:   s.queuedBytes,
		InFlight:      s.inflight.count,
		Dropped:       s.dropped.Total(),
		Drops:         s.dropped,
		Received:      s.received.Load(),
		ReceivedBytes: s.receivedBytes.Load(),
		Sent:          s.sent,
		SentBytes:     s.sentBytes,
	}
	if r := s.request.Load(); r != nil {
		info.Listener, info.CleanStart = r.Listener, r.CleanStart
		if r.TLS != nil {
			info.TLSVersion, info.Certificate = r.TLS.Version, commonName(r.TLS)
		}
	}
	switch p := s.peer.(type) {
	case *connection:
		p.mu.Lock()
		info.Pending = p.pending
		info.Blocked = p.stuck.Load() || p.pending >= maxPending
		p.mu.Unlock()
	case *Client:
		info.Blocked = !p.room()
	}
	return info
}

func commonName(state *tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	return state.PeerCertificates[0].Subject.CommonName
}

// ShareInfo is the group of a shared subscription.
type ShareInfo struct {
	Filter  string // with $share/NAME/
	Members []ShareMember
	Waiting int  // messages that came by it and wait in the sessions of its members, those in flight included
	More    bool // there may be others of them in the store
}

// ShareMember is a session that takes part in a shared subscription.
type ShareMember struct {
	ClientID  string
	Connected bool
	QoS       mqtt.QoS
	Queued    int // messages that wait for it, however they came
}

// maxShares is how many groups Shares tells of.
const maxShares = 500

// Shares tells about shared subscriptions, by filter: of the first 500 that it finds.
func (b *Broker) Shares() []ShareInfo {
	var groups [][]*subscription
	b.index.mu.RLock()
	b.index.root.eachShare(func(s *share) bool {
		groups = append(groups, s.members)
		return len(groups) < maxShares
	})
	b.index.mu.RUnlock()
	infos := []ShareInfo{}
	for _, members := range groups {
		info := ShareInfo{Filter: members[0].filter}
		for _, sub := range members {
			s := sub.session
			s.mu.Lock()
			info.Members = append(info.Members, ShareMember{s.id, s.peer != nil, sub.options.QoS(), s.inflight.count + s.waiting()})
			info.Waiting += s.waitingOf(info.Filter)
			info.More = info.More || s.swap.count > 0 && s.swap.shared
			s.mu.Unlock()
		}
		slices.SortFunc(info.Members, func(a, b ShareMember) int { return cmp.Compare(a.ClientID, b.ClientID) })
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b ShareInfo) int { return cmp.Compare(a.Filter, b.Filter) })
	return infos
}

// waitingOf counts what is in memory and came by a shared subscription. Called with mu
// held.
func (s *session) waitingOf(filter string) (n int) {
	for _, entries := range [][]*entry{s.order, s.queue, s.swap.tail} {
		for _, e := range entries {
			if e.share == filter && !e.done {
				n++
			}
		}
	}
	return n
}

// eachShare calls do for the groups below a node until it reports false.
func (n *node) eachShare(do func(*share) bool) bool {
	for _, s := range n.shares {
		if !do(s) {
			return false
		}
	}
	for _, child := range n.children {
		if !child.eachShare(do) {
			return false
		}
	}
	return true
}
