package persist

import (
	"sync/atomic"
	"time"

	"lintel/gateway/mqtt"
)

// NeverExpires as an ExpiryInterval means that the session has no end.
const NeverExpires = 0xFFFFFFFF

// Session is a session that outlives its connection.
type Session struct {
	ID             uint32 // surrogate of the client id, given by the broker, in keys
	ClientID       string
	User           string        // whom it belongs to; empty: nobody, or it was stored before there were users
	Version        byte          // protocol level of the last connection: 3, 4 or 5
	ExpiryInterval uint32        // seconds; NeverExpires: no end
	Disconnected   time.Time     // by the monotonic clock of this process; zero while connected
	Provisional    bool          // Disconnected leaves out a time that the machine was off: see Store.LookAtClock
	Will           *mqtt.Message // nil: none is owed
	WillDelay      uint32        // seconds
	WillExpiry     uint32        // message expiry interval of the will in seconds, if WillExpires
	WillExpires    bool
}

// Subscription is one subscription of a session.
type Subscription struct {
	Filter     string
	Options    byte   // the subscription options byte of MQTT 5.0 §3.8.3.1
	Identifier uint32 // subscription identifier; 0: none
}

// EntryState tells how far the delivery of a message to one session has come.
type EntryState byte

// The states of a delivery.
const (
	Queued   EntryState = iota // not sent under a packet id that is on the disk
	Sent                       // sent, or about to be sent, under Entry.PacketID
	Released                   // QoS 2: PUBREC came, PUBREL is owed
)

// Entry is one message in the queue of one session.
type Entry struct {
	ID          uint64 // the broker's running number: the order of the queue, and greater in a later put
	Body        uint64 // names the message if other sessions may hold it too, not as anything else; 0: this one alone
	PacketID    uint16 // 0: none yet
	State       EntryState
	QoS         mqtt.QoS
	Retain      bool     // RETAIN flag of the delivery
	Identifiers []uint32 // subscription identifiers of the delivery
	Share       string   // filter of the shared subscription that it came by; empty: none
	Message     *mqtt.Message
}

// Ref belongs to one entry in the store. It lets an entry that is deleted before
// its group closed go unwritten: the card never sees it. The zero Ref is ready
// for use; the same Ref goes with every Put and with the Delete of its entry,
// and with no other entry afterwards.
type Ref struct {
	dead atomic.Bool // the delete is on its way: puts need not be written any more
	made uint32      // puts made; whoever makes them holds the session's lock

	// Of the committer alone, and of Load before the first Append.
	latest  uint32 // the newest put that was written
	written bool
	place   bodyPlace
	body    uint64 // if place is bodyShared
}

// Written reports whether the entry is in the store. Only the function that was given to
// Append with a batch that puts the entry may ask.
func (r *Ref) Written() bool { return r.written }

// State is what a store holds of the broker, as read at start. What waits in
// queues is only counted: see ReadQueue.
type State struct {
	Sessions      []SessionState
	Retained      []*mqtt.Message
	NextID        uint64 // greater than every id of an entry or a body in the store
	NextSessionID uint32 // greater than every session id in the store

	// Damaged names each record that could not be read and says why. Such a
	// record is in none of the fields above; it stays in the store until it is
	// overwritten.
	Damaged []string
}

// SessionState is a session with everything that belongs to it.
type SessionState struct {
	Session
	Subscriptions []Subscription
	Inflight      []LoadedEntry // those that are not Queued, by ID
	Queued        Queue         // the others
	Incoming      []uint16      // packet ids of incoming QoS 2 messages that wait for PUBREL
}

// Queue tells about the entries of a session in state Queued.
type Queue struct {
	Count   int
	Bytes   int64     // of topics, properties, payloads and filters of shares
	Expires time.Time // when the first of them does; zero: none will
}

// LoadedEntry is an entry as it was read, with the Ref for its next changes.
type LoadedEntry struct {
	Entry
	Ref *Ref
}
