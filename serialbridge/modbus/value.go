package modbus

import (
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"strings"

	"lintel/serialbridge"
)

// values adds what an answer to q says of the registers of a table. It reports
// whether the answer is of any of them.
func (t *table) values(q request, data []byte, values map[string]any) bool {
	found := false
	for _, r := range t.registers {
		if part, ok := r.part(q, data); ok {
			found = true
			r.value(part, values)
		}
	}
	return found
}

// part returns the bytes of a register in the answer to q.
func (r *register) part(q request, data []byte) ([]byte, bool) {
	i := r.Address - int(q.address)
	if q.function != r.read || i < 0 || i+r.words > q.count {
		return nil, false
	}
	if !q.bits() {
		return data[2*i : 2*(i+r.words)], true
	}
	// The first coil is the lowest bit (MODBUS application protocol, 6.1).
	return []byte{data[i/8] >> (i % 8) & 1}, true
}

// value adds what is in the register.
func (r *register) value(data []byte, values map[string]any) {
	key := r.property.Key
	switch {
	case r.Type == "text":
		values[key] = text(data)
	case r.Type == "float32":
		values[key] = r.float(data)
	default:
		n := r.number(data)
		for _, none := range r.Invalid {
			if n == none {
				for _, p := range r.properties() {
					values[p.Key] = nil
				}
				return
			}
		}
		if r.Mask != 0 {
			n &= int64(r.Mask)
		}
		if r.Absolute && n < 0 {
			n = -n
		}
		switch {
		case len(r.Bits) > 0:
			for i, b := range r.Bits {
				values[r.bits[i].Key] = n>>b.Bit&1 != 0
			}
		case len(r.Options) > 0:
			values[key] = r.option(n)
		case r.isFlag():
			values[key] = n != 0
		default:
			values[key] = r.scaled(n)
		}
	}
}

// isFlag reports whether the register is true or false.
func (r *register) isFlag() bool {
	return r.property.Kind == serialbridge.Binary || r.property.Kind == serialbridge.Switch
}

// number returns the whole number in the register, as int64 also if it is a u64.
func (r *register) number(data []byte) int64 {
	if len(data) == 1 {
		return int64(data[0])
	}
	var n uint64
	for i := range r.words {
		if r.little {
			i = r.words - 1 - i
		}
		n = n<<16 | uint64(binary.BigEndian.Uint16(data[2*i:]))
	}
	if r.signed {
		shift := 64 - r.size
		return int64(n<<shift) >> shift
	}
	return int64(n)
}

// option returns the name of a number; nil: it has none.
func (r *register) option(n int64) any {
	for _, o := range r.Options {
		if o.Value == n {
			return o.Name
		}
	}
	return nil
}

// scaled returns a whole number of the register in the unit of the property: the
// float that is next to the exact value, which prints as that.
func (r *register) scaled(n int64) any {
	v := new(big.Rat).SetInt64(n)
	if n < 0 && !r.signed {
		v.SetInt(new(big.Int).SetUint64(uint64(n)))
	}
	v.Mul(v, r.scale)
	if r.whole && v.Num().IsInt64() {
		return v.Num().Int64()
	}
	f, _ := v.Float64()
	return f
}

// float returns the value of a float32; nil: it is no number.
func (r *register) float(data []byte) any {
	f := float64(math.Float32frombits(uint32(r.number(data))))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	// The shortest decimal number that is this float32 is what was meant:
	// 230.2, where the float64 of the same value is 230.1999969482422.
	v, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 32))
	v.Mul(v, r.scale)
	if p := r.property.Precision; p >= 0 {
		// What the map says is not worth showing is noise of the meter's own
		// arithmetic: 230.20001.
		v.SetString(v.FloatString(p))
	}
	f, _ = v.Float64()
	return f
}

// text returns a text of two characters a register, the first in the high byte.
func text(data []byte) string {
	s, _, _ := strings.Cut(string(data), "\x00")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s))
}

// write returns the request that makes the value of a property so, or false if the
// register cannot hold it.
func (r *register) write(unit byte, value any, multiple bool) (request, bool) {
	q := request{unit: unit, address: uint16(r.Address), count: r.words}
	if !r.Writable {
		return q, false
	}
	n, ok := r.raw(value)
	if !ok {
		return q, false
	}
	if r.read == readCoils {
		switch {
		case multiple:
			q.function, q.data = writeMultipleCoils, []byte{byte(n)}
		case n != 0:
			q.function, q.data = writeSingleCoil, []byte{0xFF, 0}
		default:
			q.function, q.data = writeSingleCoil, []byte{0, 0}
		}
		return q, true
	}
	for i := range r.words {
		shift := 16 * (r.words - 1 - i)
		if r.little {
			shift = 16 * i
		}
		q.data = binary.BigEndian.AppendUint16(q.data, uint16(n>>shift))
	}
	q.function = writeMultipleRegisters
	if r.words == 1 && !multiple {
		q.function = writeSingleRegister
	}
	return q, true
}

// raw returns the bits of the register for a value of a command.
func (r *register) raw(value any) (uint64, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, r.isFlag()
		}
		return 0, r.isFlag()
	case string:
		for _, o := range r.Options {
			if o.Name == v {
				return uint64(o.Value), true
			}
		}
	case float64:
		if r.property.Kind == serialbridge.Setting && v >= r.Min && v <= r.Max {
			return r.unscaled(v)
		}
	}
	return 0, false
}

// unscaled returns the bits for a number in the unit of the property.
func (r *register) unscaled(v float64) (uint64, bool) {
	exact, ok := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
	if !ok {
		return 0, false
	}
	exact.Quo(exact, r.scale)
	if r.Type == "float32" {
		f, _ := exact.Float32()
		return uint64(math.Float32bits(f)), !math.IsInf(float64(f), 0)
	}
	// The next whole number.
	n, ok := new(big.Int).SetString(exact.FloatString(0), 10)
	if !ok {
		return 0, false
	}
	if !r.holds(n) {
		return 0, false
	}
	if r.signed {
		return uint64(n.Int64()), true
	}
	return n.Uint64(), true
}

// holds reports whether a whole number fits into the register.
func (r *register) holds(n *big.Int) bool {
	if !r.signed {
		return n.Sign() >= 0 && n.BitLen() <= r.size
	}
	limit := new(big.Int).Lsh(big.NewInt(1), uint(r.size-1))
	return n.Cmp(limit) < 0 && n.CmpAbs(limit) <= 0
}
