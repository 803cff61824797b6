package z2m

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// inhabited is a house with virtual devices in it.
type inhabited struct {
	*house
	air *air.Network
}

// The devices of the observed contract.
const (
	climateAddress zigbee.IEEEAddress = 0x00124b0022e10001
	bulbAddress    zigbee.IEEEAddress = 0x00178801061a2b3c
	plugAddress    zigbee.IEEEAddress = 0xb43522fffe77a001
	buttonAddress  zigbee.IEEEAddress = 0x00124b0022e10004
	wallAddress    zigbee.IEEEAddress = 0xa4c138d2f0000005
	doorAddress    zigbee.IEEEAddress = 0x00124b0022e10006
	meterAddress   zigbee.IEEEAddress = 0x0015bc0031000007
)

func newInhabited(t *testing.T, change func(*Options)) *inhabited {
	t.Helper()
	n := air.New(air.Options{Seed: 1, Latency: time.Millisecond})
	for _, d := range air.Household() {
		if d.LinkQuality == 0 {
			d.LinkQuality = 77
		}
		d.Poll = 50 * time.Millisecond
		if err := n.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 2)
	go func() { ran <- n.Run(ctx) }()
	h := &inhabited{house: newHouse(t, change), air: n}
	h.run()
	s := newStick(n)
	go func() { ran <- h.Network().Serve(ctx, s) }()
	t.Cleanup(func() {
		cancel()
		<-ran
		<-ran
	})
	for string(h.next("bridge/state").Payload) != `{"state":"online"}` {
	}
	return h
}

// join has a device join, and waits until it is set up.
func (h *inhabited) join(ieee zigbee.IEEEAddress) {
	h.t.Helper()
	if err := h.air.Join(ieee); err != nil {
		h.t.Fatal(err)
	}
	for {
		m := h.next("bridge/event")
		var event struct {
			Type string
			Data struct {
				IEEEAddress string `json:"ieee_address"`
				Status      string
			}
		}
		if err := json.Unmarshal(m.Payload, &event); err != nil {
			h.t.Fatal(err)
		}
		if event.Type == "device_interview" && event.Data.IEEEAddress == ieee.String() && event.Data.Status != "started" {
			break
		}
	}
	deadline := time.Now().Add(patience)
	for {
		d, _ := h.Network().Device(ieee)
		if d.Configured != "" {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s was not set up", ieee)
		}
		h.next("bridge/devices")
	}
}

func TestLamp(t *testing.T) {
	h := newInhabited(t, nil)
	if got := h.ask("permit_join", `{"time":254,"transaction":"t-1"}`); got != `{"data":{"time":254},"status":"ok","transaction":"t-1"}` {
		t.Errorf("permit_join: %s", got)
	}
	h.join(bulbAddress)
	if got := h.ask("device/rename", `{"last":true,"to":"living lamp"}`); !strings.Contains(got, `"status":"ok"`) {
		t.Fatalf("rename: %s", got)
	}
	h.say("living lamp/set", "ON")
	for !strings.Contains(string(h.next("living lamp").Payload), `"state":"ON"`) {
	}
	h.say("living lamp/set", `{"brightness":128}`)
	for !strings.Contains(string(h.next("living lamp").Payload), `"brightness":128`) {
	}
	if level, _ := h.air.Attribute(bulbAddress, 11, 8, 0); level != uint64(128) {
		t.Errorf("the level of the lamp is %v", level)
	}
	h.say("living lamp/set/state", "OFF")
	for !strings.Contains(string(h.next("living lamp").Payload), `"state":"OFF"`) {
	}
}

func TestReadAndWrite(t *testing.T) {
	h := newInhabited(t, nil)
	h.ask("permit_join", `254`)
	h.join(bulbAddress)
	lamp := bulbAddress.String()
	h.say(lamp+"/set", `{"read":{"cluster":"genBasic","attributes":["modelId"],"state_property":"raw"}}`)
	h.wantLog("zhc:tz: Read result of 'genBasic': {\"modelId\":\"LCA001\"}")
	h.wantState(lamp, `"raw":{"modelId":"LCA001"}`)
	h.say(lamp+"/11/set", `{"write":{"cluster":"genOnOff","payload":{"startUpOnOff":1}}}`)
	h.wantLog("zhc:tz: Wrote '{\"startUpOnOff\":1}' to 'genOnOff'")
	h.say(lamp+"/set", `{"command":{"cluster":"genOnOff","command":"off"}}`)
	h.say(lamp+"/set", `{"command":{"cluster":"genOnOff","command":"explode"}}`)
	// The front end knows failures by this form.
	m := h.wantLog("z2m: Publish 'set' 'command' to '" + lamp + "' failed")
	if !regexp.MustCompile(`^z2m: Publish '(set|get)' '(.+)' to '(.+)' failed.*\((.*)\)'$`).MatchString(m) {
		t.Errorf("the front end does not know %q", m)
	}
	if on, _ := h.air.Attribute(bulbAddress, 11, 6, 0); on != false {
		t.Errorf("the lamp is %v", on)
	}
}

// wantLog waits for a line in bridge/logging that begins so.
func (h *house) wantLog(prefix string) string {
	h.t.Helper()
	for {
		var line struct{ Message string }
		if err := json.Unmarshal(h.next("bridge/logging").Payload, &line); err != nil {
			h.t.Fatal(err)
		}
		if strings.HasPrefix(line.Message, prefix) {
			return line.Message
		}
	}
}

// wantState waits for a state that holds this.
func (h *house) wantState(name, part string) {
	h.t.Helper()
	for !strings.Contains(string(h.next(name).Payload), part) {
	}
}

func TestGroups(t *testing.T) {
	h := newInhabited(t, nil)
	h.ask("permit_join", `254`)
	h.join(bulbAddress)
	h.join(wallAddress)
	for _, c := range []struct{ request, payload, want string }{
		{"group/add", `{"friendly_name":"lounge"}`, `{"data":{"friendly_name":"lounge","id":1},"status":"ok"}`},
		{"device/rename", `{"from":"` + bulbAddress.String() + `","to":"lamp"}`, ""},
		{"device/rename", `{"from":"` + wallAddress.String() + `","to":"wall"}`, ""},
		{"group/members/add", `{"group":"lounge","device":"lamp"}`, `{"data":{"device":"lamp","endpoint":"default","group":"lounge"},"status":"ok"}`},
		{"group/members/add", `{"group":1,"device":"wall","endpoint":"l2"}`, `{"data":{"device":"wall","endpoint":"l2","group":1},"status":"ok"}`},
	} {
		if got := h.ask(c.request, c.payload); c.want != "" && got != c.want {
			t.Fatalf("%s: %s", c.request, got)
		}
	}
	h.say("lounge/set", `{"state":"ON","brightness":99}`)
	h.wantState("lamp", `"brightness":99`)
	h.want("lounge", `{"brightness":99,"state":"ON"}`)
	// One of two that is off does not make the group off, the second does.
	h.say("lamp/set", "OFF")
	h.wantState("lamp", `"state":"OFF"`)
	h.say("wall/l2/set", "OFF")
	h.want("lounge", `{"brightness":99,"state":"OFF"}`)
	h.say("wall/set", `{"state_l2":"ON"}`)
	h.want("lounge", `{"brightness":99,"state":"ON"}`)

	// A scene of the group is remembered with its members' states.
	h.say("lounge/set", `{"scene_store":{"ID":1,"name":"all"}}`)
	for !strings.Contains(string(h.next("bridge/groups").Payload), `"scenes":[{"id":1,"name":"all"}]`) {
	}
	h.say("lamp/set", `{"state":"ON","brightness":12}`)
	h.wantState("lamp", `"brightness":12`)
	h.say("lounge/set", `{"scene_recall":1}`)
	h.wantState("lamp", `"state":"OFF"`)

	if got := h.ask("group/remove", `{"id":"lounge"}`); got != `{"data":{"force":false,"id":"lounge"},"status":"ok"}` {
		t.Error(got)
	}
	if d, _ := h.Network().Device(wallAddress); len(d.Endpoint(2).Groups) != 0 {
		t.Errorf("the switch is still in %v", d.Endpoint(2).Groups)
	}
}
