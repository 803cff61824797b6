package airquality

import (
	"time"

	"lintel/serialbridge"
)

// SHDLC puts a frame between flags and escapes what could be taken for a flag
// (Sensirion, SPS30 data sheet 1.0, 4.1).
const (
	shdlcFlag   = 0x7E
	shdlcEscape = 0x7D
	shdlcFlip   = 0x20

	shdlcMaxFrame = 5 + 255 // address, command, state, length, data, sum
	shdlcMinFrame = 5
)

// A reply is a frame from a sensor.
type reply struct {
	command byte
	state   byte
	data    []byte
}

// An shdlcDecoder finds replies in a stream of bytes.
type shdlcDecoder struct {
	take    func(r reply, received time.Time)
	damaged func(reason string)

	inside  bool // behind a flag
	escaped bool // the last byte was an escape
	frame   []byte
}

// Decode implements serialbridge.Decoder.
func (d *shdlcDecoder) Decode(data []byte, received time.Time) {
	for _, b := range data {
		switch {
		case b == shdlcFlag:
			// The end of one frame and maybe the beginning of the next.
			if len(d.frame) > 0 {
				d.end(received)
			}
			d.inside, d.escaped, d.frame = true, false, d.frame[:0]
		case !d.inside:
		case len(d.frame) == shdlcMaxFrame:
			d.damaged(serialbridge.DamagedTooLong)
			d.inside, d.frame = false, d.frame[:0]
		case b == shdlcEscape:
			d.escaped = true
		default:
			if d.escaped {
				b ^= shdlcFlip
				d.escaped = false
			}
			d.frame = append(d.frame, b)
		}
	}
}

func (d *shdlcDecoder) end(received time.Time) {
	f := d.frame
	if len(f) < shdlcMinFrame || len(f) != shdlcMinFrame+int(f[3]) || sum8(f) != 0xFF {
		d.damaged(serialbridge.DamagedChecksum)
		return
	}
	d.take(reply{command: f[1], state: f[2], data: f[4 : len(f)-1]}, received)
}

// shdlcRequest returns what is sent to the sensor.
func shdlcRequest(command byte, data ...byte) []byte {
	frame := append([]byte{0, command, byte(len(data))}, data...)
	frame = append(frame, ^sum8(frame))
	b := []byte{shdlcFlag}
	for _, c := range frame {
		switch c {
		case shdlcFlag, shdlcEscape, 0x11, 0x13: // XON and XOFF too
			b = append(b, shdlcEscape, c^shdlcFlip)
		default:
			b = append(b, c)
		}
	}
	return append(b, shdlcFlag)
}
