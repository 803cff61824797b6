package witness

import (
	"slices"
	"testing"

	"lintel/gateway/mqtt"
)

func TestPayload(t *testing.T) {
	large := 0
	for seq := range 300 {
		k := key{"two", seq}
		b := k.payload("run")
		if got, ok := parsePayload("run", b); !ok || got != k {
			t.Fatalf("%v is read as %v, %t", k, got, ok)
		}
		if _, ok := parsePayload("other", b); ok {
			t.Fatal("a message of another run is taken")
		}
		b[len(b)-1]++
		if _, ok := parsePayload("run", b); ok {
			t.Fatalf("%v is taken though it is damaged", k)
		}
		if len(b) > 32<<10 {
			large++
		}
	}
	if large == 0 || large > 100 {
		t.Errorf("%d of 300 messages are large", large)
	}
	for _, b := range []string{"", "\n", "run", "run two\n", "run two x\n", "run two 1"} {
		if k, ok := parsePayload("run", []byte(b)); ok {
			t.Errorf("%q is taken for %v", b, k)
		}
	}
}

// A world holds what was noted up to a position, and no more.
func TestLedger(t *testing.T) {
	position := 0
	l := NewLedger("run", func() int { return position })
	p := &publisher{publisherKind: publishers[2], run: "run", state: newOutbox(), ledger: l}
	position = 10
	l.begin()
	p.note((*outbox).send)
	position = 20
	p.note(func(o *outbox) { o.acknowledge(mqtt.PUBREC, 1) })
	position = 30
	p.note(func(o *outbox) { o.acknowledge(mqtt.PUBCOMP, 1) })
	if l.Ready() != 10 || !slices.Equal(l.Positions(), []int{10, 20, 30}) {
		t.Errorf("ready at %d, events at %v", l.Ready(), l.Positions())
	}
	for _, tt := range []struct{ at, begun, told, open int }{{9, 0, 0, 0}, {10, 1, 0, 1}, {19, 1, 0, 1}, {20, 1, 1, 1}, {30, 1, 1, 0}} {
		w := l.At(tt.at)
		o := w.publishers[p.name]
		if o.begun != tt.begun || w.Acknowledged() != tt.told || len(o.open) != tt.open {
			t.Errorf("at %d: %d begun, %d told, %d open, want %v", tt.at, o.begun, w.Acknowledged(), len(o.open), tt)
		}
	}
}

// Few packet ids are used in turn, and none that is open.
func TestOutboxReusesIDs(t *testing.T) {
	o := newOutbox()
	for range publishIDs - 1 {
		o.send()
	}
	o.acknowledge(mqtt.PUBCOMP, 2)
	o.send()
	o.send()
	var ids []uint16
	for _, m := range o.open {
		ids = append(ids, m.id)
	}
	if !slices.Equal(ids, []uint16{1, 3, 4, 5, 6, 2}) {
		t.Errorf("open ids are %v", ids)
	}
}

func TestInbox(t *testing.T) {
	a, b := key{"two", 1}, key{"two", 2}
	tests := []struct {
		name string
		play func(*inbox, *Report)
		want Report
	}{
		{"QoS 2, sent again before PUBREL", func(in *inbox, r *Report) {
			in.deliver("s", a, 2, 7, r)
			in.deliver("s", a, 2, 7, r)
			in.release(7)
			in.deliver("s", b, 2, 7, r)
		}, Report{}},
		{"QoS 2, after PUBREL", func(in *inbox, r *Report) {
			in.deliver("s", a, 2, 7, r)
			in.release(7)
			in.deliver("s", a, 2, 7, r)
		}, Report{Twice: 1}},
		{"QoS 2, under two ids", func(in *inbox, r *Report) {
			in.deliver("s", a, 2, 7, r)
			in.deliver("s", a, 2, 8, r)
		}, Report{Twice: 1}},
		{"an id that is open", func(in *inbox, r *Report) {
			in.deliver("s", a, 2, 7, r)
			in.deliver("s", b, 2, 7, r)
		}, Report{Broken: 1}},
		{"QoS 1 again", func(in *inbox, r *Report) {
			in.deliver("s", a, 1, 1, r)
			in.deliver("s", a, 1, 2, r)
		}, Report{}},
		{"QoS 1 after it was settled", func(in *inbox, r *Report) {
			in.deliver("s", a, 1, 1, r)
			in.ask()
			in.deliver("s", b, 1, 2, r)
			in.settle()
			in.deliver("s", b, 1, 2, r)
			in.deliver("s", a, 1, 1, r)
		}, Report{CameBack: 1}},
		{"acknowledged on another connection", func(in *inbox, r *Report) {
			in.deliver("s", a, 1, 1, r)
			in.connected()
			in.ask()
			in.settle()
			in.deliver("s", a, 1, 1, r)
		}, Report{}},
		{"order", func(in *inbox, r *Report) {
			in.deliver("s", b, 1, 1, r)
			in.deliver("s", a, 1, 2, r)
		}, Report{Disordered: 1}},
	}
	for _, tt := range tests {
		var got Report
		tt.play(newInbox(), &got)
		got.Notes = nil
		if got.String() != tt.want.String() {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSubscriberJudge(t *testing.T) {
	s := &subscriber{subscriberKind: subscribers[0], state: newInbox()}
	o := newOutbox()
	for range 3 {
		o.send()
	}
	o.told[0], o.told[1] = true, true
	s.state.received[key{"two", 0}] = true
	s.state.received[key{"two", 9}] = true
	if got := s.judge(map[string]*outbox{"two": o}); got.Lost != 1 || got.Broken != 1 {
		t.Errorf("%v: %q", got, got.Notes)
	}
}

func TestSlot(t *testing.T) {
	tests := []struct {
		name string
		slot slot
		may  []int // of 0 to 3
	}{
		{"never set", slot{}, []int{0}},
		{"being set", slot{pending: 1}, []int{0, 1}},
		{"set", slot{acknowledged: 1}, []int{1}},
		{"being replaced", slot{acknowledged: 1, pending: 2}, []int{1, 2}},
		{"being cleared", slot{acknowledged: 1, pending: 2, clearing: true}, []int{0, 1}},
		{"cleared", slot{acknowledged: 2, cleared: true}, []int{0}},
		{"being set again", slot{acknowledged: 2, cleared: true, pending: 3}, []int{0, 3}},
	}
	for _, tt := range tests {
		var may []int
		for n := range 4 {
			if tt.slot.mayHold(n) {
				may = append(may, n)
			}
		}
		if !slices.Equal(may, tt.may) {
			t.Errorf("%s: may hold %v, want %v", tt.name, may, tt.may)
		}
	}
}

func TestRooms(t *testing.T) {
	s := new(rooms)
	do := func(what string, guest, room int) {
		s.begin(deed{what, guest, room})
		s.done()
	}
	do("enter", 0, 1)
	do("enter", 1, 1)
	do("say", 0, 1)
	do("say", 0, 2)
	do("leave", 1, 1)
	do("say", 0, 1)
	do("end", 1, 0)
	if g := s.guests[0]; !g.exists || !g.in[1] || !slices.Equal(g.queue, []int{0, 2}) {
		t.Errorf("guest 0: %+v", g)
	}
	if g := s.guests[1]; g.exists || len(g.queue) > 0 {
		t.Errorf("guest 1: %+v", g)
	}
	probe, said := key{probeMessage, 1}, func(n int) key { return key{roomMessage, n} }
	for _, tt := range []struct {
		name    string
		pending *deed
		came    []key
		want    Report
	}{
		{"all", nil, []key{said(0), said(2), probe}, Report{}},
		{"nothing", nil, nil, Report{Lost: 3}},
		{"too much", nil, []key{said(0), said(1), said(2), probe, {probeMessage, 2}}, Report{CameBack: 2}},
		{"order", nil, []key{said(2), said(0), probe}, Report{Disordered: 1}},
		{"in a drain", &deed{"drain", 0, 0}, []key{said(2), probe}, Report{}},
		{"in an end", &deed{"end", 0, 0}, nil, Report{}},
		{"before a word", &deed{"say", 0, 1}, []key{said(0), said(2), probe}, Report{}},
		{"after a word", &deed{"say", 0, 1}, []key{said(0), said(2), said(3), probe}, Report{}},
	} {
		s.pending = tt.pending
		h := &host{state: s}
		h.judge("guest", s.guests[0], s.after().guests[0], tt.came)
		if got := h.report; got.String() != tt.want.String() {
			t.Errorf("%s: %v, want %v: %q", tt.name, got, tt.want, got.Notes)
		}
	}
	if !slices.Equal(s.guests[0].queue, []int{0, 2}) {
		t.Errorf("what may be changed what is: %v", s.guests[0].queue)
	}
}
