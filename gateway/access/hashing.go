package access

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// maxHashMemory bounds, in KiB, the memory that is in use for hashes at a time together
// with what was and has not been collected yet. An imported hash may need more (maxMemory)
// and is then computed alone. A goroutine of package argon2 may hold on to its part for a
// moment longer.
const maxHashMemory = 48 << 10

// hashing computes hashes, few at a time and first come, first served.
//
// Two at a time, if there are two processors: 100 hashes with 30 MiB of other live
// data took half the time of one after the other, and on a board with four the broker
// keeps two. Each leaves 19 MiB of garbage, which the collector takes
// its time with: the heap came to 145 MiB then, and to 69 MiB, no slower, with a
// collection after each hash.
type hashing struct {
	slots    *semaphore.Weighted
	width    int64
	argon2id atomic.Int64 // so many were computed

	mu      sync.Mutex
	inUse   uint32 // KiB
	garbage uint32 // KiB, at most
}

func newHashing() *hashing {
	width := int64(min(2, runtime.GOMAXPROCS(0)))
	return &hashing{slots: semaphore.NewWeighted(width), width: width}
}

// hash returns an own hash of a password.
func (q *hashing) hash(ctx context.Context, password []byte) (text string, err error) {
	err = q.run(ctx, ownMemory, func() { text = newHash(password) })
	return text, err
}

// matches reports whether a hash is that of a password.
func (q *hashing) matches(ctx context.Context, h *passwordHash, password []byte) (ok bool, err error) {
	err = q.run(ctx, h.memory, func() { ok = h.matches(password) })
	return ok, err
}

// run calls f, which makes so many KiB of garbage; 0 is a hash other than argon2id.
func (q *hashing) run(ctx context.Context, memory uint32, f func()) error {
	weight := int64(1)
	if memory > maxHashMemory/2 {
		weight = q.width
	}
	if err := q.slots.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("waiting to compute the hash of a password: %w", context.Cause(ctx))
	}
	defer q.slots.Release(weight)
	q.mu.Lock()
	if q.inUse+q.garbage+memory > maxHashMemory {
		runtime.GC()
		q.garbage = 0
	}
	q.inUse += memory
	q.mu.Unlock()
	if memory > 0 {
		q.argon2id.Add(1)
	}
	f()
	q.mu.Lock()
	q.inUse -= memory
	q.garbage += memory
	q.mu.Unlock()
	return nil
}
