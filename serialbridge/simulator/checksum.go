package simulator

// The checksums are written down a second time so that the simulator does not
// share a mistake with the drivers that it tests.

// Polynomials of 16 bits, the lowest power in the highest bit.
const (
	crc16IBM   = 0xA001 // x¹⁶+x¹⁵+x²+1: P1 (from 0), Modbus (from FFFF)
	crc16CCITT = 0x8408 // x¹⁶+x¹²+x⁵+1: SML, iM871A (from FFFF, inverted)
)

// crc16 goes on with a checksum that takes the lowest bit of each byte first.
func crc16(polynomial, crc uint16, data []byte) uint16 {
	for _, b := range data {
		for bit := range 8 {
			mix := (crc ^ uint16(b)>>bit) & 1
			crc = crc>>1 ^ mix*polynomial
		}
	}
	return crc
}

// x25 is CRC-16/X.25.
func x25(data []byte) uint16 { return ^crc16(crc16CCITT, 0xFFFF, data) }

// crc8 is that of EnOcean: x⁸+x²+x+1 from 0, the highest bit first.
func crc8(data []byte) byte {
	var crc byte
	for _, b := range data {
		for bit := 7; bit >= 0; bit-- {
			mix := (crc>>7 ^ b>>bit) & 1
			crc = crc<<1 ^ mix*0x07
		}
	}
	return crc
}

// sum adds up bytes; the callers take as many bits of it as they need.
func sum(data []byte) uint16 {
	var n uint16
	for _, b := range data {
		n += uint16(b)
	}
	return n
}
