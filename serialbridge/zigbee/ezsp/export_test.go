package ezsp

// DataOf returns the data of the data frames among the bytes of a line.
func DataOf(line []byte) (all [][]byte) {
	var d deframer
	for _, b := range line {
		if frame, _ := d.push(b); len(frame) > 1 && frame[0] < 0x80 {
			data := append([]byte(nil), frame[1:]...)
			randomise(data)
			all = append(all, data)
		}
	}
	return all
}
