package serialbridge

import (
	"fmt"
	"reflect"
	"testing"
)

// announced keeps what it is told of devices.
type announced struct {
	Sink
	devices []Device
}

func (a *announced) Device(d Device) { a.devices = append(a.devices, d) }

func TestAnnouncer(t *testing.T) {
	sink := &announced{}
	a := Announcer{Sink: sink}
	power, heat := Measured("power", "Power", "W", "power", 0), Counted("heat", "Heat", "GJ", "energy", 3)
	heatInWh := Counted("heat", "Heat", "kWh", "energy", 3)
	for i, step := range []struct {
		version    string
		properties []Property
		announced  int // up to now
		known      []Property
	}{
		{"1.0", []Property{power}, 1, []Property{power}},
		{"1.0", []Property{power}, 1, []Property{power}},
		{"", []Property{heat}, 2, []Property{power, heat}},
		{"", []Property{power}, 2, []Property{power, heat}},
		{"", []Property{heatInWh}, 3, []Property{power, heatInWh}},
		{"1.1", nil, 4, []Property{power, heatInWh}},
	} {
		d := a.Complete(Device{ID: "meter", SWVersion: step.version, Properties: step.properties})
		a.Announce(d)
		if len(sink.devices) != step.announced || !reflect.DeepEqual(d.Properties, step.known) {
			t.Errorf("step %d: announced %d times, with %+v", i, len(sink.devices), d.Properties)
		}
	}
	if first := sink.devices[0]; first.SWVersion != "1.0" || len(first.Properties) != 1 {
		t.Errorf("the first announcement has changed afterwards: %+v", first)
	}
	a.Announce(Device{ID: "meter", Properties: []Property{heat}})
	if last := sink.devices[len(sink.devices)-1]; len(last.Properties) != 1 {
		t.Errorf("announced with what was not said: %+v", last)
	}
}

func TestAnnouncerIsBounded(t *testing.T) {
	sink := &announced{}
	a := Announcer{Sink: sink}
	const many = 3 * maxAnnounced
	for i := range many {
		d := Device{ID: fmt.Sprint(i), Properties: []Property{Flag("on", "On", "")}}
		a.Announce(d)
		a.Announce(d)
		if len(a.last) > maxAnnounced {
			t.Fatalf("%d devices are remembered", len(a.last))
		}
	}
	if len(sink.devices) != many {
		t.Errorf("announced %d times, want %d", len(sink.devices), many)
	}
}
