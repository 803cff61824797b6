package broker

import (
	"time"

	"lintel/persist"
)

// ClientInfo is what the broker knows about a session, for pages and tools.
type ClientInfo struct {
	ID            string
	User          string // whom the session belongs to; empty: nobody
	Version       byte   // 3, 4 or 5; of the last connection
	Connected     bool
	RemoteAddr    string    // of the last connection; "in-process" for the house's own
	Since         time.Time // when it connected or disconnected
	KeepAlive     time.Duration
	Persistent    bool
	Subscriptions int
	Queued        int // messages that wait for it, those in flight included
	Dropped       uint64
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
