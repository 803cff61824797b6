package dashboard

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

const (
	eventsSilence = 10 * time.Second // after which it is looked whether somebody is there
	eventsStall   = 10 * time.Second // that a reader may take nothing: it is not to hold the place of another
)

// events are server-sent events (WHATWG HTML §9.2) on their way to somebody. After one that
// does not get there nothing is sent, and there is nothing to wait for.
type events struct {
	s       *Server
	r       *request
	w       http.ResponseWriter
	control *http.ResponseController
	beat    *time.Ticker
	buf     bytes.Buffer
	told    time.Time // when something was sent last
	err     error
	plain   bool // they are lines of text, without comments
}

// newEvents begins to answer with events. Each beat it is looked whether who asks still may.
// The caller calls end.
func (s *Server) newEvents(w http.ResponseWriter, r *request, beat time.Duration) *events {
	w.Header().Set("Content-Type", "text/event-stream")
	return &events{s: s, r: r, w: w, control: http.NewResponseController(w), beat: time.NewTicker(beat), told: time.Now()}
}

func (e *events) end() { e.beat.Stop() }

// send sends a value as JSON, which has no line breaks.
func (e *events) send(v any) {
	e.buf.Reset()
	e.buf.WriteString("data: ")
	if err := json.NewEncoder(&e.buf).Encode(v); err != nil {
		e.err = err
		return
	}
	e.buf.WriteByte('\n')
	e.write(e.buf.Bytes())
}

func (e *events) write(b []byte) {
	if e.err != nil {
		return
	}
	e.told = time.Now()
	if e.err = e.control.SetWriteDeadline(e.told.Add(eventsStall)); e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *events) flush() {
	if e.err != nil {
		return
	}
	if e.err = e.control.SetWriteDeadline(time.Now().Add(eventsStall)); e.err == nil {
		e.err = e.control.Flush()
	}
}

// wait sends what was said, and waits until changed is closed or for the next beat. It reports
// whether to go on: not when the reader has gone or may not look any more, and when the box stops.
func (e *events) wait(changed <-chan struct{}) bool {
	_, _, on := waitFor(e, changed)
	return on
}

// waitFor waits for a value of c, which is zero with a beat; open is false when c is closed.
func waitFor[T any](e *events, c <-chan T) (v T, open, on bool) {
	if e.flush(); e.err != nil {
		return v, true, false
	}
	select {
	case <-e.r.Context().Done():
	case <-e.s.ending:
	case v, open = <-c:
		return v, open, true
	case now := <-e.beat.C:
		if !e.s.stays(e.r) {
			break
		}
		if !e.plain && now.Sub(e.told) >= eventsSilence {
			e.write([]byte(":\n\n"))
		}
		return v, true, true
	}
	return v, true, false
}

// slots bound how many do something at a time.
type slots chan struct{}

// take takes a slot, if one is free.
func (s slots) take() (release func(), ok bool) {
	select {
	case s <- struct{}{}:
		return func() { <-s }, true
	default:
		return nil, false
	}
}
