package settings

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"lintel/gateway/mqtt"
	"lintel/gateway/uplink"
)

// UplinkConfig is another broker that messages go to and come from.
type UplinkConfig struct {
	Name        string             `toml:"name"`
	URL         string             `toml:"url"`
	User        string             `toml:"user"`
	Password    string             `toml:"password"`
	ClientID    string             `toml:"client_id"`   // empty: made of the id of the box and the name
	Version     string             `toml:"version"`     // "5.0" or "3.1.1"; empty: what the broker speaks
	CA          string             `toml:"ca"`          // PEM file; empty: the authorities of the system
	Fingerprint string             `toml:"fingerprint"` // of the broker's certificate, in place of ca
	Certificate string             `toml:"certificate"` // PEM file that is shown to the broker
	Key         string             `toml:"key"`         // PEM file: its private key
	KeepAlive   int                `toml:"keep_alive"`  // seconds; 0: 30
	Clean       bool               `toml:"clean"`       // the broker keeps nothing while the box is away
	Maps        []UplinkMapConfig  `toml:"maps"`
	Wills       []UplinkWillConfig `toml:"wills"`
}

// UplinkMapConfig says which topics go where.
type UplinkMapConfig struct {
	Direction    uplink.Direction `toml:"direction"`
	Filter       string           `toml:"filter"`
	LocalPrefix  string           `toml:"local_prefix"`
	RemotePrefix string           `toml:"remote_prefix"`
	QoS          *int             `toml:"qos"`    // at most; missing: 1
	Retain       *bool            `toml:"retain"` // missing: true
}

// UplinkWillConfig is a message that the other broker publishes when the box is gone.
type UplinkWillConfig struct {
	Topic   string `toml:"topic"`
	Payload string `toml:"payload"`
	QoS     *int   `toml:"qos"`    // missing: 1
	Retain  *bool  `toml:"retain"` // missing: true
}

const (
	maxUplinks    = 16
	maxUplinkMaps = 100 // of each
	maxWills      = 4   // of each; every one but the first takes a connection

	HomeAssistantUplink = "homeassistant" // the name of the uplink of bridge mode, which no other has
)

func orDefault[T any](p *T, missing T) T {
	if p == nil {
		return missing
	}
	return *p
}

func (c UplinkMapConfig) made() uplink.Map {
	return uplink.Map{Direction: c.Direction, Filter: c.Filter, LocalPrefix: c.LocalPrefix, RemotePrefix: c.RemotePrefix,
		QoS: mqtt.QoS(min(max(orDefault(c.QoS, 1), 0), 2)), Plain: !orDefault(c.Retain, true)}
}

// uplinkProblems tells bad what is wrong with the uplinks.
func (c Config) uplinkProblems(bad func(key, format string, args ...any)) {
	if len(c.Uplinks) > maxUplinks {
		bad("uplink", "there are %d; right is %d at most", len(c.Uplinks), maxUplinks)
	}
	for i, up := range c.Uplinks {
		key := func(name string) string { return fmt.Sprintf("uplink[%d].%s", i, name) }
		if err := uplink.CheckName(up.Name); err != nil {
			bad(key("name"), "%v", err)
		} else if up.Name == HomeAssistantUplink {
			bad(key("name"), "%q is the name of the one that the page of Home Assistant makes; take another", up.Name)
		} else if slices.ContainsFunc(c.Uplinks[:i], func(other UplinkConfig) bool { return other.Name == up.Name }) {
			bad(key("name"), "%q is there twice", up.Name)
		}
		u, err := uplink.ParseURL(up.URL)
		if err != nil {
			bad(key("url"), "%v", err)
		} else if plain := u.Scheme == "mqtt" || u.Scheme == "ws"; plain && (up.CA != "" || up.Fingerprint != "" || up.Certificate != "") {
			bad(key("url"), "%q is without TLS, though there is a certificate; right is mqtts or wss", up.URL)
		}
		if up.User == "" && up.Password != "" {
			bad(key("user"), "is missing, though there is a password")
		}
		if up.CA != "" && up.Fingerprint != "" {
			bad(key("fingerprint"), "stands beside ca; one of them is enough")
		} else if _, err := uplink.TLSConfig(nil, up.Fingerprint, nil, nil); err != nil {
			bad(key("fingerprint"), "%v", err)
		}
		if (up.Certificate == "") != (up.Key == "") {
			bad(key("certificate"), "certificate and key go together; one of them is missing")
		}
		if !slices.Contains([]string{"", "5.0", "3.1.1"}, up.Version) {
			bad(key("version"), "%q; right is \"5.0\", \"3.1.1\", or nothing for what the broker speaks", up.Version)
		}
		if up.KeepAlive != 0 && (up.KeepAlive < 5 || up.KeepAlive > 65535) {
			bad(key("keep_alive"), "%d is out of range; right is 5 to 65535 seconds", up.KeepAlive)
		}
		if n := len(up.Maps); n == 0 || n > maxUplinkMaps {
			bad(key("maps"), "there are %d; right is 1 to %d, such as [{ direction = \"out\", filter = \"#\" }]", n, maxUplinkMaps)
		}
		for j, m := range up.Maps {
			path := fmt.Sprintf("%s[%d]", key("maps"), j)
			if q := orDefault(m.QoS, 1); q < 0 || q > 2 {
				bad(path+".qos", "%d; right is 0, 1 or 2", q)
			}
			made := m.made()
			if err := made.Validate(); err != nil {
				bad(path, "%v", err)
			}
		}
		if len(up.Wills) > maxWills {
			bad(key("wills"), "there are %d; right is %d at most", len(up.Wills), maxWills)
		}
		for j, w := range up.Wills {
			path := fmt.Sprintf("%s[%d]", key("wills"), j)
			if q := orDefault(w.QoS, 1); q < 0 || q > 2 {
				bad(path+".qos", "%d; right is 0, 1 or 2", q)
			}
			if err := (&mqtt.Message{Topic: w.Topic, Payload: []byte(w.Payload)}).Validate(); err != nil {
				bad(path, "%v", err)
			}
		}
	}
}

// Options makes the options of an uplink, with the files that it names.
func (c UplinkConfig) Options(boxID string) (o uplink.Options, err error) {
	o = uplink.Options{Name: c.Name, URL: c.URL, User: c.User, Password: c.Password, ClientID: cmp.Or(c.ClientID, UplinkClientID(boxID, c.Name)),
		KeepAlive: time.Duration(c.KeepAlive) * time.Second, Clean: c.Clean}
	switch c.Version {
	case "5.0":
		o.Version = mqtt.V50
	case "3.1.1":
		o.Version = mqtt.V311
	}
	for _, m := range c.Maps {
		o.Maps = append(o.Maps, m.made())
	}
	for _, w := range c.Wills {
		o.Wills = append(o.Wills, mqtt.Message{Topic: w.Topic, Payload: []byte(w.Payload), QoS: mqtt.QoS(orDefault(w.QoS, 1)), Retain: orDefault(w.Retain, true)})
	}
	if strings.HasPrefix(c.URL, "mqtts:") || strings.HasPrefix(c.URL, "wss:") {
		o.TLS, err = c.tls()
	}
	return o, err
}

func (c UplinkConfig) tls() (*tls.Config, error) {
	var files [3][]byte
	for i, f := range []struct{ key, name string }{{"ca", c.CA}, {"certificate", c.Certificate}, {"key", c.Key}} {
		if f.name == "" {
			continue
		}
		var err error
		if files[i], err = os.ReadFile(f.name); err != nil {
			return nil, fmt.Errorf("%s: %w", f.key, err)
		}
	}
	return uplink.TLSConfig(files[0], c.Fingerprint, files[1], files[2])
}

// UplinkClientID is the client id of an uplink at the other broker: no other box has it.
func UplinkClientID(boxID, name string) string { return "lintel-" + boxID + "-" + name }
