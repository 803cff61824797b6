package modbus

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// A Map says what is in the registers of a kind of device. The maps of the house
// are the files in maps; a user's own have the same form.
type Map struct {
	Name   string `toml:"name"`  // by which units ask for it: lower case, digits, underscores
	Title  string `toml:"title"` // what a person calls such a device; empty: Model
	Vendor string `toml:"vendor"`
	Model  string `toml:"model"`
	Baud   int    `toml:"baud"` // as the device is delivered; 0: 9600

	MaxRead       int  `toml:"max_read"`       // registers that one request may read; 0: 125
	MaxGap        int  `toml:"max_gap"`        // registers that nobody wants but may be read along
	Pause         int  `toml:"pause"`          // milliseconds that the device needs between two requests
	WriteMultiple bool `toml:"write_multiple"` // the device wants functions 15 and 16 for single ones too

	// What holds for the registers that do not say it themselves.
	Function string `toml:"function"`
	Type     string `toml:"type"`
	Words    string `toml:"words"`

	Registers []Register `toml:"registers"`
}

// A Register is a value of a device, in as many registers as its type needs.
type Register struct {
	Key      string `toml:"key"`
	Name     string `toml:"name"`
	Function string `toml:"function"` // coil, discrete, holding or input
	Address  int    `toml:"address"`  // as it goes over the line: 0 is what some manuals call 30001 or 40001
	Type     string `toml:"type"`     // u16, i16, u32, i32, u64, i64, float32 or text; empty for coil and discrete
	Words    string `toml:"words"`    // big: the register with the high bits comes first (also if empty); little: last
	Length   int    `toml:"length"`   // of a text, in registers

	Mask     uint64  `toml:"mask"`     // the bits that are the value; 0: all
	Invalid  []int64 `toml:"invalid"`  // what stands there if there is no value
	Absolute bool    `toml:"absolute"` // the sign means nothing
	Scale    float64 `toml:"scale"`    // the value is the number in the register times this; 0: 1

	Unit       string `toml:"unit"`
	Class      string `toml:"class"`       // device_class; empty: that of the unit; "-": none
	StateClass string `toml:"state_class"` // the same
	Precision  int    `toml:"precision"`   // decimals worth showing; 0: those of Scale, and not said of a float32; negative: not said

	// Kind is that of the property: measurement, state, binary, switch,
	// setting, choice; empty: what follows from the rest. Or it says what the
	// device says of itself, which is no property: serial, model, software,
	// hardware.
	Kind     string   `toml:"kind"`
	Category string   `toml:"category"` // diagnostic or config
	Poll     string   `toml:"poll"`     // fast (also if empty) or slow
	Options  []Option `toml:"options"`  // names of the numbers of a state or choice
	Bits     []Bit    `toml:"bits"`     // that are properties of their own

	Writable bool    `toml:"writable"`
	Min      float64 `toml:"min"` // range of a setting
	Max      float64 `toml:"max"`
	Step     float64 `toml:"step"`
}

// An Option is a number that stands for something.
type Option struct {
	Value int64  `toml:"value"`
	Name  string `toml:"name"`
}

// A Bit of a register is a property of its own: true or false.
type Bit struct {
	Bit      int    `toml:"bit"` // 0 is the lowest
	Key      string `toml:"key"`
	Name     string `toml:"name"`
	Class    string `toml:"class"`
	Category string `toml:"category"`
}

// What a register may be besides the kinds of properties: what a device says of
// itself.
const (
	kindSerial   = "serial"
	kindModel    = "model"
	kindSoftware = "software"
	kindHardware = "hardware"
)

const (
	maxRegisters = 200 // of a map; a device has at most 256 properties
	maxText      = 64  // registers
)

// A register is a Register that was found in order.
type register struct {
	Register
	read     byte // the function that reads it
	words    int  // registers that it takes; 1 for a coil
	size     int  // bits of a number
	signed   bool
	little   bool
	scale    *big.Rat
	whole    bool // the scaled values of a whole number are whole
	property serialbridge.Property
	bits     []serialbridge.Property // one for each of Bits
}

// A table is a Map that was found in order.
type table struct {
	Map
	registers []*register
	identity  []*register // what the device says of itself
}

var keyForm = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// compile makes a table of a map, or says what is wrong with it.
func (m Map) compile() (*table, error) {
	t := &table{Map: m}
	if !keyForm.MatchString(m.Name) {
		return nil, fmt.Errorf("the name of the map %q is not made of 1 to 32 lower case letters, digits and underscores", m.Name)
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("map %s: %s", m.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case m.MaxRead < 0 || m.MaxRead > maxReadRegisters:
		return nil, wrong("max_read %d is not 1 to %d", m.MaxRead, maxReadRegisters)
	case m.MaxGap < 0 || m.MaxGap > maxReadRegisters:
		return nil, wrong("max_gap %d is not 0 to %d", m.MaxGap, maxReadRegisters)
	case m.Pause < 0 || m.Pause > 10_000:
		return nil, wrong("pause %d is not 0 to 10000 milliseconds", m.Pause)
	case m.Baud != 0 && (m.Baud < minBaud || m.Baud > maxBaud):
		return nil, wrong("baud %d is not %d to %d", m.Baud, minBaud, maxBaud)
	case len(m.Registers) == 0:
		return nil, wrong("it has no registers")
	case len(m.Registers) > maxRegisters:
		return nil, wrong("it has more than %d registers", maxRegisters)
	}
	t.MaxRead = cmp.Or(m.MaxRead, maxReadRegisters)
	keys := make(map[string]bool)
	for i, r := range m.Registers {
		r.Function = cmp.Or(r.Function, m.Function)
		if r.Function == "holding" || r.Function == "input" {
			r.Type, r.Words = cmp.Or(r.Type, m.Type), cmp.Or(r.Words, m.Words)
		}
		compiled, err := r.compile()
		if err != nil {
			return nil, wrong("register %s: %v", cmp.Or(r.Key, r.Kind, strconv.Itoa(i+1)), err)
		}
		if compiled.words > t.MaxRead {
			return nil, wrong("register %s is longer than max_read", cmp.Or(r.Key, r.Kind))
		}
		if compiled.isIdentity() {
			t.identity = append(t.identity, compiled)
			continue
		}
		for _, p := range compiled.properties() {
			if keys[p.Key] {
				return nil, wrong("the key %s is there twice", p.Key)
			}
			keys[p.Key] = true
		}
		t.registers = append(t.registers, compiled)
	}
	if len(t.registers) == 0 {
		return nil, wrong("none of its registers is a property")
	}
	if len(keys) > maxRegisters {
		return nil, wrong("it has more than %d properties", maxRegisters)
	}
	return t, nil
}

// types are those of numbers, in bits; negative: signed.
var types = map[string]int{"u16": 16, "i16": -16, "u32": 32, "i32": -32, "u64": 64, "i64": -64, "float32": 32}

// compile makes a register of a Register, or says what is wrong with it.
func (r Register) compile() (*register, error) {
	c := &register{Register: r, words: 1, size: 1}
	switch r.Function {
	case "coil":
		c.read = readCoils
	case "discrete":
		c.read = readDiscreteInputs
	case "holding":
		c.read = readHoldingRegisters
	case "input":
		c.read = readInputRegisters
	default:
		return nil, fmt.Errorf("its function %q is none of coil, discrete, holding, input", r.Function)
	}
	if bits := c.read <= readDiscreteInputs; bits {
		if r.Type != "" {
			return nil, fmt.Errorf("a %s has no type", r.Function)
		}
	} else if r.Type == "text" {
		if c.words = r.Length; r.Length < 1 || r.Length > maxText {
			return nil, fmt.Errorf("the length of a text is 1 to %d registers", maxText)
		}
	} else {
		size, known := types[r.Type]
		if !known {
			return nil, fmt.Errorf("its type %q is none of u16, i16, u32, i32, u64, i64, float32, text", r.Type)
		}
		c.signed = size < 0
		c.size = max(size, -size)
		c.words = c.size / 16
	}
	if r.Length != 0 && r.Type != "text" {
		return nil, fmt.Errorf("only a text has a length")
	}
	if r.Address < 0 || r.Address+c.words > 1<<16 {
		return nil, fmt.Errorf("its address %d is not 0 to 65535", r.Address)
	}
	switch r.Words {
	case "", "big":
	case "little":
		c.little = true
	default:
		return nil, fmt.Errorf("its words are %q, neither big nor little", r.Words)
	}
	if r.Poll != "" && r.Poll != "fast" && r.Poll != "slow" {
		return nil, fmt.Errorf("its poll is %q, neither fast nor slow", r.Poll)
	}
	if r.Writable && (r.Function == "input" || r.Function == "discrete") {
		return nil, fmt.Errorf("a %s register cannot be written", r.Function)
	}
	if r.Scale < 0 || math.IsNaN(r.Scale) || math.IsInf(r.Scale, 0) {
		// A negative scale would turn min and max around.
		return nil, fmt.Errorf("its scale %v is not above 0", r.Scale)
	}
	// The number that the user has written: 0.1 and not the float next to it.
	c.scale, _ = new(big.Rat).SetString(strconv.FormatFloat(cmp.Or(r.Scale, 1), 'g', -1, 64))
	c.whole = c.scale.IsInt() && r.Type != "float32"
	if !c.isNumber() && (r.Mask != 0 || len(r.Invalid) > 0 || r.Scale != 0 || len(r.Options) > 0 || len(r.Bits) > 0) {
		return nil, fmt.Errorf("mask, invalid, scale, options and bits are for numbers")
	}
	if r.Type == "float32" && (r.Mask != 0 || len(r.Invalid) > 0 || len(r.Options) > 0 || len(r.Bits) > 0) {
		return nil, fmt.Errorf("mask, invalid, options and bits are for whole numbers")
	}
	if c.isIdentity() {
		return c, c.checkIdentity()
	}
	if len(r.Bits) > 0 {
		return c, c.compileBits()
	}
	return c, c.compileProperty()
}

// isNumber reports whether there is a number in the register.
func (c *register) isNumber() bool { return c.read >= readHoldingRegisters && c.Type != "text" }

// isIdentity reports whether the register is what a device says of itself.
func (c *register) isIdentity() bool {
	return c.Kind == kindSerial || c.Kind == kindModel || c.Kind == kindSoftware || c.Kind == kindHardware
}

func (c *register) checkIdentity() error {
	if c.read <= readDiscreteInputs || c.Type == "float32" || c.Writable || len(c.Options) > 0 || len(c.Bits) > 0 || c.Scale != 0 {
		return fmt.Errorf("what a device says of itself is a text or a whole number that is only read")
	}
	return nil
}

func (c *register) compileBits() error {
	if c.Writable || c.Kind != "" || len(c.Options) > 0 || c.Key != "" {
		return fmt.Errorf("a register with bits has no key, no kind and no options of its own, and is only read")
	}
	for _, b := range c.Bits {
		if b.Bit < 0 || b.Bit >= c.size {
			return fmt.Errorf("bit %d is not 0 to %d", b.Bit, c.size-1)
		}
		p := serialbridge.Property{Key: b.Key, Name: b.Name, Kind: serialbridge.Binary, Class: b.Class, Category: serialbridge.Category(b.Category), Precision: -1}
		if err := checkProperty(p); err != nil {
			return fmt.Errorf("bit %d: %w", b.Bit, err)
		}
		c.bits = append(c.bits, p)
	}
	return nil
}

// compileProperty works out what property the register is.
func (c *register) compileProperty() error {
	kind := serialbridge.Kind(c.Kind)
	if kind == "" {
		switch {
		case !c.isNumber() && c.Type != "text" && c.Writable:
			kind = serialbridge.Switch
		case !c.isNumber() && c.Type != "text":
			kind = serialbridge.Binary
		case len(c.Options) > 0 && c.Writable:
			kind = serialbridge.Choice
		case len(c.Options) > 0 || c.Type == "text":
			kind = serialbridge.State
		case c.Writable:
			kind = serialbridge.Setting
		default:
			kind = serialbridge.Measurement
		}
	}
	commanded := kind == serialbridge.Switch || kind == serialbridge.Setting || kind == serialbridge.Choice
	switch {
	case commanded != c.Writable:
		return fmt.Errorf("switch, setting and choice are writable, other kinds are not")
	case (kind == serialbridge.Choice || kind == serialbridge.State && c.Type != "text") != (len(c.Options) > 0):
		return fmt.Errorf("a choice or a state that is a number has options, other kinds have none")
	case (kind == serialbridge.Measurement || kind == serialbridge.Setting || kind == serialbridge.Choice) && !c.isNumber(),
		kind == serialbridge.State && c.read <= readDiscreteInputs,
		(kind == serialbridge.Binary || kind == serialbridge.Switch) && (c.Type == "text" || c.Type == "float32"):
		return fmt.Errorf("a %s cannot be in such a register", kind)
	case kind == serialbridge.Setting && !(c.Min < c.Max):
		return fmt.Errorf("a setting has a min below its max")
	case kind == serialbridge.Setting && (c.Step < 0 || math.IsNaN(c.Step) || math.IsInf(c.Max-c.Min, 0)):
		return fmt.Errorf("min, max and step of a setting are finite numbers")
	case commanded && (c.Mask != 0 || c.Absolute):
		return fmt.Errorf("what has a mask, or no sign, is only read")
	case c.Absolute && !c.signed:
		return fmt.Errorf("only a whole number with a sign can do without it")
	}
	switch kind {
	case serialbridge.Measurement, serialbridge.State, serialbridge.Binary, serialbridge.Switch, serialbridge.Setting, serialbridge.Choice:
	default:
		return fmt.Errorf("its kind %q is none of measurement, state, binary, switch, setting, choice, serial, model, software, hardware", c.Kind)
	}
	p := serialbridge.Property{Key: c.Key, Name: c.Name, Kind: kind, Unit: c.Unit, Category: serialbridge.Category(c.Category), Precision: -1}
	usual := unitClasses[c.Unit]
	p.Class = chosen(c.Class, usual.class)
	if kind == serialbridge.Measurement {
		p.StateClass = chosen(c.StateClass, cmp.Or(usual.stateClass, "measurement"))
	}
	if kind == serialbridge.Measurement || kind == serialbridge.Setting {
		p.Precision = c.precision()
	}
	if kind == serialbridge.Setting {
		p.Min, p.Max = c.Min, c.Max
		p.Step = cmp.Or(c.Step, c.Scale, 1)
		for _, limit := range []float64{c.Min, c.Max} {
			if _, ok := c.unscaled(limit); !ok {
				return fmt.Errorf("%v does not fit into it", limit)
			}
		}
	}
	seen := make(map[int64]bool)
	for _, o := range c.Options {
		if o.Name == "" || seen[o.Value] || slices.Contains(p.Options, o.Name) {
			return fmt.Errorf("each option has a value and a name of its own")
		}
		if !c.holds(big.NewInt(o.Value)) {
			return fmt.Errorf("option %d does not fit into it", o.Value)
		}
		seen[o.Value] = true
		p.Options = append(p.Options, o.Name)
	}
	if len(p.Options) > 64 {
		return fmt.Errorf("it has more than 64 options")
	}
	c.property = p
	return checkProperty(p)
}

func checkProperty(p serialbridge.Property) error {
	switch {
	case !keyForm.MatchString(p.Key):
		return fmt.Errorf("its key %q is not made of 1 to 32 lower case letters, digits and underscores", p.Key)
	case p.Name == "":
		return fmt.Errorf("it has no name")
	case p.Category != "" && p.Category != serialbridge.Diagnostic && p.Category != serialbridge.Config:
		return fmt.Errorf("its category %q is neither diagnostic nor config", p.Category)
	case p.Category == serialbridge.Config && p.Kind != serialbridge.Switch && p.Kind != serialbridge.Setting && p.Kind != serialbridge.Choice:
		return fmt.Errorf("the category config is for what is writable")
	}
	return nil
}

// chosen returns what is said, or what is usual if nothing is said; "-" says none.
func chosen(said, usual string) string {
	switch said {
	case "":
		return usual
	case "-":
		return ""
	}
	return said
}

// unitClasses are the classes that follow from a unit, where there is one only.
var unitClasses = map[string]struct{ class, stateClass string }{
	"V": {"voltage", ""}, "mV": {"voltage", ""}, "A": {"current", ""}, "mA": {"current", ""},
	"W": {"power", ""}, "kW": {"power", ""}, "VA": {"apparent_power", ""}, "kVA": {"apparent_power", ""},
	"var": {"reactive_power", ""}, "kvar": {"reactive_power", ""}, "Hz": {"frequency", ""}, "°C": {"temperature", ""},
	"Wh": {"energy", "total_increasing"}, "kWh": {"energy", "total_increasing"}, "MWh": {"energy", "total_increasing"},
	"varh": {"reactive_energy", "total_increasing"}, "kvarh": {"reactive_energy", "total_increasing"},
}

// precision returns the decimals worth showing.
func (c *register) precision() int {
	if c.Precision != 0 {
		return max(c.Precision, -1)
	}
	if c.Type == "float32" {
		return -1
	}
	decimals := 0
	if text := strconv.FormatFloat(cmp.Or(c.Scale, 1), 'f', -1, 64); strings.Contains(text, ".") {
		decimals = len(text) - strings.Index(text, ".") - 1
	}
	return decimals
}

// properties returns what the register is to the house.
func (c *register) properties() []serialbridge.Property {
	if len(c.Bits) > 0 {
		return c.bits
	}
	return []serialbridge.Property{c.property}
}
