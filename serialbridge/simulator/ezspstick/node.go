package ezspstick

import (
	"encoding/binary"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// tokens are what the stick remembers without power.
type tokens struct {
	formed       bool
	network      networkInfo
	networkKey   [16]byte
	keySequence  byte
	linkKey      [16]byte // the hashed one
	frameCounter uint32
	apsCounter   uint32
	keys         map[byte]linkKey   // by index
	address      zigbee.IEEEAddress // restored; 0: none
	children     map[zigbee.IEEEAddress]zigbee.NetworkAddress
}

type linkKey struct {
	device  zigbee.IEEEAddress
	key     [16]byte
	out, in uint32
}

// networkInfo is EmberNetworkParameters.
type networkInfo struct {
	extendedPANID [8]byte // as on the line
	panID         uint16
	power         byte
	channel       byte
	joinMethod    byte
	manager       uint16
	updateID      byte
	channels      uint32
}

// node is what the stick knows until it is reset.
type node struct {
	negotiated bool
	up         bool
	radio      *radio
	config     map[byte]uint16
	values     map[byte][]byte
	policies   map[byte]byte
	endpoints  []endpoint
	multicast  map[byte]member
	transient  map[zigbee.IEEEAddress][16]byte
	openUntil  time.Time
	security   struct {
		set      bool
		mask     uint16
		link     [16]byte
		network  [16]byte
		sequence byte
	}
	frameCounter *uint32 // set by the host for the network to come
	manufacturer uint16
	flying       int  // unicasts that are not confirmed
	aps          byte // sequence number
	scanning     bool
	told         map[zigbee.NetworkAddress]bool // whose route the host knows
}

type endpoint struct {
	id, version     byte
	profile, device uint16
	input, output   []uint16
}

type member struct {
	group    uint16
	endpoint byte
}

// Configuration values that the host may read.
const (
	configMessages     = 0x03
	configKeyTableSize = 0x1e
)

func newNode(o Options) node {
	return node{
		config: map[byte]uint16{
			configMessages:     uint16(o.Messages),
			configKeyTableSize: uint16(o.KeyTableSize),
		},
		values:    make(map[byte][]byte),
		policies:  make(map[byte]byte),
		multicast: make(map[byte]member),
		transient: make(map[zigbee.IEEEAddress][16]byte),
		told:      make(map[zigbee.NetworkAddress]bool),
	}
}

// address is the IEEE address that the stick has now.
func (s *Stick) address() zigbee.IEEEAddress {
	if s.tokens.address != 0 {
		return s.tokens.address
	}
	return s.options.IEEEAddress
}

// bringUp puts the stick on the air with the network of its tokens.
func (s *Stick) bringUp(counter uint32) {
	radio := &radio{stick: s}
	s.node.up, s.node.radio = true, radio
	s.node.told = make(map[zigbee.NetworkAddress]bool)
	if s.tokens.children == nil {
		s.tokens.children = make(map[zigbee.IEEEAddress]zigbee.NetworkAddress)
	}
	s.tokens.frameCounter = counter
	s.attach(radio)
	s.later(20*time.Millisecond, func() { s.stackStatus(stackUp) })
}

func (s *Stick) attach(radio *radio) {
	t := &s.tokens
	security := air.Security{
		Parameters: zigbee.Parameters{
			PANID:       t.network.panID,
			Channel:     t.network.channel,
			NetworkKey:  t.networkKey,
			KeySequence: t.keySequence,
			UpdateID:    t.network.updateID,
		},
		Coordinator:  s.address(),
		FrameCounter: t.frameCounter,
		JoinKey:      radio.joinKey,
		LinkKey:      radio.linkKey,
	}
	for i, b := range t.network.extendedPANID {
		security.ExtendedPANID[7-i] = b
	}
	s.after = append(s.after, func() { s.air.Attach(radio, security) })
}

// radio is the stick's side of the air while it is up once.
type radio struct{ stick *Stick }

var _ air.Radio = (*radio)(nil)

// do does something if the radio is still that of the stick.
func (r *radio) do(f func()) {
	s := r.stick
	s.mu.Lock()
	if s.node.up && s.node.radio == r {
		f()
	}
	s.mu.Unlock()
	s.finish()
	s.nudge()
}

// Trust center policy, as bits.
const (
	policyTrustCenter = 0x00
	policyTCKey       = 0x05
	allowJoins        = 0x01
	installCodesOnly  = 0x10
	denyTCKey         = 0x50
)

var everybody zigbee.IEEEAddress = 0xffffffffffffffff

// joinKey is called by the air, which is locked.
func (r *radio) joinKey(device zigbee.IEEEAddress) (key [16]byte, ok bool) {
	s := r.stick
	s.mu.Lock()
	defer s.mu.Unlock()
	policy := s.node.policies[policyTrustCenter]
	if policy&allowJoins == 0 {
		return key, false
	}
	if key, ok = s.node.transient[device]; ok {
		return key, true
	}
	if policy&installCodesOnly != 0 {
		return key, false
	}
	key, ok = s.node.transient[everybody]
	return key, ok
}

// linkKey is called by the air, which is locked.
func (r *radio) linkKey(device zigbee.IEEEAddress) ([16]byte, bool) {
	s := r.stick
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.tokens.keys {
		if k.device == device {
			return k.key, true
		}
	}
	if s.node.policies[policyTCKey] == denyTCKey {
		return [16]byte{}, false
	}
	return s.derived(device), true
}

// What the trust center saw (EmberDeviceUpdate) and has decided.
const (
	joinedUnsecured = 1
	hasLeft         = 2
	preconfigured   = 0
)

// Joined takes that a device has joined.
func (r *radio) Joined(device zigbee.IEEEAddress, address, parent zigbee.NetworkAddress, _ *[16]byte) {
	s := r.stick
	r.do(func() {
		s.tokens.children[device] = address
		p := put16(nil, uint16(address))
		p = put64(p, uint64(device))
		p = append(p, joinedUnsecured, preconfigured)
		s.callback(cbTrustCenterJoin, put16(p, uint16(parent)))
	})
}

// Left takes that a device has left.
func (r *radio) Left(device zigbee.IEEEAddress, address zigbee.NetworkAddress, rejoin bool) {
	s := r.stick
	r.do(func() {
		if rejoin {
			return // the stack says nothing: the device is back soon
		}
		delete(s.tokens.children, device)
		p := put16(nil, uint16(address))
		p = put64(p, uint64(device))
		s.callback(cbTrustCenterJoin, append(p, hasLeft, 3, 0xff, 0xff))
	})
}

// Receive takes a frame of a device.
func (r *radio) Receive(f air.Frame) {
	s := r.stick
	r.do(func() {
		if f.Profile == zigbee.ProfileZDO && s.deviceProfile(f) {
			return
		}
		kind := byte(incomingUnicast)
		switch {
		case f.Group != 0:
			if !s.member(f.Group) {
				return
			}
			kind = incomingMulticast
		case f.Destination >= 0xfff8:
			kind = incomingBroadcast
		}
		if f.Profile != zigbee.ProfileZDO && f.DestinationEndpoint != 0xff && kind != incomingMulticast && !s.registered(f.DestinationEndpoint) {
			return
		}
		if f.Profile == zigbee.ProfileZDO && f.Cluster == 0x0013 && len(f.Data) >= 11 {
			address := zigbee.NetworkAddress(binary.LittleEndian.Uint16(f.Data[1:]))
			s.tokens.children[zigbee.IEEEAddress(binary.LittleEndian.Uint64(f.Data[3:]))] = address
		}
		s.routeRecord(f)
		s.node.aps++
		s.incoming(kind, f, s.node.aps)
	})
}

func (s *Stick) member(group uint16) bool {
	for _, m := range s.node.multicast {
		if m.group == group && m.endpoint != 0 {
			return true
		}
	}
	return false
}

func (s *Stick) registered(id byte) bool {
	for _, e := range s.node.endpoints {
		if e.id == id {
			return true
		}
	}
	return false
}

// ieeeOf returns the device at an address.
func (s *Stick) ieeeOf(address zigbee.NetworkAddress) (zigbee.IEEEAddress, bool) {
	for ieee, a := range s.tokens.children {
		if a == address {
			return ieee, true
		}
	}
	return everybody, false
}

// routeRecord tells the way of the first unicast of a device.
func (s *Stick) routeRecord(f air.Frame) {
	ieee, ok := s.ieeeOf(f.Source)
	if !ok || s.node.told[f.Source] || f.Destination >= 0xfff8 {
		return
	}
	s.node.told[f.Source] = true
	p := put16(nil, uint16(f.Source))
	p = put64(p, uint64(ieee))
	s.callback(cbRouteRecord, append(p, f.LinkQuality, 0xd0, 0))
}
