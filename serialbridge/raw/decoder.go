package raw

import (
	"bytes"
	"time"

	"lintel/serialbridge"
)

// Keys of the properties.
const (
	keyReceived = "received"
	keySend     = "send"
)

// A decoder cuts a stream of bytes into messages.
type decoder struct {
	sink      serialbridge.Sink
	o         Options // complete
	delimiter []byte
	limit     int // bytes of a line with all that may end it

	device    serialbridge.Device
	announced bool

	message []byte    // so far
	passing bool      // over the rest of a message that is too long
	last    time.Time // when the last byte came
}

func newDecoder(sink serialbridge.Sink, o Options) *decoder {
	d := &decoder{sink: sink, o: o, delimiter: []byte(o.Delimiter), device: o.device()}
	d.limit = o.MaxLength + len(d.delimiter)
	if o.Delimiter == "\n" {
		d.limit++ // for the carriage return
	}
	return d
}

// Decode implements serialbridge.Decoder.
func (d *decoder) Decode(data []byte, received time.Time) {
	if len(data) == 0 {
		return
	}
	if d.o.Mode == Frames {
		if received.Sub(d.last) >= d.o.Gap {
			d.endFrame()
		}
		d.last = received
		d.addToFrame(data)
		return
	}
	d.last = received
	for _, b := range data {
		d.addToLine(b)
	}
}

func (d *decoder) addToLine(b byte) {
	d.message = append(d.message, b)
	switch {
	case bytes.HasSuffix(d.message, d.delimiter):
		if !d.passing {
			line := bytes.TrimSuffix(d.message, d.delimiter)
			if d.o.Delimiter == "\n" {
				line = bytes.TrimSuffix(line, []byte("\r"))
			}
			d.publish(line)
		}
		d.message, d.passing = d.message[:0], false
	case d.passing || len(d.message) == d.limit:
		if !d.passing {
			d.publish(d.message)
			d.passing = true
		}
		// The delimiter may have begun.
		if n := len(d.message) - len(d.delimiter) + 1; n > 0 {
			d.message = append(d.message[:0], d.message[n:]...)
		}
	}
}

func (d *decoder) addToFrame(data []byte) {
	if d.passing {
		return
	}
	d.message = append(d.message, data[:min(len(data), d.o.MaxLength+1-len(d.message))]...)
	if len(d.message) > d.o.MaxLength {
		d.publish(d.message)
		d.message, d.passing = d.message[:0], true
	}
}

// endFrame is told that nothing came for the gap.
func (d *decoder) endFrame() {
	if len(d.message) > 0 {
		d.publish(d.message)
	}
	d.message, d.passing = d.message[:0], false
}

// publish passes a message on, or the beginning of one that is too long.
func (d *decoder) publish(message []byte) {
	if len(message) > d.o.MaxLength {
		message = message[:d.o.MaxLength]
		d.sink.Damaged(serialbridge.DamagedTooLong)
	}
	d.announce()
	d.sink.Reading(serialbridge.Reading{
		Device: d.device.ID, Time: d.last,
		Values: map[string]any{keyReceived: append([]byte{}, message...)},
	})
}

// announce makes the device known.
func (d *decoder) announce() {
	if !d.announced {
		d.announced = true
		d.sink.Device(d.device)
	}
}
