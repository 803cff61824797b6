package settings

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"lintel/gateway/tomllines"
)

func TestConfigReadmeIsDefaults(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) != 3 {
		t.Fatalf("README.md has %d toml blocks, want 3", len(blocks))
	}
	c, err := Parse("README.md", blocks[0][1])
	if err != nil {
		t.Fatal(err)
	}
	if want := Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("README says\n%+v\ndefaults are\n%+v", c, want)
	}
	// Equal also when the README leaves a key out: it must name them all.
	lines := tomllines.Of(blocks[0][1])
	for _, key := range knownKeys(reflect.TypeFor[Config](), "") {
		if _, ok := lines[key]; !ok && !strings.HasPrefix(key, "serial.ports.") && !strings.HasPrefix(key, "uplink.") {
			t.Errorf("README.md does not name %s", key)
		}
	}
	lines = tomllines.Of(blocks[2][1])
	for _, key := range knownKeys(reflect.TypeFor[UplinkConfig](), "uplink[0]") {
		for _, list := range []string{"uplink[0].maps", "uplink[0].wills"} {
			key = strings.Replace(key, list+".", list+"[0].", 1)
		}
		if _, ok := lines[key]; !ok {
			t.Errorf("README.md does not name %s", key)
		}
	}
	if c, err := Parse("README.md", blocks[2][1]); err != nil || len(c.Uplinks) != 1 || len(c.Uplinks[0].Maps) != 1 {
		t.Errorf("third block: %+v, %v", c.Uplinks, err)
	}
	if c, err := Parse("README.md", blocks[1][1]); err != nil || len(c.Serial.Ports) != 2 {
		t.Errorf("second block: %+v, %v", c.Serial, err)
	}
}

func TestConfigDefaultsAreValid(t *testing.T) {
	t.Parallel()
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	c, err := Parse("x", "")
	if err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("empty file: %+v, %v", c, err)
	}
}

func TestConfigOverrides(t *testing.T) {
	t.Parallel()
	c, err := Parse("x", `
log.level = "debug"
[mqtt]
listen = ["127.0.0.1:1883", "[::1]:1883"]
websocket = []
max_inflight = 0x10
keep_alive_factor = 2
[http]
listen = ""
[serial]
ports = [{path = "/dev/ttyUSB0", protocol = "dsmr"}, {path = "/dev/ttyUSB1"}]
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Log.Level = slog.LevelDebug
	want.MQTT.Listen = []string{"127.0.0.1:1883", "[::1]:1883"}
	want.MQTT.WebSocket = []string{}
	want.MQTT.MaxInflight = 16
	want.MQTT.KeepAliveFactor = 2
	want.HTTP.Listen = ""
	want.Serial.Ports = []PortConfig{{Path: "/dev/ttyUSB0", Protocol: "dsmr"}, {Path: "/dev/ttyUSB1"}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"syntax", "[mqtt]\nlisten = \n", "F:2: "},
		{"same key twice", "[log]\nlevel = \"info\"\nlevel = \"info\"", "F:3: "},
		{"typo", "\n[mqtt]\nlistne = [\":1883\"]", `F:3: unknown key "mqtt.listne"; did you mean "mqtt.listen"?`},
		{"dotted typo", "mqtt.websockets = []", `F:1: unknown key "mqtt.websockets"; did you mean "mqtt.websocket"?`},
		{"upper case", "[http]\nListen = \":80\"", `F:2: unknown key "http.Listen"; did you mean "http.listen"?`},
		{"wrong table", "[mqtts]\nlisten = []", `F:1: unknown key "mqtts"; did you mean "mqtt"?`},
		{"in another table", "[mqtt]\nbase_topic = \"x\"", `F:2: unknown key "mqtt.base_topic"; did you mean "serial.base_topic"?`},
		{"nothing near", "[mqtt]\nx_quux_frobnicate = 1", `F:2: unknown key "mqtt.x_quux_frobnicate"`},
		{"in a list of tables", "[[serial.ports]]\npath=\"a\"\nprotocol=\"dsmr\"\n[[serial.ports]]\npath=\"b\"\nprotocoll=\"dsmr\"",
			`F:6: unknown key "serial.ports[1].protocoll"; did you mean "serial.ports.protocol"?`},
		{"in an inline table", "[serial]\nports = [\n{path=\"a\", protocol=\"dsmr\", baud=9600}]", `F:3: unknown key "serial.ports[0].baud"`},
		{"quoted", "[\"mqtt\"]\n\"listne\" = []", `F:2: unknown key "mqtt.listne"`},
		{"text for a list", "[mqtt]\nlisten = \":1883\"", `F:2: mqtt.listen: is a text; right is a list of texts, such as [":1883"]`},
		{"number for a text", "[http]\nlisten = 8080", `F:2: http.listen: is a number; right is a text in quotes`},
		{"number in a list", "[mqtt]\nlisten = [1883]", `F:2: mqtt.listen[0]: is a number; right is a text in quotes`},
		{"text for a number", "[mqtt]\nmax_inflight = \"20\"", `F:2: mqtt.max_inflight: is a text; right is a whole number`},
		{"fraction", "[mqtt]\nmax_inflight = 2.5", `F:2: mqtt.max_inflight: is a number; right is a whole number`},
		{"text for a truth", "[mdns]\nenabled = \"yes\"", `F:2: mdns.enabled: is a text; right is true or false`},
		{"text for a table", "log = \"debug\"", `F:1: log: is a text; right is a table, [log]`},
		{"level", "[log]\nlevel = \"loud\"", `F:2: log.level: loud is not a level; right are debug, info, warn and error`},
		{"level between", "[log]\nlevel = \"info+1\"", `F:2: log.level: INFO+1 is not a level`},
		{"no port", "[mqtt]\nlisten = [\"1883\"]", `F:2: mqtt.listen[0]: "1883" is not an address; right is HOST:PORT or :PORT`},
		{"port too large", "[http]\nlisten = \":65536\"", `F:2: http.listen: ":65536" has no port between 0 and 65535`},
		{"negative port", "[http]\nlisten = \":-1\"", `F:2: http.listen: ":-1" has no port`},
		{"url", "[http]\nlisten = \"http://x:80\"", `F:2: http.listen: "http://x:80" is not an address`},
		{"same port", "[http]\nlisten = \":1883\"", `F:2: http.listen: ":1883" is taken by mqtt.listen[0] = ":1883"; give each listener its own port`},
		{"same port with TLS", "[http]\ntls = \":8080\"", `F:2: http.tls: ":8080" is taken by http.listen = ":8080"; give each listener its own port`},
		{"same port, one host", "[http]\nlisten = \"127.0.0.1:8083\"", `F:2: http.listen: "127.0.0.1:8083" is taken by mqtt.websocket[0] = ":8083"`},
		{"same port, any address", "[mqtt]\nlisten = [\"127.0.0.1:1883\", \"0.0.0.0:1883\"]", `F:2: mqtt.listen[1]: "0.0.0.0:1883" is taken`},
		{"negative limit", "[mqtt]\nmax_queued_bytes = -1", `F:2: mqtt.max_queued_bytes: -1 is out of range; right is 1024 to`},
		{"full queue", "[mqtt]\nqueue_full = \"drop\"", `F:2: mqtt.queue_full: "drop" is none of drop-newest, drop-oldest, refuse`},
		{"full queue in numbers", "[mqtt]\nqueue_full = 1", `F:2: mqtt.queue_full: is a number; right is a text in quotes`},
		{"impatient", "[mqtt]\nkeep_alive_factor = 1.4", `F:2: mqtt.keep_alive_factor: 1.4 is out of range; right is 1.5`},
		{"no factor", "[mqtt]\nkeep_alive_factor = nan", `F:2: mqtt.keep_alive_factor: NaN is out of range`},
		{"factor in quotes", "[mqtt]\nkeep_alive_factor = \"2\"", `F:2: mqtt.keep_alive_factor: is a text; right is a number`},
		{"no connections", "[mqtt]\nmax_connections = 0", `F:2: mqtt.max_connections: 0 is out of range; right is 1 to`},
		{"packet", "[mqtt]\nmax_packet_size = 268435461", `F:2: mqtt.max_packet_size: 268435461 is out of range`},
		{"inflight", "[mqtt]\nmax_inflight = 65536", `F:2: mqtt.max_inflight: 65536 is out of range; right is 1 to 65535`},
		{"key alone", "[mqtt]\nkey = \"k.pem\"", `F:1: mqtt.certificate: is missing, though there is a key`},
		{"certificate alone", "[mqtt]\ncertificate = \"c.pem\"", `F:1: mqtt.key: is missing`},
		{"client certificates", "[mqtt.client_certificates]\ntls = \"yes\"", `F:2: mqtt.client_certificates.tls: "yes" is none of off, request, require`},
		{"certificate name", "[mqtt.client_certificates]\nname = \"ou\"", `F:2: mqtt.client_certificates.name: "ou" is none of cn, dns, email, uri`},
		{"name without authority", "[mqtt.client_certificates]\nname = \"dns\"", `F:2: mqtt.client_certificates.name: "dns" needs ca`},
		{"no CRL", "[mqtt.client_certificates]\ncrl = [\"\"]", `F:2: mqtt.client_certificates.crl[0]: is empty`},
		{"wildcard", "[serial]\nbase_topic = \"lintel/#\"", `F:2: serial.base_topic: "lintel/#" holds a wildcard`},
		{"empty topic", "[homeassistant]\nprefix = \"\"", `F:2: homeassistant.prefix: is empty`},
		{"system topic", "[serial]\nbase_topic = \"$SYS\"", `F:2: serial.base_topic: "$SYS" begins with $`},
		{"empty level", "[serial]\nbase_topic = \"lintel/\"", `F:2: serial.base_topic: "lintel/" has an empty level`},
		{"host", "[mdns]\nhost = \"lintel.local\"", `F:2: mdns.host: "lintel.local" is not a host name`},
		{"port without path", "[[serial.ports]]\nprotocol = \"dsmr\"", `F:1: serial.ports[0].path: is missing`},
		{"port with path and stick", "[[serial.ports]]\npath = \"a\"\nstick = \"b\"", `F:3: serial.ports[0].stick: there is a path too`},
		{"stick twice", "[[serial.ports]]\nstick = \"a\"\n[[serial.ports]]\nstick = \"a\"", `F:4: serial.ports[1].stick: "a" is already serial.ports[0]`},
		{"interval", "[serial]\ninterval = -1", `F:2: serial.interval: -1 is out of range; right is 0 to 86400 seconds`},
		{"no interval", "[serial]\ninterval = nan", `F:2: serial.interval: NaN is out of range`},
		{"interval of a port", "[[serial.ports]]\npath = \"a\"\ninterval = 1e9", `F:3: serial.ports[0].interval: 1e+09 is out of range`},
		{"never", "[serial]\nat_least = 0", `F:2: serial.at_least: 0 is out of range`},
		{"protocol", "[[serial.ports]]\npath = \"/dev/ttyUSB0\"\nprotocol = \"DSMR\"", `F:3: serial.ports[0].protocol: "DSMR" is not a protocol; right is one of dsmr, sml, `},
		{"settings of another protocol", "[[serial.ports]]\npath = \"a\"\nprotocol = \"raw\"\n[serial.ports.lend]\nlisten = \":1\"", `F:4: serial.ports[0].lend: is for protocol = "lend" alone`},
		{"settings of a port", "[[serial.ports]]\npath = \"a\"\nprotocol = \"raw\"\n[serial.ports.raw]\nmode = \"x\"", `F:4: serial.ports[0].raw: mode "x": neither lines nor frames`},
		{"settings in a list", "[[serial.ports]]\npath = \"a\"\n[[serial.ports]]\npath = \"b\"\nprotocol = \"textlines\"\n[serial.ports.textlines]\n\nproperties = [\n{ key = \"t\", from = \"t\", class = \"temperature\", unit = \"C\" }]",
			`F:9: serial.ports[1].textlines.properties[0].unit: "C" is no unit of temperature`},
		{"duration", "[[serial.ports]]\npath = \"a\"\nprotocol = \"lend\"\n[serial.ports.lend]\nlisten = \":4001\"\nidle = 10", `F:6: serial.ports[0].lend.idle: is a number; right is a text such as`},
		{"no duration", "[[serial.ports]]\npath = \"a\"\nprotocol = \"lend\"\n[serial.ports.lend]\nidle = \"10 minutes\"", `F:5: serial.ports[0].lend.idle: "10 minutes" is no duration`},
		{"not lent anywhere", "[[serial.ports]]\npath = \"a\"\nprotocol = \"lend\"", `F:1: serial.ports[0].lend.listen: say where`},
		{"key of a meter", "[serial.dsmr]\nkeys = { \"1\" = \"0\" }", `F:2: serial.dsmr.keys: `},
		{"anonymous where nobody listens", "[access]\nroles = \"\"\nanonymous = { \":1884\" = \"viewer\" }", `F:3: access.anonymous.:1884: nothing listens on ":1884"; right is one of :1883, :8083`},
		{"anonymous in a table", "[access]\n[access.anonymous]\n\":1883\" = \"viewer\"\n\"[::1]:1\" = \"viewer\"", `F:4: access.anonymous.[::1]:1: nothing listens on "[::1]:1"`},
		{"anonymous without a role", "[access]\nanonymous = { \":1883\" = \"root\" }", `F:2: access.anonymous.:1883: there is no role "root"; right is one of admin, homeassistant, device, viewer`},
		{"anonymous in a list", "[access]\nanonymous = [\":1883\"]", `F:2: access.anonymous: is a list; right is a table`},
		{"role for certificates", "[access]\ncertificate_roles = [\"viewer\", \"root\"]", `F:2: access.certificate_roles[1]: there is no role "root"`},
		{"algorithm none", "[access.jwt]\nalgorithms = [\"none\"]", `F:2: access.jwt.algorithms[0]: "none" is none of HS256`},
		{"leeway", "[access.jwt]\nleeway = 3600", `F:2: access.jwt.leeway: 3600 is out of range`},
		{"port twice", "[[serial.ports]]\npath = \"a\"\nprotocol = \"dsmr\"\n[[serial.ports]]\npath = \"a\"\nprotocol = \"sml\"",
			`F:5: serial.ports[1].path: "a" is already serial.ports[0]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("F", tt.text)
			if err == nil {
				t.Fatalf("accepted: %+v", c)
			}
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s…", err, tt.want)
			}
		})
	}
}

func TestConfigReportsEverythingInOrder(t *testing.T) {
	t.Parallel()
	_, err := Parse("F", "[log]\nlevle = 1\n[mqtt]\nlisten = 1\nport = 2\n[a]\n")
	want := []string{"F:2: ", "F:4: ", "F:5: ", "F:6: "}
	var got []string
	for l := range strings.Lines(err.Error()) {
		got = append(got, l[:5])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q from\n%v", got, want, err)
	}
}

func TestLoadConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	if c, err := Load(""); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("missing default file: %+v, %v", c, err)
	}
	if _, err := Load(DefaultFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing named file: %v", err)
	}
	if err := os.WriteFile(DefaultFile, []byte("[http]\nlisten = \":8\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", DefaultFile} {
		if c, err := Load(name); err != nil || c.HTTP.Listen != ":8" {
			t.Errorf("Load(%q) = %+v, %v", name, c.HTTP, err)
		}
	}
	text := "[access]\nroles = \"roles.toml\"\njwt.key_files = [\"keys/a.pem\", \"/b.pem\"]\n"
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "x.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(filepath.Join(folder, "x.toml"))
	if err != nil || c.Access.Roles != filepath.Join(folder, "roles.toml") ||
		!reflect.DeepEqual(c.Access.JWT.KeyFiles, []string{filepath.Join(folder, "keys/a.pem"), "/b.pem"}) {
		t.Errorf("files beside the configuration: %+v, %v", c.Access, err)
	}
	large := filepath.Join(t.TempDir(), "large.toml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", maxConfigFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large file: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder was accepted")
	}
}

// FuzzParse: no panic, and what is accepted is valid.
func FuzzParse(f *testing.F) {
	f.Add("[mqtt]\nlisten = [\":1883\"]\n")
	f.Add("[[serial.ports]]\npath = \"a\"\nprotocol = \"dsmr\"\n[[serial.ports]]\nx.y = {z=1}")
	f.Add("mqtt = [[1], 'a', {b = 1979-05-27}]")
	f.Add("\"\" = 1\n[log]\nlevel = 'warn'")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("F", text)
		if err == nil {
			err = c.Validate()
			if err != nil {
				t.Errorf("accepted, though %v", err)
			}
		}
	})
}

func TestConfigTime(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{`servers = ["192.168.1.1", "fd00::1", "ntp.example.org"]`, ""},
		{`servers = []`, ""},
		{`zone = "Europe/Berlin"`, ""},
		{`zone = "Europe/Bonn"`, `time.zone: "Europe/Bonn" is no time zone`},
		{`zone = "../../etc/passwd"`, `time.zone: `},
		{`servers = ["a b"]`, `time.servers[0]: "a b" is no server`},
		{`servers = ["a.b", "a.b"]`, `time.servers[1]: `},
		{`servers = ["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4","1.1.1.5","1.1.1.6","1.1.1.7","1.1.1.8","1.1.1.9"]`, `time.servers: there are 9`},
	}
	for _, test := range tests {
		c, err := Parse("x", "[time]\n"+test.text)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		}
		if strings.Contains(test.text, "Berlin") && c.Time.Location().String() != "Europe/Berlin" {
			t.Errorf("location %v", c.Time.Location())
		}
	}
}
