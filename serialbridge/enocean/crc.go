package enocean

// crc8 is the checksum of ESP3: polynomial x⁸+x²+x+1, initial value 0, not
// reflected (ESP3 3.3).
func crc8(data []byte) byte {
	var crc byte
	for _, b := range data {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x07
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
