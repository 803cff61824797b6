package znp

import (
	"encoding/binary"
	"fmt"
	"slices"

	"lintel/serialbridge/zigbee"
)

// Structures in the memory of the stick are as its C compiler lays them out: packed
// on the 8051, with fields of two and four bytes at even places on ARM. What they
// hold is from zigbee-herdsman (MIT), structs/entries.

// A packer writes a structure.
type packer struct {
	aligned bool
	pad     byte
	b       []byte
}

func (p *packer) align() {
	if p.aligned && len(p.b)%2 != 0 {
		p.b = append(p.b, p.pad)
	}
}

func (p *packer) u8(v uint8)     { p.b = append(p.b, v) }
func (p *packer) bytes(v []byte) { p.b = append(p.b, v...) }
func (p *packer) u16(v uint16)   { p.align(); p.b = binary.LittleEndian.AppendUint16(p.b, v) }
func (p *packer) u32(v uint32)   { p.align(); p.b = binary.LittleEndian.AppendUint32(p.b, v) }
func (p *packer) ieee(v zigbee.IEEEAddress) {
	p.b = binary.LittleEndian.AppendUint64(p.b, uint64(v))
}
func (p *packer) end() []byte { p.align(); return p.b }

// An unpacker reads a structure. What is missing is 0.
type unpacker struct {
	aligned bool
	b       []byte
	at      int
}

func (u *unpacker) take(n int) []byte {
	field := make([]byte, n)
	if u.at < len(u.b) {
		copy(field, u.b[u.at:])
	}
	u.at += n
	return field
}

func (u *unpacker) align() {
	if u.aligned && u.at%2 != 0 {
		u.at++
	}
}

func (u *unpacker) u8() uint8   { return u.take(1)[0] }
func (u *unpacker) u16() uint16 { u.align(); return binary.LittleEndian.Uint16(u.take(2)) }
func (u *unpacker) u32() uint32 { u.align(); return binary.LittleEndian.Uint32(u.take(4)) }
func (u *unpacker) ieee() zigbee.IEEEAddress {
	return zigbee.IEEEAddress(binary.LittleEndian.Uint64(u.take(8)))
}
func (u *unpacker) key() (k [16]byte) { return [16]byte(u.take(16)) }

// A nib is the network information base. Most of it is the stack's own; it is
// changed in place.
type nib struct {
	data []byte
	nibLayout
}

// nibLayout is where the fields are that matter here.
type nibLayout struct {
	securityLevel, channel, panID, channelMask, extendedPANID, updateID, size int
}

func layOutNIB(aligned bool) (l nibLayout) {
	at := 0
	octets := func(n int) int { at += n; return at - n }
	word := func(n int) int {
		if aligned {
			at += at % 2
		}
		at += n
		return at - n
	}
	octets(12) // from the sequence number to "secure all frames"
	l.securityLevel = octets(1)
	octets(2) // symmetric links, capability flags
	word(2)   // transaction persistence time
	octets(3) // protocol version, route discovery time, route expiry time
	word(2)   // own address
	l.channel = octets(1)
	word(2)   // coordinator's address
	octets(8) // coordinator's IEEE address
	l.panID = word(2)
	octets(1) // state
	l.channelMask = word(4)
	octets(4) // beacon order, superframe order, scan duration, battery life extension
	word(4)   // router addresses
	word(4)   // end device addresses
	octets(1) // depth
	l.extendedPANID = octets(8)
	octets(1 + 17 + 17 + 9) // key loaded, two spare keys, from spare3 to "all fresh"
	word(2)                 // network manager
	word(2)                 // transmissions
	l.updateID = octets(1)
	if l.size = at; aligned {
		l.size += at % 2
	}
	return l
}

// parseNIB reads a NIB of a stick.
func parseNIB(data []byte, aligned bool) (*nib, error) {
	l := layOutNIB(aligned)
	if len(data) != l.size {
		return nil, fmt.Errorf("the stick's network information has %d bytes instead of %d: "+
			"its firmware is not known here; flash current Z-Stack coordinator firmware", len(data), l.size)
	}
	return &nib{data, l}, nil
}

// formed says that there is a network.
func (n *nib) formed() bool { return n.pan() != 0xffff && n.data[n.channel] != 0 }

func (n *nib) pan() uint16  { return binary.LittleEndian.Uint16(n.data[n.panID:]) }
func (n *nib) mask() uint32 { return binary.LittleEndian.Uint32(n.data[n.channelMask:]) }
func (n *nib) extendedPAN() [8]byte {
	return reversed([8]byte(n.data[n.extendedPANID:]))
}

// set makes the network that of a backup.
func (n *nib) set(b *zigbee.Backup) {
	binary.LittleEndian.PutUint16(n.data[n.panID:], b.PANID)
	binary.LittleEndian.PutUint32(n.data[n.channelMask:], channelMask(b))
	n.data[n.channel] = b.Channel
	extended := reversed(b.ExtendedPANID)
	copy(n.data[n.extendedPANID:], extended[:])
	n.data[n.securityLevel] = b.SecurityLevel
	n.data[n.updateID] = b.UpdateID
}

// channelMask is the mask of a backup, which may say nothing but the channel.
func channelMask(b *zigbee.Backup) uint32 { return b.ChannelMask | 1<<b.Channel }

// reversed turns an identifier round: written, it begins with its most significant
// byte, in the stick with the other end.
func reversed(id [8]byte) [8]byte {
	slices.Reverse(id[:])
	return id
}

// Uses of an entry of the address manager.
const (
	userAssociated = 1 // a child of the coordinator
	userSecurity   = 2 // has a link key
)

// An addressEntry is an entry of the address manager.
type addressEntry struct {
	user    uint8
	network zigbee.NetworkAddress
	ieee    zigbee.IEEEAddress
}

func (c *Coordinator) parseAddress(b []byte) (e addressEntry) {
	u := unpacker{aligned: c.aligned, b: b}
	e.user, e.network, e.ieee = u.u8(), zigbee.NetworkAddress(u.u16()), u.ieee()
	return e
}

func (c *Coordinator) packAddress(e addressEntry) []byte {
	p := packer{aligned: c.aligned, pad: 0xff}
	p.u8(e.user)
	p.u16(uint16(e.network))
	p.ieee(e.ieee)
	return p.end()
}

func (e addressEntry) used() bool {
	return e.user != 0 && e.user != 0xff && e.ieee != 0 && e.ieee != 1<<64-1
}

// A securityEntry ties a device to a link key of its own.
type securityEntry struct {
	address        uint16 // index into the address manager
	key            uint16 // index of the key, on Z-Stack 3.0.x its item of NV
	authentication uint8
}

// authenticated is how an entry is marked whose key is in use.
const authenticated = 1

// unusedAddress is the address of entries that are free.
const unusedAddress = 0xfffe

func (c *Coordinator) parseSecurity(b []byte) (e securityEntry) {
	u := unpacker{aligned: c.aligned, b: b}
	e.address, e.key, e.authentication = u.u16(), u.u16(), u.u8()
	return e
}

func (c *Coordinator) packSecurity(e securityEntry) []byte {
	p := packer{aligned: c.aligned}
	p.u16(e.address)
	p.u16(e.key)
	p.u8(e.authentication)
	return p.end()
}

func (e securityEntry) used() bool {
	return e.address != unusedAddress && e.address != 0xffff && (e.address != 0 || e.authentication != 0)
}

func (c *Coordinator) parseLinkKey(b []byte) (k zigbee.LinkKey) {
	u := unpacker{aligned: c.aligned, b: b}
	k.Key, k.TxCounter, k.RxCounter = u.key(), u.u32(), u.u32()
	return k
}

func (c *Coordinator) packLinkKey(k zigbee.LinkKey) []byte {
	p := packer{aligned: c.aligned}
	p.bytes(k.Key[:])
	p.u32(k.TxCounter)
	p.u32(k.RxCounter)
	return p.end()
}

// A tcEntry says how the trust center link key of a device comes from the seed.
type tcEntry struct {
	tx, rx     uint32
	ieee       zigbee.IEEEAddress
	attributes uint8
	kind       uint8
	shift      uint8
}

// verifiedKey is the attribute of a key that its device has proved to have.
const verifiedKey = 2

func (c *Coordinator) parseTC(b []byte) (e tcEntry) {
	u := unpacker{aligned: c.aligned, b: b}
	e.tx, e.rx, e.ieee = u.u32(), u.u32(), u.ieee()
	e.attributes, e.kind, e.shift = u.u8(), u.u8(), u.u8()
	return e
}

func (c *Coordinator) packTC(e tcEntry) []byte {
	p := packer{aligned: c.aligned}
	p.u32(e.tx)
	p.u32(e.rx)
	p.ieee(e.ieee)
	p.u8(e.attributes)
	p.u8(e.kind)
	p.u8(e.shift)
	return p.end()
}

// A counterEntry is the frame counter of the network key in one network.
type counterEntry struct {
	counter  uint32
	extended [8]byte // as written; all ones: any network
}

var anyNetwork = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (c *Coordinator) parseCounter(b []byte) (e counterEntry) {
	u := unpacker{aligned: c.aligned, b: b}
	e.counter = u.u32()
	e.extended = reversed([8]byte(u.take(8)))
	return e
}

func (c *Coordinator) packCounter(e counterEntry) []byte {
	p := packer{aligned: c.aligned}
	p.u32(e.counter)
	extended := reversed(e.extended)
	p.bytes(extended[:])
	return p.end()
}

// linkKey is the trust center link key of a device: the seed, turned left by so many
// bytes, with the address over each half of it.
func linkKey(seed [16]byte, shift uint8, device zigbee.IEEEAddress) (key [16]byte) {
	var address [8]byte
	binary.LittleEndian.PutUint64(address[:], uint64(device))
	for i := range key {
		key[i] = seed[(i+int(shift))%16] ^ address[i%8]
	}
	return key
}

// seedShift finds the shift that makes the key of a device out of the seed.
func seedShift(seed, key [16]byte, device zigbee.IEEEAddress) (shift uint8, ok bool) {
	for shift := range uint8(16) {
		if linkKey(seed, shift, device) == key {
			return shift, true
		}
	}
	return 0, false
}
