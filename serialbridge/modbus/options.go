package modbus

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
)

// Options say what is on a bus.
type Options struct {
	Baud     int    `toml:"baud"`      // 0: that with which the units are delivered
	Parity   string `toml:"parity"`    // none (also if empty), even or odd
	StopBits int    `toml:"stop_bits"` // 1 (also 0) or 2

	Timeout int `toml:"timeout"` // milliseconds until an answer has begun; 0: 1000. A unit that is slower is found out, and given more
	Retries int `toml:"retries"` // of a question without a good answer; 0: 2; negative: none

	// Listen says that another master is on the bus: nothing is sent, and the
	// values are those that the other asks for.
	Listen bool `toml:"listen"`

	Units []Unit `toml:"units"`
	Maps  []Map  `toml:"maps"` // besides those of the house, or in their place
}

// A Unit is a device on the bus. One that has two maps is there twice.
type Unit struct {
	Address      int    `toml:"address"` // 1 to 247
	Name         string `toml:"name"`    // empty: the title of the map
	Map          string `toml:"map"`
	Interval     int    `toml:"interval"`      // seconds between two polls; 0: 5
	SlowInterval int    `toml:"slow_interval"` // of what the map calls slow; 0: 60
}

const (
	minBaud  = 300
	maxBaud  = 1_000_000
	maxUnits = 64
	maxMaps  = 64

	defaultBaud         = 9600
	defaultTimeout      = time.Second
	defaultRetries      = 2
	defaultInterval     = 5
	defaultSlowInterval = 60
	maxInterval         = 24 * 60 * 60
)

// Check says what is wrong with the options.
func (o Options) Check() error {
	if len(o.Units) == 0 {
		return errors.New("no units: say at which address which device is, such as address 1 with the map sdm120")
	}
	_, err := o.compile()
	return err
}

// compile finds the units' tables, or says what is wrong.
func (o Options) compile() ([]*unit, error) {
	switch {
	case o.Baud != 0 && (o.Baud < minBaud || o.Baud > maxBaud):
		return nil, fmt.Errorf("baud %d is not %d to %d", o.Baud, minBaud, maxBaud)
	case o.Parity != "" && parities[o.Parity] == 0:
		return nil, fmt.Errorf("parity %q is none of none, even, odd", o.Parity)
	case o.StopBits < 0 || o.StopBits > 2:
		return nil, fmt.Errorf("stop_bits %d is neither 1 nor 2", o.StopBits)
	case o.Timeout < 0 || o.Timeout > 60_000:
		return nil, fmt.Errorf("timeout %d is not 1 to 60000 milliseconds", o.Timeout)
	case o.Retries > 10:
		return nil, fmt.Errorf("retries %d are more than 10", o.Retries)
	case len(o.Units) > maxUnits:
		return nil, fmt.Errorf("more than %d units", maxUnits)
	case len(o.Maps) > maxMaps:
		return nil, fmt.Errorf("more than %d maps", maxMaps)
	}
	tables, err := o.tables()
	if err != nil {
		return nil, err
	}
	var units []*unit
	for _, u := range o.Units {
		if u.Address < 1 || u.Address > maxUnit {
			return nil, fmt.Errorf("unit address %d is not 1 to %d", u.Address, maxUnit)
		}
		t := tables[u.Map]
		if t == nil {
			var names []string
			for name := range tables {
				names = append(names, name)
			}
			slices.Sort(names)
			return nil, fmt.Errorf("unit %d: there is no map %q, but %s", u.Address, u.Map, strings.Join(names, ", "))
		}
		if u.Interval < 0 || u.Interval > maxInterval || u.SlowInterval < 0 || u.SlowInterval > maxInterval {
			return nil, fmt.Errorf("unit %d: an interval is 1 to %d seconds", u.Address, maxInterval)
		}
		for _, other := range units {
			if other.Address == u.Address && other.table == t {
				return nil, fmt.Errorf("unit %d is there twice with the map %s", u.Address, u.Map)
			}
		}
		if first := o.Units[0].Map; o.Baud == 0 && t.baud() != tables[first].baud() {
			return nil, fmt.Errorf("%s is delivered with %d baud and %s with %d: set all units to the same, and say which by baud",
				first, tables[first].baud(), u.Map, t.baud())
		}
		units = append(units, newUnit(u, t))
	}
	for _, u := range units {
		twins := 0
		for _, other := range o.Units {
			if other.Map == u.Map && other.Name == "" {
				twins++
			}
		}
		if u.Name == "" && twins > 1 {
			u.Name = fmt.Sprintf("%s %d", u.name(), u.Address)
		}
	}
	return units, nil
}

func (t *table) baud() int { return cmp.Or(t.Baud, defaultBaud) }

// tables returns the tables of the house and of the user, by name.
func (o Options) tables() (map[string]*table, error) {
	tables := make(map[string]*table)
	for _, m := range Maps() {
		t, err := m.compile()
		if err != nil {
			return nil, err
		}
		tables[m.Name] = t
	}
	own := make(map[string]bool)
	for _, m := range o.Maps {
		t, err := m.compile()
		if err != nil {
			return nil, err
		}
		if own[m.Name] {
			return nil, fmt.Errorf("map %s is there twice", m.Name)
		}
		own[m.Name] = true
		tables[m.Name] = t
	}
	return tables, nil
}

var parities = map[string]byte{"none": 'N', "even": 'E', "odd": 'O'}

// line returns the setting of the line. RTU frames have 8 data bits (MODBUS over
// serial line 1.02, 2.5.1).
func (o Options) line(units []*unit) serialbridge.Line {
	baud := o.Baud
	if baud == 0 && len(units) > 0 {
		baud = units[0].table.baud()
	}
	return serialbridge.Line{
		Baud: cmp.Or(baud, defaultBaud), DataBits: 8,
		Parity: cmp.Or(parities[o.Parity], 'N'), StopBits: cmp.Or(o.StopBits, 1),
	}
}

func (o Options) timeout() time.Duration {
	return cmp.Or(time.Duration(o.Timeout)*time.Millisecond, defaultTimeout)
}

// tries is how often something is asked before it counts as not answered.
func (o Options) tries() int { return 1 + max(0, cmp.Or(o.Retries, defaultRetries)) }
