package homeassistant

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge/zigbee/devices"
)

func sensorEntity(id, name string, properties ...string) ZigbeeEntity {
	e := ZigbeeEntity{ID: id, Name: name, Model: "M", Vendor: "V", Description: "D"}
	for _, p := range properties {
		e.Exposes = append(e.Exposes, &devices.Expose{Type: "numeric", Name: p, Property: p, Label: p, Access: devices.Published, Unit: "%"})
	}
	return e
}

// TestZigbeePublisher follows documents from the first one to the last.
func TestZigbeePublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		p := NewZigbeePublisher(ZigbeePublisherOptions{Broker: r, ZigbeeOptions: ZigbeeOptions{Coordinator: "0x01"}})
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		synctest.Wait()
		const topic = "homeassistant/sensor/0xa/"
		foreign := `{"availability":[{"topic":"other/bridge/state"}]}`
		old := `{"availability":[{"topic":"zigbee2mqtt/bridge/state"}],"name":"was here before"}`
		hear := func(topic, payload string) {
			r.handlers["homeassistant/+/+/+/config"](mqtt.Message{Topic: topic, Payload: []byte(payload)})
		}
		documents, err := ZigbeeDocuments(p.o.ZigbeeOptions, sensorEntity("0xa", "attic", "humidity"))
		if err != nil {
			t.Fatal(err)
		}
		hear(topic+"humidity/config", string(documents[0].Payload))
		hear("homeassistant/sensor/0xold/humidity/config", old)
		hear("homeassistant/sensor/0xother/humidity/config", foreign)
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, s := range r.take() {
				if s.QoS != 1 || !s.Retain {
					t.Errorf("%s: %s with quality of service %d, retained %v", what, s.Topic, s.QoS, s.Retain)
				}
				sign := "+"
				if len(s.Payload) == 0 {
					sign = "-"
				}
				got = append(got, sign+s.Topic)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}

		unknown := p.Entity(sensorEntity("0xa", "attic", "humidity", "battery"), "disable", nil, false)
		if _, ok := unknown["battery"]; !ok || len(unknown) != 2 {
			t.Errorf("unknown: %v", unknown)
		}
		expect("what is retained already is not sent again", "+"+topic+"battery/config")

		p.Entity(sensorEntity("0xa", "attic", "humidity"), "disable", []string{"single"}, false)
		expect("a property is gone, an action was seen", "-"+topic+"battery/config", "+homeassistant/device_automation/0xa/action_single/config")

		p.Entity(sensorEntity("0xa", "cellar", "humidity"), "disable", nil, true)
		expect("renamed", "-homeassistant/device_automation/0xa/action_single/config", "-"+topic+"humidity/config")
		time.Sleep(rest + time.Millisecond)
		expect("and there again", "+"+topic+"humidity/config")

		time.Sleep(orphaned)
		expect("nobody wanted it", "-homeassistant/sensor/0xold/humidity/config")

		p.Gone("0xa")
		expect("gone", "-"+topic+"humidity/config")
	})
}

// TestZigbeeGoneSoonAfterAStart: a device that is taken away in the first minute goes at
// once, though its documents are from before the start and were not sent again.
func TestZigbeeGoneSoonAfterAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		p := NewZigbeePublisher(ZigbeePublisherOptions{Broker: r, ZigbeeOptions: ZigbeeOptions{Coordinator: "0x01"}})
		done := make(chan error, 1)
		go func() { done <- p.Run(t.Context()) }()
		synctest.Wait()
		e := sensorEntity("0xa", "attic", "humidity")
		documents, err := ZigbeeDocuments(p.o.ZigbeeOptions, e)
		if err != nil {
			t.Fatal(err)
		}
		d := documents[0]
		r.handlers["homeassistant/+/+/+/config"](mqtt.Message{Topic: d.Topic, Payload: d.Payload, Retain: true})
		p.Entity(e, "disable", nil, false)
		if sent := after(r, time.Second); len(sent) > 0 {
			t.Errorf("sent again: %v", sent)
		}
		p.Gone("0xa")
		if sent := after(r, time.Second)[d.Topic]; len(sent) != 1 || len(sent[0].Payload) > 0 {
			t.Errorf("when it was taken away, sent %v", sent)
		}
	})
}
