package wmbus

// crcEN13757 is the CRC of EN 13757-4 (6.5): polynomial 3D65, start 0, inverted,
// most significant bit first. It guards the blocks of a frame on the radio, the
// payload behind an extended link layer, and names the formats of compact frames.
func crcEN13757(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x3D65
			} else {
				crc <<= 1
			}
		}
	}
	return ^crc
}

// xorOf is the checksum of the AMB8465's frames.
func xorOf(b []byte) (x byte) {
	for _, c := range b {
		x ^= c
	}
	return x
}
