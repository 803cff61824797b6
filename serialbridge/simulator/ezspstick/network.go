package ezspstick

import (
	"time"

	"lintel/serialbridge/zigbee"
)

// counterStep is how far the frame counter jumps when the stick starts: it is
// written to flash only every so often.
const counterStep = 1024

// networkState is EmberNetworkStatus.
func (s *Stick) networkState() byte {
	if s.node.up {
		return 2
	}
	return 0
}

func (s *Stick) networkInit(a *args) code {
	a.u16() // options for end devices
	switch {
	case s.node.up:
		return invalidCall
	case !s.tokens.formed:
		return notJoined
	}
	s.bringUp(s.tokens.frameCounter + counterStep)
	return ok
}

func (s *Stick) networkInfo(a *args) (n networkInfo) {
	copy(n.extendedPANID[:], a.take(8))
	n.panID, n.power, n.channel, n.joinMethod = a.u16(), a.byte(), a.byte(), a.byte()
	n.manager, n.updateID, n.channels = a.u16(), a.byte(), a.u32()
	return n
}

const keepCounter = 0x1000 // of EmberInitialSecurityBitmask

func (s *Stick) formNetwork(a *args) code {
	n := s.networkInfo(a)
	security := &s.node.security
	switch {
	case a.short || n.channel < 11 || n.channel > 26:
		return badArgument
	case s.node.up:
		return invalidCall
	case !security.set:
		return securityNotSet
	}
	counter := uint32(0)
	if security.mask&keepCounter != 0 {
		if counter = s.tokens.frameCounter; s.node.frameCounter != nil {
			counter = *s.node.frameCounter
		}
	}
	s.tokens.formed, s.tokens.network = true, n
	s.tokens.networkKey, s.tokens.linkKey = security.network, security.link
	s.tokens.keySequence = security.sequence
	s.tokens.children = make(map[zigbee.IEEEAddress]zigbee.NetworkAddress)
	s.bringUp(counter)
	return ok
}

func (s *Stick) leaveNetwork(a *args) code {
	if s.modern() {
		a.byte() // options
	}
	if !s.node.up {
		return invalidCall
	}
	radio := s.node.radio
	s.node.up = false
	s.tokens.formed = false
	s.tokens.children = nil
	s.after = append(s.after, func() { s.air.Detach(radio) })
	s.later(20*time.Millisecond, func() { s.stackStatus(stackDown) })
	return ok
}

func (s *Stick) getNetworkParameters(*args) []byte {
	c, node := notJoined, byte(0)
	var n networkInfo
	if s.node.up {
		c, node, n = ok, 1, s.tokens.network
	}
	p := append(s.putCode(nil, c), node)
	p = append(p, n.extendedPANID[:]...)
	p = put16(p, n.panID)
	p = append(p, n.power, n.channel, n.joinMethod)
	p = put16(p, n.manager)
	return put32(append(p, n.updateID), n.channels)
}

func (s *Stick) permitJoining(a *args) code {
	seconds := a.byte()
	if !s.node.up {
		return notJoined
	}
	s.permit(seconds)
	return ok
}

func (s *Stick) permit(seconds byte) {
	d := time.Duration(seconds) * time.Second
	s.node.openUntil = time.Now().Add(d)
	s.after = append(s.after, func() { s.air.PermitJoin(d) })
	if seconds == 0 {
		s.stackStatus(closed)
		return
	}
	s.stackStatus(opened)
	until := s.node.openUntil
	s.later(d, func() {
		if s.node.openUntil.Equal(until) {
			s.stackStatus(closed)
		}
	})
}

// startScan measures the energy of channels, one after the other.
func (s *Stick) startScan(a *args) code {
	kind, mask, duration := a.byte(), a.u32(), a.byte()
	if kind != 0 || s.node.scanning || mask&0x07fff800 == 0 || duration > 14 {
		return badArgument
	}
	s.node.scanning = true
	each := (time.Duration(1)<<duration + 1) * 15360 * time.Microsecond
	at := time.Duration(0)
	for channel := byte(11); channel <= 26; channel++ {
		if mask&(1<<channel) == 0 {
			continue
		}
		at += each
		s.later(at, func() {
			energy := int(s.air.Energy(channel))
			s.callback(cbEnergy, []byte{channel, byte(energy*80/255 - 100)})
		})
	}
	s.later(at+time.Millisecond, func() {
		s.node.scanning = false
		s.callback(cbScanComplete, s.putCode([]byte{0}, ok))
	})
	return ok
}

func (s *Stick) setRadioChannel(a *args) code {
	channel := a.byte()
	if !s.node.up || channel < 11 || channel > 26 {
		return badArgument
	}
	s.move(channel, s.tokens.network.updateID)
	return ok
}

// move goes to another channel.
func (s *Stick) move(channel, updateID byte) {
	radio := s.node.radio
	s.tokens.network.channel, s.tokens.network.updateID = channel, updateID
	s.after = append(s.after, func() {
		counter := s.air.FrameCounter()
		s.mu.Lock()
		if s.node.up && s.node.radio == radio {
			s.tokens.frameCounter = max(s.tokens.frameCounter, counter)
			s.attach(radio)
		}
		s.mu.Unlock()
	})
	s.later(20*time.Millisecond, func() { s.stackStatus(channelChanged) })
}
