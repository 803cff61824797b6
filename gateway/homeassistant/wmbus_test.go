package homeassistant

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/wmbus"
)

// TestRadioMeters holds the documents of meters heard by radio against what Home
// Assistant accepts without dropping a key.
func TestRadioMeters(t *testing.T) {
	found := new(drivertest.Recorder)
	decoder := wmbus.Driver(wmbus.Options{}).NewDecoder(found)
	for _, name := range []string{"telegrams.json", "more.json"} {
		data, err := os.ReadFile("../../serialbridge/wmbus/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Vectors []struct{ Hex string } }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for _, v := range file.Vectors {
			telegram, err := hex.DecodeString(v.Hex)
			if err != nil {
				t.Fatal(err)
			}
			// As an AMB8465 frames it; the L field is the length there.
			frame := append([]byte{0xFF, 0x83}, telegram...)
			var sum byte
			for _, b := range frame {
				sum ^= b
			}
			decoder.Decode(append(frame, sum), time.Now())
		}
	}
	s := loadSchema(t)
	for id, d := range found.Devices {
		doc, err := Document(testBox, d, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if ignored, err := s.validate(Topic(testBox, id, Options{}), string(doc)); err != nil || len(ignored) > 0 {
			t.Errorf("%s: %v, drops %q", id, err, ignored)
		}
	}
	if len(found.Devices) < 25 {
		t.Errorf("%d devices, ignored %q", len(found.Devices), found.Overheard)
	}
}
