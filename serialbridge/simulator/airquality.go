package simulator

import (
	"encoding/binary"
	"time"
)

// sds011 is a dust sensor of Nova Fitness. It counts 0.1 µg/m³ of PM2.5, up to
// 999.9 and then from 0.
func sds011(number uint64) Device {
	n := int64(0)
	return Device{Protocol: "airquality", Interval: time.Second, Talk: func(time.Time) []Frame {
		n++
		frame := []byte{0xAA, 0xC0}
		frame = binary.LittleEndian.AppendUint16(frame, uint16(n%10000))
		frame = binary.LittleEndian.AppendUint16(frame, 123)
		frame = binary.BigEndian.AppendUint16(frame, uint16(0x5800+number))
		return one(append(frame, byte(sum(frame[2:])), 0xAB), n, len(frame))
	}}
}

// pms5003 is a dust sensor of Plantower. It counts µg/m³ of PM10, up to 65535 and
// then from 0.
func pms5003() Device {
	n := int64(0)
	return Device{Protocol: "airquality", Interval: time.Second, Talk: func(time.Time) []Frame {
		n++
		frame := []byte{0x42, 0x4D, 0, 28}
		for _, word := range []uint16{
			3, 5, uint16(n), // PM1, PM2.5, PM10 by the calibration of the factory
			3, 5, uint16(n), // as they are in the air
			210, 70, 45, 30, 0, 0, // particles larger than 0.3 to 10 µm in 0.1 l
			0x9700, // version, error code
		} {
			frame = binary.BigEndian.AppendUint16(frame, word)
		}
		return one(binary.BigEndian.AppendUint16(frame, sum(frame)), n, len(frame))
	}}
}
