package settings

import (
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/airquality"
	"lintel/serialbridge/bms"
	"lintel/serialbridge/dsmr"
	"lintel/serialbridge/enocean"
	"lintel/serialbridge/jsonlines"
	"lintel/serialbridge/lend"
	"lintel/serialbridge/modbus"
	"lintel/serialbridge/mysensors"
	"lintel/serialbridge/nmea"
	"lintel/serialbridge/raw"
	"lintel/serialbridge/rflink"
	"lintel/serialbridge/rfxtrx"
	"lintel/serialbridge/sml"
	"lintel/serialbridge/teleinfo"
	"lintel/serialbridge/textlines"
	"lintel/serialbridge/vedirect"
	"lintel/serialbridge/wmbus"
	"lintel/serialbridge/zigbee/dongle"
	"lintel/serialbridge/zwave"
)

// SerialConfig is about the sticks.
type SerialConfig struct {
	BaseTopic string       `toml:"base_topic"`
	Interval  float64      `toml:"interval"` // seconds between two states of a device at least, while only numbers change; 0: none
	AtLeast   int          `toml:"at_least"` // seconds after which a state that does not change is published again
	Ports     []PortConfig `toml:"ports"`

	// Of the protocol of that name, at whatever port it is spoken.
	DSMR  dsmr.Options  `toml:"dsmr"`
	WMBus wmbus.Options `toml:"wmbus"`
}

// PortConfig names a port that USB does not tell of, or fixes what is plugged
// into one that it does.
type PortConfig struct {
	Path     string  `toml:"path"`
	Stick    string  `toml:"stick"`    // in place of path: the id that the page shows
	Protocol string  `toml:"protocol"` // empty: listen
	Interval float64 `toml:"interval"` // in place of serial.interval; 0: that one

	// Settings of the protocol of that name.
	Modbus    modbus.Options    `toml:"modbus"`
	DalyBMS   bms.DalyOptions   `toml:"dalybms"`
	TextLines textlines.Options `toml:"textlines"`
	Raw       raw.Options       `toml:"raw"`
	Lend      lend.Options      `toml:"lend"`
	Zigbee    dongle.Options    `toml:"zigbee"`
}

// portSettings are those of a driver for one port.
type portSettings interface{ Check() error }

// Radio is what Zigbee sticks are for. Without one none can be run.
type Radio struct {
	Network dongle.Network
	Logger  *slog.Logger
}

// portDrivers are the drivers that have settings for each port.
var portDrivers = []struct {
	protocol string
	settings func(PortConfig) portSettings
	driver   func(Radio, PortConfig) serialbridge.Driver
}{
	{"modbus", func(p PortConfig) portSettings { return p.Modbus }, func(_ Radio, p PortConfig) serialbridge.Driver { return modbus.Driver(p.Modbus) }},
	{"dalybms", func(p PortConfig) portSettings { return p.DalyBMS }, func(_ Radio, p PortConfig) serialbridge.Driver { return bms.Daly(p.DalyBMS) }},
	{"textlines", func(p PortConfig) portSettings { return p.TextLines }, func(_ Radio, p PortConfig) serialbridge.Driver { return textlines.Driver(p.TextLines) }},
	{"raw", func(p PortConfig) portSettings { return p.Raw }, func(_ Radio, p PortConfig) serialbridge.Driver { return raw.Driver(p.Raw) }},
	{"lend", func(p PortConfig) portSettings { return p.Lend }, func(_ Radio, p PortConfig) serialbridge.Driver { return lend.Driver(p.Lend) }},
	{dongle.Protocol, func(p PortConfig) portSettings { return p.Zigbee }, func(r Radio, p PortConfig) serialbridge.Driver {
		return dongle.Driver(r.Network, p.Zigbee, r.Logger)
	}},
}

func defaultSerial() SerialConfig {
	return SerialConfig{BaseTopic: "lintel", Interval: 1, AtLeast: 60, Ports: []PortConfig{},
		DSMR:  dsmr.Options{Keys: map[string]string{}, AuthenticationKeys: map[string]string{}},
		WMBus: wmbus.Options{Keys: map[string]string{}, Only: []string{}}}
}

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
	badLines(bad, "serial.dsmr", c.DSMR.Check())
	badLines(bad, "serial.wmbus", c.WMBus.Check())
	var protocols []string
	for _, d := range c.Drivers(Radio{}) {
		if d.Advice == "" {
			protocols = append(protocols, d.Protocol)
		}
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
		if p.Protocol != "" && !slices.Contains(protocols, p.Protocol) {
			bad(key+".protocol", "%q is not a protocol; right is one of %s, or nothing to listen", p.Protocol, strings.Join(protocols, ", "))
		}
		interval(key+".interval", p.Interval)
		for _, d := range portDrivers {
			set := d.settings(p)
			switch {
			case p.Protocol == d.protocol:
				badLines(bad, key+"."+d.protocol, set.Check())
			case !reflect.ValueOf(set).IsZero():
				bad(key+"."+d.protocol, "is for protocol = %q alone", d.protocol)
			}
		}
	}
}

// badLines tells bad what a driver says of its settings, a line each, of which some
// begin with the key that is meant.
func badLines(bad func(key, format string, args ...any), key string, err error) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSuffix(line, "\n")
		if sub, text, ok := strings.Cut(line, ": "); ok && keyPath.MatchString(sub) {
			bad(key+"."+sub, "%s", text)
		} else {
			bad(key, "%s", line)
		}
	}
}

// keyPath is a path such as properties[2].unit.
var keyPath = regexp.MustCompile(`^[a-z0-9_]+(\[[0-9]+\])?(\.[a-z0-9_]+(\[[0-9]+\])?)*$`)

// NamedPorts are the ports that the user has named.
func (c SerialConfig) NamedPorts(r Radio) []serialbridge.NamedPort {
	var ports []serialbridge.NamedPort
	for _, p := range c.Ports {
		named := serialbridge.NamedPort{Path: p.Path, Stick: p.Stick, Protocol: p.Protocol, Interval: seconds(p.Interval)}
		for _, d := range portDrivers {
			if d.protocol == p.Protocol {
				named.Driver = new(d.driver(r, p))
			}
		}
		ports = append(ports, named)
	}
	return ports
}

// Drivers are the protocols that sticks may speak. Those that have settings for each
// port have those of the first one.
func (c SerialConfig) Drivers(r Radio) []serialbridge.Driver {
	drivers := []serialbridge.Driver{
		dsmr.Driver(c.DSMR),
		sml.Driver(),
		vedirect.Driver(),
		teleinfo.Driver(),
		airquality.Driver(),
		nmea.Driver(),
		jsonlines.Driver(),
		rflink.Driver(),
		mysensors.Driver(),
		rfxtrx.Driver(),
		enocean.Driver(),
		wmbus.Driver(c.WMBus),
		bms.JK(),
		airquality.MHZ19(),
		airquality.Senseair(),
		airquality.SPS30(),
		zwave.Driver(),
	}
	for _, d := range portDrivers {
		var port PortConfig
		if i := slices.IndexFunc(c.Ports, func(p PortConfig) bool { return p.Protocol == d.protocol }); i >= 0 {
			port = c.Ports[i]
		}
		drivers = append(drivers, d.driver(r, port))
	}
	return append(drivers, dongle.Foreign()...)
}

// StateInterval is [serialbridge.Options.Interval].
func (c SerialConfig) StateInterval() time.Duration {
	if c.Interval == 0 {
		return -1
	}
	return seconds(c.Interval)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
