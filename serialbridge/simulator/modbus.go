package simulator

import (
	"encoding/binary"
	"math"
)

// sdm120 is an Eastron SDM120 on a Modbus line (RTU). It counts, with each answer
// that holds the imported energy, 0.01 kWh.
func sdm120(address byte, serial uint32) Device {
	n := int64(0)
	// Input registers, two of them a float (SDM120 manual). Others are zero.
	registers := func(register uint16) float64 {
		switch register {
		case 0:
			return 230.2 // V
		case 6:
			return 1.5 // A
		case 12:
			return 345 // W
		case 18:
			return 345.3 // VA
		case 24:
			return -14.5 // var
		case 30:
			return 0.99
		case 70:
			return 50.02 // Hz
		case importRegister, 342: // imported, and in all, in kWh
			return float64(n) / 100
		}
		return 0
	}
	const size = 8 // of a request
	return Device{Protocol: "modbus", Answer: func(heard []byte) (int, []Frame) {
		if len(heard) < size {
			return 0, nil
		}
		if crc16(crc16IBM, 0xFFFF, heard[:size-2]) != binary.LittleEndian.Uint16(heard[size-2:]) {
			return 1, nil
		}
		function := heard[1]
		first, quantity := binary.BigEndian.Uint16(heard[2:]), binary.BigEndian.Uint16(heard[4:])
		switch {
		case heard[0] != address:
			return size, nil // for somebody else
		case function == 3 && first == serialRegister && quantity == 2:
			return size, []Frame{rtu(0, binary.BigEndian.AppendUint32([]byte{address, function, 4}, serial)...)}
		case function != 4:
			return size, []Frame{rtu(0, address, function|0x80, 1)} // illegal function
		case quantity == 0 || quantity > 80 || quantity%2 != 0 || first%2 != 0:
			return size, []Frame{rtu(0, address, function|0x80, 2)} // illegal data address
		}
		count := int64(0)
		if first <= importRegister && importRegister-first < quantity {
			n++
			count = n
		}
		answer := []byte{address, function, byte(2 * quantity)}
		for i := uint16(0); i < quantity; i += 2 {
			answer = binary.BigEndian.AppendUint32(answer, math.Float32bits(float32(registers(first+i))))
		}
		return size, []Frame{rtu(count, answer...)}
	}}
}

const (
	importRegister = 72     // imported energy
	serialRegister = 0xFC00 // a holding register
)

// rtu ends a Modbus frame with its checksum.
func rtu(n int64, b ...byte) Frame {
	return Frame{Data: binary.LittleEndian.AppendUint16(b, crc16(crc16IBM, 0xFFFF, b)), Count: n, Sum: len(b)}
}
