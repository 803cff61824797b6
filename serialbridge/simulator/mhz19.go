package simulator

// mhz19 is an MH-Z19B of Winsen. It counts ppm of CO₂ from 400 on, up to 4999 and
// then again.
func mhz19() Device {
	n := int64(0)
	const size = 9
	return Device{Protocol: "mhz19", Answer: func(heard []byte) (int, []Frame) {
		if heard[0] != 0xFF {
			return 1, nil
		}
		if len(heard) < size {
			return 0, nil
		}
		// The sum leaves the first byte out.
		if -byte(sum(heard[1:size-1])) != heard[size-1] {
			return 1, nil
		}
		const readCO2 = 0x86
		if heard[2] != readCO2 {
			return size, nil
		}
		n++
		ppm := uint16(400 + (n-1)%4600)
		b := []byte{0xFF, readCO2, byte(ppm >> 8), byte(ppm), 40 + 22, 0, 0, 0}
		return size, []Frame{{Data: append(b, -byte(sum(b[1:]))), Count: int64(ppm), Sum: len(b)}}
	}}
}
