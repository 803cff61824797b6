package devices

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"testing"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// sensorCase is a line of testdata/sensors.jsonl, which oracle/sensor_vectors.mjs makes:
// what zigbee-herdsman-converters 26.105.0 make of frames, and send to Tuya devices.
type sensorCase struct {
	oracleCase
	Sets []struct {
		Key     string
		Value   any
		Command uint8
		Payload string
	}
}

func sensorCases(t *testing.T) []sensorCase {
	t.Helper()
	file, err := os.Open("testdata/sensors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var cases []sensorCase
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c sensorCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

// sensorDifferences are frames that mean something else to us, and why.
var sensorDifferences = map[string]string{}

// TestSensors decodes frames of sensors and remotes that many people have.
func TestSensors(t *testing.T) {
	frames := 0
	for _, c := range sensorCases(t) {
		if c.Kind != "decode" {
			continue
		}
		device := c.device()
		d := Resolve(device)
		if d == nil || d.Model != c.Model {
			t.Errorf("%s of %s is %+v, want %s", c.Device.ModelID, c.Device.ManufacturerName, d, c.Model)
			continue
		}
		memory := make(map[string]any)
		for _, f := range c.Frames {
			frames++
			want := make(map[string]any)
			for _, p := range f.Publish {
				maps.Copy(want, p)
			}
			values, err := f.decode(d, device, memory)
			if err != nil {
				t.Error(err)
			}
			got, _ := asJSON(values).(map[string]any)
			if !maps.EqualFunc(got, want, near) && sensorDifferences[c.Device.ModelID+" "+f.Hex] == "" {
				t.Errorf("%s, cluster 0x%04x, endpoint %d, %s:\n got %v\nwant %v", c.Model, f.Cluster, f.EP, f.Hex, asJSON(values), want)
			}
		}
	}
	if frames < 150 {
		t.Errorf("only %d frames", frames)
	}
}

// TestTuyaSets sets what Tuya devices can be set.
func TestTuyaSets(t *testing.T) {
	sets := 0
	for _, c := range sensorCases(t) {
		if c.Kind != "set" {
			continue
		}
		device := c.device()
		d := Resolve(device)
		if d == nil || d.Model != c.Model {
			t.Errorf("%s of %s is %+v, want %s", c.Device.ModelID, c.Device.ManufacturerName, d, c.Model)
			continue
		}
		for _, s := range c.Sets {
			sets++
			outcomes := d.Set(&Context{Device: device, State: Values{}, Options: Values{}, Message: Values{s.Key: s.Value}, Now: time.Unix(1800000000, 0)})
			if len(outcomes) != 1 || outcomes[0].Err != nil || len(outcomes[0].Requests) != 1 {
				t.Errorf("%s: %s = %v gives %+v", c.Model, s.Key, s.Value, outcomes)
				continue
			}
			r := outcomes[0].Requests[0]
			if got := hex.EncodeToString(r.Frame.Payload); got != s.Payload || r.Frame.Command != s.Command || r.Cluster != zigbee.ClusterTuya || r.Frame.Type != zcl.Specific {
				t.Errorf("%s: %s = %v sends command %d %s, want %d %s", c.Model, s.Key, s.Value, r.Frame.Command, got, s.Command, s.Payload)
			}
		}
	}
	if sets < 60 {
		t.Errorf("only %d", sets)
	}
}
