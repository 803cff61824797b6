package serialbridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// maxTapped chunks wait for who writes a capture. Who is slower loses some, which
// the capture then says.
const maxTapped = 256

// taps are the captures that are being made of a stick.
type taps struct {
	mu   sync.Mutex
	open []*tap
}

// tap is one capture.
type tap struct {
	chunks chan Chunk
	lost   int // since the last chunk that went in; guarded by taps.mu
}

// tell passes on what went over the port. It does not wait. data may be used again
// by the caller.
func (ts *taps) tell(kind ChunkKind, data []byte) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.open) == 0 {
		return
	}
	now := time.Now()
	for _, t := range ts.open {
		if len(t.chunks) > maxTapped-2 { // room for two: only tell sends
			t.lost++
			continue
		}
		if t.lost > 0 {
			t.chunks <- Chunk{now, Happened, fmt.Appendf(nil, "%d chunks are missing here: the reader was too slow", t.lost)}
			t.lost = 0
		}
		t.chunks <- Chunk{now, kind, bytes.Clone(data)}
	}
}

// Capture writes what goes over the port of a stick to w, for
// [ReadCapture], until ctx ends; flush, if not nil, is called after each
// write. It fails if there is no such stick, or if w does.
func (s *Supervisor) Capture(ctx context.Context, stick string, w io.Writer, flush func() error) error {
	s.mu.Lock()
	st := s.sticks[stick]
	var protocol, line string
	if st != nil {
		protocol, line = st.protocol, st.line
	}
	s.mu.Unlock()
	if st == nil {
		return fmt.Errorf("there is no stick %q", stick)
	}
	from := time.Now()
	t := &tap{chunks: make(chan Chunk, maxTapped)}
	st.taps.mu.Lock()
	st.taps.open = append(st.taps.open, t)
	st.taps.mu.Unlock()
	defer func() {
		st.taps.mu.Lock()
		defer st.taps.mu.Unlock()
		st.taps.open = slices.DeleteFunc(st.taps.open, func(other *tap) bool { return other == t })
	}()
	text := appendHead(nil, stick, protocol, from)
	if line != "" {
		text = Chunk{from, LineSet, []byte(line)}.append(text, from)
	}
	for {
		if _, err := w.Write(text); err != nil {
			return err
		}
		if flush != nil {
			if err := flush(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case c := <-t.chunks:
			text = c.append(text[:0], from)
		}
	}
}

// observe is told what goes over the port of the stick.
func (st *stick) observe(kind ChunkKind, data []byte) {
	st.taps.tell(kind, data)
	if st.s.o.Journeys.On() {
		st.overheard.hear(st.s.o.Journeys, kind, data)
	}
	if kind == LineSet {
		st.s.mu.Lock()
		st.line = string(data)
		st.s.mu.Unlock()
	}
}
