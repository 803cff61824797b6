package ezsp

import (
	"lintel/serialbridge/zigbee"
)

// maxAddresses are remembered, to see that a device was heard at another one.
const maxAddresses = 1024

// callback takes what the stick tells by itself. It says false if that makes no
// sense.
func (c *Coordinator) callback(id frameID, r *reader) bool {
	switch id {
	case cbStackStatus:
		s := r.status(c.version())
		if !r.bad {
			c.stackStatus(s)
		}
		if s == statusNetworkClosed {
			c.poseAs(manufacturerSilabs)
		}
	case cbMessageSent:
		c.messageSent(r)
	case cbIncomingMessage:
		c.incomingMessage(r)
	case cbTrustCenterJoin:
		c.trustCenterJoin(r)
	case cbIncomingNetworkStatus:
		code, target := r.uint8(), r.address()
		if !r.bad {
			c.wayFailed(target, networkStatusReason(code))
		}
	case cbIncomingRouteError:
		s, target := r.status(c.version()), r.address()
		if !r.bad {
			c.log.Debug("route error", "nwk", uint16(target), "err", statusError(s))
			c.wayFailed(target, zigbee.NoRoute)
		}
	case cbIncomingRouteRecord, cbIncomingManyToOneRoute:
		address, ieee := r.address(), r.ieee()
		if !r.bad {
			c.heardAt(ieee, address)
		}
	case cbEnergyScanResult, cbScanComplete:
		c.scanned(id, r)
	case cbIncomingGreenPower:
		c.greenPower(r)
	default:
		c.count(&c.counters.Strays)
	}
	return !r.bad
}

// stackStatus takes what has become of the network.
func (c *Coordinator) stackStatus(s status) {
	c.log.Debug("stack status", "status", s.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case statusNetworkUp:
		c.up = true
	case statusNetworkDown:
		c.up = false
	}
	for w := range c.watchers {
		select {
		case w <- s:
		default: // it has seen enough
		}
	}
}

// watch returns a channel on which the statuses of the stack come from now on.
func (c *Coordinator) watch() (statuses chan status, stop func()) {
	w := make(chan status, 16)
	c.mu.Lock()
	c.watchers[w] = struct{}{}
	c.mu.Unlock()
	return w, func() {
		c.mu.Lock()
		delete(c.watchers, w)
		c.mu.Unlock()
	}
}

// What the trust center sees of a device (EmberDeviceUpdate) and decides.
const (
	deviceLeft = 2
	denyJoin   = 2
)

// trustCenterJoin takes that a device has joined, is back or has left.
func (c *Coordinator) trustCenterJoin(r *reader) {
	address, ieee := r.address(), r.ieee()
	update, decision, parent := r.uint8(), r.uint8(), r.address()
	switch {
	case r.bad:
	case update == deviceLeft:
		c.mu.Lock()
		delete(c.addresses, ieee)
		c.mu.Unlock()
		c.tell(zigbee.Left{IEEEAddress: ieee, NetworkAddress: address})
	case decision == denyJoin:
		c.log.Info("a device was not let in", "ieee", ieee, "nwk", uint16(address), "parent", uint16(parent))
	default:
		c.poseFor(ieee)
		c.remember(ieee, address)
		c.tell(zigbee.Joined{IEEEAddress: ieee, NetworkAddress: address, Parent: parent})
	}
}

// remember notes where a device is. It says whether that was not known.
func (c *Coordinator) remember(ieee zigbee.IEEEAddress, address zigbee.NetworkAddress) (changed, known bool) {
	if ieee == 0 || ieee == blankAddress || address.IsBroadcast() {
		return false, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before, known := c.addresses[ieee]
	if known && before == address {
		return false, true
	}
	if known || len(c.addresses) < maxAddresses {
		c.addresses[ieee] = address
	}
	return true, known
}

// blankAddress is written where there is no IEEE address.
const blankAddress zigbee.IEEEAddress = 0xffffffffffffffff

// heardAt takes that a device was heard at an address.
func (c *Coordinator) heardAt(ieee zigbee.IEEEAddress, address zigbee.NetworkAddress) {
	if changed, known := c.remember(ieee, address); changed && known {
		c.tell(zigbee.AddressChanged{IEEEAddress: ieee, NetworkAddress: address})
	}
}

// Kinds of incoming messages (EmberIncomingMessageType).
const (
	incomingMulticast         = 2
	incomingMulticastLoopback = 3
	incomingBroadcast         = 4
	incomingBroadcastLoopback = 5
)

// incomingMessage takes an APS message.
func (c *Coordinator) incomingMessage(r *reader) {
	kind := r.uint8()
	aps := r.apsFrame()
	var m zigbee.Incoming
	if c.version() >= 14 {
		m.Source, m.IEEEAddress = r.address(), r.ieee()
		r.bytes(2) // binding and address table
		m.LinkQuality = r.uint8()
		r.bytes(5) // signal strength, time
	} else {
		m.LinkQuality = r.uint8()
		r.bytes(1)
		m.Source = r.address()
		r.bytes(2)
	}
	m.Data = append([]byte(nil), r.payload()...)
	if r.bad {
		return
	}
	if m.IEEEAddress == blankAddress {
		m.IEEEAddress = 0
	}
	if aps.options&apsFragment != 0 {
		// A piece of a message that nobody puts together: by itself it would
		// be taken for something else.
		c.count(&c.counters.Strays)
		return
	}
	if kind == incomingMulticastLoopback || kind == incomingBroadcastLoopback {
		return // what was sent here
	}
	if m.IEEEAddress != 0 {
		c.heardAt(m.IEEEAddress, m.Source)
	}
	if aps.profile == zigbee.ProfileZDO {
		c.zdoMessage(m.Source, aps.cluster, m.Data)
		return
	}
	m.SourceEndpoint, m.DestinationEndpoint = aps.source, aps.destination
	m.Profile, m.Cluster = aps.profile, aps.cluster
	if kind == incomingMulticast {
		m.Group = aps.group
	}
	m.Broadcast = kind == incomingBroadcast
	c.tell(m)
}

// networkStatusReason is what a router says of the way to a device (Zigbee
// specification, table 3-51), as a reason why nothing arrives there.
func networkStatusReason(code uint8) zigbee.DeliveryReason {
	switch code {
	case 0x00, 0x01, 0x02, 0x03, 0x04, 0x09, 0x0b, 0x0c:
		return zigbee.NoRoute
	case 0x05, 0x06:
		return zigbee.Expired // no room at the parent, or not fetched
	}
	return ""
}
