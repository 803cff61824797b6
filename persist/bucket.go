package persist

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// What a bucket takes at most, in bytes.
const (
	MaxBucketKey   = 512
	MaxBucketValue = 256 << 10 // as JSON

	maxBucketName = 64
)

// Bucket keeps values of one type by key, for everybody who has a little to
// remember: users, devices, settings. It is held in memory whole, as JSON, so
// its owner bounds how many values there are. Fields of T may come and go from
// version to version as encoding/json allows.
//
// Its methods may be called from any goroutine, but not from done functions.
type Bucket[T any] struct {
	s    *Store
	name string

	mu     sync.RWMutex
	values map[string]string // what is on the disk, as JSON
}

// NewBucket reads the bucket of that name, which is of 1 to 64 bytes without a
// zero, and has one owner at a time. A value that is damaged, or is not JSON of
// a T, is logged and left out; it stays in the store until its key is put again.
func NewBucket[T any](s *Store, name string) (*Bucket[T], error) {
	if name == "" || len(name) > maxBucketName || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("persist: %q is no name for a bucket", name)
	}
	b := &Bucket[T]{s: s, name: name, values: make(map[string]string)}
	err := s.eachValue(name, func(key string, value []byte) error {
		if err := json.Unmarshal(value, new(T)); err != nil {
			return err
		}
		b.values[key] = string(value)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("persist: bucket %s: %s", name, oneLine(err))
	}
	return b, nil
}

// eachValue calls f with each value of a bucket, logs those that it refuses, and
// those that are damaged.
func (s *Store) eachValue(bucket string, f func(key string, value []byte) error) error {
	prefix := append([]byte{prefixBucket}, bucketKey(bucket, "")...)
	return s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = prefix
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Seek(prefix); it.Valid(); it.Next() {
			key := it.Item().Key()
			err := it.Item().Value(func(value []byte) error {
				b, err := fieldsOf(key, value)
				if err != nil {
					return err
				}
				return f(string(key[len(prefix):]), b)
			})
			if err != nil {
				s.log.Error("stored value not usable", "record", keyString(key), "err", err)
			}
		}
		return nil
	})
}

// Get returns the value of a key, a copy for the caller.
func (b *Bucket[T]) Get(key string) (value T, ok bool) {
	b.mu.RLock()
	text, ok := b.values[key]
	b.mu.RUnlock()
	if ok {
		value = decode[T](text)
	}
	return value, ok
}

// All goes through all values in the order of their keys, as they are when it
// is called.
func (b *Bucket[T]) All() iter.Seq2[string, T] {
	b.mu.RLock()
	values := maps.Clone(b.values)
	b.mu.RUnlock()
	return func(yield func(string, T) bool) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if !yield(key, decode[T](values[key])) {
				return
			}
		}
	}
}

// decode reads what NewBucket or Put has read before.
func decode[T any](text string) T {
	var value T
	json.Unmarshal([]byte(text), &value)
	return value
}

// Put sets the value of a key and returns when that cannot be lost any more;
// until then Get returns the one before. If ctx ends first the value may or may not be stored.
func (b *Bucket[T]) Put(ctx context.Context, key string, value T) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, new(T)) // else the next start would leave it out
	}
	if err != nil {
		return fmt.Errorf("persist: bucket %s: %w", b.name, err)
	}
	if len(text) > MaxBucketValue {
		return fmt.Errorf("persist: bucket %s: a value has at most %d bytes, not %d", b.name, MaxBucketValue, len(text))
	}
	var batch Batch
	batch.putValue(b.name, key, string(text))
	return b.commit(ctx, key, &batch, func() { b.values[key] = string(text) })
}

// Delete deletes the value of a key, if there is one, and returns when it cannot
// come back.
func (b *Bucket[T]) Delete(ctx context.Context, key string) error {
	var batch Batch
	batch.deleteValue(b.name, key)
	return b.commit(ctx, key, &batch, func() { delete(b.values, key) })
}

// commit writes a batch and then changes what is in memory. Done functions come
// in the order of the commits, and so do the changes.
func (b *Bucket[T]) commit(ctx context.Context, key string, batch *Batch, change func()) error {
	if key == "" || len(key) > MaxBucketKey {
		return fmt.Errorf("persist: bucket %s: a key has 1 to %d bytes, not %d", b.name, MaxBucketKey, len(key))
	}
	done := make(chan struct{})
	b.s.Append(batch, func() {
		b.mu.Lock()
		change()
		b.mu.Unlock()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-b.s.failed:
		return b.s.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.s.ended:
	}
	select {
	case <-done: // Close was in time
		return nil
	default:
		return ErrClosed
	}
}
