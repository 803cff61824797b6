package zigbee

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee/zcl"
)

// Green Power (document 14-0563): switches without a battery are heard by routers, which
// pass on to the coordinator what they say. They are not asked anything, have no network
// address, and are known by their source ID.

const clusterGreenPower = 0x0021

// Commands of the Green Power cluster.
const (
	gpNotification              = 0x00 // to the coordinator
	gpCommissioningNotification = 0x04
	gpPairing                   = 0x01 // from it
	gpCommissioningMode         = 0x02
)

// Commands of Green Power devices (section A.4.1).
const (
	gpdCommissioning   = 0xe0
	gpdDecommissioning = 0xe1
	gpdFirstPrivate    = 0xe0 // those from here on are for the network, not for people
)

// gpGroup is the group that routers send to which hear a Green Power device.
const gpGroup = 0x0b84

// gpAddress is the IEEE address under which a Green Power device is known.
func gpAddress(source uint32) IEEEAddress { return IEEEAddress(source) }

// gpFrame is what a router has heard.
type gpFrame struct {
	commissioning bool
	broadcast     bool
	source        uint32
	command       uint8
	payload       []byte
}

// parseGreenPower reads a notification (sections A.3.3.4.1 and A.3.3.4.3). Only devices
// with a source ID are known (application 0): so are all switches on the market.
func parseGreenPower(f zcl.Frame, broadcast bool) (gpFrame, bool) {
	p := f.Payload
	if f.Type != zcl.Specific || f.ServerToClient || f.Command != gpNotification && f.Command != gpCommissioningNotification || len(p) < 12 {
		return gpFrame{}, false
	}
	options := binary.LittleEndian.Uint16(p)
	g := gpFrame{
		commissioning: f.Command == gpCommissioningNotification,
		broadcast:     broadcast,
		source:        binary.LittleEndian.Uint32(p[2:]),
		command:       p[10],
	}
	const securityFailed = 0x0200 // of a commissioning notification: it is still encrypted
	n := int(p[11])
	if n == 0xff { // none
		n = 0
	}
	if options&7 != 0 || g.source == 0 || len(p) < 12+n || g.commissioning && options&securityFailed != 0 {
		return gpFrame{}, false
	}
	g.payload = p[12 : 12+n]
	return g, true
}

// greenPower takes what a router has heard of a Green Power device.
func (n *Network) greenPower(m Incoming, now time.Time) {
	frame, err := zcl.ParseFrame(m.Data)
	if err != nil {
		n.counters.Damaged["frame"]++
		return
	}
	g, ok := parseGreenPower(frame, m.Broadcast || m.Group != 0)
	if !ok {
		n.counters.Damaged["green power"]++
		return
	}
	d := n.nodes[gpAddress(g.source)]
	switch {
	case g.command == gpdCommissioning:
		n.commission(g, now)
	case d == nil:
		n.counters.Strangers++
	case g.command == gpdDecommissioning:
		n.session.start(func(ctx context.Context) { n.unpair(ctx, g.source) })
		n.forget(d)
	case g.command < gpdFirstPrivate:
		// Each press is heard by several routers, and told by each of them with the same
		// frame counter.
		m.IEEEAddress, m.SourceEndpoint = d.device.IEEEAddress, EndpointGreenPower
		m.Data = frame.Append(nil)
		m.Data[1] = 0 // the routers number their frames each for itself
		m.Data = m.Data[:3+12+len(g.payload)]
		n.hear(d, m, now)
	}
}

// commissioning is what a device says of itself when it is taught (section A.4.2.1.1).
type commissioning struct {
	deviceID   uint8
	macCounter bool
	fixed      bool
	receives   bool
	key        *[16]byte
	counter    uint32
}

func parseCommissioning(source uint32, p []byte) (commissioning, bool) {
	if len(p) < 2 {
		return commissioning{}, false
	}
	options := p[1]
	c := commissioning{deviceID: p[0], macCounter: options&1 != 0, receives: options&2 != 0, fixed: options&0x40 != 0}
	p = p[2:]
	if options&0x80 == 0 {
		return c, true
	}
	if len(p) < 1 {
		return c, false
	}
	extended := p[0]
	p = p[1:]
	if extended&0x20 != 0 { // there is a key
		if len(p) < 16 {
			return c, false
		}
		key := [16]byte(p)
		p = p[16:]
		if extended&0x40 != 0 { // encrypted, with a MIC behind
			if len(p) < 4 {
				return c, false
			}
			gpCipher(source, &key)
			p = p[4:]
		}
		c.key = &key
	}
	if extended&0x80 != 0 {
		if len(p) < 4 {
			return c, false
		}
		c.counter = binary.LittleEndian.Uint32(p)
	}
	return c, true
}

// gpCipher encrypts or decrypts the key of a device with the key that all know: the
// counter mode of CCM* with the source ID as nonce (section A.1.5.3.3). The MIC is not looked
// at: a key that is wrong harms nobody but the device.
func gpCipher(source uint32, key *[16]byte) {
	block, err := aes.NewCipher([]byte("ZigBeeAlliance09"))
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	var counter, stream [16]byte
	counter[0] = 0x01 // two bytes of length
	for i := range 3 {
		binary.LittleEndian.PutUint32(counter[1+4*i:], source)
	}
	counter[13] = 0x05
	counter[15] = 1
	block.Encrypt(stream[:], counter[:])
	for i := range key {
		key[i] ^= stream[i]
	}
}

// commission lets a Green Power device in, while the network is open, and has the routers
// pass on what it says.
func (n *Network) commission(g gpFrame, now time.Time) {
	c, ok := parseCommissioning(g.source, g.payload)
	switch {
	case !ok:
		n.counters.Damaged["green power"]++
		return
	case !now.Before(n.permitEnd):
		n.counters.Strangers++
		return
	}
	ieee := gpAddress(g.source)
	if n.blocked[ieee] {
		n.counters.Refused++
		return
	}
	n.session.start(func(ctx context.Context) { n.pair(ctx, g, c) })
	d := n.nodes[ieee]
	if d == nil {
		if d = n.add(ieee, UnknownAddress); d == nil {
			return
		}
	}
	d.device.Type = GreenPower
	d.device.ModelID = fmt.Sprintf("GreenPower_%d", c.deviceID)
	d.device.PowerSource = "Unknown"
	d.device.Endpoints = []Endpoint{{ID: EndpointGreenPower, Profile: ProfileGreenPower, DeviceID: uint16(c.deviceID), Output: []uint16{clusterGreenPower}}}
	d.device.Interview = Successful
	d.device.LastSeen = now
	n.dirty(d)
	n.tell(notice{kind: noticeInterviewing, device: d.device})
}

// Fields of the options of a pairing (section A.3.3.5.2).
const (
	pairAddSink        = 1 << 3
	pairRemove         = 1 << 4
	pairGroup          = 2 << 5 // routers send to the group that all know
	pairFixed          = 1 << 7
	pairMACCounter     = 1 << 8
	pairSecurityFull   = 2 << 9
	pairKeyIndividual  = 4 << 11
	pairCounterPresent = 1 << 14
	pairKeyPresent     = 1 << 15
)

// pair tells the routers to pass on what the device says.
func (n *Network) pair(ctx context.Context, g gpFrame, c commissioning) {
	options := uint32(pairAddSink | pairGroup)
	if c.fixed {
		options |= pairFixed
	}
	if c.macCounter {
		options |= pairMACCounter
	}
	p := binary.LittleEndian.AppendUint32(nil, g.source)
	p = binary.LittleEndian.AppendUint16(p, gpGroup)
	p = append(p, c.deviceID)
	if c.key != nil && !c.receives {
		options |= pairSecurityFull | pairKeyIndividual | pairCounterPresent | pairKeyPresent
		p = binary.LittleEndian.AppendUint32(p, c.counter)
		key := *c.key
		gpCipher(g.source, &key)
		p = append(p, key[:]...)
	}
	n.sayGreenPower(ctx, gpPairing, append([]byte{byte(options), byte(options >> 8), byte(options >> 16)}, p...))
}

// unpair tells the routers to forget a device.
func (n *Network) unpair(ctx context.Context, source uint32) {
	n.sayGreenPower(ctx, gpPairing, binary.LittleEndian.AppendUint32([]byte{pairRemove, 0, 0}, source))
}

// permitGreenPower has the routers listen for devices that are taught, as long as the
// network is open.
func (n *Network) permitGreenPower(ctx context.Context, duration time.Duration) {
	const action, windowPresent, exitOnFirst = 0x01, 0x02, 0x08
	options := byte(windowPresent | exitOnFirst)
	if duration > 0 {
		options |= action
	}
	n.sayGreenPower(ctx, gpCommissioningMode, binary.LittleEndian.AppendUint16([]byte{options}, uint16(duration/time.Second)))
}

// sayGreenPower sends a command to all routers.
func (n *Network) sayGreenPower(ctx context.Context, command uint8, payload []byte) {
	s, err := n.started()
	if err != nil {
		return
	}
	n.mu.Lock()
	n.sequence++
	f := zcl.Frame{Type: zcl.Specific, ServerToClient: true, DisableDefaultResponse: true, Sequence: n.sequence, Command: command, Payload: payload}
	n.mu.Unlock()
	err = s.coordinator.Send(ctx, Outgoing{Destination: BroadcastAwake, DestinationEndpoint: EndpointGreenPower, SourceEndpoint: EndpointGreenPower,
		Profile: ProfileGreenPower, Cluster: clusterGreenPower, Data: f.Append(nil)})
	if err != nil && ctx.Err() == nil {
		n.log.Warn("the routers were not told of Green Power", "err", err)
	}
}
