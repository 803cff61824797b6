package modbus

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/serialbridge"
)

// Options say what is on a bus.
type Options struct {
	Line string `toml:"line"` // such as "9600 8N1"; empty: with which the units are delivered

	// Timeout is how long a unit may take for the beginning of an answer, in
	// milliseconds; 0: 1000. A unit that is slower is found out, and given more.
	Timeout int `toml:"timeout"`
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
	maxUnits = 64
	maxMaps  = 64

	defaultLine         = "9600 8N1"
	defaultTimeout      = time.Second
	defaultRetries      = 2
	defaultInterval     = 5
	defaultSlowInterval = 60
	maxInterval         = 24 * 60 * 60
)

// Check says what cannot work, a line for each error: the key that is wrong, counted
// from 0, and why, as in "units[2].map: …".
func (o Options) Check() error {
	_, _, wrong := o.compile()
	if len(o.Units) == 0 {
		wrong = append(wrong, errors.New("units: there are none; right is at least one, such as address 1 with the map sdm120"))
	}
	return errors.Join(wrong...)
}

// compile finds the units' tables and the line, or says what is wrong.
func (o Options) compile() (units []*unit, line serialbridge.Line, wrong []error) {
	bad := func(key, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	line, err := parseLine(cmp.Or(o.Line, defaultLine))
	if err != nil {
		bad("line", "%v", err)
	}
	if o.Timeout < 0 || o.Timeout > 60_000 {
		bad("timeout", "%d is not 1 to 60000 milliseconds", o.Timeout)
	}
	if o.Retries > 10 {
		bad("retries", "%d is more than 10", o.Retries)
	}
	if len(o.Units) > maxUnits {
		bad("units", "more than %d", maxUnits)
		return nil, line, wrong
	}
	tables, faults := o.tables()
	wrong = append(wrong, faults...)
	for i, u := range o.Units {
		key := fmt.Sprintf("units[%d]", i)
		if u.Address < 1 || u.Address > maxUnit {
			bad(key+".address", "%d is not 1 to %d", u.Address, maxUnit)
		}
		if u.Interval < 0 || u.Interval > maxInterval {
			bad(key+".interval", "%d is not 1 to %d seconds", u.Interval, maxInterval)
		}
		if u.SlowInterval < 0 || u.SlowInterval > maxInterval {
			bad(key+".slow_interval", "%d is not 1 to %d seconds", u.SlowInterval, maxInterval)
		}
		t, known := tables[u.Map]
		if !known {
			bad(key+".map", "%q is none of %s", u.Map, strings.Join(slices.Sorted(maps.Keys(tables)), ", "))
		}
		if t == nil {
			continue
		}
		for _, other := range units {
			if other.Address == u.Address && other.table == t {
				bad(key+".address", "%d is there twice with the map %s", u.Address, u.Map)
			}
		}
		units = append(units, newUnit(u, t))
	}
	if o.Line == "" && len(units) > 0 {
		line = units[0].table.line
	}
	for _, u := range units {
		if o.Line == "" && u.table.line != line {
			bad("line", "%s is delivered with %v and %s with %v: set all units to the same, and say it here",
				units[0].Map, line, u.Map, u.table.line)
			break
		}
	}
	if len(wrong) > 0 {
		return nil, line, wrong
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
	return units, line, nil
}

// tables returns the tables of the house and of the user, by name. A map that is
// wrong has none.
func (o Options) tables() (tables map[string]*table, wrong []error) {
	tables = make(map[string]*table)
	for _, m := range Maps() {
		t, faults := m.compile()
		for _, err := range faults {
			wrong = append(wrong, fmt.Errorf("the map %s of the house: %w", m.Name, err))
		}
		tables[m.Name] = t
	}
	if len(o.Maps) > maxMaps {
		return tables, append(wrong, fmt.Errorf("maps: more than %d", maxMaps))
	}
	own := make(map[string]bool)
	for i, m := range o.Maps {
		t, faults := m.compile()
		for _, err := range faults {
			wrong = append(wrong, fmt.Errorf("maps[%d].%w", i, err))
			t = nil
		}
		if own[m.Name] {
			wrong = append(wrong, fmt.Errorf("maps[%d].name: %s is there twice", i, m.Name))
		}
		own[m.Name] = true
		tables[m.Name] = t
	}
	return tables, wrong
}

// parseLine reads the setting of a line. RTU frames have 8 data bits (MODBUS over
// serial line 1.02, 2.5.1).
func parseLine(text string) (serialbridge.Line, error) {
	line, err := serialbridge.ParseLine(text)
	if err == nil && line.DataBits != 8 {
		err = fmt.Errorf("%q has not the 8 data bits of Modbus RTU", text)
	}
	return line, err
}

func (o Options) timeout() time.Duration {
	return cmp.Or(time.Duration(o.Timeout)*time.Millisecond, defaultTimeout)
}

// tries is how often something is asked before it counts as not answered.
func (o Options) tries() int { return 1 + max(0, cmp.Or(o.Retries, defaultRetries)) }
