package main

import (
	"encoding/json"
	"testing"

	"lintel/gateway/homeassistant"
)

// TestSeen holds the check of the image test against what the image would
// publish, and takes every message and every value away once.
func TestSeen(t *testing.T) {
	m, err := readMeters("testdata")
	if err != nil {
		t.Fatal(err)
	}
	box := homeassistant.Box{ID: "box"}
	messages := make(map[string]message)
	states := make(map[string]map[string]any)
	for id, values := range m.values {
		document, err := homeassistant.Document(box, m.devices[id], homeassistant.Options{})
		if err != nil {
			t.Fatal(err)
		}
		messages[homeassistant.Topic(box, id, homeassistant.Options{})] = message{Payload: string(document)}
		states["lintel/"+id+"/state"] = values
	}
	setState := func(topic string) {
		text, err := json.Marshal(states[topic])
		if err != nil {
			t.Fatal(err)
		}
		messages[topic] = message{Payload: string(text)}
	}
	for topic := range states {
		setState(topic)
	}
	if err := m.seen(messages); err != nil {
		t.Fatal(err)
	}

	for topic, msg := range messages {
		delete(messages, topic)
		if m.seen(messages) == nil {
			t.Errorf("content without %s", topic)
		}
		messages[topic] = msg
	}
	for topic, values := range states {
		for key, value := range values {
			values[key] = -1.5
			setState(topic)
			values[key] = value // what the meter said
			if m.seen(messages) == nil {
				t.Errorf("content with another %s in %s", key, topic)
			}
		}
		setState(topic)
	}
}
