package dashboard

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxFrames     = 60  // of a stick that are shown
	maxFrameText  = 400 // bytes of one, as text
	maxWatched    = 4   // sticks at a time
	framesForgot  = 10 * time.Second
	framesControl = time.Second // between two looks whether somebody still looks
)

// frameLine is what went over the port of a stick, as a capture has it.
type frameLine struct {
	At   string // seconds since somebody looks
	Sent bool   // to the stick
	What string // hexadecimal bytes, or what happened
	Text string // the bytes as text, as far as they are; empty: they are none
}

// frameWatches are the sticks whose frames somebody looks at. Nothing is taken of a stick at
// which nobody looks.
type frameWatches struct {
	mu   sync.Mutex
	open map[string]*frameWatch // by StickStatus.ID
}

type frameWatch struct {
	mu    sync.Mutex
	asked time.Time
	lines []frameLine // oldest first
}

// frames returns the last frames of a stick, and begins to watch it if nobody does. full:
// so many are watched already that it cannot be.
func (s *Server) frames(stick string) (lines []frameLine, full bool) {
	s.watches.mu.Lock()
	w := s.watches.open[stick]
	if w == nil {
		if len(s.watches.open) >= maxWatched {
			s.watches.mu.Unlock()
			return nil, true
		}
		w = &frameWatch{asked: time.Now()}
		if s.watches.open == nil {
			s.watches.open = make(map[string]*frameWatch)
		}
		s.watches.open[stick] = w
		go s.watchFrames(stick, w)
	}
	s.watches.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = time.Now()
	return slices.Clone(w.lines), false
}

// watchFrames takes the frames of a stick until nobody has looked for a while.
func (s *Server) watchFrames(stick string, w *frameWatch) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		tick := time.NewTicker(framesControl)
		defer tick.Stop()
		defer cancel()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.ending:
				return
			case <-tick.C:
			}
			w.mu.Lock()
			forgot := time.Since(w.asked) > framesForgot
			w.mu.Unlock()
			if forgot {
				return
			}
		}
	}()
	if err := s.o.Capture(ctx, stick, w, nil); err != nil {
		s.log.Debug("frames not shown", "stick", stick, "err", err)
	}
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	delete(s.watches.open, stick)
}

// Write takes lines of a capture.
func (w *frameWatch) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range bytes.Lines(text) {
		at, rest, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		kind, data, _ := strings.Cut(rest, " ")
		if !ok || at == "#" {
			continue
		}
		f := frameLine{At: at, Sent: kind == ">", What: data}
		if kind == "<" || kind == ">" {
			f.Text = printable(data)
		}
		if len(f.What) > maxFrameText {
			f.What = f.What[:maxFrameText] + "…"
		}
		if len(w.lines) == maxFrames {
			w.lines = append(w.lines[:0], w.lines[1:]...)
		}
		w.lines = append(w.lines, f)
	}
	return len(text), nil
}

// printable returns hexadecimal bytes as text, if they are mostly that.
func printable(hexadecimal string) string {
	data, _ := hex.DecodeString(hexadecimal[:min(len(hexadecimal)&^1, maxFrameText)]) // as far as it is that
	var b strings.Builder
	odd := 0
	for _, c := range data {
		switch {
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		case c == '\r' || c == '\n' || c == '\t':
			b.WriteByte(' ')
		default:
			b.WriteString("·")
			odd++
		}
	}
	if odd*2 > len(data) {
		return ""
	}
	return strings.TrimSpace(b.String())
}
