package znp

import (
	"context"
	"errors"
	"time"
)

// A wait waits for an asynchronous command.
type wait struct {
	link    *link
	command command
	match   func(data []byte) bool // nil: any; called by the reader
	data    chan []byte
}

// expect begins to wait. The caller calls cancel in the end.
func (l *link) expect(c command, match func(data []byte) bool) (*wait, error) {
	w := &wait{l, c, match, make(chan []byte, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= maxWaiting {
		return nil, errors.New("too many requests wait for answers at once")
	}
	l.waiting = append(l.waiting, w)
	return w, nil
}

// get returns the data of the command. It fails with errTimeout if none has come.
func (w *wait) get(ctx context.Context, patience time.Duration) ([]byte, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case data := <-w.data:
		return data, nil
	case <-timer.C:
		return nil, errTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.link.done:
		return nil, w.link.failure()
	}
}

func (w *wait) cancel() {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	for i, other := range w.link.waiting {
		if other == w {
			w.link.drop(i)
			return
		}
	}
}

// drop takes the wait of that index out. mu is held.
func (l *link) drop(i int) {
	last := len(l.waiting) - 1
	l.waiting[i] = l.waiting[last]
	l.waiting[last] = nil
	l.waiting = l.waiting[:last]
}
