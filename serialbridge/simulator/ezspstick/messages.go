package ezspstick

import (
	"encoding/binary"
	"slices"
	"time"

	"lintel/serialbridge/simulator/air"
	"lintel/serialbridge/zigbee"
)

// Kinds of outgoing messages.
const (
	outgoingDirect    = 0
	outgoingMulticast = 3
	outgoingBroadcast = 6
)

const maxMessage = 200

// answerSend is the answer to each command that sends.
func (s *Stick) answerSend(c code) []byte {
	if c == ok {
		s.node.aps++
	}
	return append(s.putCode(nil, c), s.node.aps)
}

func (s *Stick) sendUnicast(a *args) []byte {
	o := outgoing{kind: a.byte(), to: a.u16()}
	o.aps(a)
	o.tag = s.tag(a)
	o.data = slices.Clone(a.take(int(a.byte())))
	switch {
	case a.short || o.kind != outgoingDirect:
		return s.answerSend(badArgument)
	case !s.node.up:
		return s.answerSend(code{0x91, 0x0016})
	case len(o.data) > maxMessage:
		return s.answerSend(tooLong)
	case s.node.flying >= s.options.Messages:
		return s.answerSend(messageLimit)
	case s.random.chance(s.random.faults.Full):
		s.counters.Refused++
		return s.answerSend(messageLimit)
	}
	answer := s.answerSend(ok)
	sequence := s.node.aps
	if o.to == 0 {
		s.toItself(o, sequence)
		return answer
	}
	s.node.flying++
	radio := s.node.radio
	s.transmitFrame(o, func(status air.Status) {
		radio.do(func() {
			s.node.flying--
			c := ok
			switch status {
			case air.Delivered:
			case air.NoRoute:
				// A router has said so before the stack gives up.
				s.callback(cbNetworkStatus, put16([]byte{0x00}, o.to))
				c = deliveryFailed
			case air.Expired:
				s.callback(cbNetworkStatus, put16([]byte{0x06}, o.to))
				c = deliveryFailed
			default:
				c = deliveryFailed
			}
			s.sent(o, sequence, c)
		})
	})
	return answer
}

// transmitFrame puts a message on the air when the lock is free.
func (s *Stick) transmitFrame(o outgoing, confirm func(air.Status)) {
	f := air.Frame{
		Destination:    zigbee.NetworkAddress(o.to),
		SourceEndpoint: o.source, DestinationEndpoint: o.dest,
		Profile: o.profile, Cluster: o.cluster, Data: o.data,
	}
	if o.kind == outgoingMulticast {
		f.Group = o.group
	}
	s.after = append(s.after, func() {
		s.air.Send(f, confirm)
		counter := s.air.FrameCounter()
		s.mu.Lock()
		s.counted = counter
		s.mu.Unlock()
	})
}

func (s *Stick) sendBroadcast(a *args) []byte {
	o := outgoing{kind: outgoingBroadcast}
	if s.modern() {
		a.u16() // alias
	}
	o.to = a.u16()
	if s.modern() {
		a.byte() // sequence number of the network layer
	}
	o.aps(a)
	a.byte() // radius
	o.tag = s.tag(a)
	o.data = slices.Clone(a.take(int(a.byte())))
	return s.toMany(a, o)
}

func (s *Stick) sendMulticast(a *args) []byte {
	o := outgoing{kind: outgoingMulticast}
	o.aps(a)
	a.byte() // radius
	if s.modern() {
		o.to = a.u16()
		a.u16() // alias
		a.byte()
	} else {
		a.byte() // radius among those that are no members
	}
	o.tag = s.tag(a)
	o.data = slices.Clone(a.take(int(a.byte())))
	return s.toMany(a, o)
}

// toMany sends a message that nobody acknowledges. The host hears it itself if
// it is for the host too.
func (s *Stick) toMany(a *args, o outgoing) []byte {
	switch {
	case a.short:
		return s.answerSend(badArgument)
	case !s.node.up:
		return s.answerSend(code{0x91, 0x0016})
	case len(o.data) > maxMessage:
		return s.answerSend(tooLong)
	}
	answer := s.answerSend(ok)
	sequence := s.node.aps
	radio := s.node.radio
	s.transmitFrame(o, func(air.Status) {
		radio.do(func() { s.sent(o, sequence, ok) })
	})
	loop := air.Frame{
		Source: 0, Group: o.group, SourceEndpoint: o.source, DestinationEndpoint: o.dest,
		Profile: o.profile, Cluster: o.cluster, LinkQuality: 0xff, Data: o.data,
	}
	switch {
	case o.kind == outgoingMulticast && s.member(o.group):
		s.incoming(incomingMulticastLoop, loop, sequence)
	case o.kind == outgoingBroadcast && o.profile != zigbee.ProfileZDO:
		loop.Group = 0
		s.incoming(incomingBroadcastLoop, loop, sequence)
	case o.kind == outgoingBroadcast:
		s.ownBroadcast(o)
	}
	return answer
}

// broadcastTime is how long a broadcast takes to have gone everywhere
// (nwkNetworkBroadcastDeliveryTime).
const broadcastTime = 9 * time.Second

// ownBroadcast is what the stack does with a request of the device profile that its
// host has sent to all.
func (s *Stick) ownBroadcast(o outgoing) {
	if o.cluster != 0x0038 || len(o.data) < 7 || o.data[5] != 0xfe {
		return
	}
	// Mgmt_NWK_Update_req: change the channel.
	mask, updateID := binary.LittleEndian.Uint32(o.data[1:]), o.data[6]
	for channel := byte(11); channel <= 26; channel++ {
		if mask == 1<<channel {
			s.later(broadcastTime, func() { s.move(channel, updateID) })
		}
	}
}
