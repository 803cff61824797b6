package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

const (
	maxTraces      = 4 // that are kept, and as many that are followed
	maxTraceEvents = 2000
	maxTraceBytes  = 1 << 20 // about what they take
	maxTraceTime   = 15 * time.Minute
	shownEvents    = 100
)

func (s *Server) traceRoutes() []route {
	if s.o.MQTT == nil {
		return nil
	}
	return []route{
		{pattern: "GET /trace", level: operator, serve: s.live(s.tracesPage())},
		{pattern: "POST /trace", level: operator, serve: s.startTrace},
		{pattern: "GET /trace/{id}", level: operator, serve: s.live(s.tracePage())},
		{pattern: "POST /trace/{id}/stop", level: operator, serve: s.stopTrace},
		{pattern: "GET /trace/{id}/{file}", level: operator, serve: s.downloadTrace},
		{pattern: "GET /api/trace", level: operator, serve: s.serveTrace},
	}
}

// TraceAsk is what is to be traced. What is empty leaves nothing out; not all may be.
type TraceAsk struct {
	Client, Topic, Address string
	Payload                bool
}

// traceAsk reads it from a query or a form.
func traceAsk(r *request) (TraceAsk, broker.TraceOptions, error) {
	a := TraceAsk{r.FormValue("client"), r.FormValue("topic"), strings.TrimSpace(r.FormValue("address")), r.FormValue("payload") == "true"}
	o := broker.TraceOptions{Client: a.Client, Topic: a.Topic, Payload: a.Payload}
	switch {
	case a.Client == "" && a.Topic == "" && a.Address == "":
		return a, o, wrong("client", "Name a client, a topic or an address: a trace of everything is of no use.")
	case a.Topic != "" && !mqtt.ValidFilter(a.Topic):
		return a, o, wrong("topic", "This is not a topic filter: + stands for one level, # at the end for all that follow.")
	case a.Address != "":
		prefix, err := netip.ParsePrefix(a.Address)
		if err != nil {
			address, err := netip.ParseAddr(a.Address)
			if err != nil {
				return a, o, wrong("address", "This is neither an IP address nor a network such as 192.168.1.0/24.")
			}
			prefix = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen())
		}
		o.Address = prefix.Masked()
	}
	return a, o, nil
}

// recorded are the traces that pages have begun. They stop by themselves.
type recorded struct {
	mu   sync.Mutex
	list []*recording // the oldest first
	last int          // id
}

// recording is a trace that is kept.
type recording struct {
	ID   int
	By   string
	Ask  TraceAsk
	stop context.CancelFunc

	mu     sync.Mutex
	began  time.Time
	ended  time.Time // zero: it goes on
	events []broker.TraceEvent
	bytes  int
	lost   int
}

// recordTrace begins a recording. The oldest that has ended makes room for it.
func (s *Server) recordTrace(r *request, ask TraceAsk, o broker.TraceOptions) (*recording, error) {
	rs := &s.recorded
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.list) >= maxTraces {
		i := slices.IndexFunc(rs.list, func(rec *recording) bool { return rec.over() })
		if i < 0 {
			return nil, problemf(http.StatusServiceUnavailable, "", "There are %d traces already: stop one of them first.", maxTraces)
		}
		rs.list = slices.Delete(rs.list, i, i+1)
	}
	ctx, stop := context.WithTimeout(context.Background(), maxTraceTime)
	events, err := s.o.MQTT.Trace(ctx, o)
	if err != nil {
		stop()
		return nil, tracingProblem(err)
	}
	rs.last++
	rec := &recording{ID: rs.last, By: r.user, Ask: ask, stop: stop, began: time.Now()}
	rs.list = append(rs.list, rec)
	go rec.record(events, s.ending)
	return rec, nil
}

// record keeps events until they end, or are too many.
func (rec *recording) record(events <-chan broker.TraceEvent, ending <-chan struct{}) {
	defer func() {
		rec.stop()
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.ended = time.Now()
	}()
	for {
		select {
		case <-ending:
			return
		case e, ok := <-events:
			if !ok || !rec.keep(e) {
				return
			}
		}
	}
}

// keep keeps an event. It reports whether there is room for more.
func (rec *recording) keep(e broker.TraceEvent) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.lost += e.Lost
	rec.bytes += 200 + len(e.Topic) + len(e.Detail) + len(e.Payload)
	for _, p := range e.Properties {
		rec.bytes += len(p)
	}
	rec.events = append(rec.events, e)
	return len(rec.events) < maxTraceEvents && rec.bytes < maxTraceBytes
}

func (rec *recording) over() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return !rec.ended.IsZero()
}

// traceView is a recording as it is shown.
type traceView struct {
	Frame   frame
	ID      int
	By      string
	Ask     TraceAsk
	Began   time.Time
	Over    bool
	Left    time.Duration // until it stops by itself
	Count   int
	Lost    int
	Events  []traceRow // the last ones, the newest first
	More    int        // events before those
	Clients []string
	List    []traceView
	Error   *problem
}

// Minutes is the time that is left, rounded up.
func (v traceView) Minutes() int { return int((v.Left + time.Minute - 1) / time.Minute) }

type traceRow struct {
	Number int
	Time   time.Time
	Kind   broker.TraceKind
	Client string
	Text   string
}

// view returns what is to be seen of a recording; of most events, the last ones.
func (rec *recording) view(sees func(string) bool, most int) traceView {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	v := traceView{ID: rec.ID, By: rec.By, Ask: rec.Ask, Began: rec.began, Over: !rec.ended.IsZero(), Count: len(rec.events), Lost: rec.lost,
		Left: max(0, maxTraceTime-time.Since(rec.began)), More: max(0, len(rec.events)-most)}
	for i, e := range slices.Backward(rec.events[v.More:]) {
		e = discreetEvent(e, sees)
		v.Events = append(v.Events, traceRow{v.More + i + 1, e.Time, e.Kind, e.Client, traceDetails(&e)})
	}
	return v
}

// discreetEvent leaves out a payload that somebody may not see.
func discreetEvent(e broker.TraceEvent, sees func(topic string) bool) broker.TraceEvent {
	if e.Payload != nil && !sees(e.Topic) {
		e.Payload = nil
	}
	return e
}

func (s *Server) recording(r *request) (*recording, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	s.recorded.mu.Lock()
	defer s.recorded.mu.Unlock()
	if i := slices.IndexFunc(s.recorded.list, func(rec *recording) bool { return err == nil && rec.ID == id }); i >= 0 {
		return s.recorded.list[i], nil
	}
	return nil, problemf(http.StatusNotFound, "", "There is no such trace any more: the last %d are kept until the box restarts.", maxTraces)
}

func (s *Server) tracesPage() livePage {
	return livePage{template: "traces.html", fragments: []string{"trace-list"}, data: func(r *request) (any, error) {
		ask := TraceAsk{Client: r.FormValue("client"), Topic: r.FormValue("topic"), Address: r.FormValue("address")}
		return s.traces(r, ask, nil), nil
	}}
}

// traces is the page of all traces.
func (s *Server) traces(r *request, ask TraceAsk, problem *problem) *traceView {
	v := &traceView{Frame: s.frame(r, r.t("Trace")), Ask: ask, Error: problem}
	for _, c := range s.o.Clients() {
		if len(v.Clients) < maxRows {
			v.Clients = append(v.Clients, c.ID)
		}
	}
	slices.Sort(v.Clients)
	s.recorded.mu.Lock()
	list := slices.Clone(s.recorded.list)
	s.recorded.mu.Unlock()
	for _, rec := range slices.Backward(list) {
		v.List = append(v.List, rec.view(s.sees(r), 0))
	}
	return v
}

func (s *Server) tracePage() livePage {
	return livePage{template: "trace.html", fragments: []string{"trace-events"}, data: func(r *request) (any, error) {
		rec, err := s.recording(r)
		if err != nil {
			return nil, err
		}
		v := rec.view(s.sees(r), shownEvents)
		v.Frame = s.frame(r, r.t("Trace"))
		return &v, nil
	}}
}

func (s *Server) startTrace(w http.ResponseWriter, r *request) {
	ask, o, err := traceAsk(r)
	var rec *recording
	if err == nil {
		rec, err = s.recordTrace(r, ask, o)
	}
	if err != nil {
		p := s.problemOf(r.Request, err)
		s.show(w, r, p.code, "traces.html", s.traces(r, ask, p))
		return
	}
	http.Redirect(w, r.Request, fmt.Sprintf("/trace/%d", rec.ID), http.StatusSeeOther)
}

func (s *Server) stopTrace(w http.ResponseWriter, r *request) {
	rec, err := s.recording(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	rec.stop()
	http.Redirect(w, r.Request, fmt.Sprintf("/trace/%d", rec.ID), http.StatusSeeOther)
}

// downloadTrace answers with a recording, as trace.txt or as trace.jsonl.
func (s *Server) downloadTrace(w http.ResponseWriter, r *request) {
	rec, err := s.recording(r)
	write := traceWriters[r.PathValue("file")]
	if err == nil && write == nil {
		err = problemf(http.StatusNotFound, "", "A trace is there as trace.txt and as trace.jsonl.")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	rec.mu.Lock()
	events := slices.Clone(rec.events)
	rec.mu.Unlock()
	sees := s.sees(r)
	var b []byte
	for _, e := range events {
		b = write(b, discreetEvent(e, sees))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "lintel-"+r.PathValue("file")))
	w.Write(b)
}

// serveTrace answers with what happens to a client, a topic or an address, for 15 minutes or
// until the caller has enough: as server-sent events, or with format=text as lines.
//
//	GET /api/trace?client=ID&topic=FILTER&address=IP&payload=true
//
// Payloads are those of topics that who asks may receive.
func (s *Server) serveTrace(w http.ResponseWriter, r *request) {
	_, o, err := traceAsk(r)
	write := traceWriters["trace.txt"]
	if format := r.FormValue("format"); err == nil && format != "text" && format != "" {
		err = wrong("format", "format is text, or left out.")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	release, ok := s.tracers.take()
	if !ok {
		s.fail(w, r, problemf(http.StatusServiceUnavailable, "", "There are %d traces already: stop one of them first.", maxTraces))
		return
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), maxTraceTime)
	defer cancel()
	traced, err := s.o.MQTT.Trace(ctx, o)
	if err != nil {
		s.fail(w, r, tracingProblem(err))
		return
	}
	out := s.newEvents(w, r, s.heartbeat)
	defer out.end()
	if out.plain = r.FormValue("format") == "text"; out.plain {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	for sees := s.sees(r); ; {
		e, open, on := waitFor(out, traced)
		switch {
		case !on || !open:
			return
		case e.Kind == "": // rights may have changed
			sees = s.sees(r)
		case out.plain:
			out.write(write(nil, discreetEvent(e, sees)))
		default:
			out.send(discreetEvent(e, sees))
		}
	}
}
