package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Version is the protocol level of a connection.
type Version byte

// The protocol levels.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4
	V50  Version = 5
)

// PacketType is the type of a control packet (5.0 §2.1.2).
type PacketType byte

// The control packets, spelled as in the standard.
const (
	CONNECT     PacketType = 1
	CONNACK     PacketType = 2
	PUBLISH     PacketType = 3
	PUBACK      PacketType = 4
	PUBREC      PacketType = 5
	PUBREL      PacketType = 6
	PUBCOMP     PacketType = 7
	SUBSCRIBE   PacketType = 8
	SUBACK      PacketType = 9
	UNSUBSCRIBE PacketType = 10
	UNSUBACK    PacketType = 11
	PINGREQ     PacketType = 12
	PINGRESP    PacketType = 13
	DISCONNECT  PacketType = 14
	AUTH        PacketType = 15
)

var packetNames = [16]string{"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

func (t PacketType) String() string { return packetNames[t&15] }

// MaxRemainingLength is the greatest remaining length of a packet (5.0 §1.5.5).
const MaxRemainingLength = 268_435_455

// Packet is a control packet whose body has not been looked at. Body is a part
// of the buffer that it was parsed from.
type Packet struct {
	Type  PacketType
	Flags byte // low four bits of the first byte
	Body  []byte
}

// Size returns the size of the first packet in buf, fixed header included, or
// 0 if buf is too short to tell. It fails for a remaining length of more than
// four bytes or in a longer form than needed [v5 MQTT-1.5.5-1].
func Size(buf []byte) (int, error) {
	length := 0
	for i := 1; i < len(buf); i++ {
		b := buf[i]
		length |= int(b&0x7f) << (7 * (i - 1))
		if b < 0x80 {
			if b == 0 && i > 1 {
				return 0, malformed("remaining length in overlong form")
			}
			return 1 + i + length, nil
		}
		if i == 4 {
			return 0, malformed("remaining length of more than four bytes")
		}
	}
	return 0, nil
}

// Parse takes the first packet off buf. n is its size; n == 0 means that buf
// does not hold a whole packet yet. A packet of more than maxSize bytes fails
// with PacketTooLarge as soon as its header tells; maxSize 0 is no limit.
// Flags that the standard reserves are checked for every type but CONNECT,
// whose version is not known yet [v3 MQTT-2.2.2-2, v5 MQTT-2.1.3-1]. v is 0
// before the CONNECT.
func Parse(buf []byte, v Version, maxSize int) (p Packet, n int, err error) {
	if len(buf) == 0 {
		return p, 0, nil
	}
	p.Type, p.Flags = PacketType(buf[0]>>4), buf[0]&15
	switch p.Type {
	case 0:
		return p, 0, malformed("packet type 0")
	case AUTH:
		if v != 0 && v != V50 {
			return p, 0, malformed("AUTH before MQTT 5.0")
		}
	}
	size, err := Size(buf)
	if err != nil {
		return p, 0, err
	}
	if maxSize > 0 && size > maxSize {
		return p, 0, &Error{PacketTooLarge, fmt.Sprintf("packet of %d bytes, the limit is %d", size, maxSize)}
	}
	switch p.Type {
	case CONNECT, PUBLISH:
	case PINGREQ, PINGRESP:
		// They have no Decode method: all there is to know is the header.
		if p.Flags != 0 || size > 2 {
			return p, 0, malformed(p.Type.String() + " with flags or a body")
		}
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		// MQTT 3.1 has a DUP flag here (§2.1).
		if p.Flags != 2 && !(v == V31 && p.Flags == 0x0a) {
			return p, 0, malformed(p.Type.String() + " with wrong flags")
		}
	default:
		if p.Flags != 0 {
			return p, 0, malformed(p.Type.String() + " with wrong flags")
		}
	}
	if size == 0 || len(buf) < size {
		return p, 0, nil
	}
	header := 2
	for buf[header-1] >= 0x80 {
		header++
	}
	p.Body = buf[header:size:size]
	return p, size, nil
}

// appendHeader appends a fixed header.
func appendHeader(dst []byte, t PacketType, flags byte, length int) []byte {
	dst = append(dst, byte(t)<<4|flags)
	return appendVarint(dst, uint32(length))
}

func appendVarint(dst []byte, x uint32) []byte {
	for x >= 0x80 {
		dst = append(dst, byte(x)|0x80)
		x >>= 7
	}
	return append(dst, byte(x))
}

func varintSize(x uint32) int {
	n := 1
	for x >= 0x80 {
		x >>= 7
		n++
	}
	return n
}

// appendString appends s with its length. Nothing that is decoded or that
// ValidTopicName and ValidFilter let through is longer than 65,535 bytes; the
// rest is up to the caller.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// validString reports whether b may stand in a UTF-8 encoded string: well
// formed, no surrogates, no U+0000 [v5 MQTT-1.5.4-1, MQTT-1.5.4-2].
func validString(b []byte) bool {
	return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b)
}

// decoder reads fields off the front of a body. The first error stays.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(detail string) {
	if d.err == nil {
		d.err = malformed(detail)
	}
	d.b = nil
}

func (d *decoder) take(n int, what string) []byte {
	if d.err != nil || n > len(d.b) {
		d.fail(what + " runs past the end of the packet")
		return nil
	}
	t := d.b[:n:n]
	d.b = d.b[n:]
	return t
}

func (d *decoder) uint8(what string) byte {
	if t := d.take(1, what); t != nil {
		return t[0]
	}
	return 0
}

func (d *decoder) uint16(what string) uint16 {
	if t := d.take(2, what); t != nil {
		return binary.BigEndian.Uint16(t)
	}
	return 0
}

func (d *decoder) uint32(what string) uint32 {
	if t := d.take(4, what); t != nil {
		return binary.BigEndian.Uint32(t)
	}
	return 0
}

// varint reads a variable byte integer in its shortest form [v5 MQTT-1.5.5-1].
func (d *decoder) varint(what string) uint32 {
	var x uint32
	for i := range 4 {
		c := d.uint8(what)
		x |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				d.fail(what + " in overlong form")
			}
			return x
		}
	}
	d.fail(what + " of more than four bytes")
	return 0
}

func (d *decoder) binary(what string) []byte {
	return d.take(int(d.uint16(what)), what)
}

func (d *decoder) stringBytes(what string) []byte {
	b := d.binary(what)
	if d.err == nil && !validString(b) {
		d.fail(what + " is not valid UTF-8")
	}
	return b
}

func (d *decoder) string(what string) string { return string(d.stringBytes(what)) }

// packetID reads a packet identifier, which is never 0 [v5 MQTT-2.2.1-3].
func (d *decoder) packetID() uint16 {
	id := d.uint16("packet identifier")
	if d.err == nil && id == 0 {
		d.err = protocolError("packet identifier 0")
	}
	return id
}

// end fails if bytes are left over.
func (d *decoder) end(t PacketType) error {
	if d.err == nil && len(d.b) > 0 {
		d.fail(t.String() + " is longer than its fields")
	}
	return d.err
}
