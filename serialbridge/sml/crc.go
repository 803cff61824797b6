package sml

// Initial values of the two checksums: the polynomial 0x8408, reflected, is the
// same in CRC-16/X.25, which is inverted at the end, and CRC-16/KERMIT.
const (
	x25Initial    = 0xFFFF
	x25Final      = 0xFFFF
	kermitInitial = 0
)

func crc16(crc uint16, data ...byte) uint16 {
	for _, b := range data {
		crc ^= uint16(b)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8408
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}
