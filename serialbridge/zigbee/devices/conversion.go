package devices

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lintel/serialbridge/zigbee/zcl"
)

// namedConversion is one that takes code. Decode returns a value, or Values: all that a
// row without a property tells, or what it tells besides, its own value under "".
type namedConversion struct {
	decode func(c *Context, raw, argument any) (any, bool)
	encode func(c *Context, value, argument any) (any, error)
}

// decode returns what a value on the wire means; false: nothing.
func (v *Conversion) decode(c *Context, raw any) (any, bool) {
	switch v.Kind {
	case "identity", "":
		return plain(raw), raw != nil
	case "scale":
		n, ok := numberOf(raw)
		if !ok || v.Divisor == 0 {
			return nil, false
		}
		n /= v.Divisor
		if v.Precision != nil {
			n = round(n, *v.Precision)
		}
		return n, true
	case "range":
		n, ok := numberOf(raw)
		if !ok || v.Wire[0] == v.Wire[1] {
			return nil, false
		}
		return between(n, v.Wire, v.State), true
	case "bit", "no bit":
		n, ok := numberOf(raw)
		mask, ok2 := zcl.Int(v.Argument)
		return (int64(n)&mask != 0) == (v.Kind == "bit"), ok && ok2
	case "enum", "bool":
		n, ok := numberOf(raw)
		if value, listed := v.Enum[int64(n)]; ok && listed && n == math.Trunc(n) {
			return value, true
		}
		return v.Otherwise, v.Otherwise != nil
	}
	if named, ok := namedConversions[v.Kind]; ok && named.decode != nil {
		return named.decode(c, raw, v.Argument)
	}
	return nil, false
}

// readable says that what a device tells is a value.
func (v *Conversion) readable() bool {
	named, ok := namedConversions[v.Kind]
	return v.Kind != "write-only" && (!ok || named.decode != nil)
}

// sendable says that a value of the user can be sent.
func (v *Conversion) sendable() bool {
	switch v.Kind {
	case "", "identity", "scale", "range", "enum", "bool", "write-only":
		return true
	}
	return namedConversions[v.Kind].encode != nil
}

// encode returns what goes on the wire for a value of the user.
func (v *Conversion) encode(c *Context, value any) (any, error) {
	switch v.Kind {
	case "identity", "":
		return value, nil
	case "scale":
		n, ok := zcl.Float(value)
		if !ok {
			return nil, fmt.Errorf("%v is no number", value)
		}
		if v.ReadScaleOnly {
			return n, nil
		}
		n *= v.Divisor
		if v.Precision != nil {
			n = round(n, *v.Precision)
		}
		return n, nil
	case "range":
		n, ok := zcl.Float(value)
		if !ok || v.State[0] == v.State[1] {
			return nil, fmt.Errorf("%v is no number", value)
		}
		return between(n, v.State, v.Wire), nil
	case "enum", "bool", "write-only":
		if len(v.Enum) == 0 {
			if n, ok := zcl.Float(value); ok && v.Divisor != 0 {
				return n * v.Divisor, nil
			}
			return value, nil
		}
		return v.wire(value)
	}
	if named, ok := namedConversions[v.Kind]; ok && named.encode != nil {
		return named.encode(c, value, v.Argument)
	}
	return nil, fmt.Errorf("this value cannot be set")
}

// wire finds a value in the enumeration; texts without regard to case.
func (v *Conversion) wire(value any) (any, error) {
	var found *int64
	var names []string
	for n, listed := range v.Enum {
		names = append(names, fmt.Sprint(listed))
		if same(listed, value) && (found == nil || n < *found) {
			found = &n
		}
	}
	if found == nil && v.Otherwise != nil && same(v.Otherwise, value) {
		// The first number that means nothing else.
		for n := int64(0); ; n++ {
			if _, listed := v.Enum[n]; !listed {
				return n, nil
			}
		}
	}
	if found == nil {
		slices.Sort(names)
		return nil, fmt.Errorf("%.40q is none of %s", fmt.Sprint(value), strings.Join(slices.Compact(names), ", "))
	}
	return *found, nil
}

func same(listed, value any) bool {
	if text, ok := listed.(string); ok {
		other, ok := value.(string)
		return ok && strings.EqualFold(text, other) || !ok && value != nil && text == fmt.Sprint(value)
	}
	if b, ok := listed.(bool); ok {
		other, ok := value.(bool)
		return ok && b == other
	}
	a, ok := zcl.Float(listed)
	b, ok2 := zcl.Float(value)
	return ok && ok2 && a == b
}

// between maps a number from one range to another, to a whole number.
func between(n float64, from, to [2]float64) float64 {
	return math.Floor(to[0] + (n-from[0])*(to[1]-to[0])/(from[1]-from[0]) + 0.5)
}

// plain is a value of the wire as the state has it: octets as Node prints a Buffer.
func plain(raw any) any {
	octets, ok := raw.([]byte)
	if !ok {
		return raw
	}
	data := make([]any, len(octets))
	for i, b := range octets {
		data[i] = float64(b)
	}
	return map[string]any{"type": "Buffer", "data": data}
}
