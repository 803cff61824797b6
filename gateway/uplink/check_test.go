package uplink

import (
	"errors"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// TestCheck: the broker of the box itself is known as that, and another one is not taken
// for it right after, or because a client of the box is called like an uplink that is tried.
func TestCheck(t *testing.T) {
	b, remote := newBox(t, broker.Options{}), newBox(t, broker.Options{})
	o := Options{Name: "cloud", ClientID: "lintel-box", Maps: []Map{{Direction: In, Filter: "in", QoS: 1}}}
	check := func(url string) error {
		o.URL = url
		return Check(t.Context(), b.Broker, o, []string{"house/check"})
	}
	namesake := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + b.addr).SetClientID("lintel-box-check"))
	wait(t, namesake.Connect())
	defer namesake.Disconnect(0)
	for range 20 {
		err := check(b.url())
		if unfit, ok := errors.AsType[*Unfit](err); !ok || !strings.Contains(unfit.Text, "the box itself") {
			t.Fatalf("own broker: %v", err)
		}
		if err := check(remote.url()); err != nil {
			t.Fatalf("another one: %v", err)
		}
	}
	h := &heard{t: t} // all is as before there
	if err := remote.client("").Subscribe(t.Context(), "house/#", 0, h.add); err != nil {
		t.Fatal(err)
	}
	remote.publish(mqtt.Message{Topic: "house/end", Payload: []byte("end")})
	h.await("house/end", "end")
	if left := h.all(); len(left) != 1 {
		t.Errorf("left there: %+v", left)
	}
}
