package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lintel/gateway/access"
)

func TestParsePreseed(t *testing.T) {
	t.Parallel()
	s := parsePreseed("F", `[claim]
password = "correct horse"
user = "anna"
name = "Attic"
[homeassistant]
password = "battery staple"
prefix = "ha"
[mdns]
host = "attic"
[network.wifi]
ssid = "net"
password = "secret one"
country = "DE"
[network.ethernet]
ipv4 = "192.168.1.2/24"
gateway = "192.168.1.1"
[time]
zone = "Europe/Berlin"
[[uplink]]
name = "cloud"
url = "mqtts://broker.example.com"
password = "secret two"
user = "house"
maps = [{ direction = "out", filter = "#" }]
`)
	want := access.Owner{User: "anna", Password: "correct horse", BoxName: "Attic", HomeAssistantPassword: "battery staple"}
	if s.err != nil || !s.claim || s.owner != want {
		t.Errorf("%+v, %v", s.owner, s.err)
	}
	config := filepath.Join(t.TempDir(), DefaultFile)
	// What is there stays, but for an uplink of the same name.
	before := "# mine\n[log]\nlevel = \"warn\"\n[[uplink]]\nname = \"other\"\nurl = \"mqtt://other\"\nmaps = [{ direction = \"in\", filter = \"x\", retain = false }]\n" +
		"[[uplink]]\nname = \"cloud\"\nurl = \"mqtt://old\"\nca = \"\"\nmaps = [{ direction = \"in\", filter = \"x\" }]\n"
	fail(t, os.WriteFile(config, []byte(before), 0o600))
	fail(t, s.apply(config))
	c, err := Load(config)
	fail(t, err)
	text, _ := os.ReadFile(config)
	if !strings.HasPrefix(string(text), "# mine\n[log]\nlevel = \"warn\"\n") {
		t.Errorf("the file is now\n%s", text)
	}
	if c.MDNS.Host != "attic" || c.HomeAssistant.Prefix != "ha" || c.Time.Zone != "Europe/Berlin" || c.Network.WiFi.SSID != "net" ||
		c.Network.WiFi.Password != "secret one" || c.Network.WiFi.Country != "DE" || c.Network.Ethernet.Gateway != "192.168.1.1" || c.Network.WiFi.Addresses.IPv4 != "dhcp" {
		t.Errorf("%+v", c)
	}
	if len(c.Uplinks) != 2 || c.Uplinks[0].Name != "other" || *c.Uplinks[0].Maps[0].Retain || c.Uplinks[1].URL != "mqtts://broker.example.com" || c.Uplinks[1].Password != "secret two" {
		t.Errorf("uplinks: %+v", c.Uplinks)
	}
	fail(t, s.apply(config)) // a power cut has it done again
	if again, _ := os.ReadFile(config); string(again) != string(text) {
		t.Errorf("the second time it is\n%s", again)
	}
}

func TestPreseedWithMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[claim]\npassword = \"short\"":     "F:2: claim.password: the password has fewer than 8 characters",
		"[claim]\npasword = \"secret one\"": `F:2: unknown key "claim.pasword"; did you mean "claim.password"?`,
		"[claim]\npassword = 12345678":      "F:2: claim.password: is a number; right is a text in quotes",
		"[claim]\npassword = \"secret one\"\npassword_hash = \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA\"": "F:3: claim.password_hash: there is claim.password too",
		"[claim]\npassword_hash = \"secret one\"":                                        "F:2: claim.password_hash: is no hash of a kind that is known",
		"[claim]\npassword_hash = \"$secret one$x$y\"":                                   "F:2: claim.password_hash: is no hash of a kind that is known",
		"[claim]\npassword = \"secret one\"\nname = \"" + strings.Repeat("x", 65) + "\"": "F:3: claim.name: ",
		"[claim]\npassword = \"secret one\"\nuser = \"a/b\"":                             "F:3: claim.user: ",
		"[claim]\npassword = \"secret one\"\n\n[homeassistant]\npassword = \"secret\"":   "F:5: homeassistant.password: ",
		"[claim]\npassword = \"secret one\nname = 1":                                     "F:2: ",
		"[claim]\npassword = secret one":                                                 "F:2: ",
		"[claim]\npassword = 'secret one":                                                "F:2: ",
		"[claim]\nsecret one":                                                            "F:2: ",
		"[claim]\npassword = \"secret one\" secret one":                                  "F:2: ",
		"claim = \"secret one\"":                                                         "F:1: claim: is a text; right is a table",
		"# nothing":                                                                      "F:1: says nothing",
		"[network.wifi]\nssid = \"net\"\npassword = \"secret one\\u0001\"":               "F:3: network.wifi.password: ",
		"[network.wifi]\npassword = \"secret one\"":                                      "F:2: network.wifi.password: is of no use without",
		"[network.wifi]\nssid = \"net\"\ncountry = \"Germany\"":                          "F:3: network.wifi.country: ",
		"[mdns]\nhost = \"my box\"":                                                      "F:2: mdns.host: ",
		"[time]\nzone = \"Berlin\"":                                                      "F:2: time.zone: ",
		"[wifi]\nssid = \"net\"":                                                         `F:1: unknown key "wifi"; did you mean "network.wifi"`,
		"[[uplink]]\nname = \"cloud\"\nurl = \"secret one\"\npassword = \"secret one\"":  "F:1: uplink[0].maps: ",
	} {
		s := parsePreseed("F", text)
		if s.err == nil || !strings.HasPrefix(s.err.Error(), want) || strings.Contains(s.err.Error(), "secret one") {
			t.Errorf("%q: %v; want %s", text, s.err, want)
		}
	}
}

// A table with a mistake is left out, and the box has its network all the same.
func TestMistakesLeaveTheRest(t *testing.T) {
	t.Parallel()
	s := parsePreseed("F", "[mdns]\nhost = \"attic\"\n[time]\nzone = 1\n[network.wifi]\nssid = \"net\"\n[[uplink]]\nname = \"?\"\n[htp]\n[claim]\npassword = \"short\"\n")
	if got := strings.Count(s.err.Error(), "F:"); got < 5 {
		t.Errorf("%d mistakes in:\n%v", got, s.err)
	}
	if len(s.tables) != 2 || s.tables["mdns"] == nil || s.tables["network"] == nil {
		t.Errorf("what counts: %v", s.tables)
	}
	// Each is right, but not both.
	s = parsePreseed("F", "[mdns]\nhost = \"attic\"\n[http]\nlisten = \":1883\"\n")
	if s.err == nil || s.tables["http"] != nil || s.tables["mdns"] == nil {
		t.Errorf("%v, %v", s.tables, s.err)
	}
	config := filepath.Join(t.TempDir(), DefaultFile)
	fail(t, os.WriteFile(config, []byte("[mqtt]\ntls = [\":8443\"]\n"), 0o600))
	s = parsePreseed("F", "[http]\ntls = \":8443\"\n")
	if err := s.apply(config); err == nil || !strings.Contains(err.Error(), "F: its settings do not count: http.tls: ") {
		t.Errorf("it does not go with the configuration: %v", err)
	}
}

func TestImager(t *testing.T) {
	t.Parallel()
	tests := []struct {
		folder     string
		owner, ssh bool
		want       func(*Config)
	}{
		{"cloudinit", true, true, func(c *Config) {
			c.MDNS.Host, c.Time.Zone = "kitchen", "Europe/Berlin"
			w := &c.Network.WiFi
			w.SSID, w.Country, w.Hidden = `Küche "2"`, "DE", true
		}},
		{"cloudinit-name", false, false, func(c *Config) { c.MDNS.Host = "cellar" }},
		{"systemd", true, true, func(c *Config) {
			c.MDNS.Host, c.Time.Zone = "kitchen", "Europe/Berlin"
			w := &c.Network.WiFi
			w.SSID, w.Country, w.Hidden = "attic net", "DE", true
		}},
		{"custom", true, true, func(c *Config) {
			c.MDNS.Host, c.Time.Zone = "kitchen", "Europe/Berlin"
			w := &c.Network.WiFi
			w.SSID, w.Country, w.Hidden, w.Password = "attic net", "DE", true, "battery staple"
		}},
	}
	for _, test := range tests {
		t.Run(test.folder, func(t *testing.T) {
			c := newCard(t)
			from := os.DirFS(filepath.Join("testdata/imager", test.folder))
			fail(t, os.CopyFS(c.folder, from))
			said := c.start()
			if c.Claim.Claimed() != test.owner || test.owner && !c.lets("anna", "correct horse") {
				t.Errorf("claimed: %t; users %+v; said %q", c.Claim.Claimed(), c.users.All(), said)
			}
			if strings.Contains(said, "SSH") != test.ssh || strings.Count(said, "\n") > 0 {
				t.Errorf("said %q", said)
			}
			got, err := Load(c.o.Config)
			fail(t, err)
			want := Default()
			test.want(&want)
			if p := got.Network.WiFi.Password; want.Network.WiFi.Password == "" && want.Network.WiFi.SSID != "" {
				if len(p) != 64 {
					t.Errorf("the key of the network is %q", p)
				}
				got.Network.WiFi.Password = ""
			}
			got.Access = want.Access // has paths in it
			if !reflect.DeepEqual(tree(got), tree(want)) {
				t.Errorf("%+v", got)
			}
			if left, _ := os.ReadDir(c.folder); len(left) > 0 {
				t.Errorf("on the card there is still %v", left)
			}
		})
	}
}

func TestImagerWithMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, text, want string }{
		{"user-data", "#!/bin/sh\necho secret one\n", "user-data:1: is a script"},
		{"user-data", "hostname: [a\nx: secret one", "user-data:"},
		{"user-data", "- hostname\n", "user-data:1: is no list of settings"},
		{"user-data", "a: &x [1]\nb: *x\n", "user-data:1: an anchor or alias"},
		{"user-data", "a: " + strings.Repeat("[", 30) + strings.Repeat("]", 30), "user-data:1: there is more in it"},
		{"user-data", "a: [" + strings.Repeat("1,", 5000) + "]", "user-data:1: there is more in it"},
		{"user-data", "hostname: a_b\n", "user-data:1: mdns.host: "},
		{"user-data", "\ntimezone: Berlin\n", "user-data:2: time.zone: "},
		{"user-data", "users:\n- default\n- name: anna\n  passwd: secret one\n", "user-data:4: claim.password_hash: "},
		{"user-data", "password: secret\n", "user-data:1: claim.password: the password has fewer"},
		{"network-config", "version: 1\nethernets: {}\n", "network-config:1: the version is"},
		{"network-config", "version: 2\nethernets:\n  eth0:\n    addresses: [10.0.0.1]\n", "network-config:4: network.ethernet.ipv4: "},
		{"network-config", "version: 2\nwifis:\n  wlan0:\n    access-points:\n      net:\n        password: secre\n", "network-config:6: network.wifi.password: "},
		{"network-config", "version: 2\nwifis:\n  wlan0:\n    access-points:\n      net:\n        auth: {key-management: eap}\n", "network-config:6: a wireless network with"},
		{"custom.toml", "config_version = 2\n", "custom.toml:1: config_version is 2"},
		{"custom.toml", "config_version = 1\n[user]\npassword = secret one\n", "custom.toml:3: "},
		{"custom.toml", "config_version = 1\n[user]\npasword = \"secret one\"\n", "custom.toml:3: unknown key"},
		{"firstrun.sh", "#!/bin/sh\nrm -rf /\n", "firstrun.sh:1: is no script of Raspberry Pi Imager"},
		{"firstrun.sh", "/usr/lib/raspberrypi-sys-mods/imager_custom set_hostname 'a b'\n", "firstrun.sh:1: mdns.host: "},
	} {
		s := parseImager(test.file, test.text)
		if s.err == nil || !strings.HasPrefix(s.err.Error(), test.want) || strings.Contains(s.err.Error(), "secret one") {
			t.Errorf("%s: %q: %v; want %s", test.file, test.text, s.err, test.want)
		}
	}
}

func TestNetworkConfig(t *testing.T) {
	t.Parallel()
	s := parseImager(networkConfig, `version: 2
ethernets:
  eth0:
    addresses: [192.168.1.2/24, "fd00::2/64"]
    gateway4: 192.168.1.1
    nameservers: {addresses: [192.168.1.1, 9.9.9.9]}
    routes: [{to: "::/0", via: "fe80::1"}]
wifis:
  renderer: networkd
  wlan0:
    dhcp4: false
    addresses: [10.0.0.2/8]
    routes:
    - to: default
      via: 10.0.0.1
    access-points:
      12345:
        auth: {key-management: sae, password: "battery staple"}
`)
	if s.err != nil {
		t.Fatal(s.err)
	}
	config := filepath.Join(t.TempDir(), DefaultFile)
	fail(t, s.apply(config))
	c, err := Load(config)
	fail(t, err)
	e, w := c.Network.Ethernet, c.Network.WiFi
	if e.IPv4 != "192.168.1.2/24" || e.Gateway != "192.168.1.1" || e.IPv6 != "fd00::2/64" || e.IPv6Gateway != "fe80::1" || len(e.DNS) != 2 {
		t.Errorf("ethernet: %+v", e)
	}
	if w.SSID != "12345" || w.Password != "battery staple" || w.Addresses.IPv4 != "10.0.0.2/8" || w.Addresses.Gateway != "10.0.0.1" {
		t.Errorf("wifi: %+v", w)
	}
}

func TestShellWords(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		``:                          nil,
		`  a  b `:                   {"a", "b"},
		`a 'b c' "d \"e\" \x" f\ g`: {"a", "b c", `d "e" \x`, "f g"},
		`a 'it'"'"'s' ''`:           {"a", "it's", ""},
		`a # b`:                     {"a"},
		`a#b`:                       {"a#b"},
		`a 'b`:                      nil,
		`a "b`:                      nil,
		`a \`:                       {"a", ""},
	} {
		if got, _ := shellWords(line); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// fuzzPreseed checks what holds for all files.
func fuzzPreseed(t *testing.T, s *preseed) {
	if s.err != nil {
		for line := range strings.Lines(s.err.Error()) {
			if !strings.HasPrefix(line, s.name) {
				t.Errorf("%q does not say where", line)
			}
		}
	} else if s.claim && s.owner.Check() != nil {
		t.Errorf("accepted, though %v", s.owner.Check())
	}
	c := Default()
	fill(&c, s.tables)
	if err := c.Validate(); err != nil {
		t.Errorf("accepted: %v", err)
	}
}

func FuzzParsePreseed(f *testing.F) {
	f.Add("[claim]\npassword = \"correct horse\"\nname = \"Attic\"\n[homeassistant]\npassword = \"battery staple\"\n[mdns]\nhost = \"a\"\n")
	f.Add("[claim]\npassword_hash = \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA\"")
	f.Add("[[uplink]]\nname = \"a\"\n[[serial.ports]]\n[network]\nwifi = {ssid = 1}")
	f.Fuzz(func(t *testing.T, text string) { fuzzPreseed(t, parsePreseed("F", text)) })
}

func FuzzParseImager(f *testing.F) {
	for _, name := range imagerFiles {
		files, err := filepath.Glob("testdata/imager/*/" + name)
		fail(f, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			fail(f, err)
			f.Add(name, string(text))
		}
	}
	f.Add(networkConfig, "version: 2\nethernets: {eth0: {addresses: [10.0.0.2/8], routes: [{to: default, via: 10.0.0.1}]}}")
	f.Add(userData, "users: [default, {name: a, passwd: b}]\nruncmd: [[a], b]\n? [x]\n: y\n<<: {a: b}")
	f.Fuzz(func(t *testing.T, name, text string) {
		for _, known := range imagerFiles {
			if name == known {
				fuzzPreseed(t, parseImager(name, text))
			}
		}
	})
}

// TestSettingsAreTakenOnce: what cannot be removed does not undo what a person has set since.
func TestSettingsAreTakenOnce(t *testing.T) {
	t.Parallel()
	c := newCard(t)
	c.locked = true
	c.put(PreseedFile, "[mdns]\nhost = \"attic\"\n[network.wifi]\nssid = \"net\"\npassword = \"battery staple\"\n")
	if said := c.start(); !strings.Contains(said, PreseedFile+" cannot be removed: read-only") || strings.Contains(said, "battery") {
		t.Errorf("said %q", said)
	}
	fail(t, Change(c.o.Config, "test", func(c *Config) { c.MDNS.Host = "cellar" }))
	c.start()
	if got, err := Load(c.o.Config); err != nil || got.MDNS.Host != "cellar" {
		t.Errorf("%q, %v", got.MDNS.Host, err)
	}
	// Another file counts, though the box has an owner.
	_, err := c.Claim.Do(t.Context(), access.Owner{Password: "correct horse"})
	fail(t, err)
	c.locked = false
	c.put(PreseedFile, "[mdns]\nhost = \"loft\"\n")
	if said := c.start(); said != "" || c.there(PreseedFile) {
		t.Errorf("said %q, file there %t", said, c.there(PreseedFile))
	}
	if got, err := Load(c.o.Config); err != nil || got.MDNS.Host != "loft" || got.Network.WiFi.SSID != "net" {
		t.Errorf("%+v, %v", got, err)
	}
	c.put(PreseedFile+".txt", "[mdns]\nhost = \"attic\"\n") // as Windows calls it
	c.start()
	if got, err := Load(c.o.Config); err != nil || got.MDNS.Host != "attic" || c.there(PreseedFile+".txt") {
		t.Errorf("%q, %v", got.MDNS.Host, err)
	}
	// What was blanked, and not removed when the power failed.
	c.put(PreseedFile, "      ")
	if said := c.start(); said != "" || c.there(PreseedFile) {
		t.Errorf("said %q, file there %t", said, c.there(PreseedFile))
	}
}
