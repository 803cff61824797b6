package modbus

// crc16 is CRC-16/MODBUS: polynomial 8005, reflected, beginning with FFFF. It goes
// over the line low byte first (MODBUS over serial line 1.02, 6.2.2).
func crc16(data []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, b := range data {
		crc = crc>>8 ^ crcTable[byte(crc)^b]
	}
	return crc
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// sealed reports whether the last two bytes of a frame are the CRC of the others.
func sealed(frame []byte) bool {
	n := len(frame) - 2
	return n > 0 && crc16(frame[:n]) == uint16(frame[n])|uint16(frame[n+1])<<8
}

// seal adds the CRC to a frame.
func seal(frame []byte) []byte {
	crc := crc16(frame)
	return append(frame, byte(crc), byte(crc>>8))
}
