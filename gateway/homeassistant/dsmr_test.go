package homeassistant

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/dsmr"
)

// TestMeters holds the documents of real meters against what Home Assistant
// accepts without dropping a key.
func TestMeters(t *testing.T) {
	data, err := os.ReadFile("../../serialbridge/dsmr/testdata/telegrams.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Telegrams map[string]string `json:"telegrams"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	s := loadSchema(t)
	checked := 0
	for _, name := range slices.Sorted(maps.Keys(file.Telegrams)) {
		found := new(drivertest.Recorder)
		decoder := dsmr.Driver(dsmr.Options{}).NewDecoder(found)
		for range 2 { // some decoders want to see a frame before they trust it
			decoder.Decode([]byte(file.Telegrams[name]), time.Now())
		}
		for id, d := range found.Devices {
			doc, err := Document(testBox, d, Options{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if ignored, err := s.validate(Topic(testBox, id, Options{}), string(doc)); err != nil || len(ignored) > 0 {
				t.Errorf("%s: %s: %v, drops %q", name, id, err, ignored)
			}
			checked++
		}
	}
	if checked < len(file.Telegrams) {
		t.Errorf("%d devices in %d telegrams", checked, len(file.Telegrams))
	}
}
