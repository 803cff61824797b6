package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// loader builds a State from the records in the order of their keys: bodies come
// before the entries that need them.
type loader struct {
	txn      *badger.Txn
	state    *State
	now      moment
	sessions map[uint32]*SessionState
	bodies   map[bodyID]*storedBody
	orphans  [][]byte // keys of records that belong to no session
	records  int64
	entries  int64
}

// bodyID is a key under prefixBody: that of a shared body, or with a session that
// of an entry.
type bodyID struct {
	id      uint64
	session uint32
}

func (b bodyID) appendKey(key []byte) []byte {
	if b.session == 0 {
		return appendBodyKey(key, b.id)
	}
	return appendOwnBodyKey(key, b.id, b.session)
}

// storedBody is what is told of a record under prefixBody without keeping it.
type storedBody struct {
	damaged bool
	bytes   int64
	expires time.Time
	needed  int // by so many entries
}

// Load reads everything but what waits in queues, which it counts; it must come
// before the first Append. A record that is damaged is named in State.Damaged and
// left alone. Records that belong to nothing, as a crash within a split batch
// leaves them, are deleted.
func (s *Store) Load() (*State, error) {
	l := loader{
		state:    &State{NextID: 1, NextSessionID: 1, Damaged: s.damaged},
		now:      s.clock.now(),
		sessions: make(map[uint32]*SessionState),
		bodies:   make(map[bodyID]*storedBody),
	}
	s.tx.bodies = make(map[uint64]int)
	var sessions []*SessionState
	err := s.db.View(func(txn *badger.Txn) error {
		l.txn = txn
		options := badger.DefaultIteratorOptions
		options.PrefetchValues = false // nearly all are where the keys are
		it := txn.NewIterator(options)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().Key()
			l.records++
			if key[0] == prefixMeta {
				continue // Open has read them
			}
			l.number(key)
			err := it.Item().Value(func(value []byte) error {
				b, err := fieldsOf(key, value)
				if err != nil {
					return err
				}
				if key[0] != prefixSession {
					return l.record(key, b)
				}
				session, err := l.session(key, slices.Clone(b))
				if err == nil {
					sessions = append(sessions, session)
				}
				return err
			})
			if err != nil {
				l.state.Damaged = append(l.state.Damaged, fmt.Sprintf("%s: %s", keyString(key), oneLine(err)))
				if id, ok := bodyOf(key); ok {
					l.bodies[id] = &storedBody{damaged: true}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("persist: load: %s", oneLine(err))
	}
	s.countGarbage(l.records, l.entries)
	for _, session := range sessions {
		l.state.Sessions = append(l.state.Sessions, *session)
	}
	for id, b := range l.bodies {
		if id.session == 0 && b.needed > 0 {
			s.tx.needBody(id.id, b.needed)
		}
	}
	if len(l.state.Damaged) > 0 {
		s.log.Error("store has damaged records", "count", len(l.state.Damaged), "first", l.state.Damaged[0])
		// What seems to belong to nothing may belong to one of these.
		return s.loaded(l.state)
	}
	for id, b := range l.bodies {
		if b.needed == 0 {
			l.orphans = append(l.orphans, id.appendKey(nil))
		}
	}
	if err := s.deleteKeys(l.orphans); err != nil {
		return nil, fmt.Errorf("persist: load: %s", oneLine(err))
	}
	return s.loaded(l.state)
}

// number keeps the next ids above all that are in keys, damaged records included.
func (l *loader) number(key []byte) {
	var session uint32
	var id uint64
	switch {
	case key[0] == prefixBody && len(key) >= 9:
		id = binary.BigEndian.Uint64(key[1:])
	case key[0] == prefixEntry && len(key) == 13:
		session, id = binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint64(key[5:])
	case (key[0] == prefixSubscription || key[0] == prefixIncoming) && len(key) >= 5:
		session = binary.BigEndian.Uint32(key[1:])
	}
	l.state.NextSessionID = max(l.state.NextSessionID, session+1)
	l.state.NextID = max(l.state.NextID, id+1)
}

// bodyOf reports which body a key is that of.
func bodyOf(key []byte) (id bodyID, ok bool) {
	if len(key) == 0 || key[0] != prefixBody || len(key) != 9 && len(key) != 13 {
		return bodyID{}, false
	}
	id.id = binary.BigEndian.Uint64(key[1:])
	if len(key) == 13 {
		id.session = binary.BigEndian.Uint32(key[9:])
	}
	return id, true
}

// nameOf puts together what key and value hold of a name.
func nameOf(inKey []byte, inValue string) (string, error) {
	name := inValue
	if name == "" {
		name = string(inKey)
	}
	if string(appendName(nil, name)) != string(inKey) {
		return "", errors.New("name does not belong to the key")
	}
	return name, nil
}

func (l *loader) session(key, b []byte) (*SessionState, error) {
	session, err := decodeSession(b, l.now)
	if err != nil {
		return nil, err
	}
	if session.ClientID, err = nameOf(key[1:], session.ClientID); err != nil {
		return nil, err
	}
	if other := l.sessions[session.ID]; other != nil {
		return nil, fmt.Errorf("has the id of session %q", other.ClientID)
	}
	s := &SessionState{Session: session}
	l.sessions[session.ID] = s
	l.state.NextSessionID = max(l.state.NextSessionID, session.ID+1)
	return s, nil
}

// record adds any other record to the state. Key and value are not kept.
func (l *loader) record(key, b []byte) error {
	var session *SessionState
	id, isBody := bodyOf(key)
	switch prefix := key[0]; {
	case prefix == prefixBucket:
		return nil // NewBucket reads it
	case isBody:
		m, err := decodeMessage(b, l.now)
		if err != nil {
			return err
		}
		l.bodies[id] = &storedBody{bytes: messageSize(m), expires: m.Expires}
		return nil
	case prefix == prefixRetained:
		m, err := decodeMessage(slices.Clone(b), l.now)
		if err != nil {
			return err
		}
		if m.Topic, err = nameOf(key[1:], m.Topic); err != nil {
			return err
		}
		l.state.Retained = append(l.state.Retained, m)
		return nil
	case prefix == prefixSubscription && len(key) > 5, prefix == prefixEntry && len(key) == 13, prefix == prefixIncoming && len(key) == 7:
		if session = l.sessions[binary.BigEndian.Uint32(key[1:])]; session == nil {
			l.orphans = append(l.orphans, slices.Clone(key))
			return nil
		}
	default:
		return errors.New("unknown kind of record")
	}

	switch key[0] {
	case prefixSubscription:
		sub, err := decodeSubscription(b)
		if err != nil {
			return err
		}
		if sub.Filter, err = nameOf(key[5:], sub.Filter); err != nil {
			return err
		}
		session.Subscriptions = append(session.Subscriptions, sub)
	case prefixEntry:
		return l.entry(session, key, b)
	case prefixIncoming:
		if len(b) != 0 {
			return errFields
		}
		session.Incoming = append(session.Incoming, binary.BigEndian.Uint16(key[5:]))
	}
	return nil
}

// entry counts an entry that waits and reads one that is in flight.
func (l *loader) entry(session *SessionState, key, b []byte) error {
	e, ref, err := decodeStored(key, b, l.now)
	if err != nil {
		return err
	}
	l.entries++
	size, expires := int64(len(e.Share)), time.Time{}
	if id, ok := ref.bodyID(&e, session.ID); ok {
		body := l.bodies[id]
		switch {
		case body == nil:
			return errNoBody
		case body.damaged:
			return errors.New("its body is damaged")
		}
		body.needed++
		size, expires = size+body.bytes, body.expires
	} else {
		size, expires = size+messageSize(e.Message), e.Message.Expires
	}
	if e.State == Queued {
		q := &session.Queued
		q.Count++
		q.Bytes += size
		if !expires.IsZero() && (q.Expires.IsZero() || expires.Before(q.Expires)) {
			q.Expires = expires
		}
		return nil
	}
	loaded, err := readEntry(l.txn, session.ID, key, slices.Clone(b), l.now)
	if err != nil {
		return err
	}
	session.Inflight = append(session.Inflight, loaded)
	return nil
}

// deleteKeys deletes what belongs to nothing.
func (s *Store) deleteKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	s.log.Warn("records without owner deleted", "count", len(keys))
	for len(keys) > 0 {
		s.tx.begin()
		n := min(len(keys), s.limits.operations)
		for _, key := range keys[:n] {
			s.tx.records = append(s.tx.records, record{key: key})
		}
		if err := s.writeTransaction(); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}
