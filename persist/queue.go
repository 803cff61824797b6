package persist

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Page is a piece of a queue.
type Page struct {
	Entries []LoadedEntry // in state Queued, by ID
	Next    uint64        // where the next page begins; 0: there is no more
	Damaged []string      // records that could not be read and are left out, and why
}

// pageBytes is how many bytes of messages a page is to have, and one more message.
const pageBytes = 256 << 10

// ReadQueue reads entries of a session that are in state Queued and have an ID
// of at least from and below before: as many as limit, fewer if they are large. It
// sees what has been committed. Who reads an entry knows that the put of it has
// been, and holds no Ref of it any more: an entry that is read a second time before
// its delete is committed would be deleted twice, and with it the body that it shares.
// After Close it fails.
func (s *Store) ReadQueue(session uint32, from, before uint64, limit int) (Page, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.shut {
		return Page{}, ErrClosed
	}
	var p Page
	err := s.db.View(func(txn *badger.Txn) error {
		options := badger.DefaultIteratorOptions
		options.PrefetchValues = false
		options.Prefix = appendEntryKey(nil, session, 0)[:5]
		it := txn.NewIterator(options)
		defer it.Close()
		p.Entries = make([]LoadedEntry, 0, min(limit, 64))
		var bytes int64
		now := s.clock.now()
		for it.Seek(appendEntryKey(nil, session, from)); it.Valid(); it.Next() {
			key := it.Item().Key()
			if len(key) != 13 {
				continue // Load has named it
			}
			id := binary.BigEndian.Uint64(key[5:])
			if id >= before {
				return nil
			}
			if len(p.Entries) == limit || bytes >= pageBytes {
				p.Next = id
				return nil
			}
			e, err := readItem(txn, session, key, it.Item(), now)
			switch {
			case err != nil:
				p.Damaged = append(p.Damaged, fmt.Sprintf("%s: %s", keyString(key), oneLine(err)))
			case e.State == Queued:
				p.Entries = append(p.Entries, e)
				bytes += messageSize(e.Message)
			}
		}
		return nil
	})
	if err != nil {
		return Page{}, fmt.Errorf("persist: reading the queue of session %d: %s", session, oneLine(err))
	}
	return p, nil
}

func readItem(txn *badger.Txn, session uint32, key []byte, item *badger.Item, now moment) (LoadedEntry, error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return LoadedEntry{}, err
	}
	b, err := fieldsOf(key, value)
	if err != nil {
		return LoadedEntry{}, err
	}
	return readEntry(txn, session, key, b, now)
}

// readEntry makes an entry of its fields, which it keeps, and of its body.
func readEntry(txn *badger.Txn, session uint32, key, b []byte, now moment) (LoadedEntry, error) {
	e, ref, err := decodeStored(key, b, now)
	if err != nil {
		return LoadedEntry{}, err
	}
	if id, ok := ref.bodyID(&e, session); ok {
		key := id.appendKey(nil)
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return LoadedEntry{}, errNoBody
		}
		var value []byte
		if err == nil {
			value, err = item.ValueCopy(nil)
		}
		if err == nil {
			b, err = fieldsOf(key, value)
		}
		if err == nil {
			e.Message, err = decodeMessage(b, now)
		}
		if err != nil {
			return LoadedEntry{}, fmt.Errorf("its body: %w", err)
		}
	}
	return LoadedEntry{Entry: e, Ref: ref}, nil
}

// ErrClosed is the error of reading from a store after Close.
var ErrClosed = errors.New("persist: the store is closed")

var errNoBody = errors.New("its body is missing")

// decodeStored decodes an entry and makes its Ref. Message is nil if it is elsewhere.
func decodeStored(key, b []byte, now moment) (Entry, *Ref, error) {
	e, place, err := decodeEntry(b, now)
	if err != nil {
		return Entry{}, nil, err
	}
	e.ID = binary.BigEndian.Uint64(key[5:])
	if place == bodySame {
		place, e.Body = bodyShared, e.ID
	}
	return e, &Ref{written: true, place: place, body: e.Body}, nil
}

// bodyID tells where the message of an entry is, if it is not in the entry.
func (r *Ref) bodyID(e *Entry, session uint32) (id bodyID, ok bool) {
	switch r.place {
	case bodyShared:
		return bodyID{id: r.body}, true
	case bodyOwn:
		return bodyID{id: e.ID, session: session}, true
	}
	return bodyID{}, false
}
