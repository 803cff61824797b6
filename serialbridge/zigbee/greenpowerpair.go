package zigbee

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"time"
)

// commissioning is what a device says of itself when it is taught (section A.4.2.1.1).
type commissioning struct {
	deviceID   uint8
	macCounter bool
	fixed      bool
	receives   bool
	key        *[16]byte
	counter    uint32
}

func parseCommissioning(source uint32, p []byte) (commissioning, bool) {
	if len(p) < 2 {
		return commissioning{}, false
	}
	options := p[1]
	c := commissioning{deviceID: p[0], macCounter: options&1 != 0, receives: options&2 != 0, fixed: options&0x40 != 0}
	p = p[2:]
	if options&0x80 == 0 {
		return c, true
	}
	if len(p) < 1 {
		return c, false
	}
	extended := p[0]
	p = p[1:]
	if extended&0x20 != 0 { // there is a key
		if len(p) < 16 {
			return c, false
		}
		key := [16]byte(p)
		p = p[16:]
		if extended&0x40 != 0 { // encrypted, with a MIC behind
			if len(p) < 4 {
				return c, false
			}
			gpCipher(source, &key)
			p = p[4:]
		}
		c.key = &key
	}
	if extended&0x80 != 0 {
		if len(p) < 4 {
			return c, false
		}
		c.counter = binary.LittleEndian.Uint32(p)
	}
	return c, true
}

// gpCipher decrypts the key of a device with the key that all know, or encrypts it: the
// counter mode of CCM* with the source ID as nonce (section A.1.5.3.3). The MIC is not looked
// at: a key that is wrong harms nobody but the device.
func gpCipher(source uint32, key *[16]byte) {
	block, err := aes.NewCipher([]byte("ZigBeeAlliance09"))
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	var counter, stream [16]byte
	counter[0] = 0x01 // two bytes of length
	for i := range 3 {
		binary.LittleEndian.PutUint32(counter[1+4*i:], source)
	}
	counter[13] = 0x05
	counter[15] = 1
	block.Encrypt(stream[:], counter[:])
	for i := range key {
		key[i] ^= stream[i]
	}
}

// commission lets a Green Power device in, while the network is open, and has the routers
// pass on what it says.
func (n *Network) commission(g gpFrame, now time.Time) {
	c, ok := parseCommissioning(g.source, g.payload)
	switch {
	case !ok:
		n.counters.Damaged["green power"]++
		return
	case !now.Before(n.permitEnd):
		n.counters.Strangers++
		return
	}
	ieee := gpAddress(g.source)
	if n.blocked[ieee] {
		n.counters.Refused++
		return
	}
	d := n.nodes[ieee]
	if d == nil {
		if d = n.add(ieee, UnknownAddress); d == nil {
			return
		}
	}
	d.device.Type = GreenPower
	if n.again(d, g, now) {
		return // routers have room for few broadcasts at a time
	}
	n.session.start(func(ctx context.Context) { n.pair(ctx, g, c) })
	d.device.ModelID = fmt.Sprintf("GreenPower_%d", c.deviceID)
	d.device.PowerSource = "Unknown"
	d.device.Endpoints = []Endpoint{{ID: EndpointGreenPower, Profile: ProfileGreenPower, DeviceID: uint16(c.deviceID), Output: []uint16{clusterGreenPower}}}
	d.device.Interview = Successful
	d.device.LastSeen = now
	n.dirty(d)
	n.tell(notice{kind: noticeInterviewing, device: n.copyOf(d)})
}

// Fields of the options of a pairing (section A.3.3.5.2).
const (
	pairAddSink        = 1 << 3
	pairRemove         = 1 << 4
	pairDerivedGroup   = 1 << 5 // routers send to a group made of the source ID
	pairGroup          = 2 << 5 // to the group that all know
	pairFixed          = 1 << 7
	pairMACCounter     = 1 << 8
	pairSecurityFull   = 2 << 9
	pairKeyIndividual  = 4 << 11
	pairCounterPresent = 1 << 14
	pairKeyPresent     = 1 << 15
)

// pair tells the routers to pass on what the device says.
func (n *Network) pair(ctx context.Context, g gpFrame, c commissioning) {
	if c.receives {
		// It waits for an answer, and is told to send without a key.
		n.answerGreenPower(ctx, g, gpdCommissioningReply, n.radioChannel(), 0)
	}
	n.sayGreenPower(ctx, gpPairing, c.pairing(g.source))
}

// pairing is what routers are told of the device (section A.3.3.5.2). Its key is in the
// clear there, however the device has told it: the frame has no place to say that it
// is encrypted, and is protected by the network's own key.
func (c commissioning) pairing(source uint32) []byte {
	options := uint32(pairAddSink)
	if c.fixed {
		options |= pairFixed
	}
	if c.macCounter {
		options |= pairMACCounter
	}
	secure := c.key != nil && !c.receives
	if c.receives {
		options |= pairDerivedGroup
	} else {
		options |= pairGroup
	}
	if secure {
		options |= pairSecurityFull | pairKeyIndividual | pairCounterPresent | pairKeyPresent
	}
	p := []byte{byte(options), byte(options >> 8), byte(options >> 16)}
	p = binary.LittleEndian.AppendUint32(p, source)
	p = binary.LittleEndian.AppendUint16(p, gpGroup)
	p = append(p, c.deviceID)
	if secure {
		p = binary.LittleEndian.AppendUint32(p, c.counter)
		p = append(p, c.key[:]...)
	}
	return p
}

// unpair tells the routers to forget a device.
func (n *Network) unpair(ctx context.Context, source uint32) {
	n.sayGreenPower(ctx, gpPairing, binary.LittleEndian.AppendUint32([]byte{pairRemove | pairDerivedGroup, 0, 0}, source))
}

// tellChannel answers a device that tries one channel after the other while it is taught.
// The router that answers waits for it on the channel that it tries next.
func (n *Network) tellChannel(g gpFrame, now time.Time) {
	if !now.Before(n.permitEnd) || len(g.payload) < 1 {
		return
	}
	const basic = 0x10 // the router cannot take part in more
	next := g.payload[0] & 0x0f
	n.session.start(func(ctx context.Context) {
		n.answerGreenPower(ctx, g, gpdChannelConfiguration, next, n.radioChannel()|basic)
	})
}

// radioChannel is the network's channel as Green Power counts them, from 11 on.
func (n *Network) radioChannel() uint8 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return (n.parameters.Channel - 11) & 0x0f
}

// answerGreenPower has the router that has heard a device send it one byte (section
// A.3.3.5.4): on a channel, right after the device has sent something there.
func (n *Network) answerGreenPower(ctx context.Context, g gpFrame, command, channel, value uint8) {
	p := []byte{0, byte(g.proxy), byte(g.proxy >> 8), channel}
	p = binary.LittleEndian.AppendUint32(p, g.source)
	n.sayGreenPower(ctx, gpResponse, append(p, command, 1, value))
}
