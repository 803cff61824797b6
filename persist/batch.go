package persist

import "lintel/gateway/mqtt"

// Batch collects changes that belong together. The zero Batch is ready for use.
// It is filled by one goroutine and then given to one of the Append methods of a
// Store, after which nobody touches it, nor the messages in it.
type Batch struct {
	ops     []op
	bytes   int64  // upper bound of what it writes, for budgets
	puts    bool   // it puts entries
	deletes bool   // it deletes entries
	body    uint64 // the body counted last: entries that share it come in a row
	dead    int    // so many of the first operations are known to be superfluous puts; with Store.mu
}

// op is one change of one record.
type op struct {
	prefix    byte // of the key: tells the kind
	remove    bool
	packetID  uint16
	sessionID uint32
	version   uint32 // of a put of an entry: see Ref.made
	size      int64  // upper bound of its keys and values
	entryID   uint64
	name      string // client id, filter, topic, or bucket and key
	value     any    // of a put: *Session, *Subscription, *Entry, *mqtt.Message, or the text of a bucket's value or of filler
	ref       *Ref
}

func (o *op) putsEntry() bool { return o.prefix == prefixEntry && !o.remove }

// recordOverhead bounds all of an operation that has no length of its own: two
// keys with numbers, flags, lengths and times, two checksums, a hashed name.
const recordOverhead = 128

func messageSize(m *mqtt.Message) int64 {
	return int64(len(m.Topic) + len(m.Properties) + len(m.Payload))
}

// logged bounds what the operation adds to a transaction as Badger counts it: a value
// in the value log is only pointed to.
func (o *op) logged() int64 { return min(o.size, 2*valueThreshold) }

func (b *Batch) logged() (n int64) {
	for i := range b.ops {
		n += b.ops[i].logged()
	}
	return n
}

func (b *Batch) add(o op) {
	o.size += recordOverhead + int64(len(o.name))
	b.bytes += o.size
	b.ops = append(b.ops, o)
}

// Len returns the number of operations.
func (b *Batch) Len() int { return len(b.ops) }

// PutSession writes the record of a session, new or changed.
func (b *Batch) PutSession(s Session) {
	o := op{prefix: prefixSession, name: s.ClientID, value: &s}
	if s.Will != nil {
		o.size = messageSize(s.Will)
	}
	b.add(o)
}

// DeleteSession deletes the record of a session. Its subscriptions, entries and
// incoming packet ids are deleted by their own calls, best after this one: see
// the package comment on large batches.
func (b *Batch) DeleteSession(id uint32, clientID string) {
	b.add(op{prefix: prefixSession, remove: true, sessionID: id, name: clientID})
}

// PutSubscription writes one subscription of a session, new or changed.
func (b *Batch) PutSubscription(session uint32, s Subscription) {
	b.add(op{prefix: prefixSubscription, sessionID: session, name: s.Filter, value: &s})
}

// DeleteSubscription deletes one subscription of a session.
func (b *Batch) DeleteSubscription(session uint32, filter string) {
	b.add(op{prefix: prefixSubscription, remove: true, sessionID: session, name: filter})
}

// PutEntry queues a message for a session, or changes State and PacketID of an
// entry that was put with the same Ref before. A session has at most one entry
// of an ID.
//
// Calls for one entry are made one after the other, under the lock of its
// session. Their batches may be appended the other way round: an older state
// never replaces a newer one.
func (b *Batch) PutEntry(session uint32, e Entry, r *Ref) {
	r.made++
	o := op{prefix: prefixEntry, sessionID: session, entryID: e.ID, value: &e, version: r.made, ref: r, size: int64(5*len(e.Identifiers) + len(e.Share))}
	if e.Body == 0 || e.Body != b.body {
		o.size += messageSize(e.Message)
		b.body = e.Body
	}
	b.puts = true
	b.add(o)
}

// DeleteEntry removes a message from the queue of a session. If the put of the
// entry has not been written yet it never will be, and neither is this.
//
// So an entry that goes because its message moves to another session is deleted
// in the batch that puts the new entry: only there the old put is kept until
// both can be written together. The put comes right before the delete, so that
// they stay together even if the batch has to be split.
func (b *Batch) DeleteEntry(session uint32, id uint64, r *Ref) {
	b.deletes = true
	b.add(op{prefix: prefixEntry, remove: true, sessionID: session, entryID: id, ref: r})
}

// PutIncoming remembers the packet id of an incoming QoS 2 message.
func (b *Batch) PutIncoming(session uint32, packetID uint16) {
	b.add(op{prefix: prefixIncoming, sessionID: session, packetID: packetID})
}

// DeleteIncoming forgets the packet id of an incoming QoS 2 message. PUBCOMP has
// to wait for it: the client may use the id again, and the new message would be
// taken for a repetition.
func (b *Batch) DeleteIncoming(session uint32, packetID uint16) {
	b.add(op{prefix: prefixIncoming, remove: true, sessionID: session, packetID: packetID})
}

// PutRetained sets the retained message of m.Topic.
func (b *Batch) PutRetained(m *mqtt.Message) {
	b.add(op{prefix: prefixRetained, name: m.Topic, value: m, size: messageSize(m)})
}

// DeleteRetained clears the retained message of a topic.
func (b *Batch) DeleteRetained(topic string) {
	b.add(op{prefix: prefixRetained, remove: true, name: topic})
}

// putValue sets a value of a bucket.
func (b *Batch) putValue(bucket, key, json string) {
	b.add(op{prefix: prefixBucket, name: bucketKey(bucket, key), value: json, size: int64(len(json))})
}

// deleteValue deletes a value of a bucket.
func (b *Batch) deleteValue(bucket, key string) {
	b.add(op{prefix: prefixBucket, remove: true, name: bucketKey(bucket, key)})
}

// markDead makes the puts of the deleted entries superfluous.
func (b *Batch) markDead() {
	for i := range b.ops {
		if o := &b.ops[i]; o.prefix == prefixEntry && o.remove {
			o.ref.dead.Store(true)
		}
	}
}

// isDead reports whether the batch does nothing but put entries that are deleted
// already. Called with Store.mu held.
func (b *Batch) isDead() bool {
	for b.dead < len(b.ops) && b.ops[b.dead].putsEntry() && b.ops[b.dead].ref.dead.Load() {
		b.dead++
	}
	return b.dead == len(b.ops)
}

// isSuperfluous reports whether nothing of the batch is to be written, wherever it
// waits: what it puts is deleted already, and what it deletes was never written and
// never will be. Called by the committer, between groups, with Store.mu held.
func (b *Batch) isSuperfluous() bool {
	if b.isDead() {
		return true
	}
	for i := b.dead; i < len(b.ops); i++ {
		if o := &b.ops[i]; o.prefix != prefixEntry || !o.ref.dead.Load() || o.remove && o.ref.written {
			return false
		}
	}
	return true
}

// elidedBytes is about what an operation on an entry would have written.
func (o *op) elidedBytes() uint64 {
	const key = 1 + 4 + 8
	if o.remove {
		return key
	}
	const frame = 1 + 4 // codec version and checksum
	const fields = 8    // flags, packet id, count; flags and lengths of the message
	return uint64(key + frame + fields + o.size - recordOverhead)
}
