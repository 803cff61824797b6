package air

import (
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
)

// Device is what is to be added to a network.
type Device struct {
	IEEEAddress zigbee.IEEEAddress
	Kind        Kind
	// NetworkAddress is the one that it gets when it joins; 0: any.
	NetworkAddress zigbee.NetworkAddress
	// Parent is the router that it joins at; 0: whoever lets it.
	Parent      zigbee.IEEEAddress
	LinkQuality uint8 // 0: 120
	// InstallCode is the link key of its install code; nil: it has none and
	// joins with the key that all know.
	InstallCode *[16]byte
	// Poll is how often a sleeping device asks its parent for what waits
	// there; 0: as often as its kind does.
	Poll time.Duration
}

// State is how a device is at the moment.
type State struct {
	Device
	Joined    bool
	Address   zigbee.NetworkAddress
	Router    bool
	LinkKey   *[16]byte // its own; nil: it has none
	Groups    map[uint8][]uint16
	Bindings  int
	Reporting int // attributes that it reports
	// Clock is what time the device was told, and Told when it was.
	Clock, Told time.Time
}

// device is a device as it lives in the network.
type device struct {
	Device
	network   *Network
	model     *model
	endpoints []*endpoint

	address zigbee.NetworkAddress
	joined  bool
	off     bool    // no power
	silent  bool    // see Drop
	asleep  bool    // see Sleep
	parent  *device // nil: the coordinator
	life    uint64  // of what is set up; timers of an earlier one do nothing

	// What it knows of the network.
	known   zigbee.Parameters
	trust   zigbee.IEEEAddress // the coordinator
	heard   uint32             // the highest frame counter that it saw
	session uint64             // of the network, when it saw that
	linkKey *[16]byte

	openUntil  time.Time // of a router
	teachUntil time.Time // of a router: until when it listens for Green Power devices
	awakeUntil time.Time
	polled     time.Time
	held       []*held

	bindings         []binding
	reportings       []*reporting
	zclSeq, zdoSeq   uint8
	identifyingUntil time.Time
	moving           uint64 // counts the movements of a cover
	spelled          bool   // see model.spellbound
	tuyaSeq          uint16
	clock, told      time.Time // the time, and when it was told
	update           *download // in progress
	image            []byte    // that was downloaded last
	imageVersion     uint32
}

// held is a frame that waits at the parent.
type held struct {
	frame    Frame
	answered func(Status)
}

func (d *device) router() bool { return d.model.router }
func (d *device) sleepy() bool { return d.model.sleepy }

// hops is how many there are to the coordinator.
func (d *device) hops() int {
	n := 1
	for p := d.parent; p != nil && n < 15; p = p.parent {
		n++
	}
	return n
}

// reachable says whether those on the way to the device, and it itself, are there.
func (d *device) reachable() bool {
	for p := d.parent; p != nil; p = p.parent {
		if !p.there() {
			return false
		}
	}
	return d.joined
}

func (d *device) there() bool { return d.joined && !d.off && !d.silent }

// shares says whether the device is in the network of s.
func (d *device) shares(s Security) bool {
	return d.known.NetworkKey == s.NetworkKey && d.known.KeySequence == s.KeySequence &&
		d.known.PANID == s.PANID && d.known.ExtendedPANID == s.ExtendedPANID && d.known.Channel == s.Channel
}

// hears says whether the device hears what a coordinator with s sends.
func (d *device) hears(s Security) bool { return d.there() && d.reachable() && d.shares(s) }

// believes says whether the device takes a frame of the coordinator with that counter.
// That of a coordinator which has started anew has to be higher than any before.
func (d *device) believes(counter uint32) bool {
	n := d.network
	if !d.hears(n.security) || d.session != n.session && counter <= d.heard {
		return false
	}
	d.session, d.heard = n.session, max(d.heard, counter)
	return true
}

// Add puts a device into the network. It has its factory settings and is not joined.
func (n *Network) Add(spec Device) error {
	m := models[spec.Kind]
	if m == nil {
		return fmt.Errorf("air: there is no kind of device %q; there are %v", spec.Kind, Kinds())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.devices[spec.IEEEAddress] != nil || spec.IEEEAddress == 0:
		return fmt.Errorf("air: the address %s is taken", spec.IEEEAddress)
	case len(n.devices) >= maxDevices:
		return errFull
	}
	if spec.LinkQuality == 0 {
		spec.LinkQuality = 120
	}
	if spec.Poll == 0 {
		spec.Poll = m.poll
	}
	d := &device{Device: spec, network: n, model: m}
	d.reset()
	n.devices[spec.IEEEAddress] = d
	n.sorted = append(n.sorted, d)
	return nil
}

// reset restores the factory settings.
func (d *device) reset() {
	d.life++
	d.endpoints = d.model.build()
	d.bindings, d.reportings, d.held, d.update = nil, nil, nil, nil
	d.identifyingUntil = time.Time{}
	d.spelled = false
}

// keyOf returns the link key under which the trust center sends the device the
// network key when it comes back.
func (s Security) keyOf(d *device) (key [16]byte, ok bool) {
	if s.LinkKey != nil && d.model.zigbee3 {
		if key, ok = s.LinkKey(d.IEEEAddress); ok {
			return key, true
		}
	}
	if s.JoinKey != nil {
		return s.JoinKey(d.IEEEAddress)
	}
	return WellKnownKey, true
}

func (d *device) linkKeyIs(key [16]byte) bool {
	if d.linkKey != nil {
		return *d.linkKey == key
	}
	return d.joinKey() == key
}

// Doubts returns why a device does not believe that the radio which is attached is
// its coordinator, or would not if it had to come back: nil if it does. Unlike the
// network itself it calls LinkKey and JoinKey from the caller's goroutine.
func (n *Network) Doubts(a zigbee.IEEEAddress) error {
	n.mu.Lock()
	d, err := n.find(a)
	if err != nil {
		n.mu.Unlock()
		return err
	}
	s, attached, counter, own := n.security, n.radio != nil, n.counter, d.linkKey
	joined, known, heard, trust := d.joined, d.known, d.heard, d.trust
	n.mu.Unlock()
	switch {
	case !joined:
		return errors.New("it is in no network")
	case !attached:
		return errors.New("there is no coordinator")
	case known.PANID != s.PANID || known.ExtendedPANID != s.ExtendedPANID:
		return errors.New("it is in another network")
	case known.Channel != s.Channel:
		return fmt.Errorf("it is on channel %d, the coordinator on %d", known.Channel, s.Channel)
	case known.NetworkKey != s.NetworkKey || known.KeySequence != s.KeySequence:
		return errors.New("the network key is another one")
	case trust != s.Coordinator:
		return fmt.Errorf("its trust center is %s, not %s", trust, s.Coordinator)
	case counter < heard:
		return fmt.Errorf("the frame counter went back from %d to %d", heard, counter)
	}
	if own != nil {
		if key, ok := s.keyOf(d); !ok || key != *own {
			return errors.New("the trust center does not know its link key")
		}
	}
	return nil
}

// Devices returns how all devices are, in the order in which they were added.
func (n *Network) Devices() []State {
	n.mu.Lock()
	defer n.mu.Unlock()
	states := make([]State, 0, len(n.sorted))
	for _, d := range n.sorted {
		s := State{Device: d.Device, Joined: d.joined, Address: d.address, Router: d.router(), LinkKey: d.linkKey,
			Clock: d.clock, Told: d.told, Bindings: len(d.bindings), Reporting: len(d.reportings), Groups: make(map[uint8][]uint16)}
		for _, e := range d.endpoints {
			if len(e.groups) > 0 {
				s.Groups[e.id] = append([]uint16(nil), e.groups...)
			}
		}
		states = append(states, s)
	}
	return states
}

// with lets do happen to a device.
func (n *Network) with(a zigbee.IEEEAddress, do func(*device)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, err := n.find(a)
	if err != nil {
		return err
	}
	do(d)
	return nil
}
