package znpstick

import (
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// callbacks are the identifiers under which responses are told; the others are the low
// byte of the cluster with the highest bit set.
var callbacks = map[uint16]byte{0x8015: 0x8a}

// Statuses of the Zigbee Device Profile.
const (
	zdpInvalidEndpoint = 0x82
	zdpNotActive       = 0x83
	zdpNotSupported    = 0x84
)

// zdoTo sends a request of the Zigbee Device Profile, or answers it if it is about the
// coordinator.
func (s *Stick) zdoTo(r request, to zigbee.NetworkAddress, cluster uint16, payload []byte) {
	own := to == zigbee.ToCoordinator
	if cluster == 0x0000 {
		own = ieee(payload) == s.address
	}
	if !own && s.state != stateRunning {
		s.answer(r, failure)
		return
	}
	s.answer(r, ok)
	if own {
		s.tellZDO(0, cluster|0x8000, s.own(cluster, payload))
		return
	}
	s.transmitZDO(to, cluster, payload)
}

// transmitZDO sends a frame of the Zigbee Device Profile.
func (s *Stick) transmitZDO(to zigbee.NetworkAddress, cluster uint16, payload []byte) {
	s.sequence++
	s.respondZDO(to, cluster, s.sequence, payload)
}

func (s *Stick) respondZDO(to zigbee.NetworkAddress, cluster uint16, sequence byte, payload []byte) {
	s.air.Send(air.Frame{Destination: to, Profile: zigbee.ProfileZDO, Cluster: cluster,
		Data: append([]byte{sequence}, payload...)}, nil)
}

// zdoBind binds at a device. What follows a group is filled up, and is not sent.
func (s *Stick) zdoBind(r request) {
	const group = 1
	payload := r.data[2:]
	if payload[11] == group {
		payload = payload[:14]
	}
	s.zdoTo(r, addr(r.data), uint16(r.id), payload)
}

// tellZDO tells a response, as it is in the air behind the sequence number.
func (s *Stick) tellZDO(from zigbee.NetworkAddress, cluster uint16, payload []byte) {
	id, special := callbacks[cluster]
	if !special {
		id = byte(cluster) | 0x80
	}
	switch cluster {
	case 0x8000, 0x8001:
		// Number and first index of children are there always, the other way
		// round than in the air.
		if b := append([]byte(nil), payload...); len(b) >= 13 {
			b[11], b[12] = b[12], b[11]
			payload = b
		} else {
			payload = append(b, make([]byte, 13-len(b))...)
		}
	case 0x8038:
		id = 0xb8
		fallthrough
	default:
		payload = append(add16(nil, uint16(from)), payload...)
	}
	s.areq(0x05, id, payload...)
}

// receiveZDO takes a frame of the Zigbee Device Profile from a device.
func (s *Stick) receiveZDO(f air.Frame) {
	if len(f.Data) < 2 {
		return
	}
	sequence, payload := f.Data[0], f.Data[1:]
	switch {
	case f.Cluster == 0x0013 && len(payload) >= 11: // Device_annce
		s.noteAddress(ieee(payload[2:]), addr(payload), 0, 0)
		if c, is := s.children[ieee(payload[2:])]; is {
			c.address = u16(payload)
			if c.relation = sleepyChild; payload[10]&2 != 0 {
				c.relation = routerChild
			}
			s.children[ieee(payload[2:])] = c
		}
		s.areq(0x05, 0xc1, append(add16(nil, uint16(f.Source)), payload[:11]...)...)
	case f.Cluster&0x8000 != 0:
		s.tellZDO(f.Source, f.Cluster, payload)
	case f.Destination < 0xfff8 || f.Cluster == 0x0000 && len(payload) >= 8 && ieee(payload) == s.address:
		s.respondZDO(f.Source, f.Cluster|0x8000, sequence, s.own(f.Cluster, payload))
	}
}

// own answers a request to the coordinator.
func (s *Stick) own(cluster uint16, payload []byte) []byte {
	if len(payload) < 2 && cluster != 0x0031 && cluster != 0x0032 && cluster != 0x0033 {
		return []byte{zdpNotSupported}
	}
	mine := []byte{ok, 0, 0} // status, own address
	switch cluster {
	case 0x0000, 0x0001:
		return add16(add64([]byte{ok}, uint64(s.address)), 0)
	case 0x0002:
		// Coordinator; 2.4 GHz; capability; Texas Instruments; sizes; trust center.
		return append(mine, 0x00, 0x40, 0x8f, 0x00, 0x00, 0x50, 0xa0, 0x00, 0x41, 0x2c, 0xa0, 0x00, 0x00)
	case 0x0003:
		return append(mine, 0x00, 0xc1)
	case 0x0004:
		if len(payload) < 3 {
			return []byte{zdpInvalidEndpoint, 0, 0, 0}
		}
		return s.simple(payload[2])
	case 0x0005:
		b := append(mine, byte(len(s.endpoints)))
		for _, e := range s.endpoints {
			b = append(b, e.id)
		}
		return b
	case 0x0006:
		return s.match(payload)
	case 0x0021, 0x0022:
		return []byte{ok}
	case 0x0031:
		start := byte(0)
		if len(payload) > 0 {
			start = payload[0]
		}
		return s.air.Neighbors(start)
	case 0x0032, 0x0033:
		return []byte{ok, 0, 0, 0} // there are none
	}
	return []byte{zdpNotSupported}
}

// simple returns the simple descriptor of an endpoint.
func (s *Stick) simple(id byte) []byte {
	e := s.find(id)
	if e == nil {
		return []byte{zdpNotActive, 0, 0, 0}
	}
	b := add16([]byte{e.id}, e.profile)
	b = append(add16(b, e.device), e.version)
	for _, list := range [][]uint16{e.input, e.output} {
		b = append(b, byte(len(list)))
		for _, cluster := range list {
			b = add16(b, cluster)
		}
	}
	return append([]byte{ok, 0, 0, byte(len(b))}, b...)
}

// match returns the endpoints that serve or use one of the clusters: address, profile,
// number of input clusters, input clusters, number of output clusters, output clusters.
func (s *Stick) match(payload []byte) []byte {
	answer := []byte{ok, 0, 0, 0}
	if len(payload) < 4 {
		return answer
	}
	profile, rest := u16(payload[2:]), payload[4:]
	var wanted [2][]uint16
	for i := range wanted {
		if len(rest) < 1 || len(rest) < 1+2*int(rest[0]) {
			return answer
		}
		n := int(rest[0])
		for rest = rest[1:]; n > 0; n-- {
			wanted[i], rest = append(wanted[i], u16(rest)), rest[2:]
		}
	}
	for _, e := range s.endpoints {
		if e.profile == profile && (meet(wanted[0], e.input) || meet(wanted[1], e.output)) {
			answer = append(answer, e.id)
			answer[3]++
		}
	}
	return answer
}

// meet says that two lists have something in common.
func meet(a, b []uint16) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
