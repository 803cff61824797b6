package z2m

import (
	"reflect"
	"testing"
)

func TestMerge(t *testing.T) {
	old := map[string]any{"color": map[string]any{"x": 0.1, "y": 0.2}, "state": "ON", "update": nil}
	got := merge(old, map[string]any{"color": map[string]any{"hue": 3}, "update": map[string]any{"state": "idle"}})
	want := map[string]any{
		"color": map[string]any{"x": 0.1, "y": 0.2, "hue": 3}, "state": "ON", "update": map[string]any{"state": "idle"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(old["color"].(map[string]any)) != 2 {
		t.Error("the old object was changed")
	}
	got = mergeNulls(want, map[string]any{"color": map[string]any{"x": nil}, "state": nil})
	if text := string(encode(got)); text != `{"color":{"hue":3,"y":0.2},"update":{"state":"idle"}}` {
		t.Errorf("got %s", text)
	}
}

func TestAttributes(t *testing.T) {
	message := map[string]any{
		"state": "ON", "brightness": 128, "battery": nil, "contact": true, "list": []any{1, "b"},
		"color": map[string]any{"x": 0.3, "y": 0.4}, "update": map[string]any{"state": nil, "progress": 1.5},
	}
	want := []attribute{
		{"lamp/battery", ""}, {"lamp/brightness", "128"}, {"lamp/color-x", "0.3"}, {"lamp/color-y", "0.4"},
		{"lamp/contact", "true"}, {"lamp/list", "1,b"}, {"lamp/state", "ON"},
		{"lamp/update-progress", "1.5"}, {"lamp/update-state", ""},
	}
	if got := attributes("lamp/", message); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	rgb := map[string]any{"color": map[string]any{"r": 1, "g": 2, "b": 3}}
	if got := attributes("", rgb); !reflect.DeepEqual(got, []attribute{{"color", "1,2,3"}}) {
		t.Errorf("got %v", got)
	}
}

func TestFilter(t *testing.T) {
	message := map[string]any{"temperature": 1, "temperature_offset": 2, "color_mode": 3, "color_temp": 4, "color": 5}
	filter([]string{"temperature", "color_(mode|temp)", "("}, message)
	if text := string(encode(message)); text != `{"color":5,"temperature_offset":2}` {
		t.Errorf("left is %s", text)
	}
}

func FuzzCommandTopic(f *testing.F) {
	for _, topic := range []string{"lamp/set", "a/b/l1/get/state", "set/set", "/get", "x/set/", "set", ""} {
		f.Add(topic, `{"state":"ON"}`)
	}
	f.Fuzz(func(t *testing.T, topic, payload string) {
		c, ok := parseCommandTopic(topic)
		if !ok {
			return
		}
		word := "/set"
		if c.get {
			word = "/get"
		}
		joined := c.name + word
		if c.attribute != "" {
			joined += "/" + c.attribute
		}
		if joined != topic || c.name == "" {
			t.Fatalf("%q became %+v", topic, c)
		}
		message, err := c.parse([]byte(payload))
		if err == nil && message == nil {
			t.Fatalf("%q is neither a message nor an error", payload)
		}
	})
}

func TestCommandTopic(t *testing.T) {
	for _, c := range []struct {
		topic string
		want  commandTopic
		ok    bool
	}{
		{"lamp/set", commandTopic{"lamp", false, ""}, true},
		{"living/lamp/get/state", commandTopic{"living/lamp", true, "state"}, true},
		{"wall/l1/set/state", commandTopic{"wall/l1", false, "state"}, true},
		{"a/set/b/set", commandTopic{"a", false, "b/set"}, true},
		{"set/set", commandTopic{"set", false, ""}, true},
		{"set", commandTopic{}, false},
		{"lamp/settings", commandTopic{}, false},
		{"lamp/set/", commandTopic{}, false},
	} {
		if got, ok := parseCommandTopic(c.topic); got != c.want || ok != c.ok {
			t.Errorf("%s: got %+v %v, want %+v %v", c.topic, got, ok, c.want, c.ok)
		}
	}
}
