package simulator

import (
	"bytes"
	"encoding/binary"
)

// jkBMS is a battery management system of Jikong with 14 cells at its RS485
// adapter. It counts cycles, up to 65535 and then from 0.
func jkBMS() Device {
	n := int64(0)
	return Device{Protocol: "jkbms", Answer: func(heard []byte) (int, []Frame) {
		start := bytes.Index(heard, []byte{0x4E, 0x57})
		if start != 0 {
			if start < 0 {
				start = max(0, len(heard)-1) // its last byte may be the first of a frame
			}
			return start, nil
		}
		if len(heard) < 4 {
			return 0, nil
		}
		size := 2 + int(binary.BigEndian.Uint16(heard[2:])) // the length counts itself
		if size < 20 || size > 512 {
			return 2, nil
		}
		if len(heard) < size {
			return 0, nil
		}
		if sum(heard[:size-4]) != binary.BigEndian.Uint16(heard[size-2:]) {
			return 2, nil
		}
		const readAll = 0x06
		if heard[8] != readAll {
			return size, nil
		}
		n++
		return size, []Frame{jkFrame(n)}
	}}
}

// jkFrame writes the answer that tells all: tags with values of fixed length.
func jkFrame(n int64) Frame {
	b := []byte{0x4E, 0x57, 0, 0, 0, 0, 0, 0, 0x06, 0x00, 0x01}
	const cells = 14
	b = append(b, 0x79, 3*cells)
	for cell := range cells {
		b = append(b, byte(cell+1))
		b = binary.BigEndian.AppendUint16(b, uint16(3820+cell))
	}
	word := func(tag byte, v uint16) { b = binary.BigEndian.AppendUint16(append(b, tag), v) }
	long := func(tag byte, v uint32) { b = binary.BigEndian.AppendUint32(append(b, tag), v) }
	word(0x80, 29) // °C of the transistors
	word(0x81, 30) // of the two sensors
	word(0x82, 28)
	word(0x83, 5359)        // 0.01 V
	word(0x84, 0x8000|208)  // 10 mA, charging
	b = append(b, 0x85, 15) // %
	b = append(b, 0x86, 2)  // sensors
	word(0x87, uint16(n))
	long(0x89, 12) // Ah of all cycles
	word(0x8A, cells)
	word(0x8B, 0)          // alarms
	word(0x8C, 0x0007)     // charges, discharges, balances
	b = append(b, 0x9D, 1) // the switch of the balancer
	long(0xAA, 14)         // Ah
	b = append(b, 0xAB, 1) // the switches of charging and discharging
	b = append(b, 0xAC, 1)
	long(0xB6, 57856) // minutes
	b = append(b, 0xB7)
	b = append(b, "H6.X__S6.1.3S__"...)
	b = append(b, 0xC0, 1)          // version of the protocol
	b = append(b, 0, 0, 0, 0, 0x68) // number of the record, end
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+2))
	return Frame{Data: binary.BigEndian.AppendUint32(b, uint32(sum(b))), Count: n, Sum: len(b) + 2}
}
