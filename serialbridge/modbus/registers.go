package modbus

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"

	"lintel/serialbridge"
)

// A Map says what is in the registers of a kind of device. The maps of the house
// are the files in maps; a user's own have the same form.
type Map struct {
	Name   string `toml:"name"`  // by which units ask for it: lower case, digits, underscores
	Title  string `toml:"title"` // what a person calls such a device; empty: Model
	Vendor string `toml:"vendor"`
	Model  string `toml:"model"`
	Line   string `toml:"line"` // with which the device is delivered; empty: 9600 8N1

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
	line      serialbridge.Line
	registers []*register
	identity  []*register // what the device says of itself
}

var keyForm = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// compile makes a table of a map, or says what is wrong with it: the key, and why.
func (m Map) compile() (*table, []error) {
	t := &table{Map: m}
	var wrong []error
	bad := func(key, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if !keyForm.MatchString(m.Name) {
		bad("name", "%q is not made of 1 to 32 lower case letters, digits and underscores", m.Name)
	}
	if m.MaxRead < 0 || m.MaxRead > maxReadRegisters {
		bad("max_read", "%d is not 1 to %d", m.MaxRead, maxReadRegisters)
	}
	if m.MaxGap < 0 || m.MaxGap > maxReadRegisters {
		bad("max_gap", "%d is not 0 to %d", m.MaxGap, maxReadRegisters)
	}
	if m.Pause < 0 || m.Pause > 10_000 {
		bad("pause", "%d is not 0 to 10000 milliseconds", m.Pause)
	}
	var err error
	if t.line, err = parseLine(cmp.Or(m.Line, defaultLine)); err != nil {
		bad("line", "%v", err)
	}
	if len(m.Registers) > maxRegisters {
		bad("registers", "more than %d", maxRegisters)
		return nil, wrong
	}
	t.MaxRead = cmp.Or(m.MaxRead, maxReadRegisters)
	keys := make(map[string]bool)
	for i, r := range m.Registers {
		r.Function = cmp.Or(r.Function, m.Function)
		if r.Function == "holding" || r.Function == "input" {
			r.Type, r.Words = cmp.Or(r.Type, m.Type), cmp.Or(r.Words, m.Words)
		}
		c, err := r.compile()
		if err != nil {
			wrong = append(wrong, fmt.Errorf("registers[%d].%w", i, err))
			continue
		}
		if c.words > t.MaxRead {
			bad(fmt.Sprintf("registers[%d].type", i), "it takes more registers than max_read allows")
		}
		if c.isIdentity() {
			t.identity = append(t.identity, c)
			continue
		}
		for _, p := range c.properties() {
			if keys[p.Key] {
				bad(fmt.Sprintf("registers[%d].key", i), "%s is there twice", p.Key)
			}
			keys[p.Key] = true
		}
		t.registers = append(t.registers, c)
	}
	if len(wrong) == 0 && len(t.registers) == 0 {
		bad("registers", "there is none that is a property")
	}
	if len(keys) > maxRegisters {
		bad("registers", "more than %d properties", maxRegisters)
	}
	return t, wrong
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
		return nil, fmt.Errorf("function: %q is none of coil, discrete, holding, input", r.Function)
	}
	switch size, isNumber := types[r.Type]; {
	case c.read <= readDiscreteInputs && r.Type != "":
		return nil, fmt.Errorf("type: a %s has none", r.Function)
	case c.read <= readDiscreteInputs:
	case r.Type == "text" && (r.Length < 1 || r.Length > maxText):
		return nil, fmt.Errorf("length: a text has 1 to %d registers", maxText)
	case r.Type == "text":
		c.words = r.Length
	case !isNumber:
		return nil, fmt.Errorf("type: %q is none of u16, i16, u32, i32, u64, i64, float32, text", r.Type)
	default:
		c.signed = size < 0
		c.size = max(size, -size)
		c.words = c.size / 16
	}
	switch {
	case r.Length != 0 && r.Type != "text":
		return nil, fmt.Errorf("length: only a text has one")
	case r.Address < 0 || r.Address+c.words > 1<<16:
		return nil, fmt.Errorf("address: %d is not 0 to 65535", r.Address)
	case r.Words != "" && r.Words != "big" && r.Words != "little":
		return nil, fmt.Errorf("words: %q is neither big nor little", r.Words)
	case r.Poll != "" && r.Poll != "fast" && r.Poll != "slow":
		return nil, fmt.Errorf("poll: %q is neither fast nor slow", r.Poll)
	case r.Writable && (r.Function == "input" || r.Function == "discrete"):
		return nil, fmt.Errorf("writable: a %s register is not", r.Function)
	case r.Scale < 0 || math.IsNaN(r.Scale) || math.IsInf(r.Scale, 0):
		// A negative scale would turn min and max around.
		return nil, fmt.Errorf("scale: %v is not above 0", r.Scale)
	case !c.isNumber() && (r.Mask != 0 || len(r.Invalid) > 0 || r.Scale != 0 || len(r.Options) > 0 || len(r.Bits) > 0):
		return nil, fmt.Errorf("function: mask, invalid, scale, options and bits are for numbers in holding and input registers")
	case r.Type == "float32" && (r.Mask != 0 || len(r.Invalid) > 0 || len(r.Options) > 0 || len(r.Bits) > 0):
		return nil, fmt.Errorf("type: mask, invalid, options and bits are for whole numbers")
	}
	c.little = r.Words == "little"
	// The number that the user has written: 0.1 and not the float next to it.
	c.scale, _ = new(big.Rat).SetString(strconv.FormatFloat(cmp.Or(r.Scale, 1), 'g', -1, 64))
	c.whole = c.scale.IsInt() && r.Type != "float32"
	switch {
	case c.isIdentity():
		return c, c.checkIdentity()
	case len(r.Bits) > 0:
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
		return fmt.Errorf("kind: what a device says of itself is a text or a whole number, and only read")
	}
	return nil
}
