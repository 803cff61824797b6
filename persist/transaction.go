package persist

import "lintel/gateway/mqtt"

// limits bound one transaction well below what Badger allows (15 % of
// MemTableSize), because sizes are estimated before they are encoded.
type limits struct {
	operations int
	bytes      int64
}

// transaction is what the committer collects for one Badger transaction.
type transaction struct {
	meta    meta
	now     moment
	clock   *clock
	buf     []byte // keys and values, one after the other
	records []record
	index   map[string]int // key → place in records
	bodies  map[uint64]int // entries on the disk that need each shared body

	operations     int
	bytes          int64 // estimated
	elided         uint64
	bytesWritten   uint64
	bytesElided    uint64
	bytesCoalesced uint64
	bytesValueLog  uint64
	entries        int64 // more of them in the store
	tombstones     int64
}

// record is a key and its value; nil deletes.
type record struct{ key, value []byte }

func (tx *transaction) begin() {
	tx.now = tx.clock.now()
	if cap(tx.buf) > 1<<20 { // after a large message
		tx.buf = nil
	}
	tx.buf = tx.buf[:0]
	clear(tx.records)
	tx.records = tx.records[:0]
	if tx.index == nil {
		tx.index = make(map[string]int)
	}
	clear(tx.index)
	tx.operations, tx.bytes, tx.elided = 0, 0, 0
	tx.bytesWritten, tx.bytesElided, tx.bytesCoalesced, tx.bytesValueLog = 0, 0, 0, 0
	tx.entries, tx.tombstones = 0, 0
}

func (tx *transaction) full(o *op, l limits) bool {
	return tx.operations > 0 && (tx.operations+1 > l.operations || tx.bytes+o.logged() > l.bytes)
}

// apply encodes an operation.
func (tx *transaction) apply(o *op) {
	tx.operations++
	tx.bytes += o.logged()
	if o.prefix == prefixEntry {
		tx.applyEntry(o)
		return
	}
	start := len(tx.buf)
	switch o.prefix {
	case prefixMeta:
		if o.name == "" {
			tx.buf = append(tx.buf, bootsKey...)
		} else {
			tx.buf = append(append(tx.buf, prefixMeta), o.name...)
		}
	case prefixSession:
		tx.buf = appendSessionKey(tx.buf, o.name)
	case prefixSubscription:
		tx.buf = appendSubscriptionKey(tx.buf, o.sessionID, o.name)
	case prefixIncoming:
		tx.buf = appendIncomingKey(tx.buf, o.sessionID, o.packetID)
	case prefixRetained:
		tx.buf = appendRetainedKey(tx.buf, o.name)
	case prefixBucket:
		tx.buf = append(append(tx.buf, prefixBucket), o.name...)
	}
	end := len(tx.buf)
	if !o.remove {
		tx.buf = append(tx.buf, codecVersion)
		switch o.prefix {
		case prefixMeta:
			if o.name == "" {
				tx.buf = tx.clock.appendBoots(tx.buf)
			} else {
				tx.buf = append(tx.buf, o.value.(string)...)
			}
		case prefixSession:
			tx.buf = appendSession(tx.buf, o.value.(*Session), tx.now)
		case prefixSubscription:
			tx.buf = appendSubscription(tx.buf, o.value.(*Subscription))
		case prefixRetained:
			tx.buf = appendMessage(tx.buf, o.value.(*mqtt.Message), nameInValue(o.name), tx.now)
		case prefixBucket:
			tx.buf = append(tx.buf, o.value.(string)...)
		}
	}
	if tx.add(start, end) {
		tx.elided++
	}
}

// applyEntry encodes an operation on an entry, and on its body when the entry
// comes or goes.
func (tx *transaction) applyEntry(o *op) {
	r := o.ref
	if o.remove {
		r.dead.Store(true) // an older put may still come
	}
	switch {
	case o.remove && !r.written, !o.remove && (r.dead.Load() || o.version < r.latest):
		tx.elided++
		tx.bytesElided += o.elidedBytes()
		return
	case o.remove:
		r.written = false
		tx.entries--
		if r.place == bodyOwn || r.place == bodyShared && tx.needBody(r.body, -1) == 0 {
			tx.applyBody(o)
		}
	case !r.written:
		r.written = true
		tx.entries++
		e := o.value.(*Entry)
		r.place, r.body = placeOf(e), e.Body
		if r.place == bodyOwn || r.place == bodyShared && tx.needBody(r.body, 1) == 1 {
			tx.applyBody(o)
		}
	}
	r.latest = max(r.latest, o.version)
	start := len(tx.buf)
	tx.buf = appendEntryKey(tx.buf, o.sessionID, o.entryID)
	end := len(tx.buf)
	if !o.remove {
		tx.buf = append(tx.buf, codecVersion)
		tx.buf = appendEntry(tx.buf, o.value.(*Entry), r.place, tx.now)
	}
	if tx.add(start, end) {
		tx.elided++
	}
}

// needBody counts an entry that needs a shared body, or with n -1 needs it no more,
// and returns how many do now.
func (tx *transaction) needBody(body uint64, n int) int {
	n += tx.bodies[body]
	if n == 0 {
		delete(tx.bodies, body)
	} else {
		tx.bodies[body] = n
	}
	return n
}

// applyBody puts or deletes the body of an entry.
func (tx *transaction) applyBody(o *op) {
	start := len(tx.buf)
	if o.ref.place == bodyShared {
		tx.buf = appendBodyKey(tx.buf, o.ref.body)
	} else {
		tx.buf = appendOwnBodyKey(tx.buf, o.entryID, o.sessionID)
	}
	end := len(tx.buf)
	if !o.remove {
		tx.buf = append(tx.buf, codecVersion)
		m := o.value.(*Entry).Message
		tx.buf = appendMessage(tx.buf, m, m.Topic, tx.now)
	}
	tx.add(start, end)
}

// add makes a record of the key in tx.buf[start:end] and the value that follows
// it, where no value deletes. It reports whether that replaces an earlier record.
func (tx *transaction) add(start, end int) bool {
	var r record
	if len(tx.buf) > end {
		tx.buf = appendSum(tx.buf, end, tx.buf[start:end])
		r.value = tx.buf[end:len(tx.buf):len(tx.buf)]
	}
	r.key = tx.buf[start:end:end]
	if i, ok := tx.index[string(r.key)]; ok {
		old := &tx.records[i]
		tx.bytesCoalesced += uint64(len(old.key) + len(old.value))
		*old = r
		return true
	}
	tx.index[string(r.key)] = len(tx.records)
	tx.records = append(tx.records, r)
	return false
}
