package simulator

import (
	"encoding/binary"
	"fmt"
)

// dalyBMS is a battery management system of Daly with four cells at its UART
// adapter. It counts, with each answer that holds it, mAh of remaining charge.
func dalyBMS(number uint64) Device {
	n := int64(0)
	const size = 13
	return Device{Protocol: "dalybms", Answer: func(heard []byte) (int, []Frame) {
		if heard[0] != 0xA5 {
			return 1, nil
		}
		if len(heard) < size {
			return 0, nil
		}
		if byte(sum(heard[:size-1])) != heard[size-1] || heard[1] != 0x40 && heard[1] != 0x80 || heard[3] != 8 {
			return 1, nil
		}
		word := func(vs ...uint16) (b []byte) {
			for _, v := range vs {
				b = binary.BigEndian.AppendUint16(b, v)
			}
			return b
		}
		command := heard[2]
		frame := func(count int64, data []byte) Frame {
			b := append([]byte{0xA5, 0x01, command, 8}, data...)
			b = append(b, make([]byte, size-1-len(b))...)
			return Frame{Data: append(b, byte(sum(b))), Count: count, Sum: len(b)}
		}
		switch command {
		case 0x50: // mAh when it is full, mV of a cell
			return size, []Frame{frame(0, binary.BigEndian.AppendUint32([]byte{0, 4, 0x93, 0xE0}, 3200))}
		case 0x57: // a code of 35 characters, in parts
			code := fmt.Sprintf("LINTEL%010d%19s", number, "")
			var parts []Frame
			for part := range 5 {
				parts = append(parts, frame(0, append([]byte{byte(part + 1)}, code[7*part:7*part+7]...)))
			}
			return size, parts
		case 0x90: // 0.1 V, the same measured otherwise, 0.1 A from -3000 A, 0.1 %
			return size, []Frame{frame(0, word(132, 132, 30000-25, 874))}
		case 0x91: // mV and number of the highest and the lowest cell
			return size, []Frame{frame(0, []byte{0x0C, 0xEA, 2, 0x0C, 0xE4, 4})} // 3306, 3300
		case 0x92: // °C from -40 and number of the warmest and the coldest sensor
			return size, []Frame{frame(0, []byte{40 + 21, 1, 40 + 21, 1})}
		case 0x93: // discharging, both transistors on, cycles of life, mAh
			n++
			return size, []Frame{frame(n, binary.BigEndian.AppendUint32([]byte{2, 1, 1, 17}, uint32(n)))}
		case 0x94: // cells, sensors, no charger, no load, inputs and outputs, cycles
			return size, []Frame{frame(0, []byte{4, 1, 0, 0, 0, 0, 23, 0})}
		case 0x95: // three cells in each frame
			return size, []Frame{
				frame(0, append([]byte{1}, word(3304, 3306, 3302)...)),
				frame(0, append([]byte{2}, word(3300)...)),
			}
		case 0x96: // sensors
			return size, []Frame{frame(0, []byte{1, 40 + 21})}
		case 0x97, 0x98: // nothing is balanced, nothing is wrong
			return size, []Frame{frame(0, nil)}
		}
		return size, nil
	}}
}
