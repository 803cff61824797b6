package uplink

import (
	"fmt"
	"slices"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// TestLoops has maps of "#" both ways, and looks whether anything comes twice.
func TestLoops(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		here, there := b.listen("#"), r.listen("#")
		run(t, b, Options{URL: r.url(), Version: v})
		// Another box behind the same remote.
		c := newBox(t, broker.Options{})
		far := c.listen("#")
		run(t, c, Options{Name: "far", URL: r.url(), Version: v})
		ready(t, b.publish, far)
		ready(t, c.publish, here)

		var want []string
		for i := range 20 {
			for name, publish := range map[string]func(mqtt.Message){"b": b.publish, "c": c.publish, "r": r.publish} {
				m := mqtt.Message{Topic: "x/" + name, Payload: fmt.Appendf(nil, "%s%d", name, i), QoS: mqtt.QoS(i % 3), Retain: i%2 == 0}
				publish(m)
				want = append(want, string(m.Payload))
			}
		}
		slices.Sort(want)
		for who, h := range map[string]*heard{"box": here, "remote": there, "other box": far} {
			all := func() (got []string) {
				for _, name := range []string{"b", "c", "r"} {
					got = append(got, h.payloads("x/"+name)...)
				}
				slices.Sort(got)
				return got
			}
			poll(t, "all at the "+who, func() bool { return len(all()) >= len(want) })
		}
		// What would come twice has come once this one is there.
		b.publish(mqtt.Message{Topic: "end", Payload: []byte("1"), QoS: 1})
		for who, h := range map[string]*heard{"box": here, "remote": there, "other box": far} {
			h.await("end", "1")
			var got []string
			for _, name := range []string{"b", "c", "r"} {
				got = append(got, h.payloads("x/"+name)...)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s heard %v", who, got)
			}
		}
	})
}

// ready waits until messages go all the way.
func ready(t *testing.T, publish func(mqtt.Message), to *heard) {
	t.Helper()
	n := 0
	poll(t, "the way to be open", func() bool {
		n++
		publish(mqtt.Message{Topic: "ready", Payload: fmt.Append(nil, n), QoS: 1})
		return len(to.payloads("ready")) > 0
	})
}

// TestFacing has two uplinks face each other, each with "#" both ways.
func TestFacing(t *testing.T) {
	b, c := newBox(t, broker.Options{}), newBox(t, broker.Options{})
	here, there := b.listen("#"), c.listen("#")
	run(t, b, Options{Name: "one", URL: c.url()}).connected(t)
	run(t, c, Options{Name: "two", URL: b.url()}).connected(t)
	ready(t, b.publish, there)
	ready(t, c.publish, here)
	for i := range 10 {
		b.publish(mqtt.Message{Topic: "b", Payload: fmt.Append(nil, i), QoS: 1})
		c.publish(mqtt.Message{Topic: "c", Payload: fmt.Append(nil, i), QoS: 1})
	}
	for _, h := range []*heard{here, there} {
		h.await("b", "9")
		h.await("c", "9")
	}
	b.publish(mqtt.Message{Topic: "end", Payload: []byte("1"), QoS: 1})
	there.await("end", "1")
	for _, h := range []*heard{here, there} {
		if n := len(h.payloads("b")) + len(h.payloads("c")); n > 60 {
			t.Errorf("20 messages were heard %d times: they go round", n)
		}
	}
}
