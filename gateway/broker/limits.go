package broker

import (
	"container/list"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limit is a limit of Options, or of the machine. Stats counts by it what went over.
type Limit int

// The limits, and what is counted of each.
const (
	LimitPacketSize     Limit = iota // packets, each the end of its connection
	LimitConnections                 // CONNECTs refused
	LimitConnectRate                 // CONNECTs refused
	LimitAddressRate                 // CONNECTs refused of an address that sends too many
	LimitUnconnected                 // connections closed before their CONNECT, for a newer one
	LimitConnectTimeout              // connections closed for want of a CONNECT
	LimitReceiveMaximum              // clients disconnected
	LimitQueuedMessages              // messages dropped, by session
	LimitQueuedBytes                 // messages dropped, by session
	LimitQueuedTotal                 // messages dropped, by session
	LimitSubscriptions               // filters refused
	LimitTopicLevels                 // filters and wills refused, and clients disconnected for a topic name
	LimitRetained                    // messages refused or not retained
	LimitRetainedBytes               // messages refused or not retained
	LimitKeepAlive                   // clients disconnected
	LimitDiskSpace                   // messages refused because the disk is nearly full
	numLimits
)

var limitNames = [numLimits]string{"packet_size", "connections", "connect_rate", "address_rate", "unconnected", "connect_timeout",
	"receive_maximum", "queued_messages", "queued_bytes", "queued_total", "subscriptions", "topic_levels",
	"retained", "retained_bytes", "keep_alive", "disk_space"}

func (l Limit) String() string { return limitNames[l] }

// QueueFull is what happens to a message of QoS 1 or 2 that finds the queue of a
// client full, or the total of all queues taken. In any case it is counted.
type QueueFull int

// The choices for full queues.
const (
	DropNewest QueueFull = iota // that client does not get it
	DropOldest                  // it takes the place of what has waited longest for that client
	Refuse                      // nobody gets it and its publisher is told 0x97; who cannot be told so: DropNewest
)

var queueFullNames = [...]string{"drop-newest", "drop-oldest", "refuse"}

// UnmarshalText implements encoding.TextUnmarshaler. The names are those of the
// constants, in small letters and with hyphens.
func (q *QueueFull) UnmarshalText(text []byte) error {
	i := slices.Index(queueFullNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of %s", text, strings.Join(queueFullNames[:], ", "))
	}
	*q = QueueFull(i)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (q QueueFull) MarshalText() ([]byte, error) {
	if q < 0 || int(q) >= len(queueFullNames) {
		return nil, fmt.Errorf("%d is no QueueFull", int(q))
	}
	return []byte(queueFullNames[q]), nil
}

// exceeded counts that something went over a limit.
func (b *Broker) exceeded(l Limit) { b.stats.exceeded[l].Add(1) }

// tokenBucket lets so many events a second pass, and a burst of them after a
// rest. It runs on monotonic time and is full in the beginning.
type tokenBucket struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was right
}

// take reports whether an event may pass now.
func (t *tokenBucket) take(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if passed := now.Sub(t.at); passed > 0 {
		t.tokens = min(t.burst, t.tokens+t.rate*passed.Seconds())
		t.at = now
	}
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}

// addressRates limit what comes from one address. A network of IPv6 is one: whoever has
// one address of it has 2^64.
type addressRates struct {
	rate, burst float64

	mu      sync.Mutex
	buckets map[netip.Prefix]*tokenBucket
	swept   time.Time
}

// maxAddresses is how many addresses are remembered.
const maxAddresses = 4096

// take reports whether an event from an address may pass now. What has no address
// passes, and what there is no room to remember: no address is refused because of
// others.
func (a *addressRates) take(from netip.Addr, now time.Time) bool {
	bits := from.BitLen()
	if bits == 0 {
		return true
	}
	network, _ := from.WithZone("").Prefix(min(bits, 64))
	a.mu.Lock()
	defer a.mu.Unlock()
	bucket := a.buckets[network]
	if bucket == nil {
		if len(a.buckets) >= maxAddresses && !a.sweep(now) {
			return true
		}
		bucket = &tokenBucket{rate: a.rate, burst: a.burst}
		a.buckets[network] = bucket
	}
	return bucket.take(now)
}

// sweep forgets the addresses that have rested for so long that nothing of them needs
// to be known. It looks once a second at most, and reports whether there is room.
func (a *addressRates) sweep(now time.Time) bool {
	if now.Sub(a.swept) < time.Second {
		return false
	}
	a.swept = now
	maps.DeleteFunc(a.buckets, func(_ netip.Prefix, t *tokenBucket) bool { return t.full(now) })
	return len(a.buckets) < maxAddresses
}

// addressOf is the IP address of a, or zero if it has none.
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	if a == nil {
		return netip.Addr{}
	}
	p, _ := netip.ParseAddrPort(a.String()) // that of a WebSocket
	return p.Addr().Unmap()
}

// full reports whether a whole burst may pass now.
func (t *tokenBucket) full(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tokens+t.rate*now.Sub(t.at).Seconds() >= t.burst
}

// unconnected are the connections whose CONNECT has not come, the oldest first.
type unconnected struct {
	mu   sync.Mutex
	list list.List // of *connection
}

// add adds a connection that was just accepted. If there are more than limit now
// the oldest has to make room: who comes with a CONNECT gets in, however many are
// silent.
func (u *unconnected) add(c *connection, limit int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.waiting = u.list.PushBack(c)
	if u.list.Len() > limit {
		oldest := u.list.Remove(u.list.Front()).(*connection)
		oldest.waiting = nil
		// It wakes up and looks once more whether its CONNECT is there. The
		// lock orders this before the deadlines that a CONNECT brings.
		oldest.net.SetReadDeadline(time.Unix(1, 0))
	}
}

// remove reports whether the connection was still among them.
func (u *unconnected) remove(c *connection) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.waiting == nil {
		return false
	}
	u.list.Remove(c.waiting)
	c.waiting = nil
	return true
}

// lastLook is how long a connection that has to make room is waited for. Its
// CONNECT may be there already, if many have come at once.
const lastLook = 10 * time.Millisecond
