package gateway

import (
	"strings"
	"testing"
)

func TestUplinkConfigProblems(t *testing.T) {
	_, err := parseConfig("x", `
[[uplink]]
name = "A b"
url = "http://x"
password = "x"
version = "4"
[[uplink.maps]]
direction = "sideways"
filter = "#"

[[uplink]]
name = "homeassistant"
url = "mqtt://x"
ca = "ca.pem"
maps = []
`)
	if err == nil || !strings.Contains(err.Error(), "x:8: ") || !strings.Contains(err.Error(), `"sideways" is none of out, in, both`) {
		t.Errorf("direction: %v", err)
	}
	_, err = parseConfig("x", `
[[uplink]]
name = "A b"
url = "http://x"
password = "x"
version = "4"
[[uplink.maps]]
direction = "out"
filter = "a#"
qos = 3

[[uplink]]
name = "homeassistant"
url = "mqtt://x"
ca = "ca.pem"
maps = []
`)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"x:2: uplink[0].user: is missing", "x:3: uplink[0].name: ", "x:4: uplink[0].url: ", "x:6: uplink[0].version: ",
		"x:7: uplink[0].maps[0]: ", "x:10: uplink[0].maps[0].qos: 3", "x:13: uplink[1].name: ", "x:14: uplink[1].url: ", "x:16: uplink[1].maps: ",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of %q, want %q", i, lines, want)
		}
	}
}
