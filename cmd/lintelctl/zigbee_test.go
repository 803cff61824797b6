//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestZigbeeDecode reads frames of an Aqara sensor; what they say is the oracle's, in
// serialbridge/zigbee/devices.
func TestZigbeeDecode(t *testing.T) {
	for _, test := range []struct {
		args   string
		frames string
		want   string // what is printed; begins with "!": the error
	}{
		{"--model lumi.weather --manufacturer LUMI --cluster 0x0402", "18010a0000295908\n", `{"temperature":21.37}`},
		{"--model lumi.weather --manufacturer LUMI --cluster msRelativeHumidity", "# a comment\n18 02 0a 00 00 21 ab 11 # spaced\n", `{"humidity":45.23}`},
		{"--cluster 0x0402", "18010a0000295908\n", `{"temperature":21.37}`}, // nobody has described it
		{"--cluster 0x0402", "1801\n", `{}`},
		{"--cluster 0x0402", "not hexadecimal\n", "!line 1"},
		{"--cluster nonsense", "", "!no cluster"},
		{"", "", "!see lintelctl help"},
		{"--cluster 1 --endpoint 250", "", "!endpoint 250"},
		{"--cluster 1 --ieee 5", "", "!IEEE address"},
	} {
		var out, diagnostics bytes.Buffer
		err := run(append([]string{"zigbee-decode"}, strings.Fields(test.args)...), strings.NewReader(test.frames), &out, &diagnostics)
		if want, isError := strings.CutPrefix(test.want, "!"); isError {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", test.args, err, want)
			}
		} else if got := strings.TrimSpace(out.String()); err != nil || got != test.want {
			t.Errorf("%s: %s, %v, want %s", test.args, got, err, test.want)
		}
	}
}

func TestZigbeeDiscovery(t *testing.T) {
	var out, diagnostics bytes.Buffer
	err := run([]string{"zigbee-discovery", "--model", "lumi.weather", "--manufacturer", "LUMI", "--name", "attic"}, nil, &out, &diagnostics)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"homeassistant/sensor/0x0000000000000001/temperature/config {",
		`"state_topic":"zigbee2mqtt/attic"`, `"unique_id":"0x0000000000000001_humidity_zigbee2mqtt"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in\n%s", want, out.String())
		}
	}
}
