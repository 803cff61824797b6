package devices

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestGenerate compares the exposes of devices that nobody has described with those
// that zigbee2mqtt's generator makes (oracle/generated.mjs).
func TestGenerate(t *testing.T) {
	data, err := os.ReadFile("testdata/generated.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var c struct {
			Device  *setDevice
			Exposes []any
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		d := Generate(c.Device.device())
		var got []any
		for _, e := range d.Exposes {
			got = append(got, withoutProse(asJSON(e)))
		}
		if !near(got, c.Exposes) {
			key, example := difference(got, c.Exposes)
			t.Errorf("%s: %s: %s\n got  %s\n want %s", c.Device.ModelID, key, example, asText(got), asText(c.Exposes))
		}
	}
}
