package dsmr

// crc16 adds a byte to a CRC-16/ARC: polynomial 0xA001 reflected, initial
// value 0 (DSMR 5.0.2 P1).
func crc16(crc uint16, b byte) uint16 {
	crc ^= uint16(b)
	for range 8 {
		if crc&1 != 0 {
			crc = crc>>1 ^ 0xA001
		} else {
			crc >>= 1
		}
	}
	return crc
}
