package znpstick

import (
	"bytes"
	"encoding/hex"
	"slices"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// The network information base is a structure of the firmware. These are its fields,
// and which of them matter here.
var nibLayout = layout{
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, // to the capability flags
	2, 1, 1, 1, 2, 1, 2, 8, 2, 1, 4, // to the channel list
	1, 1, 1, 1, 4, 4, 1, 8, 1, 17, 17, // to the spare keys
	1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 1,
}

const (
	nibChannel       = 20
	nibPANID         = 23
	nibChannelList   = 25
	nibExtendedPANID = 33
	nibKeyLoaded     = 34
	nibUpdateID      = 48
)

// sampleNIB is that of a CC2531, packed (zigbee-herdsman test/adapter/z-stack, MIT).
const sampleNIB = "fb050279147900640000000105018f0700020d1e000015000000000000000000007b0008000020000f0f04" +
	"00010000000100000000779fd609004b1200010000000000000000000000000000000000000000000000000000000000" +
	"000000000000003c0c0001780a010000060200"

// newNIB returns a NIB laid out as the firmware's.
func (s *Stick) newNIB() []byte {
	packed, err := hex.DecodeString(sampleNIB)
	if err != nil {
		panic(err)
	}
	at, size := nibLayout.offsets(s.aligned())
	nib := make([]byte, size)
	for i, n := range nibLayout {
		copy(nib[at[i]:at[i]+n], packed[:n])
		packed = packed[n:]
	}
	return nib
}

// nib returns a field of the NIB, nil if there is no network.
func (s *Stick) nib(field int) []byte {
	b := s.nv[nvNIB]
	if len(b) != s.size(nibLayout) {
		return nil
	}
	return s.field(nibLayout, b, field)
}

func (s *Stick) setChannel(r request) {
	if r.data[0] != 0 {
		s.channels = u32(r.data[1:])
	}
	s.answer(r, ok)
}

// commission forms a network by base device commissioning.
func (s *Stick) commission(r request) {
	const formation = 4
	s.answer(r, ok)
	if r.data[0]&formation != 0 && s.state != stateRunning {
		s.start(true)
	}
}

// zdoStartup starts the network in memory, or a new one.
func (s *Stick) zdoStartup(r request) {
	if s.nib(nibPANID) != nil {
		s.answer(r, 0) // it is restored
		s.start(false)
		return
	}
	s.answer(r, 1)
	s.start(true)
}

// startTime is how long a start takes; a real stick scans for a second or more.
const startTime = 50 * time.Millisecond

// start goes on the air, with a new network or the one in memory.
func (s *Stick) start(form bool) {
	s.state = stateStarting
	s.areq(0x05, 0xc0, stateStarting)
	s.after(startTime, func() {
		if form {
			s.form()
		}
		if s.nib(nibPANID) == nil {
			return // somebody has taken it away meanwhile
		}
		s.attach()
		s.state = stateRunning
		s.areq(0x05, 0xc0, stateRunning)
	})
}

// form makes a network of what the configuration says, and of chance where it says
// nothing.
func (s *Stick) form() {
	nib := s.newNIB()
	s.nv[nvNIB] = nib
	mask := s.channels
	if list := s.nv[nvChanList]; mask == 0 && len(list) == 4 {
		mask = u32(list)
	}
	s.nib(nibChannel)[0] = s.quietest(mask)
	copy(s.nib(nibChannelList), add32(nil, 1<<s.nib(nibChannel)[0]))
	pan := uint16(0xffff)
	if v := s.nv[nvPANID]; len(v) == 2 {
		pan = u16(v)
	}
	if pan == 0xffff {
		pan = uint16(s.random.IntN(0xfff0))
	}
	for slices.Contains(s.options.NearbyPANs, pan) {
		pan++
	}
	copy(s.nib(nibPANID), add16(nil, pan))
	extended := s.nv[nvExtendedPANID]
	if len(extended) != 8 || bytes.Count(extended, []byte{0}) == 8 {
		extended = add64(nil, uint64(s.address))
	}
	copy(s.nib(nibExtendedPANID), extended)
	s.nib(nibKeyLoaded)[0] = 1

	key := s.nv[nvPrecfgKey]
	if len(key) != 16 || bytes.Count(key, []byte{0}) == 16 {
		key = s.randomKey()
	}
	if s.options.Product != ZStack12 {
		s.nv[nvActiveKeyInfo] = append([]byte{0}, key...)
		s.nv[nvAltKeyInfo] = append([]byte{0}, key...)
		if len(s.nv[nvTCLKSeed]) != 16 {
			s.nv[nvTCLKSeed] = s.randomKey()
		}
	} else {
		s.nv[nvPrecfgKey] = key
	}
	if len(s.tables()) <= tableMaterial {
		return
	}
	if e := s.entry(&s.tables()[tableMaterial], 0); e != nil {
		copy(s.field(materialLayout, e, 0), add32(nil, 0))
		copy(s.field(materialLayout, e, 1), extended)
	}
}

func (s *Stick) randomKey() []byte {
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(s.random.Uint32())
	}
	return key
}

// quietest returns the channel of a mask with the least energy.
func (s *Stick) quietest(mask uint32) (best uint8) {
	least := 256
	for channel := uint8(11); channel <= 26; channel++ {
		if energy := int(s.air.Energy(channel)); mask&(1<<channel) != 0 && energy < least {
			best, least = channel, energy
		}
	}
	return max(best, 11)
}

// attach puts the radio into the air, with the counter ahead of what it may have been.
func (s *Stick) attach() {
	var count uint32
	if b := s.counter(s.nib(nibExtendedPANID)); b != nil {
		count = u32(b) + countsAhead
		putU32(b, count)
	}
	s.saved, s.running = count, [8]byte(s.nib(nibExtendedPANID))
	s.tune(count)
}

// tune puts the radio into the air.
func (s *Stick) tune(count uint32) {
	p := zigbee.Parameters{
		PANID:    u16(s.nib(nibPANID)),
		Channel:  s.nib(nibChannel)[0],
		UpdateID: s.nib(nibUpdateID)[0],
	}
	copy(p.ExtendedPANID[:], s.nib(nibExtendedPANID))
	slices.Reverse(p.ExtendedPANID[:])
	if key := s.nv[nvActiveKeyInfo]; s.options.Product != ZStack12 && len(key) == 17 {
		p.KeySequence, p.NetworkKey = key[0], [16]byte(key[1:])
	} else if key := s.nv[nvPrecfgKey]; len(key) == 16 {
		p.NetworkKey = [16]byte(key)
	}
	security := air.Security{
		Parameters:   p,
		Coordinator:  s.address,
		FrameCounter: count,
		JoinKey:      func(d zigbee.IEEEAddress) ([16]byte, bool) { return s.joinKey(d, air.WellKnownKey) },
	}
	if s.options.Product != ZStack12 {
		security.LinkKey = s.linkKey
	}
	s.air.Attach(s.radio(), security)
	if left := time.Until(s.openUntil); left > 0 {
		s.air.PermitJoin(left)
	}
}

// open says whether devices may join somewhere in the network.
func (s *Stick) open() bool { return time.Now().Before(s.openUntil) }

func (s *Stick) zdoNetworkInfo(r request) {
	b := make([]byte, 24)
	b[2] = s.state
	if s.nib(nibPANID) != nil && s.state == stateRunning {
		copy(b[3:], s.nib(nibPANID))
		copy(b[7:], s.nib(nibExtendedPANID))
		b[23] = s.nib(nibChannel)[0]
	}
	s.answer(r, b...)
}

// zdoPermitJoin lets devices join: here, at a router, or everywhere.
func (s *Stick) zdoPermitJoin(r request) {
	const one, everywhere = 2, 0x0f
	mode, to, seconds := r.data[0], addr(r.data[1:]), r.data[3]
	s.answer(r, ok)
	if s.state != stateRunning {
		return
	}
	d := s.allow(seconds)
	if mode == everywhere || to == 0 || to == 0xfffc {
		s.air.PermitJoin(d)
		s.areq(0x05, 0xcb, seconds)
	}
	switch {
	case mode == everywhere:
		s.transmitZDO(to, 0x0036, r.data[3:5])
	case to == 0 || to == 0xfffc: // to a single device this is the coordinator
		s.areq(0x05, 0xb6, 0, 0, ok)
	case mode == one:
		s.transmitZDO(to, 0x0036, r.data[3:5])
	}
}

// moveTime is how long after it was told the coordinator changes its channel.
const moveTime = 500 * time.Millisecond

// zdoUpdate scans, or moves the network to another channel.
func (s *Stick) zdoUpdate(r request) {
	const move, longest = 0xfe, 5
	to, mask, duration := addr(r.data), u32(r.data[3:]), r.data[7]
	switch {
	case s.state != stateRunning:
		s.answer(r, failure)
		return
	case duration == move && (to >= 0xfff8 || to == 0):
		s.answer(r, ok)
		id := byte(1)
		if b := s.nib(nibUpdateID); b != nil {
			id += b[0]
		}
		if to != 0 {
			s.transmitZDO(to, 0x0038, append(add32(nil, mask), move, id))
			if s.options.Disobedient {
				return
			}
		}
		s.after(moveTime, func() {
			if s.nib(nibPANID) == nil {
				return
			}
			for channel := uint8(11); channel <= 26; channel++ {
				if mask == 1<<channel {
					s.nib(nibChannel)[0], s.nib(nibUpdateID)[0] = channel, id
					copy(s.nib(nibChannelList), add32(nil, mask))
				}
			}
			s.tune(s.air.FrameCounter())
		})
	case duration <= longest && to == 0:
		s.answer(r, ok)
		s.scan(mask, duration)
	default:
		s.answer(r, ok)
		s.transmitZDO(to, 0x0038, r.data[3:10])
	}
}

// scan measures the energy of channels.
func (s *Stick) scan(mask uint32, duration byte) {
	var values []byte
	for channel := uint8(11); channel <= 26; channel++ {
		if mask&(1<<channel) != 0 {
			values = append(values, s.air.Energy(channel))
		}
	}
	b := add32([]byte{0, 0, ok}, mask)
	b = append(b, 0, 0, 0, 0, byte(len(values)))
	lasts := time.Duration(len(values)) * 15360 * time.Microsecond * (1<<duration + 1)
	s.after(lasts, func() { s.areq(0x05, 0xb8, append(b, values...)...) })
}

func (s *Stick) zdoFindGroup(r request) {
	status := byte(failure)
	if s.groups[memberOf(r)] {
		status = ok
	}
	s.answer(r, append([]byte{status}, append(r.data[1:3:3], 0)...)...)
}

// A member is an endpoint of the coordinator in a group.
type member struct {
	endpoint byte
	group    uint16
}

func memberOf(r request) member { return member{r.data[0], u16(r.data[1:])} }
