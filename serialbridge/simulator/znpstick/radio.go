package znpstick

import (
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// radio is the stick as the air sees it.
type radio struct{ *Stick }

func (s *Stick) radio() air.Radio { return radio{s} }

// Joined implements [air.Radio].
func (s radio) Joined(device zigbee.IEEEAddress, address, parent zigbee.NetworkAddress, linkKey *[16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var user, noUser byte
	if linkKey != nil {
		user |= hasKey
	}
	if parent == zigbee.ToCoordinator {
		user |= isChild
		s.children[device] = child{uint16(address), routerChild}
	} else {
		noUser |= isChild
		delete(s.children, device)
	}
	s.noteAddress(device, address, user, noUser)
	b := add16(nil, uint16(address))
	b = add64(b, uint64(device))
	s.areq(0x05, 0xca, add16(b, uint16(parent))...)
}

// Left implements [air.Radio].
func (s radio) Left(device zigbee.IEEEAddress, address zigbee.NetworkAddress, rejoin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := add16(nil, uint16(address))
	b = add64(b, uint64(device))
	if b = append(b, 0, 0, 0); rejoin {
		b[len(b)-1] = 1
	} else {
		s.forget(device)
	}
	s.areq(0x05, 0xc9, b...)
}

// Hear lets the radio hear a frame that nobody in the air has sent.
func (s *Stick) Hear(f air.Frame) { s.radio().Receive(f) }

// Receive implements [air.Radio].
func (s radio) Receive(f air.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saveCounter()
	if f.Profile == zigbee.ProfileZDO {
		s.receiveZDO(f)
		return
	}
	if f.Group == 0 && !s.registered(f.DestinationEndpoint) {
		return
	}
	s.incoming(f)
}

// mostIncoming is the longest message that is told at once.
const mostIncoming = 223

// incoming tells of a message.
func (s *Stick) incoming(f air.Frame) {
	s.clock++
	s.sequence++
	broadcast := byte(0)
	if f.Destination >= 0xfff8 || f.Group != 0 {
		broadcast = 1
	}
	b := add16(nil, f.Group)
	b = add16(b, f.Cluster)
	if len(f.Data) <= mostIncoming {
		b = add16(b, uint16(f.Source))
		b = append(b, f.SourceEndpoint, f.DestinationEndpoint, broadcast, f.LinkQuality, 0)
		b = add32(b, s.clock)
		b = append(b, s.sequence, byte(len(f.Data)))
		b = append(b, f.Data...)
		b = add16(b, uint16(f.Source))
		s.areq(0x04, 0x81, append(b, 0x1d)...)
		return
	}
	if len(s.held) >= maxHeld {
		return
	}
	s.held[s.clock] = append([]byte(nil), f.Data...)
	b = append(b, 2)
	b = add64(b, uint64(f.Source))
	b = append(b, f.SourceEndpoint)
	b = add16(b, 0)
	b = append(b, f.DestinationEndpoint, broadcast, f.LinkQuality, 0)
	b = add32(b, s.clock)
	b = append(b, s.sequence)
	b = add16(b, uint16(len(f.Data)))
	b = add16(b, uint16(f.Source))
	s.areq(0x04, 0x82, append(b, 0x1d)...)
}

// maxHeld messages wait to be fetched.
const maxHeld = 8

// afRetrieve gives a piece of a long message, or frees it.
func (s *Stick) afRetrieve(r request) {
	clock, at, n := u32(r.data), int(u16(r.data[4:])), int(r.data[6])
	data, held := s.held[clock]
	switch {
	case !held || at+n > len(data):
		s.answer(r, failure, 0)
	case n == 0:
		delete(s.held, clock)
		s.answer(r, ok, 0)
	default:
		s.answer(r, append([]byte{ok, byte(n)}, data[at:at+n]...)...)
	}
}
