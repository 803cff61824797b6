package homeassistant

import (
	"os"
	"testing"
	"time"

	"lintel/serialbridge/drivertest"
	"lintel/serialbridge/wmbus"
)

// TestRadioMeters holds the documents of meters heard by radio against what Home
// Assistant accepts without dropping a key.
func TestRadioMeters(t *testing.T) {
	said, err := os.ReadFile("../../serialbridge/wmbus/testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := new(drivertest.Recorder)
	wmbus.Driver(wmbus.Options{}).NewDecoder(found).Decode(said, time.Now())
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
	if len(found.Devices) < 28 {
		t.Errorf("%d devices", len(found.Devices))
	}
}
