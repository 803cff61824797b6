package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/dsmr"
)

// figures are what a person reads in the capture: energy taken and given back,
// power, gas. They are searched for as numbers, so that this does not depend
// on the decoder that runs in the image and in readMeter.
var figures = map[string]float64{
	"1-0:1.8.1 in kWh": 4.426,
	"1-0:1.8.2 in kWh": 2.399,
	"1-0:2.8.1 in kWh": 2.444,
	"1-0:1.7.0 in kW":  0.244,
	"0-1:24.2.1 in m³": 0.107,
}

// meter is a telegram and what it means.
type meter struct {
	telegram []byte
	devices  map[string]serialbridge.Device
	values   map[string]map[string]any // Device.ID, Property.Key
}

// readMeter decodes a captured telegram with the code that runs in the image.
func readMeter(path string) (meter, error) {
	telegram, err := os.ReadFile(path)
	if err != nil {
		return meter{}, err
	}
	sink := new(drivertest.Recorder)
	dsmr.Driver().NewDecoder(sink).Decode(telegram, time.Now())
	if len(sink.Readings) == 0 || len(sink.Damage) > 0 {
		return meter{}, fmt.Errorf("%s: no valid telegram: %s", path, sink.Damage)
	}
	m := meter{telegram, sink.Devices, make(map[string]map[string]any)}
	for _, r := range sink.Readings {
		if m.values[r.Device] == nil {
			m.values[r.Device] = make(map[string]any)
		}
		maps.Copy(m.values[r.Device], r.Values)
	}
	return m, nil
}

// seen checks that messages hold the state of every device of the telegram and
// its discovery document, with every property.
func (m meter) seen(messages map[string]message) error {
	var numbers []float64
	for id, values := range m.values {
		topic := "lintel/" + id + "/state"
		var state map[string]any
		if err := json.Unmarshal([]byte(messages[topic].Payload), &state); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		for key, want := range values {
			if got, ok := state[key]; !ok || !sameJSON(got, want) {
				return fmt.Errorf("%s: %s is %v, want %v", topic, key, got, want)
			}
		}
		for _, value := range state {
			if n, ok := value.(float64); ok {
				numbers = append(numbers, n)
			}
		}
		if err := discovered(m.devices[id], topic, messages); err != nil {
			return err
		}
	}
	for name, figure := range figures {
		if !slices.Contains(numbers, figure) {
			return fmt.Errorf("no state holds %s = %v", name, figure)
		}
	}
	return nil
}

// sameJSON reports whether value looks like got once it is JSON.
func sameJSON(got, value any) bool {
	text, err := json.Marshal(value)
	if err != nil {
		return false
	}
	var want any
	return json.Unmarshal(text, &want) == nil && reflect.DeepEqual(got, want)
}

// discovered checks that one of the discovery documents tells Home Assistant of
// every property of the device, in the abbreviated form of its documentation.
func discovered(d serialbridge.Device, stateTopic string, messages map[string]message) error {
	type component struct {
		StateTopic    string `json:"stat_t"`
		ValueTemplate string `json:"val_tpl"`
		Unit          string `json:"unit_of_meas"`
	}
	missing := fmt.Errorf("no discovery document refers to %s", stateTopic)
	for topic, msg := range messages {
		if !strings.HasPrefix(topic, "homeassistant/") || !strings.Contains(msg.Payload, `"`+stateTopic+`"`) {
			continue
		}
		var document struct {
			StateTopic string               `json:"stat_t"`
			Components map[string]component `json:"cmps"`
		}
		if err := json.Unmarshal([]byte(msg.Payload), &document); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		missing = nil
		for _, p := range d.Properties {
			named := regexp.MustCompile(`\b` + regexp.QuoteMeta(p.Key) + `\b`)
			found := false
			for _, c := range document.Components {
				at := c.StateTopic
				if at == "" {
					at = document.StateTopic
				}
				found = found || at == stateTopic && named.MatchString(c.ValueTemplate) && c.Unit == p.Unit
			}
			if !found {
				missing = errors.Join(missing, fmt.Errorf("%s: no component shows %s in %q", topic, p.Key, p.Unit))
			}
		}
		if missing == nil {
			return nil
		}
	}
	return missing
}
