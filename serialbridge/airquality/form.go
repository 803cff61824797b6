package airquality

import (
	"encoding/binary"

	"lintel/serialbridge"
)

// A sensor is what can be told of a kind of sensors.
type sensor struct {
	kind   string // part of the ID: never to be changed
	name   string
	vendor string
	model  string
}

// A form is a kind of frame.
type form struct {
	sensor *sensor
	header string
	size   int
	valid  func(frame []byte) bool // whether the sum is right
	claims func(frame []byte) claim
	idAt   int // where the sensor tells its id, in two bytes; 0: nowhere
	// serial returns the sensor's serial number, empty if it has none; nil:
	// the frame does not tell it.
	serial  func(frame []byte) string
	fields  []field                 // none: nothing is measured
	buttons []serialbridge.Property // what the sensor can be told to do
}

// claim is how sure it is that a frame is of a form, where the header alone does
// not tell.
type claim byte

const (
	not claim = iota
	possible
	certain
)

// A field is a number in a frame.
type field struct {
	at       int
	form     integer
	divisor  float64
	min, max int64 // what the sensor can measure, before division; both 0: anything
	property serialbridge.Property
}

// integer is how a number is written.
type integer byte

const (
	u16 integer = iota // big-endian, as the next ones
	i16
	u24
	u32
	u16le
	u12     // the lower 12 bits of two bytes
	high    // the upper 4 of these
	above40 // a byte, counted from 40
)

func (i integer) decode(b []byte) int64 {
	switch i {
	case i16:
		return int64(int16(binary.BigEndian.Uint16(b)))
	case u24:
		return int64(b[0])<<16 | int64(b[1])<<8 | int64(b[2])
	case u32:
		return int64(binary.BigEndian.Uint32(b))
	case u16le:
		return int64(binary.LittleEndian.Uint16(b))
	case u12:
		return int64(binary.BigEndian.Uint16(b) & 0x0FFF)
	case high:
		return int64(b[0] >> 4)
	case above40:
		return int64(b[0]) - 40
	}
	return int64(binary.BigEndian.Uint16(b))
}

// fits reports whether a frame has the header and the length of the form.
func (f *form) fits(frame []byte) bool {
	return len(frame) == f.size && string(frame[:len(f.header)]) == f.header
}

// values returns what a frame says, or that one of its numbers cannot be.
func (f *form) values(frame []byte) (map[string]any, bool) {
	values := make(map[string]any, len(f.fields))
	for _, field := range f.fields {
		n := field.form.decode(frame[field.at:])
		if (field.min != 0 || field.max != 0) && (n < field.min || n > field.max) {
			return nil, false
		}
		switch {
		case field.property.Kind == serialbridge.Binary:
			values[field.property.Key] = n != 0
		case field.divisor != 1:
			// A quotient of two whole numbers is the float nearest to
			// the decimal fraction, which is what prints as it.
			values[field.property.Key] = float64(n) / field.divisor
		default:
			values[field.property.Key] = n
		}
	}
	return values, true
}

// sum8 is the sum of all bytes, which several sensors carry to 8 bits.
func sum8(b []byte) (sum byte) {
	for _, c := range b {
		sum += c
	}
	return sum
}

// validSDS checks a frame of Nova Fitness: the sum is over the six data bytes.
func validSDS(frame []byte) bool {
	return sum8(frame[2:8]) == frame[8] && frame[9] == 0xAB
}

// validPlantower checks a frame that ends with the 16-bit sum of all others.
func validPlantower(frame []byte) bool {
	end := len(frame) - 2
	var sum uint16
	for _, b := range frame[:end] {
		sum += uint16(b)
	}
	return binary.BigEndian.Uint16(frame[end:]) == sum
}

// validHoneywell checks an answer of an HPMA115: all bytes add up to nothing.
func validHoneywell(frame []byte) bool { return sum8(frame) == 0 }

// validMCU680 checks a frame that ends with the sum of all others.
func validMCU680(frame []byte) bool {
	end := len(frame) - 1
	return sum8(frame[:end]) == frame[end]
}
