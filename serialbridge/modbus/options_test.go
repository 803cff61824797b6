package modbus

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"lintel/serialbridge"
)

func TestOptions(t *testing.T) {
	var o Options
	meta, err := toml.Decode(`
line = "19200 8E1"
timeout = 300
units = [
  { address = 1, map = "sdm120", name = "Heat pump" },
  { address = 9, map = "relays", interval = 2, slow_interval = 30 },
]

[[maps]]
name = "relays"
title = "Relays"
function = "coil"
registers = [
  { key = "pump", name = "Pump", address = 0, writable = true },
  { key = "mode", name = "Mode", function = "holding", type = "u16", address = 4, writable = true, options = [{ value = 0, name = "eco" }, { value = 7, name = "party" }] },
  { key = "target", name = "Target", function = "holding", type = "i16", address = 5, scale = 0.1, unit = "°C", writable = true, min = 5, max = 30, step = 0.5 },
  { function = "input", type = "u16", address = 0, bits = [{ bit = 3, key = "fault", name = "Fault", class = "problem" }] },
]
`, &o)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("%v, undecoded %v", err, meta.Undecoded())
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	units, _, _ := o.compile()
	if got, want := units[1].device(), (serialbridge.Device{
		ID: "modbus_relays_9", Name: "Relays", Anonymous: true,
		Properties: []serialbridge.Property{
			{Key: "pump", Name: "Pump", Kind: serialbridge.Switch, Precision: -1},
			{Key: "mode", Name: "Mode", Kind: serialbridge.Choice, Options: []string{"eco", "party"}, Precision: -1},
			{Key: "target", Name: "Target", Kind: serialbridge.Setting, Unit: "°C", Class: "temperature", Min: 5, Max: 30, Step: 0.5, Precision: 1},
			{Key: "fault", Name: "Fault", Kind: serialbridge.Binary, Class: "problem", Precision: -1},
		},
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("device\n%+v\nwant\n%+v", got, want)
	}
	d := Driver(o)
	if want := (serialbridge.Line{Baud: 19200, DataBits: 8, Parity: 'E', StopBits: 1}); d.Lines[0] != want || len(d.Lines) != 1 {
		t.Errorf("lines %v", d.Lines)
	}
	if d.Protocol != "modbus" || d.Run == nil || d.Match != nil {
		t.Error("not the driver that it should be")
	}
	o = Options{Listen: true, Units: o.Units[:1]}
	if d := Driver(o); d.Lines[0].Baud != 2400 || d.Run != nil {
		t.Errorf("baud %d, Run %t", d.Lines[0].Baud, d.Run != nil)
	}
	if d := Driver(Options{Line: "fast"}); d.Lines[0].Baud != 9600 || d.Run(t.Context(), nil, nil, nil) == nil {
		t.Error("bad options make a driver that runs")
	}
}

func TestCheck(t *testing.T) {
	unit := []Unit{{Address: 1, Map: "sdm120"}}
	own := func(m Map) Options {
		if m.Name == "" {
			m.Name = "own"
		}
		return Options{Units: unit, Maps: []Map{m}}
	}
	register := func(r Register) Options {
		if r.Key == "" && r.Name == "" {
			r.Key, r.Name = "v", "V"
		}
		return own(Map{Registers: []Register{r}})
	}
	holding := func(r Register) Options {
		r.Function = "holding"
		if r.Type == "" {
			r.Type = "u16"
		}
		return register(r)
	}
	many := make([]Register, maxRegisters+1)
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{}, "units: there are none"},
		{Options{Units: unit, Line: "9600"}, `line: "9600" is no setting of a line`},
		{Options{Units: unit, Line: "9600 7E1"}, "line: \"9600 7E1\" has not the 8 data bits"},
		{Options{Units: unit, Timeout: -1}, "timeout: -1"},
		{Options{Units: unit, Retries: 11}, "retries: 11"},
		{Options{Units: []Unit{{Address: 0, Map: "sdm120"}}}, "units[0].address: 0 is not 1 to 247"},
		{Options{Units: []Unit{{Address: 248, Map: "sdm120"}}}, "units[0].address: 248"},
		{Options{Units: []Unit{{Address: 3, Map: "sdm12"}}}, `units[0].map: "sdm12" is none of dtsu666, `},
		{Options{Units: []Unit{{Address: 3, Map: "sdm120", Interval: -1}}}, "units[0].interval: -1"},
		{Options{Units: []Unit{{Address: 3, Map: "sdm120", SlowInterval: 86401}}}, "units[0].slow_interval: 86401"},
		{Options{Units: append(unit, unit...)}, "units[1].address: 1 is there twice with the map sdm120"},
		{Options{Units: append(unit, Unit{Address: 2, Map: "sdm630"})}, "line: sdm120 is delivered with 2400 8N1 and sdm630 with 9600 8N1"},
		{Options{Units: make([]Unit, maxUnits+1)}, "units: more than 64"},
		{Options{Units: unit, Maps: make([]Map, maxMaps+1)}, "maps: more than 64"},
		{Options{Units: unit, Maps: []Map{{Name: "SDM 120"}}}, `maps[0].name: "SDM 120"`},
		{own(Map{}), "maps[0].registers: there is none"},
		{own(Map{Registers: many}), "maps[0].registers: more than 200"},
		{own(Map{MaxRead: 126}), "maps[0].max_read: 126"},
		{own(Map{MaxGap: -1}), "maps[0].max_gap: -1"},
		{own(Map{Pause: -1}), "maps[0].pause: -1"},
		{own(Map{Line: "1"}), "maps[0].line: "},
		{own(Map{MaxRead: 1, Registers: []Register{{Key: "v", Name: "V", Function: "holding", Type: "u32"}}}), "registers[0].type: it takes more registers than max_read"},
		{own(Map{Registers: []Register{{Kind: "serial", Function: "holding", Type: "u32"}}}), "registers: there is none that is a property"},
		{own(Map{Function: "coil", Registers: []Register{{Key: "v", Name: "V"}, {Key: "v", Name: "V"}}}), "maps[0].registers[1].key: v is there twice"},
		{register(Register{}), `maps[0].registers[0].function: ""`},
		{register(Register{Function: "coil", Type: "u16"}), "type: a coil has none"},
		{register(Register{Function: "coil", Scale: 2}), "function: mask, invalid"},
		{register(Register{Function: "discrete", Writable: true}), "writable: a discrete register is not"},
		{register(Register{Function: "discrete", Kind: "state"}), "options: a choice, or a state"},
		{register(Register{Function: "coil", Kind: "measurement"}), "kind: a measurement cannot be"},
		{register(Register{Function: "input", Type: "u8"}), `type: "u8"`},
		{holding(Register{Type: "text"}), "length: a text has 1 to 64"},
		{holding(Register{Length: 2}), "length: only a text"},
		{holding(Register{Address: -1}), "address: -1"},
		{holding(Register{Address: 65535, Type: "u32"}), "address: 65535"},
		{holding(Register{Words: "middle"}), `words: "middle"`},
		{holding(Register{Poll: "never"}), `poll: "never"`},
		{holding(Register{Scale: -0.1}), "scale: -0.1"},
		{holding(Register{Type: "text", Length: 2, Mask: 1}), "function: mask, invalid"},
		{holding(Register{Type: "float32", Mask: 1}), "type: mask, invalid"},
		{holding(Register{Kind: "light"}), `kind: "light"`},
		{holding(Register{Kind: "setting"}), "writable: switch, setting and choice are"},
		{holding(Register{Kind: "measurement", Writable: true}), "writable: switch, setting and choice are"},
		{holding(Register{Writable: true}), "min: a setting has one below its max"},
		{holding(Register{Writable: true, Max: 70000}), "max: 70000 does not fit"},
		{holding(Register{Writable: true, Min: -1, Max: 10}), "max: -1 does not fit"},
		{holding(Register{Writable: true, Max: 10, Step: -1}), "step: min, max and step"},
		{holding(Register{Writable: true, Max: 10, Mask: 1}), "writable: what has a mask"},
		{holding(Register{Absolute: true}), "absolute: only a whole number"},
		{holding(Register{Options: []Option{{1, "a"}, {1, "b"}}}), "options[1].name: each option"},
		{holding(Register{Options: []Option{{70000, "a"}}}), "options[0].value: 70000"},
		{holding(Register{Kind: "binary", Options: []Option{{1, "a"}}}), "options: a choice, or a state"},
		{holding(Register{Key: "Voltage", Name: "V"}), `key: "Voltage"`},
		{holding(Register{Key: "voltage"}), "name: there is none"},
		{holding(Register{Category: "secret"}), `category: "secret"`},
		{holding(Register{Category: "config"}), "category: config is for what is writable"},
		{holding(Register{Bits: []Bit{{Bit: 1}}}), "bits: a register that has them"},
		{own(Map{Registers: []Register{{Function: "holding", Type: "u16", Bits: []Bit{{Bit: 16}}}}}), "bits[0].bit: 16 is not 0 to 15"},
		{own(Map{Registers: []Register{{Function: "holding", Type: "u16", Bits: []Bit{{Bit: 3, Key: "v"}}}}}), "bits[0].name: there is none"},
		{own(Map{Registers: []Register{{Kind: "serial", Function: "coil"}}}), "kind: what a device says of itself"},
		{Options{Units: unit, Maps: []Map{{Name: "own", Function: "coil", Registers: []Register{{Key: "v", Name: "V"}}}, {Name: "own", Function: "coil", Registers: []Register{{Key: "v", Name: "V"}}}}}, "maps[1].name: own is there twice"},
	} {
		err := test.o.Check()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.o, err, test.want)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if !keyed.MatchString(line) {
				t.Errorf("%q does not begin with a key", line)
			}
		}
	}
	// All that is wrong is said at once.
	err := Options{Timeout: -1, Units: []Unit{{Address: 300, Map: "x", Interval: -1}}, Maps: []Map{{Name: "y", Registers: []Register{{}, {Function: "coil"}}}}}.Check()
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 6 {
		t.Errorf("%d lines: %v", len(lines), err)
	}
	// A user's map takes the place of one of the house.
	o := Options{Units: unit, Maps: []Map{{Name: "sdm120", Function: "coil", Registers: []Register{{Key: "v", Name: "V"}}}}}
	if units, _, wrong := o.compile(); len(wrong) > 0 || len(units[0].table.registers) != 1 {
		t.Error(wrong)
	}
}

// keyed is how each line of an error begins, for the gateway to say where it is.
var keyed = regexp.MustCompile(`^[a-z0-9_]+(\[[0-9]+\])?(\.[a-z0-9_]+(\[[0-9]+\])?)*: `)
