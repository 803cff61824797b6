package z2m

import (
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
)

// A switch without a battery is taught while the network is open, through a router, and
// pressed: what it says is published as an action, and it can be removed. The source ID is
// one of EnOcean's, and says that it is a PTM 215Z.
func TestGreenPowerSwitch(t *testing.T) {
	const source = 0x01718c2f
	const ieee zigbee.IEEEAddress = source
	h := newInhabited(t, nil)
	if got := h.ask("permit_join", `{"time":254}`); !strings.Contains(got, `"status":"ok"`) {
		t.Fatal(got)
	}
	h.join(bulbAddress) // the router that hears it
	// Those that have joined since do not listen yet.
	if got := h.ask("permit_join", `{"time":254}`); !strings.Contains(got, `"status":"ok"`) {
		t.Fatal(got)
	}
	if err := h.air.AddGreenPower(source, [16]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a router listens", func() bool { return h.air.Teach(source) == nil })
	for {
		m := h.next("bridge/event")
		if text := string(m.Payload); strings.Contains(text, `"device_interview"`) && strings.Contains(text, ieee.String()) && strings.Contains(text, `"successful"`) {
			break
		}
	}
	eventually(t, "the routers know the switch", func() bool { return h.air.Paired(source) })
	for i, c := range []struct {
		command uint8
		action  string
	}{{0x22, "press_energy_bar"}, {0x10, "press_1"}, {0x14, "release_1"}, {0x62, "press_2_and_4"}, {0x22, "press_energy_bar"}} {
		if err := h.air.PressGreenPower(source, c.command); err != nil {
			t.Fatal(err)
		}
		want := `"action":"` + c.action + `"`
		if m := h.next(ieee.String()); !strings.Contains(string(m.Payload), want) {
			t.Errorf("press %d says %s, want %s", i, m.Payload, want)
		}
	}
	if got := h.ask("device/remove", `{"id":"`+ieee.String()+`"}`); !strings.Contains(got, `"status":"ok"`) {
		t.Error(got)
	}
	eventually(t, "the routers have forgotten the switch", func() bool { return !h.air.Paired(source) })
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain: %s", what)
		}
	}
}
