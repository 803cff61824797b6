package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lintel/gateway/network"
	"lintel/gateway/syslog"
)

// DefaultFile is read when no configuration file is named. It may be
// missing.
const DefaultFile = "lintel.toml"

// maxConfigFile bounds the configuration file in bytes.
const maxConfigFile = 256 << 10

// Config is the intent: what the person who owns the box wants of it. Every key has a
// default that works; README.md explains each.
type Config struct {
	MQTT          MQTTConfig          `toml:"mqtt"`
	HTTP          HTTPConfig          `toml:"http"`
	MDNS          MDNSConfig          `toml:"mdns"`
	HomeAssistant HomeAssistantConfig `toml:"homeassistant"`
	Serial        SerialConfig        `toml:"serial"`
	Zigbee        ZigbeeConfig        `toml:"zigbee"`
	Access        AccessConfig        `toml:"access"`
	Uplinks       []UplinkConfig      `toml:"uplink"`
	Network       network.Settings    `toml:"network"`
	Time          TimeConfig          `toml:"time"`
	Update        UpdateConfig        `toml:"update"`
	Log           LogConfig           `toml:"log"`
}

// HTTPConfig is where the pages are served.
type HTTPConfig struct {
	Listen  string        `toml:"listen"`  // empty: none without TLS
	TLS     string        `toml:"tls"`     // empty: none over TLS
	Metrics MetricsAccess `toml:"metrics"` // who may read /metrics
}

// MetricsAccess is who may read the metrics.
type MetricsAccess string

// The choices. The metrics tell what is in the house and how it is doing.
const (
	MetricsToken   MetricsAccess = "token"   // who is logged in, or shows an API token
	MetricsNetwork MetricsAccess = "network" // everybody in the network of the box
)

// UnmarshalText reads a MetricsAccess.
func (m *MetricsAccess) UnmarshalText(text []byte) error {
	switch v := MetricsAccess(text); v {
	case MetricsToken, MetricsNetwork:
		*m = v
		return nil
	}
	return fmt.Errorf("%q is none of token, network", text)
}

// MDNSConfig is how the box is found on the local network.
type MDNSConfig struct {
	Enabled bool   `toml:"enabled"`
	Host    string `toml:"host"` // without .local
}

// HomeAssistantConfig is about MQTT discovery.
type HomeAssistantConfig struct {
	Enabled bool   `toml:"enabled"`
	Prefix  string `toml:"prefix"` // discovery prefix
}

// LogConfig is what the log says.
type LogConfig struct {
	Level    slog.Level `toml:"level"`
	Syslog   string     `toml:"syslog"`    // URL of a log server; empty: none
	SyslogCA string     `toml:"syslog_ca"` // PEM file: the authorities of its certificate; empty: the system's
}

// ReadCA reads the file with the authorities of the log server; nil: none is named.
func (c LogConfig) ReadCA() ([]byte, error) {
	if c.SyslogCA == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(c.SyslogCA)
	if err != nil {
		return nil, fmt.Errorf("log.syslog_ca: %w", err)
	}
	return ca, nil
}

// Default returns what holds where no file says otherwise.
func Default() Config {
	return Config{
		MQTT:          defaultMQTT(),
		HTTP:          HTTPConfig{Listen: ":8080", Metrics: MetricsToken},
		MDNS:          MDNSConfig{Enabled: true, Host: "lintel"},
		HomeAssistant: HomeAssistantConfig{Enabled: true, Prefix: "homeassistant"},
		Serial:        defaultSerial(),
		Zigbee:        defaultZigbee(),
		Access:        defaultAccess(),
		Uplinks:       []UplinkConfig{},
		Network:       network.Default(),
		Time:          defaultTime(),
		Update:        defaultUpdate(),
		Log:           LogConfig{Level: slog.LevelInfo},
	}
}

// Load reads the configuration file. With an empty path it reads
// [DefaultFile] if there is one. A named file that is missing is an error
// that matches [fs.ErrNotExist]. Keys that the file leaves out keep their
// default; everything that is wrong in the file is reported, a line each, with
// file, line and what is right.
func Load(path string) (Config, error) {
	named := path != ""
	if !named {
		path = DefaultFile
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return Default(), nil
	}
	if err != nil {
		return Default(), fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return Default(), fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > maxConfigFile {
		return Default(), fmt.Errorf("%s: larger than %d KiB, not a configuration file", path, maxConfigFile>>10)
	}
	c, err := Parse(path, string(text))
	if err == nil {
		c.Access.resolve(filepath.Dir(path))
	}
	return c, err
}

// Validate reports what cannot work: the message starts with the path of the
// key, such as "mqtt.listen".
func (c Config) Validate() error {
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, fmt.Errorf("%s: %s", p.key, p.text))
	}
	return errors.Join(errs...)
}

// problem is something wrong with a key of the configuration.
type problem struct {
	key  string // path such as serial.ports[1].path
	text string // what is wrong and what is right
}

// problems checks the values; types and key names are the parser's part.
func (c Config) problems() []problem {
	var ps []problem
	bad := func(key, format string, args ...any) {
		ps = append(ps, problem{key, fmt.Sprintf(format, args...)})
	}

	var used []listener
	for key, address := range c.addresses {
		l, err := parseListener(key, address)
		if err != nil {
			bad(key, "%v", err)
		} else if i := slices.IndexFunc(used, l.collides); i >= 0 {
			bad(key, "%q is taken by %s = %q; give each listener its own port", address, used[i].key, used[i].address)
		} else {
			used = append(used, l)
		}
	}
	c.MQTT.problems(bad)
	if !hostLabel.MatchString(c.MDNS.Host) {
		bad("mdns.host", "%q is not a host name; right are letters, digits and hyphens, such as %q (.local is added)", c.MDNS.Host, "lintel")
	}
	if err := checkTopic(c.HomeAssistant.Prefix); err != nil {
		bad("homeassistant.prefix", "%v", err)
	}
	c.Serial.problems(bad)
	c.Zigbee.problems(bad)
	if c.Zigbee.BaseTopic == c.Serial.BaseTopic || c.Zigbee.BaseTopic == c.HomeAssistant.Prefix {
		bad("zigbee.base_topic", "%q is taken by serial.base_topic or homeassistant.prefix; right is a topic of its own, such as %q", c.Zigbee.BaseTopic, "zigbee2mqtt")
	}
	c.accessProblems(bad)
	c.uplinkProblems(bad)
	c.Network.Problems(func(key, format string, args ...any) { bad("network."+key, format, args...) })
	c.Time.problems(bad)
	c.Update.problems(bad)
	if !slices.Contains([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}, c.Log.Level) {
		bad("log.level", "%v is not a level; right are debug, info, warn and error", c.Log.Level)
	}
	if _, _, err := syslog.ParseURL(c.Log.Syslog); c.Log.Syslog != "" && err != nil {
		bad("log.syslog", "%v", err)
	}
	if c.Log.SyslogCA != "" && !strings.HasPrefix(c.Log.Syslog, "tls:") {
		bad("log.syslog_ca", "is of use with tls:// in log.syslog only")
	}
	return ps
}

// addresses are the network addresses that are listened at, behind their keys.
func (c Config) addresses(yield func(key, address string) bool) {
	for _, kind := range []struct {
		key  string
		list []string
	}{
		{"mqtt.listen", c.MQTT.Listen}, {"mqtt.tls", c.MQTT.TLS},
		{"mqtt.websocket", c.MQTT.WebSocket}, {"mqtt.websocket_tls", c.MQTT.WebSocketTLS},
	} {
		for i, a := range kind.list {
			if !yield(fmt.Sprintf("%s[%d]", kind.key, i), a) {
				return
			}
		}
	}
	if c.HTTP.Listen != "" && !yield("http.listen", c.HTTP.Listen) {
		return
	}
	if c.HTTP.TLS != "" {
		yield("http.tls", c.HTTP.TLS)
	}
}

var hostLabel = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`) // RFC 1123 §2.1

// checkTopic checks the beginning of the topics that Lintel publishes to.
func checkTopic(topic string) error {
	switch {
	case topic == "":
		return errors.New("is empty; right is a topic such as \"lintel\"")
	case len(topic) > 200:
		return errors.New("is longer than 200 bytes")
	case strings.ContainsAny(topic, "+#\x00"):
		return fmt.Errorf("%q holds a wildcard (+ or #); messages are published below it, so it must be a plain topic", topic)
	case strings.HasPrefix(topic, "$"):
		return fmt.Errorf("%q begins with $; those topics are the broker's own", topic)
	case slices.Contains(strings.Split(topic, "/"), ""):
		return fmt.Errorf("%q has an empty level; leave out / at both ends and //", topic)
	}
	return nil
}
