package serialbridge

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

var (
	lamp = Property{Key: "lamp", Kind: Light, Features: []Feature{Brightness, ColorTemperature, RGB, Transition},
		Min: 2200, Max: 6500, Options: []string{"blink"}}
	blind      = Property{Key: "blind", Kind: Cover, Features: []Feature{Position, Tilt, Stop}}
	shutter    = Property{Key: "shutter", Kind: Cover}
	thermostat = Property{Key: "thermostat", Kind: Climate, Unit: "°C", Min: 5, Max: 30, Step: 0.5,
		Options: []string{"off", "heat"}, Presets: []string{"away"}, Features: []Feature{Setpoint, RoomTemperature, Action}}
	door   = Property{Key: "door", Kind: Lock, Features: []Feature{Latch}}
	vent   = Property{Key: "vent", Kind: Fan, Max: 3, Presets: []string{"auto"}, Features: []Feature{Oscillation, Direction}}
	horn   = Property{Key: "horn", Kind: Siren, Options: []string{"fire"}, Features: []Feature{Volume, Duration}}
	gasTap = Property{Key: "tap", Kind: Valve, Features: []Feature{Position}}
	place  = Property{Key: "place", Kind: Tracker}
	news1  = Property{Key: "firmware", Kind: Update}
	note   = Property{Key: "note", Kind: Text, Max: 5}
	reader = Property{Key: "reader", Kind: Tag}

	composites = []Property{lamp, blind, shutter, thermostat, door, vent, horn, gasTap, place, news1, note, reader}
)

func TestCommandsOfComposites(t *testing.T) {
	tests := []struct {
		key, payload string
		want         string // JSON of Command.Value; empty: refused
	}{
		{"lamp", `{"state":"on","brightness":300,"color":{"r":-1,"g":2,"b":255}}`, `{"brightness":255,"color":{"b":255,"g":2,"r":0},"state":"ON"}`},
		{"lamp", `{"color_temp":1000,"transition":2,"effect":"blink"}`, `{"color_temp":2200,"effect":"blink","transition":2}`},
		{"lamp", `OFF`, `{"state":"OFF"}`},
		{"lamp", `{"color":{"r":1,"g":2}}`, ``},
		{"lamp", `{"color":{"r":1,"g":2,"b":3,"w":4}}`, ``},
		{"lamp", `{"color":"red"}`, ``},
		{"lamp", `{"color_mode":"rgb"}`, ``},
		{"lamp", `{"flash":"long"}`, ``},
		{"lamp", `{"brightness":"10"}`, ``},
		{"lamp", `{}`, ``},
		{"lamp", `null`, ``},
		{"lamp", `7`, ``},
		{"blind", `{"position":40}`, `{"position":40}`},
		{"blind", `{"tilt":-4}`, `{"tilt":0}`},
		{"blind", `STOP`, `{"state":"stop"}`},
		{"blind", `opening`, ``},
		{"shutter", `stop`, ``},
		{"shutter", `{"position":4}`, ``},
		{"thermostat", `{"mode":"heat","temperature":99}`, `{"mode":"heat","temperature":30}`},
		{"thermostat", `off`, `{"mode":"off"}`},
		{"thermostat", `{"mode":"cool"}`, ``},
		{"thermostat", `{"preset":"away"}`, `{"preset":"away"}`},
		{"thermostat", `{"current_temperature":20}`, ``},
		{"thermostat", `{"temperature_low":20}`, ``},
		{"door", `open`, `{"state":"open"}`},
		{"door", `locked`, ``},
		{"vent", `{"speed":2.0,"oscillating":true,"direction":"reverse","preset":"auto"}`, `{"direction":"reverse","oscillating":true,"preset":"auto","speed":2}`},
		{"horn", `{"state":"ON","tone":"fire","volume_level":7,"duration":10}`, `{"duration":10,"state":"ON","tone":"fire","volume_level":1}`},
		{"tap", `{"position":1}`, `{"position":1}`},
		{"tap", `{"tilt":1}`, ``},
		{"place", `{"latitude":1}`, ``},
		{"firmware", `install`, `"install"`},
		{"firmware", `{"installed_version":"1"}`, ``},
		{"note", `größe`, `"größe"`},
		{"note", `too long`, ``},
		{"reader", `1`, ``},
	}
	d := &device{Device: Device{ID: "x", Properties: composites}, own: "x"}
	for _, tt := range tests {
		commands, err := d.parseValue(tt.key, []byte(tt.payload))
		got := ""
		if err == nil {
			got = string(mustJSON(commands[0].Value))
		}
		if got != tt.want {
			t.Errorf("%s %s: %s (%v), want %s", tt.key, tt.payload, got, err, tt.want)
		}
		if !json.Valid([]byte(tt.payload)) {
			continue
		}
		commands, err = d.parseObject([]byte(`{"` + tt.key + `":` + tt.payload + `}`))
		got = ""
		if err == nil {
			got = string(mustJSON(commands[0].Value))
		}
		if got != tt.want {
			t.Errorf("%s %s in an object: %s (%v), want %s", tt.key, tt.payload, got, err, tt.want)
		}
	}
}

func TestValuesOfComposites(t *testing.T) {
	type m = map[string]any
	tests := []struct {
		p                  Property
		before, said, want any
		ok                 bool
	}{
		{lamp, nil, m{"state": "ON"}, m{"state": "ON"}, true},
		{lamp, m{"state": "ON", "brightness": 9.0}, m{"brightness": int64(400)}, m{"state": "ON", "brightness": 255.0}, true},
		{lamp, m{"state": "ON", "brightness": 9.0}, m{"brightness": nil}, m{"state": "ON", "brightness": nil}, true},
		{lamp, m{"state": "ON"}, m{"nonsense": 1}, m{"state": "ON"}, false},
		{lamp, m{"state": "ON", "of an older time": 1}, m{"state": "OFF"}, m{"state": "OFF"}, true},
		{lamp, nil, m{"brightness": "9"}, nil, false},
		{lamp, m{"state": "ON"}, nil, nil, true},
		{lamp, m{"state": "ON"}, 7.0, m{"state": "ON"}, false},
		{place, nil, m{"latitude": 52.5, "longitude": 13.4}, m{"latitude": 52.5, "longitude": 13.4}, true},
		{news1, nil, m{"installed_version": "1", "in_progress": false, "update_percentage": nil},
			m{"installed_version": "1", "in_progress": false, "update_percentage": nil}, true},
	}
	for _, tt := range tests {
		got, ok := tt.p.members().value(tt.before, tt.said)
		if ok != tt.ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v and then %v: %v, %v; want %v, %v", tt.before, tt.said, got, ok, tt.want, tt.ok)
		}
	}
}

// TestLightHasATopic: Home Assistant reads a light only out of an object of its own.
func TestLightHasATopic(t *testing.T) {
	st := &stick{s: New(Options{}), wake: make(chan struct{}, 1), damaged: make(map[string]uint64)}
	d := &device{Device: Device{ID: "x", Properties: []Property{lamp, blind}}, owner: st, values: make(map[string]any)}
	published := func() map[string]string {
		said := make(map[string]string)
		for _, m := range d.messages("lintel") {
			said[strings.TrimPrefix(m.Topic, "lintel/x/")] = string(m.Payload)
		}
		return said
	}
	if trouble := d.merge(map[string]any{"blind": map[string]any{"position": 4.0}}, st.since, 0); trouble != "" {
		t.Fatal(trouble)
	}
	if got := published(); got["lamp"] != `{"state":null}` || got["state"] != `{"blind":{"position":4}}` {
		t.Errorf("published %q", got)
	}
	d.dirty = dirtyState
	d.values["lamp"] = map[string]any{"state": "ON", "brightness": 3.0}
	if got := published(); got["lamp"] != `{"brightness":3,"state":"ON"}` {
		t.Errorf("published %q", got)
	}
	d.dirty = dirtyGone
	if got, ok := published()["lamp"]; !ok || got != "" {
		t.Errorf("the light was not taken back: %q", got)
	}
}

// FuzzComposites: whatever is commanded or said of a property has only members that
// the property has, and goes into JSON.
func FuzzComposites(f *testing.F) {
	f.Add(uint8(0), []byte(`{"state":"ON","color":{"r":1,"g":2,"b":3}}`))
	f.Add(uint8(3), []byte(`{"mode":"heat","temperature":1e308}`))
	f.Add(uint8(9), []byte(`install`))
	d := &device{Device: Device{ID: "x", Properties: composites}, own: "x"}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		p := composites[int(which)%len(composites)]
		has := func(object any) {
			if m, ok := object.(map[string]any); ok {
				mustJSON(m)
				if _, ok := p.members().value(nil, m); !ok && p.members() == nil {
					t.Errorf("%s has no members: %v", p.Key, m)
				}
			}
		}
		if commands, err := d.parseValue(p.Key, payload); err == nil {
			has(commands[0].Value)
		}
		var said any
		if json.Unmarshal(payload, &said) == nil && p.members() != nil {
			value, _ := p.members().value(nil, said)
			has(value)
			if again, ok := p.members().value(nil, value); value != nil && (!ok || !reflect.DeepEqual(again, value)) {
				t.Errorf("%s: %v read again is %v", p.Key, value, again)
			}
		}
	})
}
