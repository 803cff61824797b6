package air

import (
	"encoding/binary"
	"slices"
	"time"

	"lintel/serialbridge/zigbee"
)

// Clusters of the Zigbee Device Profile (Zigbee specification, table 2-45) that
// the devices answer; the answer's is the request's with the highest bit set.
const (
	zdoNetworkAddress  = 0x0000
	zdoIEEEAddress     = 0x0001
	zdoNodeDescriptor  = 0x0002
	zdoPowerDescriptor = 0x0003
	zdoSimple          = 0x0004
	zdoActiveEndpoints = 0x0005
	zdoAnnounce        = 0x0013
	zdoParentAnnounce  = 0x001f
	zdoBind            = 0x0021
	zdoUnbind          = 0x0022
	zdoLQI             = 0x0031
	zdoRouting         = 0x0032
	zdoBindings        = 0x0033
	zdoLeave           = 0x0034
	zdoPermitJoin      = 0x0036
	zdoNetworkUpdate   = 0x0038
)

// Statuses of ZDP (table 2-130).
const (
	zdpInvalidEndpoint = 0x82
	zdpNotSupported    = 0x84
	zdpNotActive       = 0x83
	zdpNoEntry         = 0x88
	zdpTableFull       = 0x8c
	zdpDeviceNotFound  = 0x81
)

// maxBindings is the room in a device's binding table.
const maxBindings = 32

// binding is a row of a device's binding table.
type binding struct {
	endpoint    uint8
	cluster     uint16
	group       uint16 // if destination is 0
	destination zigbee.IEEEAddress
	to          uint8 // endpoint there
}

// announce sends Device_annce.
func (d *device) announce() {
	if !d.there() {
		return
	}
	data := binary.LittleEndian.AppendUint16(nil, uint16(d.address))
	data = binary.LittleEndian.AppendUint64(data, uint64(d.IEEEAddress))
	d.sendZDO(zigbee.BroadcastAwake, zdoAnnounce, d.nextZDO(), append(data, d.model.capability()))
}

func (d *device) nextZDO() uint8 {
	d.zdoSeq++
	return d.zdoSeq
}

func (d *device) sendZDO(to zigbee.NetworkAddress, cluster uint16, sequence uint8, data []byte) {
	d.network.transmit(d, Frame{Destination: to, Profile: zigbee.ProfileZDO, Cluster: cluster, Data: append([]byte{sequence}, data...)})
}

// capability is the MAC capability flags (section 2.3.2.3.6).
func (m *model) capability() uint8 {
	switch {
	case m.router:
		return 0x8e // allocate address, receiver on when idle, mains, full function
	case m.sleepy:
		return 0x80
	}
	return 0x8c
}

// handleZDO answers a frame of the Zigbee Device Profile.
func (d *device) handleZDO(f Frame) {
	if len(f.Data) == 0 || f.Cluster&0x8000 != 0 {
		return
	}
	answer := d.answerZDO(f, f.Data[1:])
	if answer == nil {
		return
	}
	d.sendZDO(f.Source, f.Cluster|0x8000, f.Data[0], answer)
}

// answerZDO returns the answer of a request without the sequence number, nil if
// there is none.
func (d *device) answerZDO(f Frame, request []byte) []byte {
	broadcast := f.Destination >= 0xfff8
	mine := binary.LittleEndian.AppendUint16(nil, uint16(d.address))
	// Most requests begin with the address of whom they ask about.
	of := func() bool {
		return len(request) >= 2 && zigbee.NetworkAddress(binary.LittleEndian.Uint16(request)) == d.address
	}
	about := func(status byte, rest ...byte) []byte { return append(append([]byte{status}, mine...), rest...) }
	switch f.Cluster {
	case zdoNetworkAddress:
		if len(request) < 8 || binary.LittleEndian.Uint64(request) != uint64(d.IEEEAddress) {
			return nil
		}
		return d.addresses()
	case zdoIEEEAddress:
		if !of() {
			return nil
		}
		return d.addresses()
	case zdoNodeDescriptor:
		if !of() {
			return about(zdpDeviceNotFound)
		}
		return about(0, d.model.nodeDescriptor()...)
	case zdoPowerDescriptor:
		return about(0, 0x10, 0xc1) // mains or battery, full
	case zdoActiveEndpoints:
		if !of() {
			return about(zdpDeviceNotFound, 0)
		}
		answer := about(0, byte(len(d.endpoints)))
		for _, e := range d.endpoints {
			answer = append(answer, e.id)
		}
		return answer
	case zdoSimple:
		if len(request) < 3 || !of() {
			return about(zdpDeviceNotFound, 0)
		}
		if e := d.endpoint(request[2]); e != nil {
			descriptor := e.simpleDescriptor()
			return about(0, append([]byte{byte(len(descriptor))}, descriptor...)...)
		}
		return about(zdpNotActive, 0)
	case zdoBind, zdoUnbind:
		return []byte{d.bind(request, f.Cluster == zdoBind)}
	case zdoBindings:
		return d.bindingTable(request)
	case zdoLQI:
		return d.neighbors(request)
	case zdoRouting:
		return d.routes(request)
	case zdoLeave:
		return d.askedToLeave(request)
	case zdoPermitJoin:
		if len(request) < 1 || !d.router() {
			return []byte{zdpNotSupported}
		}
		d.openUntil = time.Now().Add(time.Duration(request[0]) * time.Second)
		if broadcast {
			return nil
		}
		return []byte{0}
	case zdoNetworkUpdate:
		d.networkUpdate(request)
		return nil
	case zdoAnnounce, zdoParentAnnounce:
		return nil
	}
	if broadcast {
		return nil
	}
	return []byte{zdpNotSupported}
}

func (d *device) addresses() []byte {
	answer := binary.LittleEndian.AppendUint64([]byte{0}, uint64(d.IEEEAddress))
	return binary.LittleEndian.AppendUint16(answer, uint16(d.address))
}

// nodeDescriptor is that of section 2.3.2.3.
func (m *model) nodeDescriptor() []byte {
	kind := byte(2)
	if m.router {
		kind = 1
	}
	server := uint16(0)
	if m.zigbee3 {
		server = 22 << 9 // the revision of the stack
	}
	b := []byte{kind, 0x40, m.capability()} // 2.4 GHz
	b = binary.LittleEndian.AppendUint16(b, m.manufacturer)
	b = append(b, 82)
	b = binary.LittleEndian.AppendUint16(b, 82)
	b = binary.LittleEndian.AppendUint16(b, server)
	b = binary.LittleEndian.AppendUint16(b, 82)
	return append(b, 0)
}

// simpleDescriptor is that of section 2.3.2.5.
func (e *endpoint) simpleDescriptor() []byte {
	b := []byte{e.id}
	b = binary.LittleEndian.AppendUint16(b, e.profile)
	b = binary.LittleEndian.AppendUint16(b, e.deviceID)
	b = append(b, 1)
	for _, clusters := range [][]uint16{e.in, e.out} {
		b = append(b, byte(len(clusters)))
		for _, c := range clusters {
			b = binary.LittleEndian.AppendUint16(b, c)
		}
	}
	return b
}

// bind adds or takes away what the request says (sections 2.4.3.2.2 and 2.4.3.2.3).
func (d *device) bind(request []byte, add bool) byte {
	if len(request) < 14 || zigbee.IEEEAddress(binary.LittleEndian.Uint64(request)) != d.IEEEAddress {
		return zdpNotSupported
	}
	b := binding{endpoint: request[8], cluster: binary.LittleEndian.Uint16(request[9:])}
	switch {
	case request[11] == 1:
		b.group = binary.LittleEndian.Uint16(request[12:])
	case request[11] == 3 && len(request) >= 21:
		b.destination, b.to = zigbee.IEEEAddress(binary.LittleEndian.Uint64(request[12:])), request[20]
	default:
		return zdpNotSupported
	}
	if d.endpoint(b.endpoint) == nil {
		return zdpInvalidEndpoint
	}
	i := slices.Index(d.bindings, b)
	switch {
	case !add && i < 0:
		return zdpNoEntry
	case !add:
		d.bindings = slices.Delete(d.bindings, i, i+1)
	case i >= 0:
	case len(d.bindings) >= maxBindings:
		return zdpTableFull
	default:
		d.bindings = append(d.bindings, b)
	}
	return 0
}

// page cuts what a Mgmt answer has room for out of rows.
func page(request []byte, rows [][]byte, most int) []byte {
	start := 0
	if len(request) > 0 {
		start = min(int(request[0]), len(rows))
	}
	some := rows[start:min(start+most, len(rows))]
	answer := []byte{0, byte(len(rows)), byte(start), byte(len(some))}
	for _, row := range some {
		answer = append(answer, row...)
	}
	return answer
}

// bindingTable answers Mgmt_Bind_req.
func (d *device) bindingTable(request []byte) []byte {
	var rows [][]byte
	for _, b := range d.bindings {
		row := binary.LittleEndian.AppendUint64(nil, uint64(d.IEEEAddress))
		row = append(row, b.endpoint)
		row = binary.LittleEndian.AppendUint16(row, b.cluster)
		if b.destination == 0 {
			row = binary.LittleEndian.AppendUint16(append(row, 1), b.group)
		} else {
			row = binary.LittleEndian.AppendUint64(append(row, 3), uint64(b.destination))
			row = append(row, b.to)
		}
		rows = append(rows, row)
	}
	return page(request, rows, 3)
}

// Relations of a neighbor (table 2-133).
const (
	isParent = iota
	isChild
	isSibling
)

// neighbors answers Mgmt_Lqi_req: a router knows its parent, its children and the
// routers beside it.
func (d *device) neighbors(request []byte) []byte {
	if !d.router() {
		return []byte{zdpNotSupported}
	}
	var rows [][]byte
	row := func(ieee zigbee.IEEEAddress, address zigbee.NetworkAddress, kind, relation, depth byte, quality uint8) {
		b := append([]byte(nil), d.known.ExtendedPANID[:]...)
		slices.Reverse(b)
		b = binary.LittleEndian.AppendUint64(b, uint64(ieee))
		b = binary.LittleEndian.AppendUint16(b, uint16(address))
		awake := byte(1)
		if kind == 2 {
			awake = 0
		}
		rows = append(rows, append(b, kind|awake<<2|relation<<4, 2, depth, quality))
	}
	if d.parent == nil {
		row(d.trust, zigbee.ToCoordinator, 0, isParent, 0, d.LinkQuality)
	}
	for _, other := range d.network.sorted {
		switch {
		case other == d || !other.joined:
		case other == d.parent:
			row(other.IEEEAddress, other.address, 1, isParent, byte(other.hops()), d.LinkQuality)
		case other.parent == d && other.router():
			row(other.IEEEAddress, other.address, 1, isChild, byte(other.hops()), other.LinkQuality)
		case other.parent == d:
			row(other.IEEEAddress, other.address, 2, isChild, byte(other.hops()), other.LinkQuality)
		case other.router() && other.parent == d.parent:
			row(other.IEEEAddress, other.address, 1, isSibling, byte(other.hops()), min(d.LinkQuality, other.LinkQuality))
		}
	}
	return page(request, rows, 3)
}

// Neighbors answers a Mgmt_Lqi_req to the coordinator: the sequence number and
// what follows it are the stick's own. It holds what page of the table begins at start.
func (n *Network) Neighbors(start uint8) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var rows [][]byte
	for _, d := range n.sorted {
		if !d.joined || d.parent != nil || !d.shares(n.security) {
			continue
		}
		b := append([]byte(nil), d.known.ExtendedPANID[:]...)
		slices.Reverse(b)
		b = binary.LittleEndian.AppendUint64(b, uint64(d.IEEEAddress))
		b = binary.LittleEndian.AppendUint16(b, uint16(d.address))
		kind, awake := byte(1), byte(1)
		if !d.router() {
			kind = 2
		}
		if d.sleepy() {
			awake = 0
		}
		rows = append(rows, append(b, kind|awake<<2|isChild<<4, 2, 1, d.LinkQuality))
	}
	return page([]byte{start}, rows, 3)
}

// routes answers Mgmt_Rtg_req: a router knows the way to the coordinator.
func (d *device) routes(request []byte) []byte {
	if !d.router() {
		return []byte{zdpNotSupported}
	}
	next := d.parentAddress()
	row := binary.LittleEndian.AppendUint16(nil, uint16(zigbee.ToCoordinator))
	row = append(row, 0) // active
	return page(request, [][]byte{binary.LittleEndian.AppendUint16(row, uint16(next))}, 3)
}

// askedToLeave answers Mgmt_Leave_req and goes, with or without coming back.
func (d *device) askedToLeave(request []byte) []byte {
	if len(request) < 9 {
		return []byte{zdpNotSupported}
	}
	if who := zigbee.IEEEAddress(binary.LittleEndian.Uint64(request)); who != 0 && who != d.IEEEAddress {
		return []byte{zdpDeviceNotFound}
	}
	rejoin := request[8]&0x80 != 0
	life := d.life
	d.network.after(3*d.network.options.Latency*time.Duration(d.hops()), func() {
		if d.life != life {
			return
		}
		if rejoin {
			d.announce()
			return
		}
		d.network.depart(d, false)
		d.reset()
	})
	return []byte{0}
}

// networkUpdate follows the network to another channel (section 2.4.3.3.9).
func (d *device) networkUpdate(request []byte) {
	if len(request) < 6 || request[4] != 0xfe {
		return
	}
	mask := binary.LittleEndian.Uint32(request)
	for channel := uint8(11); channel <= 26; channel++ {
		if mask == 1<<channel {
			d.known.Channel, d.known.UpdateID = channel, request[5]
		}
	}
}
