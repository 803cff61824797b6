package modbus

import (
	"encoding/binary"

	"lintel/serialbridge/crc"
)

// sealed reports whether the last two bytes of a frame are the CRC of the others, the
// lower one first (MODBUS over serial line 1.02, 6.2.2).
func sealed(frame []byte) bool {
	n := len(frame) - 2
	return n > 0 && crc.Modbus(frame[:n]) == binary.LittleEndian.Uint16(frame[n:])
}

// seal adds the CRC to a frame.
func seal(frame []byte) []byte {
	return binary.LittleEndian.AppendUint16(frame, crc.Modbus(frame))
}
