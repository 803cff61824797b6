package uplink

import (
	"net"
	"slices"
	"sync"
	"testing"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// retained returns what a remote has retained.
func retained(t *testing.T, r remote, topic string) string {
	h := r.listen(topic)
	r.publish(mqtt.Message{Topic: topic, Payload: []byte("live"), QoS: 1})
	h.await(topic, "live")
	if first := h.payloads(topic)[0]; first != "live" {
		return first
	}
	return ""
}

func TestRetained(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		for topic, payload := range map[string]string{"s/a": "1", "s/b": "2", "s/c": "3"} {
			b.publish(mqtt.Message{Topic: topic, Payload: []byte(payload), Retain: true, QoS: mqtt.QoS(payload[0]-'1') % 2})
		}
		o := Options{URL: r.url(), Version: v, Maps: []Map{{Direction: Out, Filter: "s/#", QoS: 1}}}
		u := run(t, b, o)
		for topic, payload := range map[string]string{"s/a": "1", "s/b": "2", "s/c": "3"} {
			poll(t, topic+" to be retained there", func() bool { return retained(t, r, topic) == payload })
		}
		// Cleared and changed, with QoS 0, while the uplink is away; and the remote
		// has lost one.
		u.stop()
		b.publish(mqtt.Message{Topic: "s/a", Retain: true})
		b.publish(mqtt.Message{Topic: "s/b", Payload: []byte("new"), Retain: true})
		r.publish(mqtt.Message{Topic: "s/c", Retain: true, QoS: 1})
		b.restart()
		b.publish(mqtt.Message{Topic: "s/b", Payload: []byte("new"), Retain: true})
		run(t, b, o)
		for topic, payload := range map[string]string{"s/a": "", "s/b": "new", "s/c": "3"} {
			poll(t, topic+" to be right there", func() bool { return retained(t, r, topic) == payload })
		}
		// And while it is there.
		b.publish(mqtt.Message{Topic: "s/c", Retain: true, QoS: 1})
		poll(t, "s/c to be cleared there", func() bool { return retained(t, r, "s/c") == "" })
	})
}

// TestRetainedBoth looks that what the remote has retained from others stays.
func TestRetainedBoth(t *testing.T) {
	everywhere(t, func(t *testing.T, r remote, v mqtt.Version) {
		b := newBox(t, broker.Options{})
		b.publish(mqtt.Message{Topic: "s/a", Payload: []byte("old"), Retain: true, QoS: 1})
		b.publish(mqtt.Message{Topic: "s/b", Payload: []byte("ours"), Retain: true, QoS: 1})
		o := Options{URL: r.url(), Version: v, Maps: []Map{{Direction: Both, Filter: "s/#", QoS: 1}}}
		r.publish(mqtt.Message{Topic: "s/a", Payload: []byte("theirs"), Retain: true, QoS: 1})
		there := r.listen("s/#")
		run(t, b, o)
		there.await("s/b", "ours")
		if got := retained(t, r, "s/a"); got != "theirs" {
			t.Errorf("the remote's message was overwritten with %q", got)
		}
		poll(t, "s/a here", func() bool { m, _ := b.Retained("s/a"); return string(m.Payload) == "theirs" })
	})
}

// TestRetainedMeanwhile changes retained messages while those from before are sent, to a
// remote that takes one at a time: what it gets last of a topic is the latest, and nothing
// is sent again that has just been sent.
func TestRetainedMeanwhile(t *testing.T) {
	b := newBox(t, broker.Options{})
	for _, topic := range []string{"s/a", "s/b", "s/c", "s/d"} {
		b.publish(mqtt.Message{Topic: topic, Payload: []byte("old"), Retain: true, QoS: 1})
	}
	var mu sync.Mutex
	var got []string
	has := func(m string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(got, m)
		}
	}
	acknowledge := make(chan struct{})
	url := scripted(t, func(_ int, nc net.Conn) {
		var hello mqtt.Connack
		hello.Properties.SetUint(mqtt.ReceiveMaximum, 1)
		s, err := answer(nc, hello)
		for err == nil {
			var m mqtt.Publish
			if m, err = s.take(); err != nil {
				return
			}
			mu.Lock()
			got = append(got, string(m.Topic)+" "+string(m.Payload))
			mu.Unlock()
			if m.QoS == 0 {
				continue
			}
			go func() {
				<-acknowledge
				s.puback(m.PacketID, mqtt.Success)
			}()
		}
	})
	run(t, b, Options{URL: url, Maps: []Map{{Direction: Out, Filter: "s/#", QoS: 1}}})
	poll(t, "the first retained message", has("s/a old"))
	b.publish(mqtt.Message{Topic: "s/b", Payload: []byte("new"), Retain: true})
	b.publish(mqtt.Message{Topic: "s/c", Retain: true})
	poll(t, "what came meanwhile", func() bool { return has("s/b new")() && has("s/c ")() })
	close(acknowledge)
	poll(t, "the last retained message", has("s/d old"))
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"s/a old", "s/b new", "s/c ", "s/d old"}; !slices.Equal(got, want) {
		t.Errorf("the remote got %q, want %q", got, want)
	}
}
