package settings

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/persist"
)

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

func defaultMQTT() MQTTConfig {
	return MQTTConfig{
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
	}
}

// problems tells bad what is wrong, but for the addresses.
func (c MQTTConfig) problems(bad func(key, format string, args ...any)) {
	for i, path := range c.Unix {
		if path == "" || slices.Contains(c.Unix[:i], path) {
			bad(fmt.Sprintf("mqtt.unix[%d]", i), "%q is not a path of its own; right is a file name such as %q", path, "/run/lintel.sock")
		}
	}
	if c.Certificate == "" && c.Key != "" {
		bad("mqtt.certificate", "is missing, though there is a key; right is a PEM file with the certificate and its chain, or neither for the box's own")
	}
	if c.Certificate != "" && c.Key == "" {
		bad("mqtt.key", "is missing; right is a PEM file with the private key of the certificate")
	}
	if cc := c.ClientCertificates; cc.CA == "" && cc.Name != "" && cc.Name != access.CommonName {
		bad("mqtt.client_certificates.name", "%q needs ca: the certificates that the box issues have their name in %q", cc.Name, access.CommonName)
	}
	for i, name := range c.ClientCertificates.CRL {
		if name == "" {
			bad(fmt.Sprintf("mqtt.client_certificates.crl[%d]", i), "is empty; right is a PEM or DER file")
		}
	}
	within := func(key string, value, low, high int) {
		if value < low || value > high {
			bad(key, "%d is out of range; right is %d to %d", value, low, high)
		}
	}
	within("mqtt.max_packet_size", c.MaxPacketSize, 1024, persist.MaxMessageSize)
	within("mqtt.max_connections", c.MaxConnections, 1, 1_000_000)
	within("mqtt.max_unconnected", c.MaxUnconnected, 1, 1_000_000)
	within("mqtt.connect_rate", c.ConnectRate, 1, 1_000_000)
	within("mqtt.address_rate", c.AddressRate, 1, 1_000_000)
	within("mqtt.max_inflight", c.MaxInflight, 1, 65535) // packet identifiers have 16 bits
	within("mqtt.max_queued_messages", c.MaxQueuedMessages, 1, 10_000_000)
	within("mqtt.max_queued_bytes", c.MaxQueuedBytes, 1024, 1<<36)
	within("mqtt.max_queued_total", c.MaxQueuedTotal, 1<<20, 1<<36)
	within("mqtt.queue_memory", c.QueueMemory, 1<<20, 1<<30)
	within("mqtt.max_retained", c.MaxRetained, 1, 10_000_000)
	within("mqtt.max_retained_bytes", c.MaxRetainedBytes, 1024, 1<<30)
	within("mqtt.max_subscriptions", c.MaxSubscriptions, 1, 1_000_000)
	within("mqtt.max_topic_levels", c.MaxTopicLevels, 1, 65536) // a topic has 65,535 bytes
	within("mqtt.max_keep_alive", c.MaxKeepAlive, 0, 65535)
	if f := c.KeepAliveFactor; !(f >= 1.5 && f <= 10) { // NaN neither; [v5 MQTT-3.1.2-22]
		bad("mqtt.keep_alive_factor", "%g is out of range; right is 1.5, which the standard gives a client, to 10", f)
	}
}

// Options are what package broker calls the same.
func (c MQTTConfig) Options() broker.Options {
	return broker.Options{
		MaxPacketSize:     c.MaxPacketSize,
		MaxConnections:    c.MaxConnections,
		MaxUnconnected:    c.MaxUnconnected,
		ConnectRate:       c.ConnectRate,
		AddressRate:       c.AddressRate,
		MaxInflight:       c.MaxInflight,
		MaxQueuedMessages: c.MaxQueuedMessages,
		MaxQueuedBytes:    c.MaxQueuedBytes,
		MaxQueuedTotal:    c.MaxQueuedTotal,
		QueueFull:         c.QueueFull,
		QueueMemory:       c.QueueMemory,
		MaxRetained:       c.MaxRetained,
		MaxRetainedBytes:  c.MaxRetainedBytes,
		MaxSubscriptions:  c.MaxSubscriptions,
		MaxTopicLevels:    c.MaxTopicLevels,
		MaxKeepAlive:      time.Duration(c.MaxKeepAlive) * time.Second,
		KeepAliveFactor:   c.KeepAliveFactor,
	}
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
