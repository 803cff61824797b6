package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lintel/gateway/uplink"
)

func TestChange(t *testing.T) {
	t.Parallel()
	static := func(c *Config) {
		c.Network.Ethernet.IPv4, c.Network.Ethernet.Gateway = "192.168.1.2/24", "192.168.1.1"
	}
	tests := []struct {
		name, text string
		change     func(*Config)
		want       string // empty: it cannot be changed
	}{
		{"no file", "", static, "[network]\n[network.ethernet]\ngateway = \"192.168.1.1\"\nipv4 = \"192.168.1.2/24\"\n"},
		{"comments stay", "# mine\n[http]\nlisten = \":8081\" # here\n[network.wifi]\nssid = \"x\" # goes\n[log]\nlevel = \"warn\"\n", static,
			"# mine\n[http]\nlisten = \":8081\" # here\n[log]\nlevel = \"warn\"\n\n[network]\n[network.ethernet]\ngateway = \"192.168.1.1\"\nipv4 = \"192.168.1.2/24\"\n[network.wifi]\nssid = \"x\"\n"},
		{"dotted", "network.wifi.ssid = \"x\"\nlog.level = \"warn\"\n", func(c *Config) { c.Network.WiFi.SSID = "" }, "log.level = \"warn\"\n"},
		{"back to what is usual", "[time]\nzone = \"Europe/Berlin\"\n[mdns]\n", func(c *Config) { c.Time.Zone = "" }, "[mdns]\n"},
		{"quoted", "[\"network\".wifi]\nssid = \"[log]\"\n", func(c *Config) { c.Network.WiFi.SSID = "a\"b\n" }, "[network]\n[network.wifi]\nssid = \"a\\\"b\\n\"\n"},
		{"nothing changes", "[network]\nwifi = {ssid = \"x\"} # so\n", func(*Config) {}, "[network]\nwifi = {ssid = \"x\"} # so\n"},
		{"inline over lines", "network.ethernet.dns = [\n\"1.1.1.1\",\n]\n", static, ""},
		{"uplinks", "[mdns]\nhost = \"attic\"\n", func(c *Config) {
			c.Uplinks = []UplinkConfig{{Name: "cloud", URL: "mqtt://broker", Maps: []UplinkMapConfig{{Direction: uplink.Out, Filter: "#"}}}}
		}, "[mdns]\nhost = \"attic\"\n\n[[uplink]]\nca = \"\"\ncertificate = \"\"\nclean = false\nclient_id = \"\"\nfingerprint = \"\"\nkeep_alive = 0\nkey = \"\"\nname = \"cloud\"\npassword = \"\"\nurl = \"mqtt://broker\"\nuser = \"\"\nversion = \"\"\n\n[[uplink.maps]]\ndirection = \"out\"\nfilter = \"#\"\nlocal_prefix = \"\"\nremote_prefix = \"\"\n"},
		{"what is wrong", "", func(c *Config) { c.Network.Ethernet.IPv4 = "x" }, ""},
		{"a file with a mistake", "[networks]\n", static, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "lintel.toml")
			if test.text != "" {
				if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Change(name, "somebody", test.change)
			got, _ := os.ReadFile(name)
			if test.want == "" {
				if err == nil || string(got) != test.text {
					t.Fatalf("%v, %q", err, got)
				}
				return
			}
			if err != nil || string(got) != test.want {
				t.Fatalf("%v\n%q, want\n%q", err, got, test.want)
			}
			versions, err := readVersions(name)
			if test.text == test.want {
				if err != nil || len(versions) != 0 {
					t.Errorf("nothing has changed, and %v, %v", versions, err)
				}
				return
			}
			if err != nil || len(versions) != 1 || versions[0].Text != test.text || versions[0].By != "somebody" {
				t.Errorf("before: %v, %v", versions, err)
			}
		})
	}
}

// FuzzChange: whatever the file, either it says afterwards what was wanted, all else as
// before, or nothing was changed.
func FuzzChange(f *testing.F) {
	f.Add("[http]\nlisten = \":8081\"\n[network.wifi]\nssid = \"x\"\n", "fd00::2/64")
	f.Add("network.wifi.ssid = \"\"\"\n[network]\n\"\"\"\n", "off")
	f.Add("[[serial.ports]]\npath = \"/dev/ttyS0\"\n[time]\n", "auto")
	f.Add("[[uplink]]\nname = \"x\"\n[[network]]\n", "")
	f.Fuzz(func(t *testing.T, text, ipv6 string) {
		if len(text) > maxConfigFile/2 || strings.Contains(text, "_file") {
			return
		}
		before, err := Parse("x", text)
		if err != nil {
			return
		}
		after, err := changedConfig("x", text, func(c *Config) { c.Network.Ethernet.IPv6 = ipv6 })
		if err != nil {
			return
		}
		got, err := Parse("x", after)
		if err != nil {
			t.Fatalf("%v in %q", err, after)
		}
		before.Network.Ethernet.IPv6 = ipv6
		if !reflect.DeepEqual(tree(got), tree(before)) {
			t.Fatalf("%q became %q", text, after)
		}
	})
}
