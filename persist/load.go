package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"lintel/gateway/mqtt"
)

// loader builds a State from the records in the order of their keys: bodies come
// before the entries that need them.
type loader struct {
	state    *State
	now      time.Time
	sessions map[uint32]*SessionState
	bodies   map[string]*loadedBody // by key
	orphans  [][]byte               // keys of records that belong to no session
}

// loadedBody is a record under prefixBody, and how many entries need it.
type loadedBody struct {
	message *mqtt.Message // nil: damaged
	body    *Body
}

// Load reads everything; it must come before the first Append. A record that is
// damaged is named in State.Damaged and left alone. Records that belong to
// nothing, as a crash within a split batch leaves them, are deleted.
func (s *Store) Load() (*State, error) {
	l := loader{
		state:    &State{NextMessageID: 1, NextSessionID: 1, Damaged: s.damaged},
		now:      time.Now(),
		sessions: make(map[uint32]*SessionState),
		bodies:   make(map[string]*loadedBody),
	}
	var sessions []*SessionState
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().KeyCopy(nil)
			if len(key) == 1 && key[0] == prefixMeta {
				continue // Open has read it
			}
			l.number(key)
			value, err := it.Item().ValueCopy(nil)
			var b []byte
			if err == nil {
				b, err = fieldsOf(key, value)
			}
			if err == nil && key[0] == prefixSession {
				var session *SessionState
				if session, err = l.session(key, b); err == nil {
					sessions = append(sessions, session)
				}
			} else if err == nil {
				err = l.record(key, b)
			}
			if err != nil {
				l.state.Damaged = append(l.state.Damaged, fmt.Sprintf("%s: %s", keyString(key), oneLine(err)))
				if key[0] == prefixBody {
					l.bodies[string(key)] = &loadedBody{}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("persist: load: %s", oneLine(err))
	}
	for _, session := range sessions {
		l.state.Sessions = append(l.state.Sessions, *session)
	}
	if len(l.state.Damaged) > 0 {
		s.log.Error("store has damaged records", "count", len(l.state.Damaged), "first", l.state.Damaged[0])
		// What seems to belong to nothing may belong to one of these.
		return l.state, nil
	}
	for key, b := range l.bodies {
		if b.body.refs == 0 {
			l.orphans = append(l.orphans, []byte(key))
		}
	}
	if err := s.deleteKeys(l.orphans); err != nil {
		return nil, fmt.Errorf("persist: load: %s", oneLine(err))
	}
	return l.state, nil
}

// number keeps the next ids above all that are in keys, damaged records included.
func (l *loader) number(key []byte) {
	var session uint32
	var message uint64
	switch {
	case key[0] == prefixBody && len(key) >= 9:
		message = binary.BigEndian.Uint64(key[1:])
	case key[0] == prefixEntry && len(key) == 13:
		session, message = binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint64(key[5:])
	case (key[0] == prefixSubscription || key[0] == prefixIncoming) && len(key) >= 5:
		session = binary.BigEndian.Uint32(key[1:])
	}
	l.state.NextSessionID = max(l.state.NextSessionID, session+1)
	l.state.NextMessageID = max(l.state.NextMessageID, message+1)
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

// record adds any other record to the state.
func (l *loader) record(key, b []byte) error {
	var session *SessionState
	switch prefix := key[0]; {
	case prefix == prefixBucket:
		return nil // NewBucket reads it
	case prefix == prefixBody && (len(key) == 9 || len(key) == 13):
		m, err := decodeMessage(b, l.now)
		if err != nil {
			return err
		}
		l.bodies[string(key)] = &loadedBody{m, new(Body)}
		return nil
	case prefix == prefixRetained:
		m, err := decodeMessage(b, l.now)
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
			l.orphans = append(l.orphans, key)
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
		e, err := l.entry(key, b)
		if err != nil {
			return err
		}
		session.Entries = append(session.Entries, e)
	case prefixIncoming:
		if len(b) != 0 {
			return errFields
		}
		session.Incoming = append(session.Incoming, binary.BigEndian.Uint16(key[5:]))
	}
	return nil
}

func (l *loader) entry(key, b []byte) (LoadedEntry, error) {
	e, place, err := decodeEntry(b, l.now)
	if err != nil {
		return LoadedEntry{}, err
	}
	sessionID, id := binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint64(key[5:])
	e.MessageID = id
	ref := &Ref{written: true, place: place}
	if place != bodyInline {
		bodyKey := appendBodyKey(nil, id)
		if place == bodyOwn {
			bodyKey = appendOwnBodyKey(nil, id, sessionID)
		}
		body := l.bodies[string(bodyKey)]
		switch {
		case body == nil:
			return LoadedEntry{}, errors.New("its body is missing")
		case body.message == nil:
			return LoadedEntry{}, errors.New("its body is damaged")
		}
		e.Message = body.message
		body.body.refs++
		if place == bodyShared {
			ref.body = body.body
		}
	}
	return LoadedEntry{Entry: e, Ref: ref, Body: ref.body}, nil
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
