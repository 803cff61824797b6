package zigbee

import (
	"slices"
	"sync"
	"sync/atomic"

	"lintel/serialbridge/zigbee/zcl"
)

// thing is a device.
type thing struct {
	ieee       IEEEAddress
	address    NetworkAddress
	type_      uint8
	capability uint8
	code       uint16
	endpoints  []Endpoint
	attributes map[uint16]map[uint16]zcl.Attribute
	asleep     atomic.Bool
	silent     atomic.Bool // takes messages and says nothing
	// takes is asked first about what is sent to it; true: it has seen to it.
	takes func(Outgoing, zcl.Frame) bool

	mu       sync.Mutex
	received []zcl.Frame
}

// got returns what was sent to the device.
func (d *thing) got() []zcl.Frame {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.received)
}

// clear forgets what was sent to the device.
func (d *thing) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.received = nil
}

// say has a device send a frame.
func (s *stick) say(d *thing, endpoint uint8, cluster uint16, f zcl.Frame) {
	s.event(Incoming{
		Source: d.address, SourceEndpoint: endpoint, DestinationEndpoint: EndpointHome,
		Profile: ProfileHomeAutomation, Cluster: cluster, LinkQuality: 120, Data: f.Append(nil),
	})
}

// report has a device report an attribute.
func (s *stick) report(d *thing, sequence uint8, cluster uint16, a zcl.Attribute) {
	payload, _ := zcl.AppendAttributes(nil, zcl.ReportAttributes, []zcl.Attribute{a})
	s.say(d, 1, cluster, zcl.Frame{ServerToClient: true, DisableDefaultResponse: true, Sequence: sequence, Command: zcl.ReportAttributes, Payload: payload})
}

// plug is a router, door a device that sleeps.
func plug(s *stick) *thing {
	return s.add(&thing{
		ieee: plugIEEE, address: 0x1111, type_: 1, capability: 0x8e, code: 0x1037,
		endpoints:  []Endpoint{{ID: 1, Profile: ProfileHomeAutomation, DeviceID: 0x0051, Input: []uint16{0, 3, 4, 6}, Output: []uint16{25}}},
		attributes: basicAttributesOf("Plug", "Maker", 1),
	})
}

func door(s *stick) *thing {
	return s.add(&thing{
		ieee: doorIEEE, address: 0x2222, type_: 2, capability: 0x80, code: 0x1037,
		endpoints:  []Endpoint{{ID: 1, Profile: ProfileHomeAutomation, DeviceID: 0x0402, Input: []uint16{0, 1, 0x500}}},
		attributes: basicAttributesOf("Door", "Maker", 3),
	})
}

func basicAttributesOf(model, manufacturer string, power uint64) map[uint16]map[uint16]zcl.Attribute {
	return map[uint16]map[uint16]zcl.Attribute{
		0: {
			0: {Type: zcl.Uint8, Value: uint64(3)}, 1: {Type: zcl.Uint8, Value: uint64(1)}, 3: {Type: zcl.Uint8, Value: uint64(2)},
			4: {Type: zcl.CharString, Value: manufacturer}, 5: {Type: zcl.CharString, Value: model},
			6: {Type: zcl.CharString, Value: "20250101"}, 7: {Type: zcl.Enum8, Value: power},
			0x4000: {Type: zcl.CharString, Value: "1.0.1"},
		},
		0x500: {0: {Type: zcl.Enum8, Value: uint64(0)}, 0x10: {Type: zcl.IEEE, Value: uint64(0)}},
	}
}

func (s *stick) add(d *thing) *thing {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[d.address] = d
	return d
}

// move gives a device other addresses.
func (s *stick) move(d *thing, ieee IEEEAddress, address NetworkAddress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.devices, d.address)
	d.ieee, d.address = ieee, address
	s.devices[address] = d
}
