package znpstick

import (
	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// addresses calls f with the entries of the address manager until it returns false.
func (s *Stick) addresses(f func(i int, entry []byte) bool) {
	t := &s.tables()[tableAddr]
	for i := 0; ; i++ {
		if e := s.entry(t, i); e == nil || !f(i, e) {
			return
		}
	}
}

// findAddress returns the entry of a device in the address manager.
func (s *Stick) findAddress(device zigbee.IEEEAddress) (index int, entry []byte) {
	s.addresses(func(i int, e []byte) bool {
		if user := s.field(addrMgrLayout, e, 0)[0]; user != 0 && user != 0xff && ieee(s.field(addrMgrLayout, e, 2)) == device {
			index, entry = i, e
		}
		return entry == nil
	})
	return index, entry
}

// Users of an address.
const (
	isChild = 1
	hasKey  = 2
)

// noteAddress keeps where a device is.
func (s *Stick) noteAddress(device zigbee.IEEEAddress, address zigbee.NetworkAddress, user, noUser byte) {
	_, entry := s.findAddress(device)
	if entry == nil {
		s.addresses(func(_ int, e []byte) bool {
			if u := s.field(addrMgrLayout, e, 0)[0]; u == 0 || u == 0xff {
				entry = e
				s.field(addrMgrLayout, e, 0)[0] = 0
			}
			return entry == nil
		})
	}
	if entry == nil {
		return // full
	}
	u := s.field(addrMgrLayout, entry, 0)
	u[0] = u[0]&^noUser | user
	copy(s.field(addrMgrLayout, entry, 1), add16(nil, uint16(address)))
	copy(s.field(addrMgrLayout, entry, 2), add64(nil, uint64(device)))
}

// forget drops what is known of a device.
func (s *Stick) forget(device zigbee.IEEEAddress) {
	if _, e := s.findAddress(device); e != nil {
		for i := range e {
			e[i] = 0xff
		}
		s.field(addrMgrLayout, e, 0)[0] = 0
	}
	if e := s.findTCLK(device); e != nil {
		clear(e)
	}
	delete(s.children, device)
}

// findTCLK returns the entry of a device in the table of derived keys; device 0: a
// free one.
func (s *Stick) findTCLK(device zigbee.IEEEAddress) []byte {
	if len(s.tables()) <= tableTCLK {
		return nil
	}
	t := &s.tables()[tableTCLK]
	for i := 0; ; i++ {
		e := s.entry(t, i)
		if e == nil || ieee(s.field(tclkLayout, e, 2)) == device {
			return e
		}
	}
}

// derive makes the trust center link key of a device: the seed, rotated to the left by
// so many bytes, exclusive or the address twice.
func (s *Stick) derive(device zigbee.IEEEAddress, shift byte) (key [16]byte) {
	seed, address := s.nv[nvTCLKSeed], add64(nil, uint64(device))
	if len(seed) < 16 {
		return key
	}
	for i := range 16 {
		key[i] = seed[(i+int(shift))&15] ^ address[i&7]
	}
	return key
}

// LinkKey tells the trust center link key that a device has of its own. A device that
// joins gets one.
func (s *Stick) linkKey(device zigbee.IEEEAddress) (key [16]byte, has bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.findTCLK(device); e != nil {
		return s.derive(device, s.field(tclkLayout, e, 5)[0]), true
	}
	if key, has = s.ownKey(device); has {
		return key, true
	}
	if !s.open() {
		return key, false
	}
	e := s.findTCLK(0)
	if e == nil {
		return key, false
	}
	shift := byte(s.random.IntN(16))
	copy(s.field(tclkLayout, e, 2), add64(nil, uint64(device)))
	s.field(tclkLayout, e, 3)[0] = 2 // the device has proved that it has it
	s.field(tclkLayout, e, 5)[0] = shift
	return s.derive(device, shift), true
}

// ownKey returns the key of a device that is written down as it is.
func (s *Stick) ownKey(device zigbee.IEEEAddress) (key [16]byte, has bool) {
	index, e := s.findAddress(device)
	if e == nil || len(s.tables()) <= tableKeys {
		return key, false
	}
	security, data := &s.tables()[tableSecurity], &s.tables()[tableKeys]
	for i := 0; ; i++ {
		e := s.entry(security, i)
		if e == nil {
			return key, false
		}
		if int(u16(s.field(secLayout, e, 0))) != index || s.field(secLayout, e, 2)[0] == 0 {
			continue
		}
		at := int(u16(s.field(secLayout, e, 1)))
		if s.options.Product != ZStack3x0 {
			at -= nvLinkKeyData // there it is the item
		}
		if d := s.entry(data, at); d != nil {
			return [16]byte(s.field(keyDataLayout, d, 0)), true
		}
	}
}

// joinKey tells with what key a device may join.
func (s *Stick) joinKey(device zigbee.IEEEAddress, wellKnown [16]byte) ([16]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, has := s.codes[device]; has {
		return key, true
	}
	return wellKnown, true
}

// addInstallCode keeps the key of an install code.
func (s *Stick) addInstallCode(r request) {
	const codeForm, keyForm = 1, 2
	switch key := r.data[9:]; {
	case r.data[0] == keyForm && len(key) == 16:
		s.codes[ieee(r.data[1:])] = [16]byte(key)
		s.answer(r, ok)
	case r.data[0] == codeForm && len(key) == 18:
		s.codes[ieee(r.data[1:])] = air.Hash(key)
		s.answer(r, ok)
	default:
		s.answer(r, badParam)
	}
}

// counter returns where the frame counter of a network is written down, nil if nowhere.
func (s *Stick) counter(extended []byte) []byte {
	if s.options.Product == ZStack12 {
		if b := s.nv[nvNwkKey]; len(b) >= 21 {
			return b[17:21] // behind sequence number and key
		}
		return nil
	}
	t := &s.tables()[tableMaterial]
	var general []byte
	for i := 0; ; i++ {
		e := s.entry(t, i)
		if e == nil {
			return general
		}
		counter := s.field(materialLayout, e, 0)
		switch id := string(s.field(materialLayout, e, 1)); {
		case id == string(extended):
			return counter
		case id == "\xff\xff\xff\xff\xff\xff\xff\xff" && general == nil:
			general = counter
		}
	}
}

const (
	// countsSaved is after how many frames the counter is written down.
	countsSaved = 1000
	// countsAhead is what is added to it at a start, so that no value is used twice.
	countsAhead = 1250
)

// saveCounter writes the frame counter down when it is time to.
func (s *Stick) saveCounter() {
	if s.state != stateRunning {
		return
	}
	// The network that runs counts, whatever was written into memory since.
	count := s.air.FrameCounter()
	if b := s.counter(s.running[:]); b != nil && count-s.saved >= countsSaved {
		putU32(b, count)
		s.saved = count
	}
}
