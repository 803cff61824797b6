package vedirect

import (
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// notKnown is what stands for a value that the device cannot tell.
const notKnown = "---"

// interpret returns what a block says, or that it cannot be trusted. A value that
// the device does not know is nil, and is no reason to have its property.
func interpret(fields []field, definitions map[string]definition) ([]serialbridge.Property, map[string]any, bool) {
	var properties []serialbridge.Property
	values := make(map[string]any)
	for _, f := range fields {
		d, known := definitions[f.label]
		if !known {
			continue
		}
		if f.value == notKnown {
			values[d.property.Key] = nil
			continue
		}
		v, ok := d.parse(f.value)
		if !ok {
			return nil, nil, false
		}
		properties = append(properties, d.property)
		values[d.property.Key] = v
	}
	return properties, values, true
}

// parse returns the value of a field and whether it is of the form that the
// field has.
func (d definition) parse(s string) (any, bool) {
	switch d.form {
	case number:
		if !decimal(s) {
			return nil, false
		}
		// The shift is made in the text, so that 839 tenths are exactly 83.9.
		n, err := strconv.ParseFloat(s+d.exponent, 64)
		return n, err == nil
	case count:
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil && decimal(s) && n >= 0
	case onOff:
		// Some firmware writes On and Off.
		if strings.EqualFold(s, "ON") {
			return true, true
		}
		return false, strings.EqualFold(s, "OFF")
	case code:
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || !decimal(s) {
			return nil, false
		}
		if name, known := d.names[n]; known {
			return name, true
		}
		return unknownCode(n), true
	case bits:
		return d.set(s)
	}
	return nil, false
}

// set turns a sum of bits into their names. OR is hexadecimal, AR and WARN are
// decimal.
func (d definition) set(s string) (any, bool) {
	digits, base := s, 10
	if rest, found := strings.CutPrefix(strings.ToLower(s), "0x"); found {
		digits, base = rest, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return nil, false
	}
	var names []string
	for bit := int64(1); bit <= 1<<31; bit <<= 1 {
		if int64(n)&bit == 0 {
			continue
		}
		name, known := d.names[bit]
		if !known {
			name = unknownCode(bit)
		}
		names = append(names, name)
	}
	if names == nil {
		return "none", true
	}
	return strings.Join(names, ", "), true
}

// decimal reports whether s is a whole number as VE.Direct writes it.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 12
}
