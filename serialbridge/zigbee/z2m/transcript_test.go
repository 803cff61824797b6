package z2m

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/homeassistant"
	"lintel/gateway/mqtt"
	"lintel/serialbridge/zigbee"
)

// line is a message of the observed contract.
type line struct {
	Run     int     `json:"run"`
	At      int     `json:"t_ms"`
	From    string  `json:"from"`
	Topic   string  `json:"topic"`
	Retain  bool    `json:"retain"`
	QoS     int     `json:"qos"`
	Payload *string `json:"payload"`
}

func readTranscript(t *testing.T) []line {
	t.Helper()
	packed, err := os.ReadFile("testdata/zigbee2mqtt_transcript.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	for d := json.NewDecoder(z); d.More(); {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// shapes are, for each topic, what stands in its payloads: types by path. A flag of the message
// is a path too.
type shapes map[string]map[string]map[string]bool

func (s shapes) add(topic, path, kind string) {
	if s[topic] == nil {
		s[topic] = make(map[string]map[string]bool)
	}
	if s[topic][path] == nil {
		s[topic][path] = make(map[string]bool)
	}
	s[topic][path][kind] = true
}

// named are the objects whose keys are names of things.
var named = regexp.MustCompile(`\.(clusters|custom_clusters|attributes|commands|commandsResponse|special|config_schema)$`)

var address = regexp.MustCompile(`^(0x[0-9a-f]{16}|[0-9]+)$`)

func (s shapes) value(topic, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		s.add(topic, path, "object")
		if strings.HasSuffix(path, ".config_schema") || strings.HasSuffix(path, ".meta") {
			return // of their own
		}
		for key, x := range v {
			if address.MatchString(key) || named.MatchString(path) && !(key == "input" || key == "output") {
				key = "*"
			}
			s.value(topic, path+"."+key, x)
		}
	case []any:
		s.add(topic, path, "list")
		for _, x := range v {
			s.value(topic, path+"[]", x)
		}
	case string:
		s.add(topic, path, "text")
	case bool:
		s.add(topic, path, "boolean")
	case nil:
		s.add(topic, path, "null")
	default:
		s.add(topic, path, "number")
	}
}

func (s shapes) message(topic string, retain bool, qos int, payload string) {
	s.add(topic, "retain", fmt.Sprint(retain))
	s.add(topic, "qos", fmt.Sprint(qos))
	v, err := decode([]byte(payload))
	switch {
	case payload == "":
		s.add(topic, "", "empty")
	case err != nil:
		s.add(topic, "", "plain")
	default:
		s.value(topic, "", v)
	}
}

// compare lists in what ours differ from theirs: a topic or path that only one has, flags, and
// types where both know a value.
func compare(theirs, ours shapes) []string {
	var list []string
	for _, topic := range slices.Sorted(maps.Keys(theirs)) {
		if ours[topic] == nil {
			list = append(list, "- "+topic)
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(theirs[topic])) {
			t, o := maps.Clone(theirs[topic][path]), maps.Clone(ours[topic][path])
			if o == nil {
				if parent := path[:max(strings.LastIndexAny(path, ".["), 0)]; ours[topic][parent] != nil {
					list = append(list, fmt.Sprintf("- %s %s", topic, path))
				}
				continue
			}
			delete(t, "null")
			delete(o, "null")
			if len(t) > 0 && len(o) > 0 && !maps.Equal(t, o) {
				list = append(list, fmt.Sprintf("! %s %s %v, there %v", topic, path, slices.Sorted(maps.Keys(o)), slices.Sorted(maps.Keys(t))))
			}
		}
		for _, path := range slices.Sorted(maps.Keys(ours[topic])) {
			if theirs[topic][path] == nil {
				if parent := path[:max(strings.LastIndexAny(path, ".["), 0)]; theirs[topic][parent] != nil {
					list = append(list, fmt.Sprintf("+ %s %s", topic, path))
				}
			}
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(ours)) {
		if theirs[topic] == nil {
			list = append(list, "+ "+topic)
		}
	}
	return list
}

// documents is a Discovery that makes what the real one makes.
type documents struct{ t *testing.T }

func (d documents) Gone(string) {}

func (d documents) Entity(info EntityInfo) map[string]any {
	e := homeassistant.ZigbeeEntity{ID: info.ID, Group: info.Group, Name: info.Name}
	if def := info.Definition; def != nil {
		e.Model, e.Vendor, e.Description, e.Exposes, e.OTA = def.Model, def.Vendor, def.Description, def.Exposes, def.OTA
	}
	made, err := homeassistant.ZigbeeDocuments(homeassistant.ZigbeeOptions{Coordinator: stickAddress.String(), LastSeen: info.LastSeen}, e)
	if err != nil {
		d.t.Error(err)
	}
	unknown := make(map[string]any)
	for _, document := range made {
		maps.Copy(unknown, document.Unknown)
	}
	return unknown
}

// replay is what happens in the house while the client's messages are sent.
type replay struct {
	*inhabited
	lines []line
	ours  shapes
}

// settle takes what comes until it is quiet.
func (r *replay) settle(quiet time.Duration) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case m := <-r.heard:
			r.take(m)
			timer.Reset(quiet)
		case <-timer.C:
			return
		}
	}
}

func (r *replay) take(m mqtt.Message) string {
	topic := strings.TrimPrefix(m.Topic, "zigbee2mqtt/")
	if topic != "bridge/logging" {
		r.ours.message(topic, m.Retain, int(m.QoS), string(m.Payload))
	}
	return topic
}

// await takes what comes until there is an answer.
func (r *replay) await(topic string) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case m := <-r.heard:
			if r.take(m) == topic {
				return
			}
		case <-deadline:
			r.t.Errorf("nothing came on %s", topic)
			return
		}
	}
}

// TestTranscript does with the same devices what was done with zigbee2mqtt, and compares topics,
// flags and shapes of payloads.
func TestTranscript(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	lines := readTranscript(t)
	theirs := make(shapes)
	for _, l := range lines {
		if l.From == "bridge" && l.Payload != nil {
			theirs.message(strings.TrimPrefix(l.Topic, "zigbee2mqtt/"), l.Retain, l.QoS, *l.Payload)
		}
	}
	h := newInhabited(t, func(o *Options) {
		o.HomeAssistant = HomeAssistant{Enabled: true, DiscoveryTopic: "homeassistant", StatusTopic: "homeassistant/status"}
		o.Discovery = documents{t}
	})
	r := &replay{inhabited: h, lines: lines, ours: make(shapes)}
	r.ours.message("bridge/state", true, 1, `{"state":"online"}`)
	h.say("bridge/request/options", `{"options":{"advanced":{"last_seen":"ISO_8601"},"availability":{"enabled":true},"health":{"interval":1}}}`)
	r.await("bridge/response/options")
	r.send()
	h.publishHealth()
	r.settle(100 * time.Millisecond)
	h.say("bridge/request/restart", "")
	r.await("bridge/response/restart")
	stopped := <-h.stopped
	if !errors.Is(stopped, ErrRestart) {
		t.Errorf("after a restart was asked for, Run returns %v", stopped)
	}
	h.stopped <- stopped
	r.settle(100 * time.Millisecond)
	for _, name := range []string{"converters", "extensions", "definitions"} { // these were published before all others
		r.ours.message("bridge/"+name, true, 0, h.out.keep["zigbee2mqtt/bridge/"+name])
	}

	text, err := os.ReadFile("testdata/transcript_differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	argued := make(map[string]bool)
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if l := s.Text(); l != "" && !strings.HasPrefix(l, "#") {
			difference, _, _ := strings.Cut(l, "  ")
			difference, maybe := strings.CutPrefix(difference, "?")
			argued[difference] = maybe
		}
	}
	for _, difference := range compare(theirs, r.ours) {
		known := false
		for pattern := range argued {
			prefix, open := strings.CutSuffix(pattern, "*")
			if difference == pattern || open && strings.HasPrefix(difference, prefix) {
				known, argued[pattern] = true, true
			}
		}
		if !known {
			t.Errorf("not argued: %s", difference)
		}
	}
	for pattern, met := range argued {
		if !met {
			t.Errorf("argued, but not so: %s", pattern)
		}
	}
}

// send sends what the client has sent, and has happen in the house what happened there.
func (r *replay) send() {
	joins := map[string]zigbee.IEEEAddress{}
	for _, ieee := range []zigbee.IEEEAddress{climateAddress, bulbAddress, plugAddress, buttonAddress, wallAddress, doorAddress, meterAddress} {
		joins[ieee.String()+"/availability"] = ieee
	}
	moved, left := false, false
	for i, l := range r.lines {
		topic := strings.TrimPrefix(l.Topic, "zigbee2mqtt/")
		if l.Run != 1 {
			return
		}
		if ieee, ok := joins[topic]; ok && l.From == "bridge" {
			delete(joins, topic)
			if err := r.air.Join(ieee); err != nil {
				r.t.Fatal(err)
			}
			r.settle(400 * time.Millisecond)
			continue
		}
		if l.From != "client" {
			continue
		}
		if strings.HasSuffix(topic, "request/restart") {
			return
		}
		switch {
		case !moved && topic == "living lamp/set":
			moved = true
			r.live()
		case !left && topic == "bridge/request/device/remove":
			left = true
			r.do(r.air.Power(bulbAddress, false), r.air.Power(bulbAddress, true))
			r.settle(3 * time.Second)
			r.do(r.air.Leave(doorAddress))
			r.settle(200 * time.Millisecond)
		}
		if strings.Contains(*l.Payload, "plantuml") {
			continue // as raw, and a map takes seconds
		}
		r.say(topic, *l.Payload)
		if answer, ok := strings.CutPrefix(topic, "bridge/request/"); ok && r.answered(i, answer) && !strings.HasSuffix(answer, "/abort") {
			r.await("bridge/response/" + strings.TrimSuffix(answer, "/downgrade"))
		}
		r.settle(30 * time.Millisecond)
	}
}

// answered says whether the request was answered there, before the same one was made again.
func (r *replay) answered(i int, name string) bool {
	for _, l := range r.lines[i+1:] {
		if l.From == "client" && l.Topic == "zigbee2mqtt/bridge/request/"+name {
			return false
		}
		if l.Topic == "zigbee2mqtt/bridge/response/"+strings.TrimSuffix(name, "/downgrade") {
			return true
		}
	}
	return false
}

func (r *replay) do(errs ...error) {
	r.t.Helper()
	for _, err := range errs {
		if err != nil {
			r.t.Error(err)
		}
	}
}

// live has the devices say what they said there.
func (r *replay) live() {
	r.do(r.air.Set(climateAddress, 1, 0x0402, 0, int64(2213)), r.air.Set(climateAddress, 1, 0x0405, 0, uint64(4700)),
		r.air.Set(climateAddress, 1, 0x0001, 0x21, uint64(180)))
	for _, what := range []string{"single", "double", "long"} {
		r.do(r.air.Trigger(buttonAddress, what))
		r.settle(50 * time.Millisecond)
	}
	r.do(r.air.Trigger(doorAddress, "open"))
	r.settle(50 * time.Millisecond)
	r.do(r.air.Trigger(doorAddress, "close"))
	r.do(r.air.Set(wallAddress, 1, 6, 0, true), r.air.Set(wallAddress, 2, 6, 0, false))
	r.do(r.air.Set(meterAddress, 1, 0x0402, 0, int64(2125)))
	r.settle(200 * time.Millisecond)
}
