package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/dsmr"
	"lintel/serialbridge/sml"
)

// captures are what the meters of the test send, each in a stick of its own, and
// what a person reads in it: energy taken and given back, power, gas. Those figures
// are searched for as numbers, so that this does not depend on the decoders that
// run in the image and in readMeters.
var captures = []struct {
	file    string
	driver  serialbridge.Driver
	figures map[string]float64
}{
	{"dsmr5.txt", dsmr.Driver(dsmr.Options{}), map[string]float64{
		"1-0:1.8.1 in kWh": 4.426,
		"1-0:1.8.2 in kWh": 2.399,
		"1-0:2.8.1 in kWh": 2.444,
		"1-0:1.7.0 in kW":  0.244,
		"0-1:24.2.1 in m³": 0.107,
	}},
	{"sml.txt", sml.Driver(), map[string]float64{
		"1-0:1.8.0 in kWh": 13.2329,
		"1-0:2.8.0 in kWh": 1500.3213,
		"1-0:16.7.0 in W":  -105.5,
	}},
}

// meters are telegrams and what they mean.
type meters struct {
	telegrams [][]byte // of each stick
	devices   map[string]serialbridge.Device
	values    map[string]map[string]any // Device.ID, Property.Key
}

// readMeters decodes captured telegrams with the code that runs in the image.
func readMeters(folder string) (meters, error) {
	m := meters{devices: make(map[string]serialbridge.Device), values: make(map[string]map[string]any)}
	for _, c := range captures {
		telegram, err := os.ReadFile(filepath.Join(folder, c.file))
		if err != nil {
			return meters{}, err
		}
		if binary, err := hex.DecodeString(strings.TrimSpace(string(telegram))); err == nil {
			telegram = binary
		}
		m.telegrams = append(m.telegrams, telegram)
		sink := new(drivertest.Recorder)
		c.driver.NewDecoder(sink).Decode(telegram, time.Now())
		if len(sink.Readings) == 0 || len(sink.Damage) > 0 {
			return meters{}, fmt.Errorf("%s: no valid telegram: %s", c.file, sink.Damage)
		}
		maps.Copy(m.devices, sink.Devices)
		for _, r := range sink.Readings {
			if m.values[r.Device] == nil {
				m.values[r.Device] = make(map[string]any)
			}
			maps.Copy(m.values[r.Device], r.Values)
		}
	}
	return m, nil
}

// seen checks that messages hold the state of every device of the telegram and
// its discovery document, with every property.
func (m meters) seen(messages map[string]message) error {
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
	for _, c := range captures {
		for name, figure := range c.figures {
			if !slices.Contains(numbers, figure) {
				return fmt.Errorf("no state holds %s = %v", name, figure)
			}
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
