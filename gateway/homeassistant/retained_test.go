package homeassistant

import (
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

const documentFilter = "homeassistant/device/+/config"

// hold has the broker hold a document from before the start.
func (r *recorder) hold(topic, payload string) {
	r.mu.Lock()
	handle := r.handlers[documentFilter]
	r.mu.Unlock()
	handle(mqtt.Message{Topic: topic, Payload: []byte(payload), Retain: true})
}

// TestRemovesWhatAnOlderVersionTold: what the broker holds counts as told, though nothing
// remembers it.
func TestRemovesWhatAnOlderVersionTold(t *testing.T) {
	const older = `{"dev":{"ids":["lintel_x"]},"o":{"name":"lintel"},"avty":[{"t":"lintel/gateway/availability"}],` +
		`"cmps":{"a":{"p":"sensor","uniq_id":"lintel_x_a"},"old":{"p":"sensor","uniq_id":"lintel_x_old"},"gone":{"p":"sensor"}}}`
	for name, hold := range map[string]func(*Publisher, *recorder){
		"before the device is there": func(p *Publisher, r *recorder) {
			r.hold(xTopic, older)
			after(r, time.Second)
			p.Device(deviceX(propertyA))
		},
		"after": func(p *Publisher, r *recorder) {
			p.Device(deviceX(propertyA))
			after(r, time.Minute)
			r.hold(xTopic, older)
		},
	} {
		t.Run(name, func(t *testing.T) {
			runs(t, notes{}, func(p *Publisher, r *recorder) {
				hold(p, r)
				for _, s := range after(r, settle-2*time.Minute)[xTopic] {
					if components(t, s)["old"] != nil {
						t.Error("removed before it is sure")
					}
				}
				s := after(r, 5*time.Minute)[xTopic]
				if len(s) == 0 {
					t.Fatal("never removed")
				}
				c := components(t, s[0])
				if old := c["old"]; len(old) != 1 || old["p"] != "sensor" || c["gone"] != nil || len(c["a"]) < 2 {
					t.Errorf("sent %v", c)
				}
			})
		})
	}
}

// TestTakesAwayWhatCannotBeRead: half a document of a device that never comes.
func TestTakesAwayWhatCannotBeRead(t *testing.T) {
	const ghost, known, foreign = "homeassistant/device/lintel_ghost/config", "homeassistant/device/lintel_known/config", "homeassistant/device/other/config"
	runs(t, notes{"known": {"a": "sensor"}}, func(p *Publisher, r *recorder) {
		p.Device(deviceX(propertyA))
		for _, topic := range []string{ghost, known, foreign, xTopic} {
			r.hold(topic, `{"dev":{"ids":["lint`)
		}
		sent := after(r, settle+time.Minute)
		if s := sent[ghost]; len(s) != 1 || len(s[0].Payload) > 0 || !s[0].Retain {
			t.Errorf("of the ghost was sent %v", s)
		}
		for _, topic := range []string{known, foreign} {
			if len(sent[topic]) > 0 {
				t.Errorf("sent %v", sent[topic])
			}
		}
		for _, s := range sent[xTopic] {
			if len(s.Payload) == 0 {
				t.Error("the document of a device that is there was taken away")
			}
		}
	})
}

// FuzzRetained: nothing that a broker holds makes the publisher panic.
func FuzzRetained(f *testing.F) {
	f.Add("homeassistant/device/lintel_x/config", []byte(`{"dev":{"ids":["lintel_x"]},"avty":{"t":"lintel/gateway/availability"},"cmps":{"a":{"p":"sensor","x":1},"b":7}}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		p := NewPublisher(PublisherOptions{Box: testBox})
		p.find(mqtt.Message{Topic: topic, Payload: payload, Retain: true})
		p.takeFound()
	})
}
