package zigbee

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Clusters of the Zigbee Device Profile (Zigbee specification R23, section 2.4).
// That of an answer is the request's with the highest bit set.
const (
	zdoNetworkAddress   = 0x0000
	zdoIEEEAddress      = 0x0001
	zdoNodeDescriptor   = 0x0002
	zdoSimpleDescriptor = 0x0004
	zdoActiveEndpoints  = 0x0005
	zdoBind             = 0x0021
	zdoUnbind           = 0x0022
	zdoClearBindings    = 0x002b
	zdoNeighbours       = 0x0031 // Mgmt_Lqi
	zdoRoutes           = 0x0032 // Mgmt_Rtg
	zdoLeave            = 0x0034
)

// zdoStatus is the status of an answer of the Zigbee Device Object (section 2.4.5,
// table 2-129).
type zdoStatus uint8

var zdoStatusNames = map[zdoStatus]string{
	0x00: "SUCCESS",
	0x80: "INV_REQUESTTYPE",
	0x81: "DEVICE_NOT_FOUND",
	0x82: "INVALID_EP",
	0x83: "NOT_ACTIVE",
	0x84: "NOT_SUPPORTED",
	0x85: "TIMEOUT",
	0x86: "NO_MATCH",
	0x88: "NO_ENTRY",
	0x89: "NO_DESCRIPTOR",
	0x8a: "INSUFFICIENT_SPACE",
	0x8b: "NOT_PERMITTED",
	0x8c: "TABLE_FULL",
	0x8d: "NOT_AUTHORIZED",
	0x8e: "DEVICE_BINDING_TABLE_FULL",
}

// The statuses that decide something.
const (
	zdoSuccess zdoStatus = 0x00
	zdoNoEntry zdoStatus = 0x88
)

// String is the status as the standard spells it.
func (s zdoStatus) String() string {
	if name, ok := zdoStatusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("0x%02x", uint8(s))
}

// zdoError is an answer of the Zigbee Device Object that says no.
type zdoError struct {
	Status zdoStatus
}

func (e *zdoError) Error() string { return "zigbee: the device answers " + e.Status.String() }

var errZDOShort = errors.New("zigbee: the answer of the device ends too early")

// zdoReader takes an answer apart. What lies beyond the end is zero, and bad
// is set.
type zdoReader struct {
	data []byte
	bad  bool
}

func (r *zdoReader) take(n int) []byte {
	if len(r.data) < n {
		r.bad, r.data = true, nil
		return make([]byte, n)
	}
	var head []byte
	head, r.data = r.data[:n], r.data[n:]
	return head
}

func (r *zdoReader) u8() uint8   { return r.take(1)[0] }
func (r *zdoReader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *zdoReader) ieee() IEEEAddress {
	return IEEEAddress(binary.LittleEndian.Uint64(r.take(8)))
}

func (r *zdoReader) u16s(n int) []uint16 {
	list := make([]uint16, 0, n)
	for range n {
		list = append(list, r.u16())
	}
	return list
}

// answer begins reading an answer: every one begins with a status.
func answer(data []byte) (*zdoReader, error) {
	r := &zdoReader{data: data}
	status := zdoStatus(r.u8())
	switch {
	case r.bad:
		return nil, errZDOShort
	case status != zdoSuccess:
		return nil, &zdoError{status}
	}
	return r, nil
}

func (r *zdoReader) end() error {
	if r.bad {
		return errZDOShort
	}
	return nil
}

func appendIEEE(data []byte, a IEEEAddress) []byte {
	return binary.LittleEndian.AppendUint64(data, uint64(a))
}

func ofInterest(a NetworkAddress) []byte {
	return binary.LittleEndian.AppendUint16(nil, uint16(a))
}

// nodeDescriptor is a Node_Desc_rsp (sections 2.3.2.3 and 2.4.4.2.3).
type nodeDescriptor struct {
	logicalType      uint8 // 0 coordinator, 1 router, 2 end device
	capability       uint8
	manufacturerCode uint16
}

func parseNodeDescriptor(data []byte) (d nodeDescriptor, err error) {
	r, err := answer(data)
	if err != nil {
		return d, err
	}
	r.u16() // the address
	d.logicalType = r.u8() & 0x07
	r.u8() // APS flags, frequency band
	d.capability = r.u8()
	d.manufacturerCode = r.u16()
	return d, r.end()
}

// parseActiveEndpoints reads an Active_EP_rsp (section 2.4.4.2.7).
func parseActiveEndpoints(data []byte) ([]uint8, error) {
	r, err := answer(data)
	if err != nil {
		return nil, err
	}
	r.u16()
	ids := append([]uint8(nil), r.take(int(r.u8()))...)
	return ids, r.end()
}

// parseSimpleDescriptor reads a Simple_Desc_rsp (sections 2.3.2.5 and 2.4.4.2.5).
func parseSimpleDescriptor(data []byte) (e Endpoint, err error) {
	r, err := answer(data)
	if err != nil {
		return e, err
	}
	r.u16()
	r.u8() // length
	e.ID = r.u8()
	e.Profile = r.u16()
	e.DeviceID = r.u16()
	r.u8() // version
	e.Input = r.u16s(int(r.u8()))
	e.Output = r.u16s(int(r.u8()))
	return e, r.end()
}

// parseAddress reads a NWK_addr_rsp or an IEEE_addr_rsp (section 2.4.4.2.1).
func parseAddress(data []byte) (AddressChanged, error) {
	r, err := answer(data)
	if err != nil {
		return AddressChanged{}, err
	}
	a := AddressChanged{IEEEAddress: r.ieee(), NetworkAddress: NetworkAddress(r.u16())}
	return a, r.end()
}

// bindRequest is a Bind_req or an Unbind_req (section 2.4.3.2.2).
func bindRequest(source IEEEAddress, endpoint uint8, b Binding) []byte {
	data := append(appendIEEE(nil, source), endpoint)
	data = binary.LittleEndian.AppendUint16(data, b.Cluster)
	if b.Device == 0 {
		return binary.LittleEndian.AppendUint16(append(data, 0x01), b.Group)
	}
	return append(appendIEEE(append(data, 0x03), b.Device), b.Endpoint)
}

// neighbour is an entry of a Mgmt_Lqi_rsp (section 2.4.4.3.2).
type neighbour struct {
	ieee                                   IEEEAddress
	address                                NetworkAddress
	deviceType, rxOnWhenIdle, relationship uint8
	permitJoin, depth, linkQuality         uint8
}

// page is the head of an answer that holds a part of a table.
type page struct{ total, start, count int }

func parseNeighbours(data []byte) (p page, list []neighbour, err error) {
	r, err := answer(data)
	if err != nil {
		return p, nil, err
	}
	p = page{int(r.u8()), int(r.u8()), int(r.u8())}
	for range p.count {
		r.take(8) // extended PAN identifier
		n := neighbour{ieee: r.ieee(), address: NetworkAddress(r.u16())}
		bits := r.u8()
		n.deviceType, n.rxOnWhenIdle, n.relationship = bits&3, bits>>2&3, bits>>4&7
		n.permitJoin, n.depth, n.linkQuality = r.u8()&3, r.u8(), r.u8()
		list = append(list, n)
	}
	return p, list, r.end()
}

// The statuses of routes (section 2.4.4.3.3, table 2-146).
var routeStatuses = []string{
	"ACTIVE", "DISCOVERY_UNDERWAY", "DISCOVERY_FAILED", "INACTIVE",
	"VALIDATION_UNDERWAY", "RESERVED1", "RESERVED2", "RESERVED3",
}

// parseRoutes reads a Mgmt_Rtg_rsp.
func parseRoutes(data []byte) (p page, list []Route, err error) {
	r, err := answer(data)
	if err != nil {
		return p, nil, err
	}
	p = page{int(r.u8()), int(r.u8()), int(r.u8())}
	for range p.count {
		route := Route{Destination: NetworkAddress(r.u16())}
		bits := r.u8()
		route.Status = routeStatuses[bits&7]
		route.MemoryConstrained = bits&0x08 != 0
		route.ManyToOne = bits&0x10 != 0
		route.RouteRecordRequired = bits&0x20 != 0
		route.NextHop = NetworkAddress(r.u16())
		list = append(list, route)
	}
	return p, list, r.end()
}
