package z2m

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
)

// do has a request done as pages do it.
func (h *inhabited) do(name string, body map[string]any) Act {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	a, err := h.Do(ctx, "olga", name, body)
	if err != nil || a.State != Done {
		h.t.Fatalf("%s: %+v, %v", name, a, err)
	}
	return a
}

// TestActs: what a page asks for is done and answered as what is asked for over MQTT, and
// can be seen.
func TestActs(t *testing.T) {
	h := newInhabited(t, nil)
	h.do("permit_join", map[string]any{"time": 254.0})
	h.join(bulbAddress)
	eventually(t, "the lamp is set up", func() bool {
		detail, err := h.Detail(bulbAddress)
		return err == nil && detail.Setup == SetupDone
	})
	lamp := bulbAddress.String()
	a := h.do("device/rename", map[string]any{"from": lamp, "to": "living lamp"})
	if a.About != lamp || a.By != "olga" || a.Ended == nil || a.Data["to"] != "living lamp" {
		t.Errorf("%+v", a)
	}
	h.want("bridge/response/device/rename", `{"data":{"from":"`+lamp+`","homeassistant_rename":false,"to":"living lamp"},"status":"ok"}`)
	h.do("group/add", map[string]any{"friendly_name": "upstairs"})
	h.do("group/members/add", map[string]any{"group": "upstairs", "device": "living lamp", "endpoint": 11.0})

	// A command says what has come of it.
	h.do("group/command", map[string]any{"id": "upstairs", "command": map[string]any{"state": "ON"}})
	h.do("group/command", map[string]any{"id": "upstairs", "command": map[string]any{"scene_store": map[string]any{"ID": 3.0, "name": "evening"}}})
	a = h.do("device/command", map[string]any{"id": "living lamp", "command": map[string]any{"read": map[string]any{"cluster": "genBasic", "attributes": []any{"modelId"}}}})
	if a.Data["modelId"] != "LCA001" {
		t.Errorf("read: %+v", a)
	}
	groups := h.Groups()
	if len(groups) != 1 || groups[0].Name != "upstairs" || !groups[0].Switch || len(groups[0].Members) != 1 || groups[0].Members[0].Name != "living lamp" ||
		len(groups[0].Scenes) != 1 || groups[0].Scenes[0] != (Scene{3, "evening"}) || groups[0].State["state"] != "ON" {
		t.Errorf("groups: %+v", groups)
	}
	detail, err := h.Detail(bulbAddress)
	if err != nil || len(detail.Endpoints) == 0 || detail.Firmware == nil {
		t.Fatalf("%+v, %v", detail, err)
	}
	found := false
	for _, e := range detail.Endpoints {
		for _, x := range e.Bindings {
			found = found || x.Own && x.Name == coordinatorName && x.Cluster == "genOnOff"
		}
	}
	if !found {
		t.Errorf("it is not seen that the coordinator hears the lamp: %+v", detail.Endpoints)
	}

	// What is wrong is said, by whom it was asked for is remembered.
	for name, body := range map[string]map[string]any{
		"device/rename":  {"from": "nobody", "to": "x"},
		"group/add":      {"friendly_name": "upstairs"},
		"device/command": {"id": "living lamp", "command": map[string]any{"command": map[string]any{"cluster": "genOnOff", "command": "explode"}}},
		"group/command":  {"id": "living lamp", "command": map[string]any{"state": "ON"}},
		"channel":        {"channel": 27.0},
		"restore":        {"backup": "{"},
		"open_sesame":    {},
	} {
		a, err := h.Do(t.Context(), "olga", name, body)
		if _, ok := errors.AsType[*RequestError](err); !ok || name != "open_sesame" && (a.State != Broken || a.Error != err.Error()) || strings.Contains(err.Error(), "zigbee: ") {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	for _, x := range h.Acts() {
		if x.By != "olga" || x.Ended == nil {
			t.Errorf("%+v", x)
		}
	}

	// There is no more of it than there may be.
	for range 2 * maxActs {
		h.do("health_check", map[string]any{})
	}
	if n := len(h.Acts()); n != maxActs {
		t.Errorf("%d acts are remembered", n)
	}
	if _, err := h.Act(1); !errors.Is(err, ErrNoAct) {
		t.Errorf("the first act: %v", err)
	}
	if err := h.CancelAct(1); !errors.Is(err, ErrNoAct) {
		t.Errorf("to cancel it: %v", err)
	}
}

// TestMapIsMadeAndGivenUp: progress is seen, the map stays, and what is given up ends at once.
func TestMapIsMadeAndGivenUp(t *testing.T) {
	h := newInhabited(t, nil)
	h.do("permit_join", map[string]any{"time": 254.0})
	h.join(bulbAddress)
	h.join(buttonAddress)
	if h.Map() != nil {
		t.Error("there is a map before one was made")
	}
	a := h.do("networkmap", map[string]any{"type": "raw"})
	m := h.Map()
	if a.Of != 2 || a.Data != nil || m == nil || len(m.Nodes) != 3 || m.Nodes[0].Type != "Coordinator" || len(m.Links) == 0 {
		t.Fatalf("%+v, %+v", a, m)
	}
	heard := map[zigbee.IEEEAddress]bool{}
	for _, l := range m.Links {
		heard[l.Heard] = true
	}
	if !heard[bulbAddress] || !heard[buttonAddress] {
		t.Errorf("links: %+v", m.Links)
	}

	begun, err := h.Begin("olga", "networkmap", map[string]any{"type": "raw"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.CancelAct(begun.ID); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); ; {
		a, err := h.Act(begun.ID)
		if err != nil {
			t.Fatal(err)
		}
		if a.Ended != nil {
			if a.State != Canceled {
				t.Errorf("%+v", a)
			}
			break
		}
		select {
		case <-deadline:
			t.Fatalf("it goes on: %+v", a)
		case <-time.After(time.Millisecond):
		}
	}
	if h.Map() != m {
		t.Error("the map that was there is gone")
	}
}

// TestJoinings: what has become of a device that has joined, up to its setup.
func TestJoinings(t *testing.T) {
	h := newInhabited(t, nil)
	h.do("permit_join", map[string]any{"time": 254.0})
	h.join(bulbAddress)
	var list []Joining
	eventually(t, "the lamp is set up", func() bool {
		list = h.Joinings()
		return len(list) != 1 || list[0].Setup == SetupDone
	})
	if len(list) != 1 || list[0].State != zigbee.Successful || list[0].ModelID != "LCA001" || !list[0].Described || list[0].Gone {
		t.Errorf("%+v", list)
	}
	if s := h.NetworkState(); !s.Running || s.OpenUntil == nil || s.Channel != 15 || s.Routers != 1 || s.Stick != "ZStack3x0" {
		t.Errorf("%+v", s)
	}
	h.do("device/remove", map[string]any{"id": bulbAddress.String(), "force": true})
	if list := h.Joinings(); len(list) != 1 || !list[0].Gone {
		t.Errorf("after it was removed: %+v", list)
	}
}
