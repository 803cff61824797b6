package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUplinkConfigProblems(t *testing.T) {
	t.Parallel()
	_, err := Parse("x", `
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
	_, err = Parse("x", `
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

// A file of an uplink that cannot be used is named with its key.
func TestUplinkFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.pem")
	for _, x := range []struct {
		c    UplinkConfig
		want string
	}{
		{UplinkConfig{CA: missing}, "ca: open " + missing},
		{UplinkConfig{CA: noPEM}, "the file of the authority"},
		{UplinkConfig{Certificate: noPEM, Key: missing}, "key: open " + missing},
		{UplinkConfig{Certificate: noPEM, Key: noPEM}, "client certificate: "},
	} {
		x.c.Name, x.c.URL = "x", "mqtts://broker.example"
		if _, err := x.c.Options("box"); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", x.c, err, x.want)
		}
	}
}
