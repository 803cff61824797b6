package homeassistant

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/devices"
)

// oracleDevice is a device of the oracle of package devices, and the discovery documents
// that zigbee2mqtt 2.14.1 publishes for it.
type oracleDevice struct {
	Kind   string
	Device struct {
		IEEE               zigbee.IEEEAddress
		Type               zigbee.DeviceType
		ModelID            string
		ManufacturerName   string
		ManufacturerID     uint16
		PowerSource        string
		SoftwareBuildID    string
		DateCode           string
		ApplicationVersion *uint8
		HardwareVersion    *uint8
		StackVersion       *uint8
		ZCLVersion         *uint8
		Endpoints          []struct {
			ID      uint8
			Profile uint16
			Device  uint16
			In, Out []uint16
		}
	}
	Availability bool
	Docs         []struct {
		Topic   string
		Payload map[string]any
	}
}

func (o *oracleDevice) device() *zigbee.Device {
	d := &zigbee.Device{
		IEEEAddress: o.Device.IEEE, Type: o.Device.Type, NetworkAddress: 0x1234,
		ModelID: o.Device.ModelID, ManufacturerName: o.Device.ManufacturerName, ManufacturerCode: o.Device.ManufacturerID,
		PowerSource: o.Device.PowerSource, SoftwareBuildID: o.Device.SoftwareBuildID, DateCode: o.Device.DateCode,
		ApplicationVersion: o.Device.ApplicationVersion, HardwareVersion: o.Device.HardwareVersion,
		StackVersion: o.Device.StackVersion, ZCLVersion: o.Device.ZCLVersion, Interview: zigbee.Successful,
	}
	for _, e := range o.Device.Endpoints {
		d.Endpoints = append(d.Endpoints, zigbee.Endpoint{ID: e.ID, Profile: e.Profile, DeviceID: e.Device, Input: e.In, Output: e.Out})
	}
	return d
}

// oracleDocumentsFloor is the share of documents, in percent, that must be the same, but
// for what zigbeeDifferences names. Raise it with the score.
const oracleDocumentsFloor = 99.0

// TestZigbeeOracleDocuments goes the whole way: a device is recognised, and its documents
// are held against those that zigbee2mqtt publishes for it, with their topics,
// availability, device and origin (package devices, oracle/documents.mjs).
func TestZigbeeOracleDocuments(t *testing.T) {
	f, err := os.Open("testdata/zigbee_oracle.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	o := ZigbeeOptions{Coordinator: "0x00124b0000000001", URL: "http://lintel.local:8080"}
	all, same, named, total := make(map[string]int), make(map[string]int), make(map[string]int), 0
	reasons := make(map[string]int)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c oracleDevice
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		device := c.device()
		d := devices.Resolve(device)
		if d == nil {
			t.Fatalf("%s is not recognised", c.Device.ModelID)
		}
		id := c.Device.IEEE.String()
		ours, err := ZigbeeDocuments(o, ZigbeeEntity{
			ID: id, Name: id, Model: d.Model, Vendor: d.Vendor, Description: d.Description,
			Exposes: append(slices.Clip(d.Exposes), devices.LinkQuality()), OTA: d.OTA,
			SoftwareBuildID: device.SoftwareBuildID, HardwareVersion: device.HardwareVersion, Availability: c.Availability,
		})
		if err != nil {
			t.Fatalf("%s: %v", d.Model, err)
		}
		got := make(map[string]map[string]any)
		for _, document := range ours {
			var payload map[string]any
			if err := json.Unmarshal(document.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			got[document.Topic] = payload
		}
		for _, want := range c.Docs {
			total++
			all[c.Kind]++
			parts := strings.Split(want.Topic, "/")
			platform, object := parts[1], parts[3]
			parts[3] = level(object)
			topic := strings.Join(parts, "/")
			reason, differs := "", false
			if ours, ok := got[topic]; !ok {
				differs = true
				t.Logf("%s (%s): %s is missing", d.Model, c.Device.ModelID, topic)
			} else {
				keys := maps.Clone(want.Payload)
				maps.Copy(keys, ours)
				for _, key := range slices.Sorted(maps.Keys(keys)) {
					if reflect.DeepEqual(ours[key], want.Payload[key]) {
						continue
					}
					name := platform + " " + key
					if zigbeeDifferences[name] == "" {
						name = "any " + key
					}
					if zigbeeDifferences[name] == "" {
						name = platform + " " + object
					}
					if zigbeeDifferences[name] != "" {
						reasons[name]++
						if name != "any origin" { // all have it
							reason = name
						}
						continue
					}
					differs = true
					t.Logf("%s (%s): %s: %s is %v, want %v", d.Model, c.Device.ModelID, topic, key, ours[key], want.Payload[key])
				}
			}
			delete(got, topic)
			switch {
			case differs:
			case reason != "":
				named[c.Kind]++
			default:
				same[c.Kind]++
			}
		}
		for topic := range got {
			all[c.Kind]++ // one that zigbee2mqtt has not
			t.Logf("%s (%s): %s is one too many", d.Model, c.Device.ModelID, topic)
		}
	}
	if err := lines.Err(); err != nil || total == 0 {
		t.Fatalf("%d documents: %v", total, err)
	}
	score := func(kind string) {
		share := func(n int) string { return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(all[kind])) }
		right := same[kind] + named[kind]
		t.Logf("%s: %d documents: %s the same, %s differ in what zigbeeDifferences names, %s differ otherwise",
			kind, all[kind], share(same[kind]), share(named[kind]), share(all[kind]-right))
		if kind == "all" && 100*float64(right) < oracleDocumentsFloor*float64(all[kind]) {
			t.Errorf("more than %.1f %% of the documents differ", 100-oracleDocumentsFloor)
		}
	}
	kinds := slices.Sorted(maps.Keys(all))
	for _, kind := range kinds {
		score(kind)
		all["all"] += all[kind]
		same["all"] += same[kind]
		named["all"] += named[kind]
	}
	score("all")
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("%5d × %s: %s", reasons[name], name, zigbeeDifferences[name])
	}
}
