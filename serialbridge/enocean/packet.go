package enocean

import (
	"encoding/binary"
	"slices"
	"time"

	"lintel/serialbridge"
)

// packetType is the type of an ESP3 packet (ESP3 1.5, 1.8).
type packetType byte

const (
	radioERP1     packetType = 0x01
	response      packetType = 0x02
	commonCommand packetType = 0x05
	radioERP2     packetType = 0x0A
)

const (
	syncByte   = 0x55
	headerSize = 6 // sync byte, length of data (2), of optional data, type, CRC8
	maxData    = 512
	maxPacket  = headerSize + maxData + 255 + 1

	// pause ends a packet that is not complete. ESP3 1.6.1 says 100 ms, but
	// USB and a busy box may add to what the line took.
	pause = 500 * time.Millisecond
)

// A packet is an ESP3 packet whose checksums are right.
type packet struct {
	kind     packetType
	data     []byte
	optional []byte
}

// bytes returns the packet as it is sent. The data may have at most 65535 bytes,
// the optional data 255.
func (p packet) bytes() []byte {
	b := []byte{syncByte}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.data)))
	b = append(b, byte(len(p.optional)), byte(p.kind))
	b = append(b, crc8(b[1:]))
	b = append(b, p.data...)
	b = append(b, p.optional...)
	return append(b, crc8(b[headerSize:]))
}

// Reasons for throwing a packet away.
const (
	damagedHeader = "header checksum"
	damagedData   = "data checksum"
)

// A deframer finds packets in a stream of bytes. Of a packet that turns out to be
// damaged only the sync byte is dropped: it may have been a byte of something
// else, with a packet right behind.
type deframer struct {
	take    func(packet) // its slices are valid until it returns
	damaged func(reason string)

	buf     []byte // from a sync byte on, or empty
	last    time.Time
	outside bool // what came last did not belong to a packet
}

// next takes a byte.
func (f *deframer) next(b byte, received time.Time) {
	for len(f.buf) > 0 && received.Sub(f.last) > pause {
		f.drop(serialbridge.DamagedTruncated)
	}
	f.last = received
	f.buf = append(f.buf, b)
	f.scan()
}

// scan takes out of the buffer what is complete.
func (f *deframer) scan() {
	for len(f.buf) > 0 {
		if f.buf[0] != syncByte {
			f.skip(0)
			continue
		}
		if len(f.buf) < headerSize {
			return
		}
		if crc8(f.buf[1:headerSize-1]) != f.buf[headerSize-1] {
			f.dropOne(damagedHeader)
			continue
		}
		data, optional := int(binary.BigEndian.Uint16(f.buf[1:])), int(f.buf[3])
		if data > maxData {
			f.dropOne(serialbridge.DamagedTooLong)
			continue
		}
		size := headerSize + data + optional + 1
		if len(f.buf) < size {
			return
		}
		body := f.buf[headerSize : size-1]
		if crc8(body) != f.buf[size-1] {
			f.dropOne(damagedData)
			continue
		}
		f.outside = false
		f.take(packet{packetType(f.buf[4]), body[:data], body[data:]})
		f.buf = slices.Delete(f.buf, 0, size)
	}
}

// drop drops the packet that is under way and looks for one in what is left.
func (f *deframer) drop(reason string) {
	f.dropOne(reason)
	f.scan()
}

func (f *deframer) dropOne(reason string) {
	// In noise every 256th byte looks like the beginning of a packet. Only the
	// first of those is counted.
	if reason != damagedHeader || !f.outside {
		f.damaged(reason)
	}
	f.skip(1)
}

// skip drops from bytes, and then all up to the next sync byte.
func (f *deframer) skip(from int) {
	f.outside = true
	i := slices.Index(f.buf[from:], syncByte)
	if i < 0 {
		f.buf = f.buf[:0]
		return
	}
	f.buf = slices.Delete(f.buf, 0, from+i)
}
