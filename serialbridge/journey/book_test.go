package journey

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What nobody watches costs nothing and leaves nothing.
func TestNobodyWatches(t *testing.T) {
	for _, b := range []*Book{nil, new(Book)} {
		if n := testing.AllocsPerRun(100, func() {
			if b.On() {
				t.Fatal("somebody watches")
			}
			b.Tell(b.Begin("meter", Stage{Kind: Heard}), Stage{Kind: Parsed})
			b.Tell(7, Stage{Kind: Parsed})
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { With(ctx, 0) }); n > 0 || Of(With(ctx, 0)) != 0 || Of(With(ctx, 5)) != 5 {
		t.Errorf("%v allocations for no number, or the wrong one comes back", n)
	}
}

// A journey is kept by each watch of its device, its stages in the order of their times.
func TestJourney(t *testing.T) {
	b := new(Book)
	w, err := b.Watch("meter", "other")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := b.Watch("lamp")
	if err != nil {
		t.Fatal(err)
	}
	if n := b.Begin("unwatched", Stage{Kind: Heard}); n != 0 {
		t.Errorf("number %d of a device that nobody watches", n)
	}
	_, changed := w.Journeys()
	start := time.Now()
	n := b.Begin("meter", Stage{Time: start, Kind: Heard, Bytes: make(Bytes, 1000)})
	select {
	case <-changed:
	default:
		t.Error("nobody is told that something has changed")
	}
	if n == 0 || n%2 != 0 {
		t.Errorf("number %d", n)
	}
	w.Goes(n, Stage{Time: start.Add(3 * time.Millisecond), Kind: "sent", Client: "one"})
	b.Tell(n, Stage{Time: start.Add(2 * time.Millisecond), Kind: Published, Topic: "a/state", Text: strings.Repeat("ä", 2000)})
	w.Goes(n+2, Stage{Kind: "sent"}) // of one that began before the watch
	got, _ := w.Journeys()
	if len(got) != 1 || len(got[0].Stages) != 3 {
		t.Fatalf("kept %+v", got)
	}
	j := got[0]
	if j.Device != "meter" || j.Topic != "a/state" || j.Stages[1].Kind != Published || j.Stages[1].After != 2000 || j.Stages[2].After != 3000 {
		t.Errorf("kept %+v", j)
	}
	if s := j.Stages[0]; len(s.Bytes) != maxBytes || s.Size != 1000 {
		t.Errorf("%d bytes of %d", len(s.Bytes), s.Size)
	}
	if s := j.Stages[1]; len(s.Text) > maxText+3 || !strings.HasSuffix(s.Text, "ä…") {
		t.Errorf("a text of %d bytes that ends in %q", len(s.Text), s.Text[len(s.Text)-5:])
	}
	text, _ := json.Marshal(j.Discreet())
	if strings.Contains(string(text), "ä") || strings.Contains(string(text), "0000000000") || !strings.Contains(string(text), `"after_us":2000`) {
		t.Errorf("discreet is %.200s", text)
	}
	if got, _ := stranger.Journeys(); len(got) > 0 {
		t.Errorf("the watch of another device keeps %+v", got)
	}
	w.Close()
	w.Close()
	stranger.Close()
	if b.On() {
		t.Error("somebody watches still")
	}
}

// What a bridge tells of a message before the broker does is kept for it.
func TestEarly(t *testing.T) {
	b := new(Book)
	w, err := b.Watch()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for number := range uint64(200) {
		b.Tell(number, Stage{Time: start.Add(time.Millisecond), Kind: Command})
	}
	w.Tell(199, Stage{Time: start, Kind: "received", Topic: "a/set"})
	w.Tell(1, Stage{Time: start, Kind: "received"})
	got, _ := w.Journeys()
	if len(got) != 2 || len(got[0].Stages) != 1 || len(got[1].Stages) != 2 || got[1].Stages[1].Kind != Command || len(w.early) != maxEarly-1 {
		t.Errorf("kept %+v and %d early stages", got, len(w.early))
	}
}

// A watch keeps the last journeys and the first stages of each.
func TestBounds(t *testing.T) {
	b := new(Book)
	w, err := b.Watch("meter")
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	for range maxJourneys + 5 {
		last = b.Begin("meter", Stage{Kind: Heard})
	}
	for range maxStages + 9 {
		b.Tell(last, Stage{Kind: Parsed})
	}
	got, _ := w.Journeys()
	if len(got) != maxJourneys || got[0].Number != last || len(got[0].Stages) != maxStages || got[0].More != 10 || len(w.known) != maxJourneys {
		t.Errorf("%d journeys, the newest of %d stages and %d more", len(got), len(got[0].Stages), got[0].More)
	}
	for range maxWatches - 1 {
		if _, err := b.Watch(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Watch(); err != ErrMany {
		t.Errorf("one watch too many: %v", err)
	}
}
