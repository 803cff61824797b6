package zigbee

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"lintel/serialbridge/journey"
	"lintel/serialbridge/zigbee/zcl"
)

// Clusters that the network itself has to do with.
const (
	clusterBasic       = 0x0000
	clusterGroups      = 0x0004
	clusterTime        = 0x000a
	clusterOTA         = 0x0019
	clusterPollControl = 0x0020
	clusterIASZone     = 0x0500
)

// event takes what a coordinator tells. It does not block.
func (n *Network) event(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == nil {
		n.counters.Strays++
		return
	}
	now := time.Now()
	switch e := e.(type) {
	case Joined:
		n.joined(e.IEEEAddress, e.NetworkAddress, now)
	case Announced:
		n.announced(e, now)
	case Left:
		n.left(e)
	case AddressChanged:
		n.moved(e, now)
	case Incoming:
		if e.DestinationEndpoint == EndpointGreenPower && e.Cluster == clusterGreenPower {
			n.greenPower(e, now)
			return
		}
		n.received(e, now)
	}
}

// joined takes note of a device that has got the network key.
func (n *Network) joined(ieee IEEEAddress, address NetworkAddress, now time.Time) {
	d := n.nodes[ieee]
	switch {
	case n.blocked[ieee]:
		n.counters.Refused++
		n.session.start(func(ctx context.Context) { n.sendAway(ctx, ieee, address) })
		return
	case d == nil:
		if d = n.add(ieee, address); d == nil {
			return
		}
		d.device.LastSeen = now
	default:
		n.place(d, address)
		n.seen(d, now)
		d.wake()
	}
	d.retries = 0
	n.interviewIfNeeded(d)
}

// add makes a device part of the network, unless there are too many.
func (n *Network) add(ieee IEEEAddress, address NetworkAddress) *node {
	if len(n.nodes) >= maxDevices || ieee == 0 || ieee == n.info.IEEEAddress {
		n.counters.Refused++
		n.log.Warn("a device cannot be let in: there are too many, or its address is wrong", "device", ieee)
		return nil
	}
	d := newNode(Device{
		IEEEAddress: ieee, NetworkAddress: UnknownAddress,
		Type: Unknown, Interview: Pending, Leaves: n.leaves[ieee],
	})
	n.nodes[ieee] = d
	delete(n.forgotten, ieee)
	n.settle(d, address)
	n.dirty(d)
	n.tell(notice{kind: noticeJoined, device: n.copyOf(d)})
	return d
}

// announced takes note of a device that says where it is. One that nobody knows is
// let in while the network is open: the notice that it has joined was lost. At other
// times it is one that was removed, and has not heard of it.
func (n *Network) announced(e Announced, now time.Time) {
	d := n.nodes[e.IEEEAddress]
	if d == nil {
		if !now.Before(n.permitEnd) {
			n.counters.Strangers++
			return
		}
		n.joined(e.IEEEAddress, e.NetworkAddress, now)
		if d = n.nodes[e.IEEEAddress]; d == nil {
			return
		}
	}
	if d.device.Capability != e.Capability {
		d.device.Capability = e.Capability
		n.dirty(d)
	}
	n.place(d, e.NetworkAddress)
	n.seen(d, now)
	d.wake()
	d.retries = 0
	n.tell(notice{kind: noticeAnnounced, device: n.copyOf(d)})
	n.interviewIfNeeded(d)
}

// left takes note of a device that is no longer there.
func (n *Network) left(e Left) {
	ieee := e.IEEEAddress
	if ieee == 0 {
		ieee = n.addresses[e.NetworkAddress]
	}
	d := n.nodes[ieee]
	if d == nil {
		return
	}
	if n.leaves[ieee]++; len(n.leaves) > maxDevices {
		clear(n.leaves)
	}
	d.device.Leaves++
	if e.Rejoin {
		return
	}
	n.forget(d)
}

// forget ends what there is with a device. The network is locked.
func (n *Network) forget(d *node) {
	ieee := d.device.IEEEAddress
	delete(n.nodes, ieee)
	if n.addresses[d.device.NetworkAddress] == ieee {
		delete(n.addresses, d.device.NetworkAddress)
	}
	close(d.gone)
	n.forgotten[ieee] = true
	signal(n.changed)
	n.tell(notice{kind: noticeLeft, device: n.copyOf(d)})
}

// moved takes note of where a device is.
func (n *Network) moved(e AddressChanged, now time.Time) {
	d := n.nodes[e.IEEEAddress]
	if d == nil {
		n.turnAway(e.NetworkAddress)
		return
	}
	n.place(d, e.NetworkAddress)
	d.wake()
	n.introduce(e.NetworkAddress, d, now)
}

// place gives a device that is known another address.
func (n *Network) place(d *node, address NetworkAddress) {
	if d.device.NetworkAddress == address || address == ToCoordinator || address.IsBroadcast() {
		return
	}
	known := d.device.NetworkAddress != UnknownAddress
	n.settle(d, address)
	if known {
		d.device.AddressChanges++
	}
	n.dirty(d)
	n.tell(notice{kind: noticeChanged, device: n.copyOf(d)})
}

// settle has a device be found by its address.
func (n *Network) settle(d *node, address NetworkAddress) {
	if n.addresses[d.device.NetworkAddress] == d.device.IEEEAddress {
		delete(n.addresses, d.device.NetworkAddress)
	}
	if address == ToCoordinator || address.IsBroadcast() {
		return
	}
	// Who had the address before is somewhere else, and has to be found again.
	if other := n.nodes[n.addresses[address]]; other != nil && other != d {
		other.device.NetworkAddress = UnknownAddress
		n.dirty(other)
	}
	d.device.NetworkAddress = address
	n.addresses[address] = d.device.IEEEAddress
}

// seen takes note that a device is there.
func (n *Network) seen(d *node, now time.Time) {
	d.device.LastSeen = now
	d.kept = max(d.kept, keptLater)
	n.present(d, now)
}

// received takes an APS message.
func (n *Network) received(m Incoming, now time.Time) {
	if m.SourceEndpoint == EndpointZDO || m.DestinationEndpoint == EndpointZDO {
		return // the coordinator's driver answers for it, and makes events of what counts
	}
	d := n.nodes[n.addresses[m.Source]]
	if m.IEEEAddress != 0 && (d == nil || d.device.IEEEAddress != m.IEEEAddress) {
		if d = n.nodes[m.IEEEAddress]; d == nil {
			n.counters.Strangers++
			return
		}
		n.place(d, m.Source)
	}
	if d == nil {
		n.meet(m)
		return
	}
	// Some routers of LUMI pass messages of LUMI's end devices on as if they were their
	// own, with the end device's address as the group (zigbee2mqtt, issues 1238
	// and 3592).
	if d.device.ManufacturerName == "LUMI" && d.device.Type == Router && m.Group != 0 {
		if d = n.nodes[n.addresses[NetworkAddress(m.Group)]]; d == nil {
			n.counters.Strangers++
			return
		}
	}
	n.hear(d, m, now)
}

// hear takes a message of a device that is known.
func (n *Network) hear(d *node, m Incoming, now time.Time) {
	message, err := ParseMessage(m, now)
	if err != nil && message.Received.IsZero() { // not even a frame
		n.counters.Damaged["frame"]++
		return
	}
	message.Device = d.device.IEEEAddress
	message.Trace = n.followed(d, &m, &message, err)
	var head [6]byte
	head[0], head[1] = m.SourceEndpoint, m.DestinationEndpoint
	binary.LittleEndian.PutUint16(head[2:], m.Cluster)
	var h maphash.Hash
	h.SetSeed(n.seed)
	h.Write(head[:])
	h.Write(m.Data)
	if d.duplicate(h.Sum64(), now) {
		n.options.Journeys.Tell(message.Trace, journey.Stage{Kind: journey.Unpublished, Detail: "the device has sent it before"})
		n.counters.Duplicates++
		return
	}
	if err != nil {
		n.counters.Damaged["attributes"]++
	}
	n.counters.Received++
	d.device.Messages++
	if d.device.LinkQuality == nil || *d.device.LinkQuality != m.LinkQuality {
		quality := m.LinkQuality
		d.device.LinkQuality = &quality
	}
	n.seen(d, now)
	n.note(d, &message)
	n.answered(d, &message)
	if m.Cluster != clusterPollControl { // a check-in has its own way to wake those who wait
		d.wake()
	}
	n.tell(notice{kind: noticeMessage, device: n.copyOf(d), message: message})
	n.attend(d, message)
	n.interviewIfNeeded(d)
}

// note takes over attributes that a device has told.
func (n *Network) note(d *node, m *Message) {
	if m.Frame.Type != zcl.Global || m.Frame.Command != zcl.ReportAttributes && m.Frame.Command != zcl.ReadAttributesResponse {
		return
	}
	if d.device.Endpoint(m.Endpoint) == nil && len(m.Attributes) > 0 {
		d.addEndpoint(m.Endpoint) // devices report from endpoints that their interview has not reached
		n.dirty(d)
	}
	changed := false
	for _, a := range m.Attributes {
		if a.Status != zcl.Success {
			continue
		}
		if m.Cluster == clusterBasic && m.Frame.ManufacturerCode == 0 {
			changed = d.setBasic(a) || changed
		}
		d.keep(m.Endpoint, m.Cluster, a.ID, a.Value)
	}
	if changed {
		n.dirty(d)
		n.tell(notice{kind: noticeChanged, device: n.copyOf(d)})
	}
}

// stranger is an address from which frames came and whose device is not known.
type stranger struct {
	asked  time.Time
	frames []Incoming // until it is known who it is
}

// strangerPause is how long a stranger who does not answer is not asked again.
const strangerPause = 5 * time.Minute

// meet keeps a message of a device whose address is not known, and asks for its
// IEEE address.
func (n *Network) meet(m Incoming) {
	now := time.Now()
	s := n.strangers[m.Source]
	if s == nil {
		if len(n.strangers) >= maxStrangers {
			for address, old := range n.strangers {
				if now.Sub(old.asked) > strangerPause {
					delete(n.strangers, address)
				}
			}
			if len(n.strangers) >= maxStrangers {
				n.counters.Strangers++
				return
			}
		}
		s = &stranger{}
		n.strangers[m.Source] = s
	}
	if s.asked.IsZero() || now.Sub(s.asked) > strangerPause {
		n.counters.Strangers += uint64(len(s.frames))
		s.asked, s.frames = now, nil
		n.session.start(func(ctx context.Context) { n.identify(ctx, m.Source) })
	}
	if len(s.frames) >= maxKeptFrames {
		n.counters.Strangers++
		return
	}
	m.Data = slices.Clone(m.Data)
	s.frames = append(s.frames, m)
}

// identify asks who has an address.
func (n *Network) identify(ctx context.Context, address NetworkAddress) {
	s, err := n.started()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, zdoTimeout)
	defer cancel()
	data, err := s.coordinator.ZDO(ctx, address, zdoIEEEAddress, append(ofInterest(address), 0, 0))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != s {
		return
	}
	var a AddressChanged
	if err == nil {
		a, err = parseAddress(data)
	}
	if err != nil {
		n.turnAway(address)
		return
	}
	a.NetworkAddress = address
	n.moved(a, time.Now())
}

// turnAway drops what a stranger has said. It is kept in mind that it was asked.
func (n *Network) turnAway(address NetworkAddress) {
	if s := n.strangers[address]; s != nil {
		n.counters.Strangers += uint64(len(s.frames))
		s.frames = nil
	}
}

// introduce hears what a device said while nobody knew who it was.
func (n *Network) introduce(address NetworkAddress, d *node, now time.Time) {
	s := n.strangers[address]
	if s == nil {
		return
	}
	delete(n.strangers, address)
	for _, m := range s.frames {
		n.hear(d, m, now)
	}
}
