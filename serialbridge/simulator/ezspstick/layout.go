package ezspstick

import (
	"encoding/binary"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

func put16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }
func put32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
func put64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// args are the parameters of a command.
type args struct {
	b     []byte
	short bool
}

func (a *args) take(n int) []byte {
	if n > len(a.b) {
		a.short, a.b = true, nil
		return make([]byte, n)
	}
	taken := a.b[:n]
	a.b = a.b[n:]
	return taken
}

func (a *args) byte() byte    { return a.take(1)[0] }
func (a *args) u16() uint16   { return binary.LittleEndian.Uint16(a.take(2)) }
func (a *args) u32() uint32   { return binary.LittleEndian.Uint32(a.take(4)) }
func (a *args) u64() uint64   { return binary.LittleEndian.Uint64(a.take(8)) }
func (a *args) key() [16]byte { return [16]byte(a.take(16)) }

// code is a status in both forms: one byte before version 14, four from it on.
type code struct {
	before byte
	after  uint32
}

// Statuses of the stack (EmberStatus, sl_status).
var (
	ok             = code{0x00, 0x0000}
	badArgument    = code{0x02, 0x0021}
	deliveryFailed = code{0x66, 0x0c02}
	invalidCall    = code{0x70, 0x0002}
	messageLimit   = code{0x72, 0x0c03}
	tooLong        = code{0x74, 0x0038}
	stackUp        = code{0x90, 0x0015}
	stackDown      = code{0x91, 0x0016}
	notJoined      = code{0x93, 0x0017}
	channelChanged = code{0x9b, 0x0c17}
	opened         = code{0x9c, 0x0c18}
	closed         = code{0x9d, 0x0c19}
	indexOutside   = code{0xb1, 0x0027}
	securityNotSet = code{0xa8, 0x0c0b}
	notFound       = code{0x01, 0x002d}

	// Statuses of EZSP itself.
	invalidValue = code{0x36, 0x0021}
	invalidID    = code{0x37, 0x000f}
)

func (s *Stick) modern() bool { return s.options.Version >= 14 }

func (s *Stick) putCode(p []byte, c code) []byte {
	if s.modern() {
		return put32(p, c.after)
	}
	return append(p, c.before)
}

// Asynchronous callbacks.
const (
	cbStackStatus     = 0x0019
	cbScanComplete    = 0x001c
	cbTrustCenterJoin = 0x0024
	cbMessageSent     = 0x003f
	cbIncoming        = 0x0045
	cbEnergy          = 0x0048
	cbRouteRecord     = 0x0059
	cbNetworkStatus   = 0x00c4
	cbGreenPower      = 0x00c5
)

// callback tells the host something.
func (s *Stick) callback(id uint16, params []byte) {
	if !s.ash.connected || !s.node.negotiated {
		return
	}
	if len(s.ash.callbacks) >= maxCallbacks {
		s.counters.LostCallbacks++
		s.ash.overflow = true
		return
	}
	head := []byte{s.lastSequence(), 0x90, 0x01, byte(id), byte(id >> 8)}
	s.ash.callbacks = append(s.ash.callbacks, append(head, params...))
}

// lastSequence is that of the last command: a callback carries it.
func (s *Stick) lastSequence() byte { return s.ash.sequence }

func (s *Stick) stackStatus(c code) { s.callback(cbStackStatus, s.putCode(nil, c)) }

// Kinds of incoming messages.
const (
	incomingUnicast       = 0
	incomingMulticast     = 2
	incomingMulticastLoop = 3
	incomingBroadcast     = 4
	incomingBroadcastLoop = 5
)

// incoming tells the host a message.
func (s *Stick) incoming(kind byte, f air.Frame, sequence byte) {
	p := []byte{kind}
	p = put16(p, f.Profile)
	p = put16(p, f.Cluster)
	p = append(p, f.SourceEndpoint, f.DestinationEndpoint)
	p = put16(p, 0x0100)
	p = put16(p, f.Group)
	p = append(p, sequence)
	rssi := byte(int(f.LinkQuality)/4 - 95)
	if s.modern() {
		p = s.putSender(p, f.Source, f.LinkQuality, rssi)
	} else {
		p = append(p, f.LinkQuality, rssi)
		p = put16(p, uint16(f.Source))
		p = append(p, 0xff, 0xff)
	}
	p = append(p, byte(len(f.Data)))
	s.callback(cbIncoming, append(p, f.Data...))
}

// putSender puts sl_zigbee_rx_packet_info_t.
func (s *Stick) putSender(p []byte, from zigbee.NetworkAddress, quality, rssi byte) []byte {
	ieee, _ := s.ieeeOf(from)
	p = put16(p, uint16(from))
	p = put64(p, uint64(ieee))
	p = append(p, 0xff, 0xff, quality, rssi)
	return put32(p, 0)
}

// outgoing is a message of the host.
type outgoing struct {
	kind             byte
	to               uint16
	profile, cluster uint16
	source, dest     byte
	options, group   uint16
	tag              uint16
	data             []byte
}

func (o *outgoing) aps(a *args) {
	o.profile, o.cluster = a.u16(), a.u16()
	o.source, o.dest = a.byte(), a.byte()
	o.options, o.group = a.u16(), a.u16()
	a.byte() // the sequence number is the stack's
}

func (s *Stick) tag(a *args) uint16 {
	if s.modern() {
		return a.u16()
	}
	return uint16(a.byte())
}

// sent tells the host what became of a message.
func (s *Stick) sent(o outgoing, sequence byte, c code) {
	var p []byte
	if s.modern() {
		p = put32(p, c.after)
	}
	p = append(p, o.kind)
	p = put16(p, o.to)
	p = put16(p, o.profile)
	p = put16(p, o.cluster)
	p = append(p, o.source, o.dest)
	p = put16(p, o.options)
	p = put16(p, o.group)
	p = append(p, sequence)
	if s.modern() {
		p = put16(p, o.tag)
	} else {
		p = append(p, byte(o.tag), c.before)
	}
	s.callback(cbMessageSent, append(p, 0)) // the message is not repeated
}

// GreenPower lets a Green Power device with a source ID be heard.
func (s *Stick) GreenPower(source uint32, counter uint32, command byte, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := []byte{0, 0xc8, byte(counter), 0}
	p = put32(put32(p, source), source)
	p = append(p, 0, 2, 3, 0, 0) // endpoint; full security with a group key; neither commissioning nor listening
	p = put32(p, counter)
	p = append(p, command)
	p = put32(p, 0)
	p = append(p, 0xff, byte(len(payload)))
	p = append(p, payload...)
	if s.options.Version >= 16 {
		p = s.putSender(p, zigbee.NetworkAddress(source), 0xc8, 0xd0)
	}
	s.callback(cbGreenPower, p)
	s.nudge()
}
