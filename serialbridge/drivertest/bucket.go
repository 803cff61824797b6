package drivertest

import (
	"context"
	"iter"
	"maps"
	"sync"
)

// Bucket is a store in memory; its zero value is empty. It may be used by several
// goroutines.
type Bucket[T any] struct {
	mu     sync.Mutex
	values map[string]T
}

// All returns what is in it now, in any order.
func (b *Bucket[T]) All() iter.Seq2[string, T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.All(maps.Clone(b.values))
}

// Put keeps a value. It does not fail.
func (b *Bucket[T]) Put(_ context.Context, key string, v T) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.values == nil {
		b.values = make(map[string]T)
	}
	b.values[key] = v
	return nil
}

// Delete forgets a value. It does not fail.
func (b *Bucket[T]) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.values, key)
	return nil
}
