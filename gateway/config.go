package gateway

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/network"
	"lintel/gateway/syslog"
	"lintel/persist"
)

// DefaultConfigFile is read when no configuration file is named. It may be
// missing.
const DefaultConfigFile = "lintel.toml"

// maxConfigFile bounds the configuration file in bytes.
const maxConfigFile = 256 << 10

// Config is the intent: what the person who owns the box wants of it. It comes
// from one TOML file; every key has a default that works. README.md explains
// each key.
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

// MQTTConfig is where the broker listens and what it allows.
type MQTTConfig struct {
	Listen            []string         `toml:"listen"`              // TCP addresses
	TLS               []string         `toml:"tls"`                 // TCP addresses, with TLS
	WebSocket         []string         `toml:"websocket"`           // addresses for MQTT over WebSocket
	WebSocketTLS      []string         `toml:"websocket_tls"`       // addresses for MQTT over WebSocket with TLS
	Unix              []string         `toml:"unix"`                // paths of unix sockets
	Certificate       string           `toml:"certificate"`         // PEM file: chain of the TLS listeners; empty: the box makes its own
	Key               string           `toml:"key"`                 // PEM file: its private key
	MaxPacketSize     int              `toml:"max_packet_size"`     // bytes, the whole packet
	MaxConnections    int              `toml:"max_connections"`     // sockets at a time
	MaxUnconnected    int              `toml:"max_unconnected"`     // sockets without CONNECT at a time
	ConnectRate       int              `toml:"connect_rate"`        // CONNECTs per second
	AddressRate       int              `toml:"address_rate"`        // those of one address
	MaxInflight       int              `toml:"max_inflight"`        // unacknowledged messages per client
	MaxQueuedMessages int              `toml:"max_queued_messages"` // waiting messages per session
	MaxQueuedBytes    int              `toml:"max_queued_bytes"`    // bytes of waiting messages per session
	MaxQueuedTotal    int              `toml:"max_queued_total"`    // bytes of waiting messages in all sessions
	QueueFull         broker.QueueFull `toml:"queue_full"`          // what happens to a message over them: "drop-newest", "drop-oldest" or "refuse"
	QueueMemory       int              `toml:"queue_memory"`        // bytes of waiting messages in memory; what waits for persistent sessions beyond it is in the store alone
	MaxRetained       int              `toml:"max_retained"`        // retained messages
	MaxRetainedBytes  int              `toml:"max_retained_bytes"`  // what they take
	MaxSubscriptions  int              `toml:"max_subscriptions"`   // per session
	MaxTopicLevels    int              `toml:"max_topic_levels"`    // of topic names and filters
	MaxKeepAlive      int              `toml:"max_keep_alive"`      // seconds; 0: no limit
	KeepAliveFactor   float64          `toml:"keep_alive_factor"`   // times its keep alive a client may be silent

	ClientCertificates ClientCertificateConfig `toml:"client_certificates"`
}

// ClientCertificateConfig is which certificates of clients are taken for what.
type ClientCertificateConfig struct {
	TLS          ClientCertificateMode `toml:"tls"`           // of the listeners mqtt.tls
	WebSocketTLS ClientCertificateMode `toml:"websocket_tls"` // of the listeners mqtt.websocket_tls
	CA           string                `toml:"ca"`            // PEM file; empty: the box's own authority
	CRL          []string              `toml:"crl"`           // PEM or DER files
	Name         access.NameField      `toml:"name"`          // where the name of the client stands
}

// ClientCertificateMode is whether a listener asks for client certificates.
type ClientCertificateMode string

// The modes. Who shows a certificate that is not good is refused in both of the
// others.
const (
	ClientCertificateOff     ClientCertificateMode = "off"
	ClientCertificateRequest ClientCertificateMode = "request" // who has none may show something else
	ClientCertificateRequire ClientCertificateMode = "require"
)

// UnmarshalText reads a ClientCertificateMode.
func (m *ClientCertificateMode) UnmarshalText(text []byte) error {
	switch v := ClientCertificateMode(text); v {
	case ClientCertificateOff, ClientCertificateRequest, ClientCertificateRequire:
		*m = v
		return nil
	}
	return fmt.Errorf("%q is none of off, request, require", text)
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

// DefaultConfig returns what holds where no file says otherwise.
func DefaultConfig() Config {
	return Config{
		MQTT: MQTTConfig{
			Listen:            []string{":1883"},
			TLS:               []string{},
			WebSocket:         []string{":8083"},
			WebSocketTLS:      []string{},
			Unix:              []string{},
			MaxPacketSize:     4 << 20,
			MaxConnections:    2000,
			MaxUnconnected:    500,
			ConnectRate:       1000,
			AddressRate:       100,
			MaxInflight:       100,
			MaxQueuedMessages: 100_000,
			MaxQueuedBytes:    64 << 20,
			MaxQueuedTotal:    256 << 20,
			QueueMemory:       32 << 20,
			MaxRetained:       200_000,
			MaxRetainedBytes:  64 << 20,
			MaxSubscriptions:  10_000,
			MaxTopicLevels:    200,
			KeepAliveFactor:   1.5,
			ClientCertificates: ClientCertificateConfig{
				TLS:          ClientCertificateRequest,
				WebSocketTLS: ClientCertificateOff, // browsers would ask their user for one
				CRL:          []string{},
				Name:         access.CommonName,
			},
		},
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

// LoadConfig reads the configuration file. With an empty path it reads
// [DefaultConfigFile] if there is one. A named file that is missing is an error
// that matches [fs.ErrNotExist]. Keys that the file leaves out keep their
// default; everything that is wrong in the file is reported, a line each, with
// file, line and what is right.
func LoadConfig(path string) (Config, error) {
	named := path != ""
	if !named {
		path = DefaultConfigFile
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return DefaultConfig(), nil
	}
	if err != nil {
		return DefaultConfig(), fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return DefaultConfig(), fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > maxConfigFile {
		return DefaultConfig(), fmt.Errorf("%s: larger than %d KiB, not a configuration file", path, maxConfigFile>>10)
	}
	c, err := parseConfig(path, string(text))
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
	listen := func(key, address string) {
		l, err := parseListener(key, address)
		if err != nil {
			bad(key, "%v", err)
			return
		}
		if i := slices.IndexFunc(used, l.collides); i >= 0 {
			bad(key, "%q is taken by %s = %q; give each listener its own port", address, used[i].key, used[i].address)
			return
		}
		used = append(used, l)
	}
	for i, a := range c.MQTT.Listen {
		listen(fmt.Sprintf("mqtt.listen[%d]", i), a)
	}
	for i, a := range c.MQTT.TLS {
		listen(fmt.Sprintf("mqtt.tls[%d]", i), a)
	}
	for i, a := range c.MQTT.WebSocket {
		listen(fmt.Sprintf("mqtt.websocket[%d]", i), a)
	}
	for i, a := range c.MQTT.WebSocketTLS {
		listen(fmt.Sprintf("mqtt.websocket_tls[%d]", i), a)
	}
	for i, path := range c.MQTT.Unix {
		if path == "" || slices.Contains(c.MQTT.Unix[:i], path) {
			bad(fmt.Sprintf("mqtt.unix[%d]", i), "%q is not a path of its own; right is a file name such as %q", path, "/run/lintel.sock")
		}
	}
	if c.MQTT.Certificate == "" && c.MQTT.Key != "" {
		bad("mqtt.certificate", "is missing, though there is a key; right is a PEM file with the certificate and its chain, or neither for the box's own")
	}
	if c.MQTT.Certificate != "" && c.MQTT.Key == "" {
		bad("mqtt.key", "is missing; right is a PEM file with the private key of the certificate")
	}
	if cc := c.MQTT.ClientCertificates; cc.CA == "" && cc.Name != "" && cc.Name != access.CommonName {
		bad("mqtt.client_certificates.name", "%q needs ca: the certificates that the box issues have their name in %q", cc.Name, access.CommonName)
	}
	for i, name := range c.MQTT.ClientCertificates.CRL {
		if name == "" {
			bad(fmt.Sprintf("mqtt.client_certificates.crl[%d]", i), "is empty; right is a PEM or DER file")
		}
	}
	if c.HTTP.Listen != "" {
		listen("http.listen", c.HTTP.Listen)
	}
	if c.HTTP.TLS != "" {
		listen("http.tls", c.HTTP.TLS)
	}

	within := func(key string, value, low, high int) {
		if value < low || value > high {
			bad(key, "%d is out of range; right is %d to %d", value, low, high)
		}
	}
	within("mqtt.max_packet_size", c.MQTT.MaxPacketSize, 1024, persist.MaxMessageSize)
	within("mqtt.max_connections", c.MQTT.MaxConnections, 1, 1_000_000)
	within("mqtt.max_unconnected", c.MQTT.MaxUnconnected, 1, 1_000_000)
	within("mqtt.connect_rate", c.MQTT.ConnectRate, 1, 1_000_000)
	within("mqtt.address_rate", c.MQTT.AddressRate, 1, 1_000_000)
	within("mqtt.max_inflight", c.MQTT.MaxInflight, 1, 65535) // packet identifiers have 16 bits
	within("mqtt.max_queued_messages", c.MQTT.MaxQueuedMessages, 1, 10_000_000)
	within("mqtt.max_queued_bytes", c.MQTT.MaxQueuedBytes, 1024, 1<<36)
	within("mqtt.max_queued_total", c.MQTT.MaxQueuedTotal, 1<<20, 1<<36)
	within("mqtt.queue_memory", c.MQTT.QueueMemory, 1<<20, 1<<30)
	within("mqtt.max_retained", c.MQTT.MaxRetained, 1, 10_000_000)
	within("mqtt.max_retained_bytes", c.MQTT.MaxRetainedBytes, 1024, 1<<30)
	within("mqtt.max_subscriptions", c.MQTT.MaxSubscriptions, 1, 1_000_000)
	within("mqtt.max_topic_levels", c.MQTT.MaxTopicLevels, 1, 65536) // a topic has 65,535 bytes
	within("mqtt.max_keep_alive", c.MQTT.MaxKeepAlive, 0, 65535)
	if f := c.MQTT.KeepAliveFactor; !(f >= 1.5 && f <= 10) { // NaN neither; [v5 MQTT-3.1.2-22]
		bad("mqtt.keep_alive_factor", "%g is out of range; right is 1.5, which the standard gives a client, to 10", f)
	}

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

// listener is a listening address and the key that asks for it.
type listener struct {
	key, address string
	host         string
	port         uint16
}

func parseListener(key, address string) (listener, error) {
	const right = "right is HOST:PORT or :PORT, such as \":1883\" or \"192.168.1.2:1883\""
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return listener{}, fmt.Errorf("%q is not an address; %s", address, right)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return listener{}, fmt.Errorf("%q has no port between 0 and 65535; %s", address, right)
	}
	if strings.ContainsAny(host, " /\t") {
		return listener{}, fmt.Errorf("%q is not an address; %s", address, right)
	}
	return listener{key, address, host, uint16(n)}, nil
}

// collides reports whether the two cannot be open at the same time. Port 0
// means any free port.
func (l listener) collides(other listener) bool {
	return l.port == other.port && l.port != 0 && (l.host == other.host || l.everywhere() || other.everywhere())
}

func (l listener) everywhere() bool {
	if l.host == "" {
		return true
	}
	ip, err := netip.ParseAddr(l.host)
	return err == nil && ip.IsUnspecified()
}
