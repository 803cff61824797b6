package enocean

import (
	"fmt"
	"math/bits"

	"lintel/serialbridge"
)

// A profile says what the four bytes of a 4BS telegram mean.
type profile struct {
	model  string // what a person calls such a device
	fields []field
	flags  []flag
	meter  *meter
}

// A field is a number: raw values from..to stand for low..high, linearly. What
// is beyond them is an error code: the sensor has no value.
type field struct {
	property     serialbridge.Property
	offset, size int    // in bits, as EEP counts them: 0 is the highest bit of DB3
	from, to     int    // raw values; from may be the greater one
	low, high    int64  // in units of the last decimal of the property
	available    int    // offset of a bit that is 1 when there is a value; 0: always
	unless       uint32 // bits of the word of which any says that there is none
}

// A flag is one bit.
type flag struct {
	property serialbridge.Property
	offset   int
	on       uint32 // the value of the bit that is true
}

// A meter is a profile of automated meter reading (A5-12): a reading of 24 bits,
// in DB0 the tariff (4 bits), whether it is the current value (bit 2), and the
// decimals (bits 1 and 0).
type meter struct {
	total, current serialbridge.Property
}

// word returns the four bytes of a payload as EEP numbers their bits.
func word(payload []byte) uint32 {
	return uint32(payload[0])<<24 | uint32(payload[1])<<16 | uint32(payload[2])<<8 | uint32(payload[3])
}

func bitsOf(w uint32, offset, size int) int {
	return int(bits.RotateLeft32(w, offset+size) & (1<<size - 1))
}

// said tells whether a payload has the field.
func (f field) said(w uint32) bool {
	return (f.available == 0 || bitsOf(w, f.available, 1) == 1) && w&f.unless == 0
}

// value returns the number in a payload, or that the sensor does not know it.
func (f field) value(w uint32) (float64, bool) {
	raw := bitsOf(w, f.offset, f.size)
	if raw < min(f.from, f.to) || raw > max(f.from, f.to) {
		return 0, false
	}
	// In whole units of the last decimal, so that 0.1 °C are 0.1.
	n, d := int64(raw-f.from)*(f.high-f.low), int64(f.to-f.from)
	if d < 0 {
		n, d = -n, -d
	}
	half := d / 2
	if n < 0 {
		half = -half
	}
	return decimal(f.low+(n+half)/d, f.property.Precision), true
}

// decimal returns n·10^-decimals, rounded to the nearest float64.
func decimal(n int64, decimals int) float64 {
	power := 1.0
	for range decimals {
		power *= 10
	}
	return float64(n) / power
}

// read adds to values what a 4BS telegram says, and returns the properties of the
// profile.
func (p *profile) read(payload []byte, values map[string]any) []serialbridge.Property {
	w := word(payload)
	var properties []serialbridge.Property
	for _, f := range p.fields {
		properties = append(properties, f.property)
		if !f.said(w) {
			continue
		}
		values[f.property.Key] = nil
		if v, ok := f.value(w); ok {
			values[f.property.Key] = v
		}
	}
	for _, f := range p.flags {
		properties = append(properties, f.property)
		values[f.property.Key] = bitsOf(w, f.offset, 1) == int(f.on)
	}
	if p.meter != nil {
		properties = append(properties, p.meter.read(w, values))
	}
	return properties
}

func (m *meter) read(w uint32, values map[string]any) serialbridge.Property {
	p := m.total
	if w&4 != 0 {
		p = m.current
	}
	if tariff := bitsOf(w, 24, 4); tariff > 0 {
		p.Key += fmt.Sprintf("_%d", tariff)
		p.Name += fmt.Sprintf(" %d", tariff)
	}
	p.Precision = int(w & 3)
	values[p.Key] = decimal(int64(w>>8), p.Precision)
	return p
}

// properties returns the properties of a profile before there is a telegram. A
// meter's are not known: there may be tariffs.
func (p *profile) properties() []serialbridge.Property {
	if p.meter != nil {
		return nil
	}
	return p.read(make([]byte, 4), make(map[string]any))
}
