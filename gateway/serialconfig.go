package gateway

import (
	"fmt"
	"regexp"
	"time"

	"lintel/serialbridge"
)

// SerialConfig is about the sticks.
type SerialConfig struct {
	BaseTopic string       `toml:"base_topic"`
	Interval  float64      `toml:"interval"` // seconds between two states of a device at least, while only numbers change; 0: none
	AtLeast   int          `toml:"at_least"` // seconds after which a state that does not change is published again
	Ports     []PortConfig `toml:"ports"`
}

// PortConfig names a port that USB does not tell of, or fixes what is plugged
// into one that it does.
type PortConfig struct {
	Path     string  `toml:"path"`
	Stick    string  `toml:"stick"`    // in place of path: the id that the page shows
	Protocol string  `toml:"protocol"` // empty: listen
	Interval float64 `toml:"interval"` // in place of serial.interval; 0: that one
}

func defaultSerial() SerialConfig {
	return SerialConfig{BaseTopic: "lintel", Interval: 1, AtLeast: 60, Ports: []PortConfig{}}
}

var protocolName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// maxInterval bounds the seconds between two states.
const maxInterval = 24 * 60 * 60

// problems tells bad what is wrong.
func (c SerialConfig) problems(bad func(key, format string, args ...any)) {
	if err := checkTopic(c.BaseTopic); err != nil {
		bad("serial.base_topic", "%v", err)
	}
	interval := func(key string, seconds float64) {
		if !(seconds >= 0 && seconds <= maxInterval) { // NaN neither
			bad(key, "%g is out of range; right is 0 to %d seconds", seconds, maxInterval)
		}
	}
	interval("serial.interval", c.Interval)
	if c.AtLeast < 1 || c.AtLeast > maxInterval {
		bad("serial.at_least", "%d is out of range; right is 1 to %d seconds", c.AtLeast, maxInterval)
	}
	seen := make(map[string]int)
	for i, p := range c.Ports {
		key := fmt.Sprintf("serial.ports[%d]", i)
		name, from := p.Path, ".path"
		if p.Stick != "" {
			name, from = p.Stick, ".stick"
		}
		switch first, ok := seen[name]; {
		case p.Path != "" && p.Stick != "":
			bad(key+".stick", "there is a path too; right is one of both")
		case name == "":
			bad(key+".path", "is missing; right is a device such as %q, or stick with the id that the page shows", "/dev/ttyAMA0")
		case ok:
			bad(key+from, "%q is already serial.ports[%d]; name each port once", name, first)
		default:
			seen[name] = i
		}
		if p.Protocol != "" && !protocolName.MatchString(p.Protocol) {
			bad(key+".protocol", "%q is not a protocol; right is a name such as %q, or nothing to listen", p.Protocol, "dsmr")
		}
		interval(key+".interval", p.Interval)
	}
}

// ports are the ports that the user has named.
func (c SerialConfig) ports() []serialbridge.NamedPort {
	var ports []serialbridge.NamedPort
	for _, p := range c.Ports {
		ports = append(ports, serialbridge.NamedPort{Path: p.Path, Stick: p.Stick, Protocol: p.Protocol, Interval: seconds(p.Interval)})
	}
	return ports
}

// interval is what package serialbridge calls so.
func (c SerialConfig) interval() time.Duration {
	if c.Interval == 0 {
		return -1
	}
	return seconds(c.Interval)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
