package ezspstick

import (
	"encoding/binary"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// Kinds of keys (sl_zb_sec_man_key_type_t).
const (
	keyNetwork = 1
	keyTCLink  = 2
	keyAppLink = 4
)

func (s *Stick) setInitialSecurityState(a *args) code {
	if s.node.up {
		return invalidCall
	}
	n := &s.node.security
	n.mask, n.link, n.network, n.sequence = a.u16(), a.key(), a.key(), a.byte()
	a.u64()
	n.set = !a.short
	return ok
}

func (s *Stick) importTransientKey(a *args) code {
	device, key := zigbee.IEEEAddress(a.u64()), a.key()
	if !s.modern() {
		a.byte() // flags
	}
	s.node.transient[device] = key
	return ok
}

func (s *Stick) importLinkKey(a *args) code {
	index, device, key := a.byte(), zigbee.IEEEAddress(a.u64()), a.key()
	if int(index) >= int(s.node.config[configKeyTableSize]) {
		return indexOutside
	}
	if s.tokens.keys == nil {
		s.tokens.keys = make(map[byte]linkKey)
	}
	s.tokens.keys[index] = linkKey{device: device, key: key}
	return ok
}

func (s *Stick) eraseKeyTableEntry(a *args) code {
	index := a.byte()
	if int(index) >= int(s.node.config[configKeyTableSize]) {
		return indexOutside
	}
	delete(s.tokens.keys, index)
	return ok
}

// putContext puts sl_zb_sec_man_context_t.
func putContext(p []byte, kind, index byte, device zigbee.IEEEAddress) []byte {
	p = append(p, kind, index, 0, 0)
	p = put64(p, uint64(device))
	return put32(append(p, 0, 0x03), 0x05440100)
}

func (s *Stick) exportLinkKeyByIndex(a *args) []byte {
	index := a.byte()
	k, known := s.tokens.keys[index]
	c := ok
	if !known {
		c, k.device = notFound, 0
	}
	// The stack has one counter for what it sends with any of them.
	if known {
		k.out = s.tokens.apsCounter
	}
	var p []byte
	if s.modern() {
		p = putContext(put32(nil, c.after), keyAppLink, index, k.device)
	} else {
		p = put64(nil, uint64(k.device))
	}
	p = append(p, k.key[:]...)
	p = put16(p, 0x000e) // both counters and the partner are valid
	p = put32(put32(p, k.out), k.in)
	p = put16(p, 0)
	if !s.modern() {
		p = put32(p, c.after)
	}
	return p
}

func (s *Stick) exportKey(a *args) []byte {
	kind := a.byte()
	rest := append([]byte{kind}, a.take(17)...)
	var key [16]byte
	c := notFound
	if s.tokens.formed {
		switch kind {
		case keyNetwork:
			key, c = s.tokens.networkKey, ok
		case keyTCLink:
			key, c = s.tokens.linkKey, ok
		}
	}
	if s.modern() {
		return append(append(put32(nil, c.after), key[:]...), rest...)
	}
	return put32(append([]byte(nil), key[:]...), c.after)
}

func (s *Stick) getNetworkKeyInfo(*args) []byte {
	set := byte(0)
	if s.tokens.formed {
		set = 1
	}
	p := append(put32(nil, 0), set, 0, s.tokens.keySequence, 0)
	counter := s.tokens.frameCounter
	if s.node.up {
		// What the air has counted since: asked for without the lock, it
		// may be one frame old.
		counter = max(counter, s.counted)
	}
	return put32(p, counter)
}

// derived is the link key that the trust center has for a device: the HMAC of its
// address under the hashed key (Silicon Labs' security manager, derived type
// TC_HASHED_LINK_KEY).
func (s *Stick) derived(device zigbee.IEEEAddress) [16]byte {
	var inner, outer []byte
	for _, k := range s.tokens.linkKey {
		inner, outer = append(inner, k^0x36), append(outer, k^0x5c)
	}
	digest := air.Hash(binary.LittleEndian.AppendUint64(inner, uint64(device)))
	return air.Hash(append(outer, digest[:]...))
}
