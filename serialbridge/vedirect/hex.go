package vedirect

import "lintel/serialbridge"

// hexSum is what all bytes of a HEX frame sum up to: the command, which is one
// digit, the data and the checksum (VE.Direct HEX Protocol).
const hexSum = 0x55

// addHex takes a byte behind ':' and reports whether it belongs to the frame.
func (d *decoder) addHex(b byte) bool {
	switch _, isDigit := hexDigit(b); {
	case b == '\n':
		d.inHex = false
		if !validHex(d.hex) && d.ours() {
			d.sink.Damaged(serialbridge.DamagedChecksum)
		}
		return true
	case !isDigit:
		// The text goes on: the frame lost its end.
		d.inHex = false
		if d.ours() {
			d.sink.Damaged(serialbridge.DamagedSyntax)
		}
		return false
	case len(d.hex) == maxHex:
		d.inHex = false
		d.drop(serialbridge.DamagedTooLong)
		return true
	}
	d.hex = append(d.hex, b)
	return true
}

// validHex reports whether the digits are a frame with the right sum.
func validHex(digits []byte) bool {
	if len(digits) < 3 || len(digits)%2 == 0 {
		return false
	}
	sum, _ := hexDigit(digits[0])
	for i := 1; i < len(digits); i += 2 {
		high, _ := hexDigit(digits[i])
		low, _ := hexDigit(digits[i+1])
		sum += high<<4 | low
	}
	return sum == hexSum
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	}
	return 0, false
}
