package air

import (
	"errors"
	"time"

	"lintel/serialbridge/zigbee"
)

// ErrClosed is why a device cannot join: nobody lets it.
var ErrClosed = errors.New("air: the network is not open for devices to join")

// Join presses the button that resets a device and lets it look for a network.
func (n *Network) Join(a zigbee.IEEEAddress) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, err := n.find(a)
	if err != nil {
		return err
	}
	parent, ok := n.open(d)
	if !ok {
		return ErrClosed
	}
	n.depart(d, false)
	d.reset()
	d.off, d.silent, d.asleep = false, false, false
	d.linkKey = nil
	n.after(2*n.options.Latency, func() { n.admit(d, parent) })
	return nil
}

// open returns at whom the device may join: where it is meant to if it can.
func (n *Network) open(d *device) (parent *device, ok bool) {
	now := time.Now()
	if n.radio == nil {
		return nil, false
	}
	ok = now.Before(n.openUntil)
	for _, r := range n.sorted {
		if r != d && r.router() && r.hears(n.security) && now.Before(r.openUntil) {
			if r.IEEEAddress == d.Parent {
				return r, true
			}
			if !ok {
				parent, ok = r, true
			}
		}
	}
	return parent, ok
}

// admit asks the trust center for the key that the device joins with and for one
// of its own.
func (n *Network) admit(d *device, parent *device) {
	s, session := n.security, n.session
	n.call(func() {
		key, ok := WellKnownKey, true
		if s.JoinKey != nil {
			key, ok = s.JoinKey(d.IEEEAddress)
		}
		var own *[16]byte
		if s.LinkKey != nil && d.model.zigbee3 {
			if k, ok := s.LinkKey(d.IEEEAddress); ok {
				own = &k
			}
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if !ok || key != d.joinKey() || n.session != session {
			return // it cannot read the network key
		}
		d.linkKey = own
		n.welcome(d, parent)
	})
}

// joinKey is the link key that the device has when it leaves the factory.
func (d *device) joinKey() [16]byte {
	if d.InstallCode != nil {
		return *d.InstallCode
	}
	return WellKnownKey
}

// welcome makes the device a member that has all keys.
func (n *Network) welcome(d, parent *device) {
	d.joined, d.parent = true, parent
	if !n.free(d, d.address) {
		d.address = d.NetworkAddress
	}
	for !n.free(d, d.address) {
		d.address = zigbee.NetworkAddress(n.random.Uint32())
	}
	d.known, d.trust, d.heard = n.security.Parameters, n.security.Coordinator, n.counter
	d.session = n.session
	d.polled = time.Now()
	d.awakeUntil = d.polled.Add(30 * time.Second)
	radio, address, at, key := n.radio, d.address, d.parentAddress(), d.linkKey
	n.call(func() { radio.Joined(d.IEEEAddress, address, at, key) })
	n.after(2*n.options.Latency, func() { d.announce() })
	d.live()
}

// free says whether a device may have the address.
func (n *Network) free(d *device, a zigbee.NetworkAddress) bool {
	if a == 0 || a >= 0xfff0 {
		return false
	}
	for _, other := range n.sorted {
		if other != d && other.joined && other.address == a {
			return false
		}
	}
	return true
}

func (d *device) parentAddress() zigbee.NetworkAddress {
	if d.parent != nil {
		return d.parent.address
	}
	return zigbee.ToCoordinator
}

// depart takes the device out of the network.
func (n *Network) depart(d *device, rejoin bool) {
	if !d.joined {
		return
	}
	d.joined = false
	d.life++
	d.drop(NoAck)
	if radio := n.radio; radio != nil && d.shares(n.security) {
		address := d.address
		n.call(func() { radio.Left(d.IEEEAddress, address, rejoin) })
	}
	n.orphan(d)
}

// orphan lets the children of a router that is gone look for another parent.
func (n *Network) orphan(r *device) {
	for _, d := range n.sorted {
		if d.parent != r || !d.joined {
			continue
		}
		life := d.life
		n.after(15*time.Second, func() {
			if d.life == life && d.parent == r && !r.there() {
				d.parent = nil
				d.announce()
			}
		})
	}
}

// Leave lets a device leave the network and forget it.
func (n *Network) Leave(a zigbee.IEEEAddress) error {
	return n.with(a, func(d *device) {
		n.depart(d, false)
		d.reset()
	})
}

// Sleep lets a device that sleeps wake up only when something is done with it,
// instead of asking its parent now and then.
func (n *Network) Sleep(a zigbee.IEEEAddress, deep bool) error {
	return n.with(a, func(d *device) {
		d.asleep = deep
		d.awakeUntil = time.Time{}
	})
}

// Drop lets a device fall silent, or speak again: it is there but radio does not
// reach it.
func (n *Network) Drop(a zigbee.IEEEAddress, silent bool) error {
	return n.with(a, func(d *device) {
		d.silent = silent
		if silent {
			n.orphan(d)
		}
	})
}

// Power switches the power of a device. When it comes back the device says so.
func (n *Network) Power(a zigbee.IEEEAddress, on bool) error {
	return n.with(a, func(d *device) {
		if d.off == !on {
			return
		}
		d.off = !on
		d.life++
		if !on {
			n.orphan(d)
			return
		}
		d.powerOn()
		if d.joined {
			n.after(2*n.options.Latency, func() { d.announce() })
			d.live()
		}
	})
}

// Move gives a device another network address, as when it has found another
// parent. It says so.
func (n *Network) Move(a zigbee.IEEEAddress) error {
	return n.with(a, func(d *device) {
		d.address = 0
		for !n.free(d, d.address) {
			d.address = zigbee.NetworkAddress(n.random.Uint32())
		}
		d.announce()
	})
}

// Rejoin lets a device that does not find its network any more ask the trust center
// for the network key. It takes it only under the link key that it has.
func (n *Network) Rejoin(a zigbee.IEEEAddress) error {
	return n.with(a, func(d *device) {
		if n.radio == nil {
			return
		}
		s, session := n.security, n.session
		n.call(func() {
			key, ok := s.keyOf(d)
			n.mu.Lock()
			defer n.mu.Unlock()
			if ok && d.linkKeyIs(key) && n.session == session && d.known.ExtendedPANID == s.ExtendedPANID {
				n.welcome(d, nil)
			}
		})
	})
}
