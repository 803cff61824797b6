package ezspstick

import (
	"encoding/binary"
	"time"

	"lintel/serialbridge/zigbee"
)

// Reasons of an invalid command (EzspStatus).
const (
	versionNotSet = 0x30
	invalidFrame  = 0x31
	badDirection  = 0x32
	queueFull     = 0x41
)

const invalidCommand = 0x0058

// command takes an EZSP frame of the host and answers it.
func (s *Stick) command(data []byte) {
	if len(data) < 3 {
		return
	}
	s.ash.sequence = data[0]
	extended := len(data) >= 5 && data[2] == 0x01
	id := uint16(data[2])
	params := data[3:]
	if extended {
		id, params = binary.LittleEndian.Uint16(data[3:]), data[5:]
	}
	respond := func(id uint16, params []byte) {
		head := []byte{data[0], 0x80, byte(id)}
		if extended {
			head = []byte{data[0], 0x80, 0x01, byte(id), byte(id >> 8)}
			if s.ash.overflow {
				head[1] |= 0x01
				s.ash.overflow = false
			}
		}
		s.ash.answers = append(s.ash.answers, append(head, params...))
		if d := s.random.faults.Slow; d > 0 {
			s.ash.hold = time.Now().Add(d)
		}
	}
	switch {
	case data[1]&0x80 != 0:
		respond(invalidCommand, []byte{badDirection})
		return
	case id == 0x0000: // version
		version := s.options.Version
		if old := s.random.faults.OldVersion; old != 0 {
			version = old
		}
		s.node.negotiated = len(params) > 0 && params[0] == version
		respond(id, []byte{version, 0x02, 0x10, 0x74})
		return
	case !extended || !s.node.negotiated:
		respond(invalidCommand, []byte{versionNotSet})
		return
	}
	handle, known := commands[id]
	if !known {
		s.counters.Unhandled[id]++
		s.log.Warn("unhandled command", "id", id, "params", params)
		respond(invalidCommand, []byte{invalidFrame})
		return
	}
	if (id == 0x0034 || id == 0x0036 || id == 0x0038) && s.random.chance(s.random.faults.Queue) {
		s.counters.Refused++
		respond(invalidCommand, []byte{queueFull})
		return
	}
	a := &args{b: params}
	// Callbacks that the command causes stand behind those of before, and go
	// after the answer.
	answer := handle(s, a)
	if a.short {
		respond(invalidCommand, []byte{0x33})
		return
	}
	respond(id, answer)
}

// commands are those that the stick knows: each returns the parameters of the
// answer.
var commands = map[uint16]func(*Stick, *args) []byte{
	0x0002: one((*Stick).addEndpoint),
	0x0003: (*Stick).getExtendedValue,
	0x0005: nothing,                                                     // nop
	0x0010: one(func(s *Stick, a *args) code { a.take(10); return ok }), // setConcentrator
	0x0015: func(s *Stick, a *args) []byte { s.node.manufacturer = a.u16(); return nil },
	0x0017: one((*Stick).networkInit),
	0x0018: func(s *Stick, _ *args) []byte { return []byte{s.networkState()} },
	0x001a: wide((*Stick).startScan),
	0x001e: one((*Stick).formNetwork),
	0x0020: one((*Stick).leaveNetwork),
	0x0022: one((*Stick).permitJoining),
	0x0026: func(s *Stick, _ *args) []byte { return put64(nil, uint64(s.address())) },
	0x0027: func(s *Stick, _ *args) []byte { return put16(nil, 0) }, // getNodeId
	0x0028: (*Stick).getNetworkParameters,
	0x0034: (*Stick).sendUnicast,
	0x0036: (*Stick).sendBroadcast,
	0x0038: (*Stick).sendMulticast,
	0x0052: (*Stick).getConfigurationValue,
	0x0053: one((*Stick).setConfigurationValue),
	0x0055: one(func(s *Stick, a *args) code { s.node.policies[a.byte()] = a.byte(); return ok }),
	0x0056: func(s *Stick, a *args) []byte { return append(s.putCode(nil, ok), s.node.policies[a.byte()]) },
	0x005a: func(s *Stick, a *args) []byte { a.byte(); return put32(nil, 5000) }, // setSourceRouteDiscoveryMode
	0x0060: (*Stick).lookupNodeID,
	0x0061: (*Stick).lookupEUI64,
	0x0064: one((*Stick).setMulticastTableEntry),
	0x0065: func(s *Stick, _ *args) []byte { return make([]byte, 2*42) }, // readAndClearCounters
	0x0068: one((*Stick).setInitialSecurityState),
	0x006b: func(s *Stick, _ *args) []byte { clear(s.node.transient); return nil },
	0x0076: one((*Stick).eraseKeyTableEntry),
	0x009a: one((*Stick).setRadioChannel),
	0x00aa: (*Stick).getValue,
	0x00ab: one((*Stick).setValue),
	0x00b1: one(func(s *Stick, _ *args) code { clear(s.tokens.keys); return ok }),
	0x00f1: func(s *Stick, _ *args) []byte { return make([]byte, 2*42) }, // readCounters
	0x0102: (*Stick).getTokenData,
	0x0103: one((*Stick).setTokenData),
	0x010e: wide((*Stick).importLinkKey),
	0x010f: (*Stick).exportLinkKeyByIndex,
	0x0111: wide((*Stick).importTransientKey),
	0x0114: (*Stick).exportKey,
	0x0116: (*Stick).getNetworkKeyInfo,
}

// one is an answer of a status alone.
func one(do func(*Stick, *args) code) func(*Stick, *args) []byte {
	return func(s *Stick, a *args) []byte { return s.putCode(nil, do(s, a)) }
}

// wide is an answer of a status alone that has four bytes in all versions.
func wide(do func(*Stick, *args) code) func(*Stick, *args) []byte {
	return func(s *Stick, a *args) []byte { return put32(nil, do(s, a).after) }
}

func nothing(*Stick, *args) []byte { return nil }

func (s *Stick) addEndpoint(a *args) code {
	e := endpoint{id: a.byte(), profile: a.u16(), device: a.u16(), version: a.byte()}
	inputs, outputs := int(a.byte()), int(a.byte())
	for range inputs {
		e.input = append(e.input, a.u16())
	}
	for range outputs {
		e.output = append(e.output, a.u16())
	}
	if a.short || s.node.up || s.registered(e.id) {
		return invalidValue
	}
	s.node.endpoints = append(s.node.endpoints, e)
	return ok
}

// getExtendedValue knows the flags of endpoints.
func (s *Stick) getExtendedValue(a *args) []byte {
	id, what := a.byte(), a.u32()
	if id != 0 {
		return append(s.putCode(nil, invalidID), 0)
	}
	if !s.registered(byte(what)) {
		return append(s.putCode(nil, invalidValue), 2, 0, 0)
	}
	return append(s.putCode(nil, ok), 2, 1, 0)
}

func (s *Stick) getConfigurationValue(a *args) []byte {
	v, known := s.node.config[a.byte()]
	if !known {
		return put16(s.putCode(nil, invalidID), 0)
	}
	return put16(s.putCode(nil, ok), v)
}

func (s *Stick) setConfigurationValue(a *args) code {
	id, v := a.byte(), a.u16()
	switch {
	case id == configKeyTableSize && int(v) > s.options.KeyTableSize:
		return invalidValue // the tokens are made for so many
	case s.node.up:
		return code{0x38, 0x0002}
	}
	s.node.config[id] = v
	return ok
}

// Values.
const (
	valueVersion         = 0x11
	valueNWKCounter      = 0x23
	valueAPSCounter      = 0x24
	tokenRestoredAddress = 0x1e12a
)

func (s *Stick) getValue(a *args) []byte {
	switch id := a.byte(); id {
	case valueVersion:
		major, minor := byte(7), byte(4)
		if s.modern() {
			major, minor = 8, (s.options.Version-14)&3
		}
		return append(s.putCode(nil, ok), 7, 0x5d, 0x01, major, minor, 1, 0, 0xaa)
	case valueNWKCounter:
		return put32(append(s.putCode(nil, ok), 4), s.tokens.frameCounter)
	case valueAPSCounter:
		return put32(append(s.putCode(nil, ok), 4), s.tokens.apsCounter)
	default:
		v, known := s.node.values[id]
		if !known {
			return append(s.putCode(nil, invalidID), 0)
		}
		return append(append(s.putCode(nil, ok), byte(len(v))), v...)
	}
}

func (s *Stick) setValue(a *args) code {
	id := a.byte()
	v := append([]byte(nil), a.take(int(a.byte()))...)
	if a.short {
		return invalidValue
	}
	switch id {
	case valueNWKCounter, valueAPSCounter:
		if len(v) != 4 || s.node.up {
			return invalidValue
		}
		counter := binary.LittleEndian.Uint32(v)
		if id == valueNWKCounter {
			s.node.frameCounter = &counter
		} else {
			s.tokens.apsCounter = counter
		}
	default:
		s.node.values[id] = v
	}
	return ok
}

// The token of another IEEE address than the one the chip was made with.
func (s *Stick) getTokenData(a *args) []byte {
	token, index := a.u32(), a.u32()
	if token != tokenRestoredAddress || index != 0 || s.options.FixedAddress {
		return put32(s.putCode(nil, notFound), 0)
	}
	address := everybody
	if s.tokens.address != 0 {
		address = s.tokens.address
	}
	return put64(put32(s.putCode(nil, ok), 8), uint64(address))
}

func (s *Stick) setTokenData(a *args) code {
	token, index, size := a.u32(), a.u32(), a.u32()
	if token != tokenRestoredAddress || index != 0 || size != 8 || s.options.FixedAddress {
		return badArgument
	}
	s.tokens.address = zigbee.IEEEAddress(a.u64())
	if s.tokens.address == everybody {
		s.tokens.address = 0
	}
	return ok
}

func (s *Stick) lookupNodeID(a *args) []byte {
	address, known := s.tokens.children[zigbee.IEEEAddress(a.u64())]
	if !known {
		address = 0xffff
	}
	if s.modern() {
		return put16(s.putCode(nil, ok), uint16(address))
	}
	return put16(nil, uint16(address))
}

func (s *Stick) lookupEUI64(a *args) []byte {
	ieee, known := s.ieeeOf(zigbee.NetworkAddress(a.u16()))
	if !known {
		return put64(s.putCode(nil, notFound), uint64(everybody))
	}
	return put64(s.putCode(nil, ok), uint64(ieee))
}

func (s *Stick) setMulticastTableEntry(a *args) code {
	index := a.byte()
	s.node.multicast[index] = member{group: a.u16(), endpoint: a.byte()}
	a.byte() // network
	return ok
}
