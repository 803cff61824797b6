package zcl

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// ReadValue reads a value of type t from the beginning of data and returns the
// rest. What a type becomes in Go:
//
//	Boolean                          bool
//	bitmaps, unsigned, enumerations,
//	data, times, identifiers, IEEE   uint64
//	signed                           int64
//	Semi, Single, Double             float64
//	strings of octets, Key128        []byte
//	strings of characters            string
//	ArrayType, SetType, BagType      List
//	StructType                       Struct
//	NoData, Unknown                  nil
//
// Strings whose length says that there is none (0xff, 0xffff) are empty.
func ReadValue(t Type, data []byte) (value any, rest []byte, err error) {
	return readValue(t, data, 0)
}

func readValue(t Type, data []byte, depth int) (any, []byte, error) {
	if n, fixed := t.size(); fixed {
		if len(data) < n {
			return nil, nil, ErrShort
		}
		return fixedValue(t, data[:n]), data[n:], nil
	}
	switch t {
	case OctetString, CharString:
		if len(data) < 1 {
			return nil, nil, ErrShort
		}
		n := int(data[0])
		if n == 0xff {
			n = 0
		}
		return stringValue(t == CharString, data[1:], n)
	case LongOctets, LongChars:
		if len(data) < 2 {
			return nil, nil, ErrShort
		}
		n := int(binary.LittleEndian.Uint16(data))
		if n == 0xffff {
			n = 0
		}
		return stringValue(t == LongChars, data[2:], n)
	case ArrayType, SetType, BagType:
		if len(data) < 3 || depth >= maxDepth {
			return nil, nil, ErrShort
		}
		l := List{Type: Type(data[0])}
		n := int(binary.LittleEndian.Uint16(data[1:]))
		data = data[3:]
		if n == 0xffff {
			n = 0
		}
		for range n {
			if len(data) == 0 { // also bounds lists of values without size
				return nil, nil, ErrShort
			}
			v, rest, err := readValue(l.Type, data, depth+1)
			if err != nil {
				return nil, nil, err
			}
			l.Items, data = append(l.Items, v), rest
		}
		return l, data, nil
	case StructType:
		if len(data) < 2 || depth >= maxDepth {
			return nil, nil, ErrShort
		}
		n := int(binary.LittleEndian.Uint16(data))
		data = data[2:]
		if n == 0xffff {
			n = 0
		}
		s := Struct{}
		for range n {
			if len(data) == 0 {
				return nil, nil, ErrShort
			}
			f := Field{Type: Type(data[0])}
			var err error
			f.Value, data, err = readValue(f.Type, data[1:], depth+1)
			if err != nil {
				return nil, nil, err
			}
			s = append(s, f)
		}
		return s, data, nil
	}
	return nil, nil, fmt.Errorf("zcl: 0x%02x is no data type", uint8(t))
}

func stringValue(text bool, data []byte, n int) (any, []byte, error) {
	if len(data) < n {
		return nil, nil, ErrShort
	}
	if text {
		return string(data[:n]), data[n:], nil
	}
	return append([]byte{}, data[:n]...), data[n:], nil
}

func fixedValue(t Type, data []byte) any {
	switch t {
	case NoData, Unknown:
		return nil
	case Key128:
		return append([]byte{}, data...)
	}
	var u uint64
	for i, b := range data {
		u |= uint64(b) << (8 * i)
	}
	switch {
	case t == Boolean:
		return u != 0
	case t.signed():
		shift := 64 - 8*len(data)
		return int64(u<<shift) >> shift
	case t == Semi:
		return semi(uint16(u))
	case t == Single:
		return float64(math.Float32frombits(uint32(u)))
	case t == Double:
		return math.Float64frombits(u)
	}
	return u
}

// semi is the half precision of IEEE 754 (section 2.6.2.10).
func semi(h uint16) float64 {
	sign, exponent, mantissa := 1.0, int(h>>10&0x1f), float64(h&0x3ff)
	if h&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(mantissa, -24)
	case 31:
		if mantissa != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+mantissa, exponent-25)
}

// AppendValue appends a value of type t. Numbers may be of any numeric type of
// Go; one that does not fit is refused.
func AppendValue(data []byte, t Type, value any) ([]byte, error) {
	return appendValue(data, t, value, 0)
}

func appendValue(data []byte, t Type, value any, depth int) ([]byte, error) {
	wrong := func() ([]byte, error) {
		return nil, fmt.Errorf("zcl: %v (%T) is no value of type 0x%02x", value, value, uint8(t))
	}
	if n, fixed := t.size(); fixed {
		u, ok := bits(t, n, value)
		switch {
		case t == NoData || t == Unknown:
			return data, nil
		case t == Key128:
			key, isBytes := value.([]byte)
			if !isBytes || len(key) != n {
				return wrong()
			}
			return append(data, key...), nil
		case !ok:
			return wrong()
		}
		for i := range n {
			data = append(data, byte(u>>(8*i)))
		}
		return data, nil
	}
	switch t {
	case OctetString, CharString, LongOctets, LongChars:
		var text []byte
		switch v := value.(type) {
		case string:
			text = []byte(v)
		case []byte:
			text = v
		default:
			return wrong()
		}
		switch {
		case t == OctetString || t == CharString:
			if len(text) > 0xfe {
				return wrong()
			}
			data = append(data, byte(len(text)))
		case len(text) > 0xfffe:
			return wrong()
		default:
			data = binary.LittleEndian.AppendUint16(data, uint16(len(text)))
		}
		return append(data, text...), nil
	case ArrayType, SetType, BagType:
		l, ok := value.(List)
		if !ok || len(l.Items) > 0xfffe || depth >= maxDepth {
			return wrong()
		}
		data = append(data, byte(l.Type))
		data = binary.LittleEndian.AppendUint16(data, uint16(len(l.Items)))
		for _, item := range l.Items {
			var err error
			if data, err = appendValue(data, l.Type, item, depth+1); err != nil {
				return nil, err
			}
		}
		return data, nil
	case StructType:
		s, ok := value.(Struct)
		if !ok || len(s) > 0xfffe || depth >= maxDepth {
			return wrong()
		}
		data = binary.LittleEndian.AppendUint16(data, uint16(len(s)))
		for _, f := range s {
			data = append(data, byte(f.Type))
			var err error
			if data, err = appendValue(data, f.Type, f.Value, depth+1); err != nil {
				return nil, err
			}
		}
		return data, nil
	}
	return nil, fmt.Errorf("zcl: 0x%02x is no data type", uint8(t))
}

// bits returns the bits of a number as they go over the air in n bytes.
func bits(t Type, n int, value any) (uint64, bool) {
	if t == Single || t == Double || t == Semi {
		f, ok := Float(value)
		switch {
		case !ok:
			return 0, false
		case t == Single:
			return uint64(math.Float32bits(float32(f))), true
		case t == Double:
			return math.Float64bits(f), true
		}
		return uint64(toSemi(f)), true
	}
	if b, ok := value.(bool); ok {
		if b {
			return 1, true
		}
		return 0, true
	}
	if u, ok := value.(uint64); ok && !t.signed() {
		return u, n >= 8 || u < 1<<(8*n)
	}
	i, ok := Int(value)
	switch {
	case !ok || n == 0:
		return 0, false
	case t.signed():
		shift := 64 - 8*n
		return uint64(i), i<<shift>>shift == i
	}
	return uint64(i), i >= 0 && (n >= 8 || i < 1<<(8*n))
}

// toSemi rounds towards zero what half precision cannot hold.
func toSemi(f float64) uint16 {
	var sign uint16
	if math.Signbit(f) {
		sign, f = 0x8000, -f
	}
	switch {
	case math.IsNaN(f):
		return sign | 0x7e00
	case f > 65504:
		return sign | 0x7c00
	case f < math.Ldexp(1, -14):
		return sign | uint16(math.Ldexp(f, 24))
	}
	fraction, exponent := math.Frexp(f) // f = fraction × 2^exponent, fraction in [½, 1)
	return sign | uint16(exponent+14)<<10 | uint16(math.Ldexp(fraction, 11))&0x3ff
}

// Int returns a whole number of any numeric type of Go, json.Number too.
func Int(value any) (int64, bool) {
	switch v := value.(type) {
	case int:
		return int64(v), true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint:
		return int64(v), v <= math.MaxInt64
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<63
	case float32:
		return Int(float64(v))
	case json.Number:
		i, err := v.Int64()
		return i, err == nil
	}
	return 0, false
}

// Float returns a number of any numeric type of Go, json.Number too.
func Float(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case uint64:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	i, ok := Int(value)
	return float64(i), ok
}
