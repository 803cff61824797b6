package ezspstick

import (
	"encoding/binary"
	"slices"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// Clusters of the Zigbee Device Profile that the stack answers itself.
const (
	zdpNetworkAddress = 0x0000
	zdpIEEEAddress    = 0x0001
	zdpNode           = 0x0002
	zdpPower          = 0x0003
	zdpSimple         = 0x0004
	zdpActive         = 0x0005
	zdpMatch          = 0x0006
	zdpBind           = 0x0021
	zdpUnbind         = 0x0022
	zdpNeighbors      = 0x0031
	zdpRoutes         = 0x0032
	zdpBindings       = 0x0033
	zdpPermit         = 0x0036
)

const (
	zdpOK           = 0x00
	zdpNotSupported = 0x84
	zdpNotActive    = 0x83
	zdpNoDevice     = 0x81
)

// toItself takes a unicast of the host to the stick.
func (s *Stick) toItself(o outgoing, sequence byte) {
	s.later(time.Millisecond, func() {
		s.sent(o, sequence, ok)
		if o.profile != zigbee.ProfileZDO || len(o.data) == 0 {
			return
		}
		answer, answered := s.zdp(o.cluster, o.data[1:])
		if !answered {
			return
		}
		s.node.aps++
		s.incoming(incomingUnicast, air.Frame{
			Profile: zigbee.ProfileZDO, Cluster: o.cluster | 0x8000, LinkQuality: 0xff,
			Data: append([]byte{o.data[0]}, answer...),
		}, s.node.aps)
	})
}

// deviceProfile answers what a device asks the coordinator. It says false of what the
// host is told.
func (s *Stick) deviceProfile(f air.Frame) bool {
	if f.Cluster&0x8000 != 0 || f.Cluster == 0x0013 || len(f.Data) == 0 {
		return false
	}
	answer, answered := s.zdp(f.Cluster, f.Data[1:])
	if !answered {
		return true
	}
	s.transmitFrame(outgoing{
		to: uint16(f.Source), profile: zigbee.ProfileZDO, cluster: f.Cluster | 0x8000,
		data: append([]byte{f.Data[0]}, answer...),
	}, func(air.Status) {})
	return true
}

// zdp is the Zigbee device object of the stick.
func (s *Stick) zdp(cluster uint16, request []byte) (answer []byte, answered bool) {
	a := &args{b: request}
	switch cluster {
	case zdpNetworkAddress, zdpIEEEAddress:
		if cluster == zdpNetworkAddress && zigbee.IEEEAddress(a.u64()) != s.address() {
			return nil, false // others are asked too
		}
		return put16(put64([]byte{zdpOK}, uint64(s.address())), 0), true
	case zdpNode:
		if a.u16() != 0 {
			return []byte{zdpNoDevice, 0, 0}, true
		}
		// A coordinator on 2.4 GHz, all its life on mains, a trust center of
		// revision 22.
		p := put16([]byte{zdpOK, 0, 0, 0x00, 0x40, 0x8f}, s.node.manufacturer)
		return append(p, 82, 82, 0, 0x41, 0x2c, 82, 0, 0), true
	case zdpPower:
		return []byte{zdpOK, 0, 0, 0x10, 0xc1}, true
	case zdpActive:
		p := []byte{zdpOK, 0, 0, byte(len(s.node.endpoints))}
		for _, e := range s.node.endpoints {
			p = append(p, e.id)
		}
		return p, true
	case zdpSimple:
		a.u16()
		id := a.byte()
		for _, e := range s.node.endpoints {
			if e.id == id {
				d := append(put16(put16([]byte{e.id}, e.profile), e.device), e.version, byte(len(e.input)))
				for _, c := range e.input {
					d = put16(d, c)
				}
				d = append(d, byte(len(e.output)))
				for _, c := range e.output {
					d = put16(d, c)
				}
				return append([]byte{zdpOK, 0, 0, byte(len(d))}, d...), true
			}
		}
		return []byte{zdpNotActive, 0, 0, 0}, true
	case zdpMatch:
		return s.match(a), true
	case zdpBind, zdpUnbind:
		return []byte{zdpOK}, true
	case zdpPermit:
		s.permit(a.byte())
		return []byte{zdpOK}, true
	case zdpNeighbors:
		return s.neighbors(int(a.byte())), true
	case zdpRoutes, zdpBindings:
		return []byte{zdpOK, 0, a.byte(), 0}, true
	}
	return []byte{zdpNotSupported}, true
}

// match is Match_Desc: which endpoints have one of the clusters.
func (s *Stick) match(a *args) []byte {
	a.u16()
	profile := a.u16()
	var input, output []uint16
	for n := a.byte(); n > 0 && !a.short; n-- {
		input = append(input, a.u16())
	}
	for n := a.byte(); n > 0 && !a.short; n-- {
		output = append(output, a.u16())
	}
	p := []byte{zdpOK, 0, 0, 0}
	for _, e := range s.node.endpoints {
		common := func(x, y []uint16) bool {
			return slices.ContainsFunc(x, func(c uint16) bool { return slices.Contains(y, c) })
		}
		if e.profile == profile && (common(e.input, input) || common(e.output, output)) {
			p = append(p, e.id)
			p[3]++
		}
	}
	return p
}

// neighbors is Mgmt_Lqi: every device of the network hangs on the stick.
func (s *Stick) neighbors(start int) []byte {
	type neighbor struct {
		ieee    zigbee.IEEEAddress
		address zigbee.NetworkAddress
	}
	var all []neighbor
	for ieee, address := range s.tokens.children {
		all = append(all, neighbor{ieee, address})
	}
	slices.SortFunc(all, func(x, y neighbor) int { return int(x.address) - int(y.address) })
	start = min(start, len(all))
	page := all[start:min(start+3, len(all))]
	p := []byte{zdpOK, byte(len(all)), byte(start), byte(len(page))}
	for _, n := range page {
		p = append(p, s.tokens.network.extendedPANID[:]...)
		p = put64(p, uint64(n.ieee))
		p = binary.LittleEndian.AppendUint16(p, uint16(n.address))
		p = append(p, 0x12, 0x02, 1, 200) // an end device, child, whose receiver is off
	}
	return p
}
