package broker

import "time"

// ClientInfo is what the broker knows about a session, for pages and tools.
type ClientInfo struct {
	ID            string
	Version       byte // 3, 4 or 5; of the last connection
	Connected     bool
	RemoteAddr    string    // of the last connection; "in-process" for the house's own
	Since         time.Time // when it connected or disconnected
	KeepAlive     time.Duration
	Persistent    bool
	Subscriptions int
	Queued        int // messages that wait for it, those in flight included
	Dropped       uint64
}

// Stats counts since the start of the broker.
type Stats struct {
	Uptime              time.Duration
	ClientsConnected    int
	Sessions            int
	Subscriptions       int
	Retained            int
	PublishReceived     uint64
	PublishSent         uint64
	PublishDropped      uint64
	BytesReceived       uint64
	BytesSent           uint64
	MalformedPackets    uint64
	ConnectionsAccepted uint64
}
