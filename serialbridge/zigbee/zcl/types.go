package zcl

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Type is a data type (section 2.6.2, table 2-12).
type Type uint8

// The data types.
const (
	NoData      Type = 0x00
	Data8       Type = 0x08
	Data16      Type = 0x09
	Data24      Type = 0x0a
	Data32      Type = 0x0b
	Data40      Type = 0x0c
	Data48      Type = 0x0d
	Data56      Type = 0x0e
	Data64      Type = 0x0f
	Boolean     Type = 0x10
	Bitmap8     Type = 0x18
	Bitmap16    Type = 0x19
	Bitmap24    Type = 0x1a
	Bitmap32    Type = 0x1b
	Bitmap40    Type = 0x1c
	Bitmap48    Type = 0x1d
	Bitmap56    Type = 0x1e
	Bitmap64    Type = 0x1f
	Uint8       Type = 0x20
	Uint16      Type = 0x21
	Uint24      Type = 0x22
	Uint32      Type = 0x23
	Uint40      Type = 0x24
	Uint48      Type = 0x25
	Uint56      Type = 0x26
	Uint64      Type = 0x27
	Int8        Type = 0x28
	Int16       Type = 0x29
	Int24       Type = 0x2a
	Int32       Type = 0x2b
	Int40       Type = 0x2c
	Int48       Type = 0x2d
	Int56       Type = 0x2e
	Int64       Type = 0x2f
	Enum8       Type = 0x30
	Enum16      Type = 0x31
	Semi        Type = 0x38 // semi-precision float
	Single      Type = 0x39
	Double      Type = 0x3a
	OctetString Type = 0x41
	CharString  Type = 0x42
	LongOctets  Type = 0x43
	LongChars   Type = 0x44
	ArrayType   Type = 0x48
	StructType  Type = 0x4c
	SetType     Type = 0x50
	BagType     Type = 0x51
	TimeOfDay   Type = 0xe0
	Date        Type = 0xe1
	UTCTime     Type = 0xe2
	ClusterID   Type = 0xe8
	AttributeID Type = 0xe9
	BACnetOID   Type = 0xea
	IEEE        Type = 0xf0
	Key128      Type = 0xf1
	Unknown     Type = 0xff
)

// List is the value of an array, a set or a bag.
type List struct {
	Type  Type // of all elements
	Items []any
}

// Struct is the value of a structure.
type Struct []Field

// Field is a member of a structure.
type Field struct {
	Type  Type
	Value any
}

// Limits of values that hold others: deeper or longer ones are refused.
const maxDepth = 8

// size returns how many bytes a value of a fixed size takes.
func (t Type) size() (n int, fixed bool) {
	switch {
	case t == NoData || t == Unknown:
		return 0, true
	case t >= Data8 && t <= Data64:
		return int(t-Data8) + 1, true
	case t == Boolean || t == Enum8:
		return 1, true
	case t >= Bitmap8 && t <= Bitmap64:
		return int(t-Bitmap8) + 1, true
	case t >= Uint8 && t <= Uint64:
		return int(t-Uint8) + 1, true
	case t >= Int8 && t <= Int64:
		return int(t-Int8) + 1, true
	case t == Enum16 || t == Semi || t == ClusterID || t == AttributeID:
		return 2, true
	case t == Single || t == TimeOfDay || t == Date || t == UTCTime || t == BACnetOID:
		return 4, true
	case t == Double || t == IEEE:
		return 8, true
	case t == Key128:
		return 16, true
	}
	return 0, false
}

// signed says that values of the type are of two's complement.
func (t Type) signed() bool { return t >= Int8 && t <= Int64 }

// Analog says that a value of the type is a quantity, so that a report of it
// may be set to depend on how far it has moved (section 2.6.2, "A/D").
func (t Type) Analog() bool {
	return t >= Uint8 && t <= Int64 || t == Semi || t == Single || t == Double || t == TimeOfDay || t == Date || t == UTCTime
}

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

// Int returns a whole number of any numeric type of Go.
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
	}
	return 0, false
}

// Float returns a number of any numeric type of Go.
func Float(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	i, ok := Int(value)
	return float64(i), ok
}
