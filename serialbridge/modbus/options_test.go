package modbus

import (
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"lintel/hardware"
	"lintel/serialbridge"
)

func TestOptions(t *testing.T) {
	var o Options
	meta, err := toml.Decode(`
baud = 19200
parity = "even"
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
	units, _ := o.compile()
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
	if d.Protocol != "modbus" || d.Run == nil || d.Match(hardware.SerialPort{VendorID: "0403", ProductID: "6001"}) != serialbridge.No {
		t.Error("not the driver that it should be")
	}
	o = Options{Listen: true, Units: o.Units[:1]}
	if d := Driver(o); d.Lines[0].Baud != 2400 || d.Run != nil {
		t.Errorf("baud %d, Run %t", d.Lines[0].Baud, d.Run != nil)
	}
	if d := Driver(Options{Baud: -1}); d.Lines[0].Baud != 9600 || d.Run(t.Context(), nil, nil, nil) == nil {
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
		{Options{}, "no units"},
		{Options{Units: unit, Baud: 10}, "baud 10"},
		{Options{Units: unit, Parity: "mark"}, `parity "mark"`},
		{Options{Units: unit, StopBits: 3}, "stop_bits 3"},
		{Options{Units: unit, Timeout: -1}, "timeout -1"},
		{Options{Units: unit, Retries: 11}, "retries 11"},
		{Options{Units: []Unit{{Address: 0, Map: "sdm120"}}}, "unit address 0"},
		{Options{Units: []Unit{{Address: 248, Map: "sdm120"}}}, "unit address 248"},
		{Options{Units: []Unit{{Address: 3, Map: "sdm12"}}}, `unit 3: there is no map "sdm12", but dtsu666, `},
		{Options{Units: []Unit{{Address: 3, Map: "sdm120", Interval: -1}}}, "unit 3: an interval"},
		{Options{Units: append(unit, unit...)}, "unit 1 is there twice"},
		{Options{Units: append(unit, Unit{Address: 2, Map: "sdm630"})}, "sdm120 is delivered with 2400 baud and sdm630 with 9600"},
		{Options{Units: make([]Unit, maxUnits+1)}, "more than 64 units"},
		{Options{Units: unit, Maps: make([]Map, maxMaps+1)}, "more than 64 maps"},
		{Options{Units: unit, Maps: []Map{{Name: "SDM 120"}}}, `the name of the map "SDM 120"`},
		{own(Map{}), "map own: it has no registers"},
		{own(Map{Registers: many}), "more than 200 registers"},
		{own(Map{MaxRead: 126}), "max_read 126"},
		{own(Map{MaxGap: -1}), "max_gap -1"},
		{own(Map{Pause: -1}), "pause -1"},
		{own(Map{Baud: 1}), "baud 1"},
		{own(Map{MaxRead: 1, Registers: []Register{{Key: "v", Name: "V", Function: "holding", Type: "u32"}}}), "register v is longer than max_read"},
		{own(Map{Registers: []Register{{Kind: "serial", Function: "holding", Type: "u32"}}}), "none of its registers is a property"},
		{own(Map{Function: "coil", Registers: []Register{{Key: "v", Name: "V"}, {Key: "v", Name: "V"}}}), "the key v is there twice"},
		{register(Register{}), `map own: register v: its function ""`},
		{register(Register{Function: "coil", Type: "u16"}), "a coil has no type"},
		{register(Register{Function: "coil", Scale: 2}), "are for numbers"},
		{register(Register{Function: "discrete", Writable: true}), "a discrete register cannot be written"},
		{register(Register{Function: "discrete", Kind: "state"}), "a choice or a state that is a number has options"},
		{register(Register{Function: "coil", Kind: "measurement"}), "a measurement cannot be in such a register"},
		{register(Register{Function: "input", Type: "u8"}), `its type "u8"`},
		{holding(Register{Type: "text"}), "the length of a text"},
		{holding(Register{Length: 2}), "only a text has a length"},
		{holding(Register{Address: -1}), "its address -1"},
		{holding(Register{Address: 65535, Type: "u32"}), "its address 65535"},
		{holding(Register{Words: "middle"}), `its words are "middle"`},
		{holding(Register{Poll: "never"}), `its poll is "never"`},
		{holding(Register{Scale: -0.1}), "its scale -0.1"},
		{holding(Register{Type: "text", Length: 2, Mask: 1}), "are for numbers"},
		{holding(Register{Type: "float32", Mask: 1}), "are for whole numbers"},
		{holding(Register{Kind: "light"}), `its kind "light"`},
		{holding(Register{Kind: "setting"}), "switch, setting and choice are writable"},
		{holding(Register{Kind: "measurement", Writable: true}), "switch, setting and choice are writable"},
		{holding(Register{Writable: true}), "a setting has a min below its max"},
		{holding(Register{Writable: true, Max: 70000}), "70000 does not fit into it"},
		{holding(Register{Writable: true, Min: -1, Max: 10}), "-1 does not fit into it"},
		{holding(Register{Writable: true, Max: 10, Step: -1}), "min, max and step"},
		{holding(Register{Writable: true, Max: 10, Mask: 1}), "is only read"},
		{holding(Register{Absolute: true}), "only a whole number with a sign"},
		{holding(Register{Options: []Option{{1, "a"}, {1, "b"}}}), "each option has a value and a name of its own"},
		{holding(Register{Options: []Option{{70000, "a"}}}), "option 70000 does not fit into it"},
		{holding(Register{Kind: "binary", Options: []Option{{1, "a"}}}), "other kinds have none"},
		{holding(Register{Key: "Voltage", Name: "V"}), `its key "Voltage"`},
		{holding(Register{Key: "voltage"}), "it has no name"},
		{holding(Register{Category: "secret"}), `its category "secret"`},
		{holding(Register{Category: "config"}), "the category config is for what is writable"},
		{holding(Register{Bits: []Bit{{Bit: 1}}}), "a register with bits has no key"},
		{own(Map{Registers: []Register{{Function: "holding", Type: "u16", Bits: []Bit{{Bit: 16}}}}}), "bit 16 is not 0 to 15"},
		{own(Map{Registers: []Register{{Function: "holding", Type: "u16", Bits: []Bit{{Bit: 3, Key: "v"}}}}}), "bit 3: it has no name"},
		{own(Map{Registers: []Register{{Kind: "serial", Function: "coil"}}}), "what a device says of itself"},
		{Options{Units: unit, Maps: []Map{{Name: "own", Function: "coil", Registers: []Register{{Key: "v", Name: "V"}}}, {Name: "own", Function: "coil", Registers: []Register{{Key: "v", Name: "V"}}}}}, "map own is there twice"},
	} {
		if err := test.o.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.o, err, test.want)
		}
	}
	// A user's map takes the place of one of the house.
	o := Options{Units: unit, Maps: []Map{{Name: "sdm120", Function: "coil", Registers: []Register{{Key: "v", Name: "V"}}}}}
	if units, err := o.compile(); err != nil || len(units[0].table.registers) != 1 {
		t.Error(err)
	}
}
