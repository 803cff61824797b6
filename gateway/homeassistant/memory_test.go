package homeassistant

import (
	"context"
	"errors"
	"iter"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"lintel/persist"
	"lintel/serialbridge"
)

// notes is a Memory for bubbles, where a store has no place.
type notes map[string]map[string]string

func (n notes) All() iter.Seq2[string, map[string]string] { return maps.All(n) }

func (n notes) Put(_ context.Context, device string, components map[string]string) error {
	n[device] = components
	return nil
}

func (n notes) Delete(_ context.Context, device string) error {
	delete(n, device)
	return nil
}

// runs is one run of the program after another, with the same memory.
func runs(t *testing.T, memory Memory, each ...func(*Publisher, *recorder)) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range each {
			r := newRecorder()
			p := NewPublisher(PublisherOptions{Broker: r, Box: testBox, Memory: memory})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- p.Run(ctx) }()
			synctest.Wait()
			test(p, r)
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
}

func TestRemovesWhatVanishedOverARestart(t *testing.T) {
	memory := notes{}
	runs(t, memory,
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA, propertyB))
			after(r, time.Minute)
		},
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			if s := after(r, settle-time.Minute)[xTopic]; len(s) != 2 || components(t, s[0])["b"] != nil {
				t.Errorf("before it is sure, sent %v", s)
			}
			s := after(r, 2*time.Minute)[xTopic]
			if len(s) != 2 {
				t.Fatalf("sent %d times, want 2", len(s))
			}
			for _, s := range s {
				if b := components(t, s)["b"]; len(b) != 1 || b["p"] != "sensor" {
					t.Errorf("b = %v, want its platform alone", b)
				}
			}
			if got := after(r, time.Hour); len(got) > 0 {
				t.Errorf("then sent %v", got)
			}
		},
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			for _, s := range after(r, time.Hour)[xTopic] {
				if components(t, s)["b"] != nil {
					t.Error("removed once more")
				}
			}
		})
	if want := map[string]string{"a": "sensor"}; !maps.Equal(memory["x"], want) {
		t.Errorf("remembered %v", memory["x"])
	}
}

// A device that comes to know of its properties one by one loses none, and one
// that is not seen for a while is not touched.
func TestWaitsForWhatWasThere(t *testing.T) {
	memory := notes{}
	runs(t, memory,
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA, propertyB))
			after(r, time.Minute)
		},
		func(p *Publisher, r *recorder) { after(r, time.Hour) },
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			after(r, settle/2)
		},
		func(p *Publisher, r *recorder) {
			after(r, time.Hour)
			p.Device(deviceX(propertyB))
			got := after(r, settle/2)[xTopic]
			p.Device(deviceX(propertyA, propertyB))
			for _, s := range append(got, after(r, time.Hour)[xTopic]...) {
				for key, c := range components(t, s) {
					if c["uniq_id"] == nil {
						t.Errorf("%s was removed", key)
					}
				}
			}
		})
}

func TestMovesToAnotherPlatformOverARestart(t *testing.T) {
	runs(t, notes{},
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			after(r, time.Minute)
		},
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(serialbridge.Property{Key: "a", Kind: serialbridge.Binary}))
			s := after(r, time.Hour)[xTopic]
			if len(s) != 3 {
				t.Fatalf("sent %d times, want removal, new version, re-send", len(s))
			}
			if a := components(t, s[0])["a"]; len(a) != 1 || a["p"] != "sensor" {
				t.Errorf("first a = %v, want the removal of the sensor", a)
			}
			if a := components(t, s[1])["a"]; a["p"] != "binary_sensor" || a["uniq_id"] == nil {
				t.Errorf("then a = %v, want the binary sensor", a)
			}
		})
}

// The same with a store that is closed and opened again in between.
func TestRemembersInTheStore(t *testing.T) {
	dir := t.TempDir()
	for i, properties := range [][]serialbridge.Property{{propertyA, propertyB}, {propertyA}} {
		store, err := persist.Open(dir, persist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		memory, err := persist.NewBucket[map[string]string](store, "homeassistant")
		if err != nil {
			t.Fatal(err)
		}
		r := newRecorder()
		p := NewPublisher(PublisherOptions{Broker: r, Box: testBox, Memory: memory})
		p.Device(deviceX(properties...))
		p.mu.Lock()
		p.entries["x"].settled = time.Now() // nobody waits for ten minutes here
		p.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		var first *sent
		for deadline := time.After(30 * time.Second); first == nil; {
			select {
			case <-deadline:
				t.Fatal("no document")
			case <-time.After(10 * time.Millisecond):
			}
			for _, s := range r.take() {
				if s.Topic == xTopic {
					first = &s
				}
			}
		}
		b := components(t, *first)["b"]
		if removed := len(b) == 1 && b["p"] == "sensor"; removed != (i == 1) || b == nil {
			t.Errorf("run %d: b = %v", i, b)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A device that is withdrawn is taken out of Home Assistant, also when the broker takes
// it late, and may come back.
func TestGone(t *testing.T) {
	memory := notes{}
	runs(t, memory, func(p *Publisher, r *recorder) {
		p.Gone("x") // nobody has heard of it
		p.Device(deviceX(propertyA))
		after(r, time.Minute)
		r.setFail(errors.New("busy"))
		p.Gone("x")
		after(r, time.Second)
		r.setFail(nil)
		if s := after(r, time.Hour)[xTopic]; len(s) != 1 || len(s[0].Payload) > 0 || !s[0].Retain {
			t.Errorf("sent %v", s)
		}
		if _, ok := memory["x"]; ok {
			t.Errorf("still remembered: %v", memory)
		}
		p.Device(deviceX(propertyA))
		if s := after(r, time.Hour)[xTopic]; len(s) == 0 || components(t, s[0])["a"] == nil {
			t.Errorf("came back as %v", s)
		}
		p.Gone("x")
		p.Device(deviceX(propertyA)) // at once: nothing was taken back
		if s := after(r, time.Hour)[xTopic]; len(s) != 0 {
			t.Errorf("came back at once as %v", s)
		}
	})
}
