package ezsp

import (
	"encoding/binary"

	"lintel/serialbridge/zigbee"
)

// reader reads the parameters of a frame. What is missing reads as zero, and bad
// tells of it.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) ieee() zigbee.IEEEAddress {
	if b := r.bytes(8); b != nil {
		return zigbee.IEEEAddress(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (r *reader) address() zigbee.NetworkAddress { return zigbee.NetworkAddress(r.uint16()) }

func (r *reader) key() (k [16]byte) {
	copy(k[:], r.bytes(16))
	return k
}

// payload reads what has its length before it.
func (r *reader) payload() []byte { return r.bytes(int(r.uint8())) }

// status reads a status of the stack.
func (r *reader) status(version uint8) status {
	if version >= 14 {
		return status(r.uint32())
	}
	return fromEmber(r.uint8())
}

// ezspStatus reads a status of EZSP itself, which before version 14 is of another
// table.
func (r *reader) ezspStatus(version uint8) status {
	if version >= 14 {
		return status(r.uint32())
	}
	if r.uint8() != 0 {
		return statusEZSP
	}
	return statusOK
}

// apsFrame is an APS frame as EZSP describes it, without its data.
type apsFrame struct {
	profile, cluster    uint16
	source, destination uint8 // endpoints
	options             uint16
	group               uint16
	sequence            uint8
}

// Options of an APS frame.
const (
	apsRetry             = 0x0040
	apsRouteDiscovery    = 0x0100
	apsForceRoute        = 0x0200
	apsAddressDiscovery  = 0x1000
	apsFragment          = 0x8000
	apsOptions           = apsRetry | apsRouteDiscovery | apsAddressDiscovery
	unknownRadius        = 0  // the stack's own
	nonMemberRadius      = 12 // of a multicast before version 14
	multicastAlias       = 0xffff
	messageUnicastDirect = 0
)

func (r *reader) apsFrame() (f apsFrame) {
	f.profile, f.cluster = r.uint16(), r.uint16()
	f.source, f.destination = r.uint8(), r.uint8()
	f.options, f.group = r.uint16(), r.uint16()
	f.sequence = r.uint8()
	return f
}

func (f apsFrame) append(b []byte) []byte {
	b = append16(b, f.profile)
	b = append16(b, f.cluster)
	b = append(b, f.source, f.destination)
	b = append16(b, f.options)
	b = append16(b, f.group)
	return append(b, f.sequence)
}

// networkParameters is a network as EZSP describes it.
type networkParameters struct {
	extendedPANID [8]byte // least significant byte first
	panID         uint16
	power         int8
	channel       uint8
	joinMethod    uint8
	manager       uint16
	updateID      uint8
	channels      uint32
}

func (r *reader) networkParameters() (p networkParameters) {
	copy(p.extendedPANID[:], r.bytes(8))
	p.panID = r.uint16()
	p.power = int8(r.uint8())
	p.channel, p.joinMethod = r.uint8(), r.uint8()
	p.manager = r.uint16()
	p.updateID = r.uint8()
	p.channels = r.uint32()
	return p
}

func (p networkParameters) append(b []byte) []byte {
	b = append(b, p.extendedPANID[:]...)
	b = append16(b, p.panID)
	b = append(b, byte(p.power), p.channel, p.joinMethod)
	b = append16(b, p.manager)
	b = append(b, p.updateID)
	return append32(b, p.channels)
}

func append16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func append32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func appendIEEE(b []byte, a zigbee.IEEEAddress) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(a))
}
