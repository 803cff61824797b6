package modbus

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// compileBits works out what properties the bits of the register are.
func (c *register) compileBits() error {
	if c.Writable || c.Kind != "" || len(c.Options) > 0 || c.Key != "" {
		return fmt.Errorf("bits: a register that has them has no key, no kind and no options of its own, and is only read")
	}
	for i, b := range c.Bits {
		if b.Bit < 0 || b.Bit >= c.size {
			return fmt.Errorf("bits[%d].bit: %d is not 0 to %d", i, b.Bit, c.size-1)
		}
		p := serialbridge.Property{Key: b.Key, Name: b.Name, Kind: serialbridge.Binary, Class: b.Class, Category: serialbridge.Category(b.Category), Precision: -1}
		if err := checkProperty(p); err != nil {
			return fmt.Errorf("bits[%d].%w", i, err)
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
		return fmt.Errorf("writable: switch, setting and choice are, other kinds are not")
	case (kind == serialbridge.Choice || kind == serialbridge.State && c.Type != "text") != (len(c.Options) > 0):
		return fmt.Errorf("options: a choice, or a state that is a number, has some, other kinds have none")
	case (kind == serialbridge.Measurement || kind == serialbridge.Setting || kind == serialbridge.Choice) && !c.isNumber(),
		kind == serialbridge.State && c.read <= readDiscreteInputs,
		(kind == serialbridge.Binary || kind == serialbridge.Switch) && (c.Type == "text" || c.Type == "float32"):
		return fmt.Errorf("kind: a %s cannot be in such a register", kind)
	case kind == serialbridge.Setting && !(c.Min < c.Max):
		return fmt.Errorf("min: a setting has one below its max")
	case kind == serialbridge.Setting && (c.Step < 0 || math.IsNaN(c.Step) || math.IsInf(c.Max-c.Min, 0)):
		return fmt.Errorf("step: min, max and step of a setting are finite numbers, step not below 0")
	case commanded && (c.Mask != 0 || c.Absolute):
		return fmt.Errorf("writable: what has a mask, or no sign, is only read")
	case c.Absolute && !c.signed:
		return fmt.Errorf("absolute: only a whole number with a sign can do without it")
	}
	switch kind {
	case serialbridge.Measurement, serialbridge.State, serialbridge.Binary, serialbridge.Switch, serialbridge.Setting, serialbridge.Choice:
	default:
		return fmt.Errorf("kind: %q is none of measurement, state, binary, switch, setting, choice, serial, model, software, hardware", c.Kind)
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
				return fmt.Errorf("max: %v does not fit into the register", limit)
			}
		}
	}
	seen := make(map[int64]bool)
	for i, o := range c.Options {
		if o.Name == "" || seen[o.Value] || slices.Contains(p.Options, o.Name) {
			return fmt.Errorf("options[%d].name: each option has a value and a name of its own", i)
		}
		if !c.holds(big.NewInt(o.Value)) {
			return fmt.Errorf("options[%d].value: %d does not fit into the register", i, o.Value)
		}
		seen[o.Value] = true
		p.Options = append(p.Options, o.Name)
	}
	if len(p.Options) > 64 {
		return fmt.Errorf("options: more than 64")
	}
	c.property = p
	return checkProperty(p)
}

func checkProperty(p serialbridge.Property) error {
	switch {
	case !keyForm.MatchString(p.Key):
		return fmt.Errorf("key: %q is not made of 1 to 32 lower case letters, digits and underscores", p.Key)
	case p.Name == "":
		return fmt.Errorf("name: there is none")
	case p.Category != "" && p.Category != serialbridge.Diagnostic && p.Category != serialbridge.Config:
		return fmt.Errorf("category: %q is neither diagnostic nor config", p.Category)
	case p.Category == serialbridge.Config && p.Kind != serialbridge.Switch && p.Kind != serialbridge.Setting && p.Kind != serialbridge.Choice:
		return fmt.Errorf("category: config is for what is writable")
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
