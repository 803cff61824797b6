package ezsp

// The bytes that ASH keeps for itself (UG101, section 4.2).
const (
	flagByte       = 0x7e // ends a frame
	escapeByte     = 0x7d // the next byte has bit 5 inverted
	xonByte        = 0x11 // software flow control
	xoffByte       = 0x13
	substituteByte = 0x18 // stands for a byte that was received in error
	cancelByte     = 0x1a // drops what came before it
	wakeByte       = 0xff // between frames: a sleeping chip is woken
)

const (
	// maxData is the longest data field: an EZSP frame of 220 bytes. Firmware
	// from 8.0 on makes some longer; the protocol has room for one byte's worth.
	maxData = 256
	minData = 3
	crcSize = 2
)

// Why a frame was thrown away.
const (
	damagedCRC     = "checksum"
	damagedLength  = "length"
	damagedLine    = "line error" // the stick's UART has said so with a substitute byte
	damagedControl = "syntax"
)

// A deframer finds the frames of ASH in a stream of bytes.
type deframer struct {
	buf      []byte
	escaped  bool
	overrun  bool
	spoiled  bool // a substitute byte was in it
	canceled uint64
}

// push takes a byte. At the end of a frame it returns what is between control
// byte and CRC, both included the former, or why it is of no use; frame is
// good until the next call. damage tells nothing of an empty frame.
func (d *deframer) push(b byte) (frame []byte, damage string) {
	switch b {
	case flagByte:
		return d.end()
	case cancelByte:
		if len(d.buf) > 0 {
			d.canceled++
		}
		d.reset()
	case substituteByte:
		d.spoiled = true
	case xonByte, xoffByte:
		// They are escaped in a frame, so these are of the line.
	case escapeByte:
		d.escaped = true
	default:
		if len(d.buf) == 0 && b == wakeByte && !d.escaped {
			break
		}
		if d.escaped {
			b ^= 0x20
			d.escaped = false
		}
		if len(d.buf) >= 1+maxData+crcSize {
			d.overrun = true
			break
		}
		d.buf = append(d.buf, b)
	}
	return nil, ""
}

func (d *deframer) reset() {
	d.buf = d.buf[:0]
	d.escaped, d.overrun, d.spoiled = false, false, false
}

func (d *deframer) end() (frame []byte, damage string) {
	frame = d.buf
	switch n := len(frame); {
	case n == 0 && !d.spoiled:
	case d.spoiled:
		damage = damagedLine
	case d.overrun || n < 1+crcSize:
		damage = damagedLength
	case checksum(frame[:n-crcSize]) != uint16(frame[n-2])<<8|uint16(frame[n-1]):
		damage = damagedCRC
	}
	d.reset()
	if damage != "" || len(frame) == 0 {
		return nil, damage
	}
	return frame[:len(frame)-crcSize], ""
}

// suspect returns the control byte of the frame that was just thrown away, as far as
// it can be believed.
func (d *deframer) suspect() (control byte, ok bool) {
	if cap(d.buf) == 0 {
		return 0, false
	}
	return d.buf[:1][0], true
}

// appendFrame appends a frame in the form of the line: control byte, randomised
// data, CRC and flag.
func appendFrame(dst []byte, control byte, data []byte) []byte {
	crc := addChecksum(0xffff, control)
	dst = appendStuffed(dst, control)
	random := byte(randomSeed)
	for _, b := range data {
		b ^= random
		random = nextRandom(random)
		crc = addChecksum(crc, b)
		dst = appendStuffed(dst, b)
	}
	dst = appendStuffed(dst, byte(crc>>8))
	dst = appendStuffed(dst, byte(crc))
	return append(dst, flagByte)
}

func appendStuffed(dst []byte, b byte) []byte {
	switch b {
	case flagByte, escapeByte, xonByte, xoffByte, substituteByte, cancelByte:
		return append(dst, escapeByte, b^0x20)
	}
	return append(dst, b)
}

// The data field is mixed with a fixed sequence, lest a byte that repeats fill the
// line with escapes (UG101, section 4.3).
const randomSeed = 0x42

func nextRandom(r byte) byte {
	if r&1 != 0 {
		return r>>1 ^ 0xb8
	}
	return r >> 1
}

// randomise mixes a data field, or mixes it back.
func randomise(data []byte) {
	random := byte(randomSeed)
	for i := range data {
		data[i] ^= random
		random = nextRandom(random)
	}
}

// checksum is the CRC-CCITT of control byte and data (UG101, section 2.3).
func checksum(b []byte) uint16 {
	crc := uint16(0xffff)
	for _, c := range b {
		crc = addChecksum(crc, c)
	}
	return crc
}

func addChecksum(crc uint16, b byte) uint16 {
	crc = crc>>8 | crc<<8
	crc ^= uint16(b)
	crc ^= crc & 0xff >> 4
	crc ^= crc << 12
	return crc ^ crc&0xff<<5
}
