// Package crc computes the checksums of 16 bits that serial protocols have: remainders of
// a division that takes the lowest bit of each byte first.
package crc

// A Table is a polynomial, worked out for each byte.
type Table [256]uint16

// The polynomials.
var (
	IBM   = newTable(0xA001) // x¹⁶+x¹⁵+x²+1
	CCITT = newTable(0x8408) // x¹⁶+x¹²+x⁵+1
)

// newTable takes a polynomial with the lowest power in the highest bit.
func newTable(polynomial uint16) *Table {
	t := new(Table)
	for i := range t {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ polynomial
			} else {
				crc >>= 1
			}
		}
		t[i] = crc
	}
	return t
}

// Update goes on with a checksum. CRC-16/ARC is that of IBM from 0, CRC-16/KERMIT that of
// CCITT from 0.
func (t *Table) Update(crc uint16, data ...byte) uint16 {
	for _, b := range data {
		crc = crc>>8 ^ t[byte(crc)^b]
	}
	return crc
}

// Modbus returns CRC-16/MODBUS (MODBUS over serial line 1.02, 6.2.2).
func Modbus(data []byte) uint16 { return IBM.Update(0xFFFF, data...) }

// X25 returns CRC-16/X.25.
func X25(data []byte) uint16 { return ^CCITT.Update(0xFFFF, data...) }
