package homeassistant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

// last returns what was published last to each topic, and takes it.
func last(sent map[string][]sent) map[string][]byte {
	payloads := make(map[string][]byte)
	for topic, s := range sent {
		payloads[topic] = s[len(s)-1].Payload
	}
	return payloads
}

func TestWritesOnlyWhatChangedOverARestart(t *testing.T) {
	var held map[string][]byte
	lamp := serialbridge.Property{Key: "lamp", Kind: serialbridge.Light}
	memory := notes{}
	runs(t, memory,
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA, propertyB, lamp))
			held = last(after(r, time.Minute))
		},
		func(p *Publisher, r *recorder) {
			for topic, payload := range held {
				r.hold(topic, string(payload))
			}
			// It comes to know of its properties one by one.
			for _, properties := range [][]serialbridge.Property{{propertyA}, {propertyA, propertyB}, {propertyA, propertyB, lamp}} {
				p.Device(deviceX(properties...))
				if got := after(r, time.Minute); len(got) != 0 {
					t.Errorf("with %d properties sent %v", len(properties), got)
				}
			}
			if got := after(r, time.Hour); len(got) != 0 {
				t.Errorf("then sent %v", got)
			}
			r.say("homeassistant/status", "online")
			if got := after(r, time.Minute); len(got) != 2 {
				t.Errorf("when home assistant started, sent %v", got)
			}
		},
		func(p *Publisher, r *recorder) {
			for topic, payload := range held {
				r.hold(topic, string(payload))
			}
			d := deviceX(propertyA, propertyB, lamp)
			d.SWVersion = "2"
			p.Device(d)
			if got := after(r, time.Hour); len(got) != 1 || len(got[xTopic]) != 2 {
				t.Errorf("of a new version sent %v", got)
			}
		},
		func(p *Publisher, r *recorder) {
			r.hold(xTopic, string(held[xTopic]))
			p.Device(deviceX(propertyA)) // b and the lamp are gone for good
			if s := after(r, time.Hour)[xTopic]; len(s) != 2 || components(t, s[0])["b"] == nil {
				t.Errorf("sent %v, want the removal after a while", s)
			}
		})
}

// TestRepairsWhatIsDamaged: half a document, one of another version and one with a
// key too many are replaced.
func TestRepairsWhatIsDamaged(t *testing.T) {
	var whole []byte
	runs(t, notes{}, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA))
		whole = last(after(r, time.Minute))[xTopic]
	})
	for name, payload := range map[string]string{
		"half":            string(whole[:len(whole)/2]),
		"two bytes":       string(whole[:2]),
		"no JSON":         "\xff\x00",
		"another version": strings.Replace(string(whole), `"o":{"name":"lintel","sw":"0.1.0"`, `"o":{"name":"lintel","sw":"0.0.9"`, 1),
		"a key too many":  strings.Replace(string(whole), `{"dev"`, `{"qos":1,"dev"`, 1),
		"a wrong value":   strings.Replace(string(whole), `"p":"sensor"`, `"p":7`, 1),
		"no platform":     strings.Replace(string(whole), `"p":"sensor"`, `"p":"sensr"`, 1),
	} {
		for _, later := range []time.Duration{0, time.Second} {
			runs(t, notes{}, func(p *Publisher, r *recorder) {
				r.hold(xTopic, payload)
				after(r, later)
				p.Device(deviceX(propertyA))
				if s := after(r, time.Minute)[xTopic]; payload == string(whole) || len(s) != 2 || string(s[0].Payload) != string(whole) {
					t.Errorf("%s, %v later: sent %d", name, later, len(s))
				}
			})
		}
	}
}

// TestOrphans: what is ours and nobody remembers is taken away with all that belongs
// to it, the document first; what is somebody else's stays.
func TestOrphans(t *testing.T) {
	lamp := serialbridge.Property{Key: "lamp", Kind: serialbridge.Light}
	var whole []byte
	memory := notes{}
	runs(t, notes{}, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA, lamp))
		whole = last(after(r, time.Minute))[xTopic]
	})
	topic := func(id string) string { return "homeassistant/device/lintel_" + id + "/config" }
	of := func(id string) []byte {
		s := strings.ReplaceAll(string(whole), "lintel_x", "lintel_"+id)
		return []byte(strings.ReplaceAll(s, "lintel/x/", "lintel/"+id+"/"))
	}
	memory["silent"] = map[string]string{"a": "sensor"}
	runs(t, memory, func(p *Publisher, r *recorder) {
		r.hold(topic("orphan"), string(of("orphan")))
		r.hold(topic("half"), string(of("half")[:100]))
		r.hold(topic("silent"), string(of("silent")))
		r.hold(topic("known"), string(of("known")))
		// Those of others.
		r.hold(topic("stolen"), string(of("other")))
		r.hold(topic("other_box"), strings.ReplaceAll(string(of("other_box")), "lintel/gateway/", "attic/gateway/"))
		r.hold(topic("other_maker"), strings.ReplaceAll(string(of("other_maker")), `"o":{"name":"lintel"`, `"o":{"name":"Lintel"`))
		r.hold(topic("junk"), "junk")
		r.hold(topic("empty_object"), "{}")
		r.hold("homeassistant/device/0x01/config", string(of("x")))
		r.hold("homeassistant/device/lintel_a b/config", string(of("x")))
		p.Device(serialbridge.Device{ID: "known", Properties: []serialbridge.Property{propertyA}})
		for topic := range after(r, settle-time.Second) {
			if topic != boxTopic && !strings.Contains(topic, "lintel_known") {
				t.Errorf("too early for %s", topic)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		var got []string
		for _, s := range r.take() {
			if s.Topic == topic("known") {
				continue // its lamp is gone
			}
			got = append(got, s.Topic)
			if len(s.Payload) > 0 || !s.Retain {
				t.Errorf("%s: sent %s", s.Topic, s.Payload)
			}
		}
		want := []string{
			topic("half"), "lintel/half/state", "lintel/half/availability",
			topic("orphan"), "lintel/orphan/state", "lintel/orphan/availability", "lintel/orphan/lamp",
		}
		if !slices.Equal(got, want) {
			t.Errorf("took away %q\nwant %q", got, want)
		}
	})
}

// TestGoesOnTakingBack: the program ended before the broker took it back.
func TestGoesOnTakingBack(t *testing.T) {
	memory := notes{}
	runs(t, memory,
		func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			after(r, time.Minute)
			r.setFail(errors.New("busy"))
			done := p.Gone("x")
			after(r, time.Second)
			select {
			case <-done:
				t.Error("done before it was")
			default:
			}
		},
		func(p *Publisher, r *recorder) {
			got := after(r, time.Minute)
			if s := got[xTopic]; len(s) != 1 || len(s[0].Payload) != 0 {
				t.Errorf("sent %v", got)
			}
			if _, ok := memory["x"]; ok {
				t.Error("still remembered")
			}
			if p.Gone("x") != nil {
				t.Error("there is something to wait for")
			}
			p.Device(deviceX(propertyA))
			after(r, time.Minute)
			done := p.Gone("x")
			after(r, time.Second)
			select {
			case <-done:
			default:
				t.Error("who waits for the withdrawal is not told")
			}
		})
}

// TestBirthBesideAChange: two versions of a document are a second apart, though Home
// Assistant starts in between.
func TestBirthBesideAChange(t *testing.T) {
	for _, before := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 900 * time.Millisecond} {
		run(t, nil, func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			after(r, time.Minute)
			r.say("homeassistant/status", "online")
			time.Sleep(before)
			p.Device(deviceX(propertyA, propertyB))
			s := after(r, time.Hour)[xTopic]
			for i := range len(s) - 1 {
				if gap := s[i+1].at - s[i].at; gap < debounce {
					t.Errorf("%v: versions %d and %d are %v apart", before, i, i+1, gap)
				}
			}
			if len(s) < 2 || components(t, s[len(s)-1])["b"] == nil {
				t.Errorf("%v: sent %v", before, s)
			}
		})
	}
}

// TestParentsFirst: Home Assistant hears of a device before those that hang below it.
func TestParentsFirst(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		for _, d := range []serialbridge.Device{
			{ID: "a", Via: "m"}, {ID: "m", Stick: "stick_z"}, {ID: "stick_z"}, {ID: "loop1", Via: "loop2"}, {ID: "loop2", Via: "loop1"},
		} {
			d.Properties = []serialbridge.Property{propertyA}
			p.Device(d)
		}
		after(r, time.Minute)
		r.say("homeassistant/status", "online")
		time.Sleep(time.Minute)
		synctest.Wait()
		var order []string
		for _, s := range r.take() {
			order = append(order, strings.Split(s.Topic, "/")[2])
		}
		want := []string{"lintel_a1b2c3d4e5f6", "lintel_stick_z", "lintel_m", "lintel_a", "lintel_loop1", "lintel_loop2"}
		if !slices.Equal(order, want) {
			t.Errorf("sent %q, want %q", order, want)
		}
	})
}

// TestBadUnitCostsOneProperty: what Home Assistant would refuse is left out, and the
// rest of the device is there.
func TestBadUnitCostsOneProperty(t *testing.T) {
	run(t, nil, func(p *Publisher, r *recorder) {
		bad := serialbridge.Property{Key: "bad", Kind: serialbridge.Measurement, Class: "temperature", Unit: "lx"}
		if _, err := Document(testBox, deviceX(propertyA, bad), Options{}); err == nil || !strings.Contains(err.Error(), "unit") {
			t.Errorf("Document: %v", err)
		}
		p.Device(deviceX(propertyA, bad))
		s := after(r, time.Minute)[xTopic]
		if len(s) != 2 {
			t.Fatalf("sent %d times", len(s))
		}
		for _, s := range s {
			if c := components(t, s); c["bad"] != nil || c["a"] == nil {
				t.Errorf("components %v", c)
			}
		}
	})
}

// TestOnlineLast: after a start the box is online when the documents are sent, and not
// before, nor is it offline for ever if they are not.
func TestOnlineLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		p := NewPublisher(PublisherOptions{Broker: r, Box: testBox})
		never := make(chan struct{})
		for _, ready := range []func() <-chan struct{}{p.Ready, func() <-chan struct{} { return never }} {
			ctx, cancel := context.WithCancel(t.Context())
			b := NewBoxState(BoxStateOptions{Broker: r, Values: func() map[string]any { return nil }, Ready: ready})
			done := make(chan error, 2)
			go func() { done <- b.Run(ctx) }()
			go func() { done <- p.Run(ctx) }()
			time.Sleep(20 * time.Second)
			var said []string
			for _, s := range r.take() {
				if s.Topic == "lintel/gateway/availability" {
					said = append(said, string(s.Payload))
				} else if s.Topic == boxTopic {
					said = append(said, "document")
				}
			}
			cancel()
			<-done
			<-done
			r.take()
			want := []string{"offline", "document", "online", "document"}
			if len(said) == 2 { // the second time the document is there
				want = []string{"offline", "online"}
			}
			if !slices.Equal(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
		}
	})
}
