package znpstick

import (
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// An endpoint is one that was registered.
type endpoint struct {
	id              byte
	profile, device uint16
	version         byte
	input, output   []uint16
}

const alreadyThere = 0xb8

func (s *Stick) afRegister(r request) {
	e := endpoint{id: r.data[0], profile: u16(r.data[1:]), device: u16(r.data[3:]), version: r.data[5]}
	rest := r.data[7:]
	for _, list := range []*[]uint16{&e.input, &e.output} {
		if len(rest) < 1 || len(rest) < 1+2*int(rest[0]) {
			s.answer(r, badParam)
			return
		}
		n := int(rest[0])
		for rest = rest[1:]; n > 0; n-- {
			*list, rest = append(*list, u16(rest)), rest[2:]
		}
	}
	if s.registered(e.id) {
		s.answer(r, alreadyThere)
		return
	}
	s.endpoints = append(s.endpoints, e)
	s.answer(r, ok)
}

func (s *Stick) afDelete(r request) {
	for i, e := range s.endpoints {
		if e.id == r.data[0] {
			s.endpoints = append(s.endpoints[:i:i], s.endpoints[i+1:]...)
			s.answer(r, ok)
			return
		}
	}
	s.answer(r, failure)
}

// find returns an endpoint, nil if it was not registered.
func (s *Stick) find(id byte) *endpoint {
	for i := range s.endpoints {
		if s.endpoints[i].id == id {
			return &s.endpoints[i]
		}
	}
	return nil
}

// registered says whether a message for the endpoint has somewhere to go; 0xff is all.
func (s *Stick) registered(id byte) bool {
	return id == 0xff && len(s.endpoints) > 0 || s.find(id) != nil
}

// buffers is how many messages are under way at most.
func (s *Stick) buffers() int {
	if s.options.Product == ZStack3x0 {
		return 24
	}
	return 4
}

// afData sends a message: destination u16, its endpoint, own endpoint, cluster u16,
// transaction, options, radius, length, data.
func (s *Stick) afData(r request) {
	d := r.data
	if int(d[9]) > len(d)-10 {
		s.answer(r, badParam)
		return
	}
	s.transmit(r, d[6], air.Frame{
		Destination:         addr(d),
		DestinationEndpoint: d[2],
		SourceEndpoint:      d[3],
		Cluster:             u16(d[4:]),
		Data:                d[10 : 10+int(d[9])],
	})
}

// afDataExt sends a message, to a group too: mode, destination of eight bytes, its
// endpoint, PAN u16, own endpoint, cluster u16, transaction, options, radius, length u16,
// data.
func (s *Stick) afDataExt(r request) {
	const group, short, broadcast = 1, 2, 15
	d := r.data
	n := int(u16(d[18:]))
	if n > len(d)-20 || d[10] != 0 || d[11] != 0 {
		s.answer(r, badParam) // other networks are not reached
		return
	}
	f := air.Frame{
		DestinationEndpoint: d[9],
		SourceEndpoint:      d[12],
		Cluster:             u16(d[13:]),
		Data:                d[20 : 20+n],
	}
	switch d[0] {
	case group:
		f.Group = u16(d[1:])
	case short, broadcast:
		f.Destination = addr(d[1:])
	default:
		s.answer(r, badParam)
		return
	}
	s.transmit(r, d[15], f)
}

// transmit sends a message and confirms it.
func (s *Stick) transmit(r request, transaction byte, f air.Frame) {
	e := s.find(f.SourceEndpoint)
	switch {
	case s.state != stateRunning || e == nil:
		s.answer(r, badParam)
		return
	case s.inFlight >= s.buffers() || s.chance(s.faults.Full):
		s.answer(r, bufferFull)
		return
	}
	s.answer(r, ok)
	f.Profile = e.profile
	confirm := func(status byte) { s.areq(0x04, 0x80, status, f.SourceEndpoint, transaction) }
	if f.Group == 0 && f.Destination == zigbee.ToCoordinator {
		confirm(ok)
		f.LinkQuality = 0xff
		s.incoming(f)
		return
	}
	if s.chance(s.faults.Busy) {
		confirm(channelBusy)
		return
	}
	s.inFlight++
	boots := s.boots
	s.air.Send(f, func(status air.Status) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.boots == boots {
			s.inFlight--
			confirm(statusOf(status))
		}
	})
	s.saveCounter()
}

// statusOf is a status as the firmware tells it.
func statusOf(s air.Status) byte {
	switch s {
	case air.NoAck:
		return noAck
	case air.NoRoute:
		return noRoute
	case air.Expired:
		return expired
	}
	return ok
}
