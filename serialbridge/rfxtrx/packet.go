package rfxtrx

import (
	"slices"
	"time"

	"lintel/serialbridge"
)

const (
	// A packet has a type, a subtype, a number and at least one byte more.
	minLength = 4
	maxLength = 40
	// pause ends a packet that is not complete: the transceiver sends each
	// in one go.
	pause = 500 * time.Millisecond
)

// Types of packets (RFXtrx User Guide).
const (
	interfaceControl  = 0x00 // to the transceiver
	interfaceMessage  = 0x01
	transmitterAnswer = 0x02
	lighting1         = 0x10
	lighting2         = 0x11
	lighting5         = 0x14
	blinds1           = 0x19
	temperature       = 0x50
	humidity          = 0x51
	temperatureHum    = 0x52
	temperatureHumBar = 0x54
	rain              = 0x55
	wind              = 0x56
	uv                = 0x57
	energy            = 0x5A
	security1         = 0x20
	undecoded         = 0x03
)

// lengths are those of the packets that are read here.
var lengths = map[byte][]int{
	interfaceMessage:  {0x0D, 0x14}, // old and new firmware
	transmitterAnswer: {0x04},
	lighting1:         {0x07},
	lighting2:         {0x0B},
	lighting5:         {0x0A},
	blinds1:           {0x09},
	security1:         {0x08},
	temperature:       {0x08},
	humidity:          {0x08},
	temperatureHum:    {0x0A},
	temperatureHumBar: {0x0D},
	rain:              {0x0B},
	wind:              {0x10},
	uv:                {0x09},
	energy:            {0x11},
}

// others are the lengths of types that exist and are passed over; nil: not known.
var others = map[byte][]int{
	undecoded: nil,
	0x12:      {0x08},       // Lighting3
	0x13:      {0x09},       // Lighting4
	0x15:      {0x0B},       // Lighting6
	0x16:      {0x07},       // chime
	0x17:      {0x08},       // fan
	0x18:      {0x07},       // curtain
	0x1A:      {0x0C},       // Somfy RTS
	0x1B:      {0x0C},       // Home Confort
	0x1C:      nil,          // Edisio
	0x1D:      nil,          // Honeywell
	0x1E:      nil,          // Funkbus
	0x1F:      nil,          // Hunter fan
	0x21:      {0x1C},       // Security2
	0x28:      {0x06},       // camera
	0x30:      {0x06},       // remote control of a PC
	0x40:      {0x09},       // thermostats
	0x41:      {0x06},       //
	0x42:      {0x08},       //
	0x43:      {0x0C},       //
	0x48:      {0x0C},       // radiator
	0x4E:      {0x0A},       // barbecue
	0x4F:      {0x0A},       // temperature and rain
	0x53:      {0x09},       // barometer
	0x58:      {0x0D},       // date and time
	0x59:      {0x0D},       // current
	0x5B:      {0x13},       // current and energy
	0x5C:      {0x0F},       // power
	0x5D:      {0x08},       // weight
	0x5E:      nil,          // gas
	0x5F:      nil,          // water
	0x60:      {0x11, 0x15}, // Cartelectronic
	0x61:      nil,          // asynchronous data
	0x70:      {0x07},       // RFXSensor
	0x71:      {0x0A},       // RFXMeter
	0x72:      {0x09},       // FS20
}

// begins tells whether a packet may begin with a length and a type.
func begins(length int, kind byte) bool {
	known, ok := lengths[kind]
	if !ok {
		known, ok = others[kind]
	}
	return ok && (known == nil || slices.Contains(known, length))
}

// A packet is what follows the length.
type packet []byte

func (p packet) kind() byte    { return p[0] }
func (p packet) subtype() byte { return p[1] }
func (p packet) number() byte  { return p[2] }

// u16 returns the number in two bytes.
func (p packet) u16(at int) int64 { return int64(p[at])<<8 | int64(p[at+1]) }

// signed returns the number in two bytes whose highest bit is the sign.
func (p packet) signed(at int) int64 {
	n := p.u16(at)
	if n&0x8000 != 0 {
		return -(n & 0x7FFF)
	}
	return n
}

// A deframer finds packets in a stream of bytes.
type deframer struct {
	// take gets a packet, which is valid until it returns, and whether there
	// was nothing before it that is none.
	take    func(p packet, clean bool)
	damaged func(reason string)

	buf     []byte // from a length on
	last    time.Time
	outside bool // what came last did not belong to a packet
}

// next takes a byte.
func (f *deframer) next(b byte, received time.Time) {
	if received.Sub(f.last) > pause {
		if len(f.buf) > 0 {
			f.damaged(serialbridge.DamagedTruncated)
		}
		f.buf = f.buf[:0]
		f.outside = false
	}
	f.last = received
	f.buf = append(f.buf, b)
	for len(f.buf) > 0 {
		length := int(f.buf[0])
		if length < minLength || length > maxLength {
			f.skip()
			continue
		}
		if len(f.buf) < 2 {
			return
		}
		if !begins(length, f.buf[1]) {
			f.skip()
			continue
		}
		if len(f.buf) < 1+length {
			return
		}
		clean := !f.outside
		f.outside = false
		f.take(packet(f.buf[1:1+length]), clean)
		f.buf = slices.Delete(f.buf, 0, 1+length)
	}
}

// skip drops a byte with which no packet begins. A row of them counts once.
func (f *deframer) skip() {
	if !f.outside {
		f.damaged(serialbridge.DamagedSyntax)
	}
	f.outside = true
	f.buf = slices.Delete(f.buf, 0, 1)
}
