package witness

import (
	"fmt"
	"sync"
)

// Ledger is what clients did and were told, each at a position of something else
// that goes on meanwhile, such as the writes to a disk.
type Ledger struct {
	run      string
	position func() int
	begun    chan struct{}

	mu     sync.Mutex
	ready  int // position from which on all sessions are there
	events []event
}

type event struct {
	at    int
	apply func(*World)
}

// NewLedger returns an empty ledger, for one load. run is in the payload of each message, to
// tell it from those of other runs; position, which may be nil, must never go
// back.
func NewLedger(run string, position func() int) *Ledger {
	if position == nil {
		position = func() int { return 0 }
	}
	return &Ledger{run: run, position: position, begun: make(chan struct{})}
}

func (l *Ledger) note(apply func(*World)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event{l.position(), apply})
}

// begin says that all sessions are there.
func (l *Ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = l.position()
	close(l.begun)
}

// Begun is closed when all sessions are there and the load begins.
func (l *Ledger) Begun() <-chan struct{} { return l.begun }

// Ready returns the first position that At understands.
func (l *Ledger) Ready() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

// Positions returns the positions of all events, in order.
func (l *Ledger) Positions() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]int, len(l.events))
	for i, e := range l.events {
		all[i] = e.at
	}
	return all
}

// At returns what the clients knew when what the position counts had come to p.
func (l *Ledger) At(p int) *World {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := newWorld(l.run)
	for _, e := range l.events {
		if e.at > p {
			break
		}
		e.apply(w)
	}
	return w
}

// World is what all clients of a load know at one moment.
type World struct {
	run         string
	publishers  map[string]*outbox
	subscribers map[string]*inbox
	retained    map[string]*slot
	rooms       *rooms
}

func newWorld(run string) *World {
	w := &World{
		run:         run,
		publishers:  make(map[string]*outbox),
		subscribers: make(map[string]*inbox),
		retained:    make(map[string]*slot),
		rooms:       new(rooms),
	}
	for _, p := range publishers {
		w.publishers[p.name] = newOutbox()
	}
	for _, s := range subscribers {
		w.subscribers[s.name] = newInbox()
	}
	for i := range slots {
		w.retained[slotTopic(i)] = new(slot)
	}
	return w
}

// Acknowledged returns how many messages were acknowledged.
func (w *World) Acknowledged() int {
	n := 0
	for _, o := range w.publishers {
		n += len(o.told)
	}
	return n
}

// Report is what is wrong with a broker.
type Report struct {
	Lost       int // not there although acknowledged, or damaged
	Twice      int // QoS 2, more than once
	CameBack   int // there although its end was acknowledged
	Disordered int // not in the order of the publisher
	Broken     int // against the standard in another way

	// What exactly; the first of many.
	Notes []string
}

// maxNotes bounds Report.Notes: a report is for reading.
const maxNotes = 12

func (r *Report) note(count *int, format string, args ...any) {
	*count++
	if len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

// Add adds what other found.
func (r *Report) Add(other Report) {
	r.Lost += other.Lost
	r.Twice += other.Twice
	r.CameBack += other.CameBack
	r.Disordered += other.Disordered
	r.Broken += other.Broken
	r.Notes = append(r.Notes, other.Notes[:min(len(other.Notes), maxNotes-min(maxNotes, len(r.Notes)))]...)
}

// OK reports that nothing is wrong.
func (r *Report) OK() bool { return r.Lost+r.Twice+r.CameBack+r.Disordered+r.Broken == 0 }

func (r Report) String() string {
	s := fmt.Sprintf("%d lost, %d twice, %d came back", r.Lost, r.Twice, r.CameBack)
	if r.Disordered > 0 {
		s += fmt.Sprintf(", %d out of order", r.Disordered)
	}
	if r.Broken > 0 {
		s += fmt.Sprintf(", %d against the standard", r.Broken)
	}
	return s
}
