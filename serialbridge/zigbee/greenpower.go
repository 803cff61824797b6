package zigbee

import (
	"context"
	"encoding/binary"
	"hash/maphash"
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
	gpResponse                  = 0x06
)

// Commands of Green Power devices (section A.4.1).
const (
	gpdCommissioning   = 0xe0
	gpdDecommissioning = 0xe1
	gpdChannelRequest  = 0xe3
	gpdFirstPrivate    = 0xe0 // those from here on are for the network, not for people

	gpdCommissioningReply   = 0xf0 // to them
	gpdChannelConfiguration = 0xf3
)

// gpGroup is the group that routers send to which hear a Green Power device.
const gpGroup = 0x0b84

// gpAddress is the IEEE address under which a Green Power device is known.
func gpAddress(source uint32) IEEEAddress { return IEEEAddress(source) }

// gpFrame is what a router has heard.
type gpFrame struct {
	commissioning bool
	source        uint32
	counter       uint32 // of the device's own frames
	command       uint8
	payload       []byte
	proxy         NetworkAddress // the router, as far as it says so; else the coordinator
}

// parseGreenPower reads a notification (sections A.3.3.4.1 and A.3.3.4.3). Only devices
// with a source ID are known (application 0): so are all switches on the market.
func parseGreenPower(f zcl.Frame) (gpFrame, bool) {
	p := f.Payload
	if f.Type != zcl.Specific || f.ServerToClient || f.ManufacturerCode != 0 || f.Command != gpNotification && f.Command != gpCommissioningNotification || len(p) < 12 {
		return gpFrame{}, false
	}
	options := binary.LittleEndian.Uint16(p)
	g := gpFrame{
		commissioning: f.Command == gpCommissioningNotification,
		source:        binary.LittleEndian.Uint32(p[2:]),
		counter:       binary.LittleEndian.Uint32(p[6:]),
		command:       p[10],
	}
	const securityFailed = 0x0200 // of a commissioning notification: it is still encrypted
	proxyInfo := uint16(0x4000)
	if g.commissioning {
		proxyInfo = 0x0800
	}
	n := int(p[11])
	if n == 0xff { // none
		n = 0
	}
	if options&7 != 0 || g.source == 0 || len(p) < 12+n || g.commissioning && options&securityFailed != 0 {
		return gpFrame{}, false
	}
	g.payload = p[12 : 12+n]
	if p = p[12+n:]; options&proxyInfo != 0 && len(p) >= 2 {
		g.proxy = NetworkAddress(binary.LittleEndian.Uint16(p))
	}
	return g, true
}

// greenPower takes what a router has heard of a Green Power device.
func (n *Network) greenPower(m Incoming, now time.Time) {
	frame, err := zcl.ParseFrame(m.Data)
	if err != nil {
		n.counters.Damaged["frame"]++
		return
	}
	g, ok := parseGreenPower(frame)
	if !ok {
		n.counters.Damaged["green power"]++
		return
	}
	d := n.nodes[gpAddress(g.source)]
	switch {
	case g.command == gpdCommissioning:
		n.commission(g, now)
	case g.command == gpdChannelRequest && g.commissioning:
		n.tellChannel(g, now)
	case d == nil:
		n.counters.Strangers++
	case g.command == gpdDecommissioning:
		n.session.start(func(ctx context.Context) { n.unpair(ctx, g.source) })
		n.forget(d)
	case g.command < gpdFirstPrivate:
		m.IEEEAddress, m.SourceEndpoint, m.Data = d.device.IEEEAddress, EndpointGreenPower, g.canonical(frame)
		n.hear(d, m, now)
	}
}

// canonical is the frame as it is the same from all routers that have heard the device:
// each numbers its frames for itself, says in the options what it can do and how it has
// passed the frame on, and adds its address and how well it heard. What is left differs
// by the device's own counter from the next press, so that hear takes each one once.
func (g gpFrame) canonical(f zcl.Frame) []byte {
	const ofDevice = 0x07c7 // application, security level and key
	f.Sequence = 0
	f.Payload = f.Payload[:12+len(g.payload)]
	binary.LittleEndian.PutUint16(f.Payload, binary.LittleEndian.Uint16(f.Payload)&ofDevice)
	return f.Append(nil)
}

// again says whether the network has had a frame that is not for people already, from
// another router.
func (n *Network) again(d *node, g gpFrame, now time.Time) bool {
	var b [9]byte
	binary.LittleEndian.PutUint32(b[:], g.source)
	binary.LittleEndian.PutUint32(b[4:], g.counter)
	b[8] = g.command
	if d.duplicate(maphash.Bytes(n.seed, b[:]), now) {
		n.counters.Duplicates++
		return true
	}
	return false
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
