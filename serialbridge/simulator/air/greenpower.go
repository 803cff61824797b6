package air

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge/zigbee"
	"lintel/serialbridge/zigbee/zcl"
)

// Green Power devices are no members of the network: a press gives them power for a
// few frames, and routers that are their proxies pass on what they heard (document
// 14-0563, sections A.1.5 and A.3).

const clusterGreenPower = 0x0021

// Commands of the cluster.
const (
	gpNotify           = 0x00
	gpNotifyCommission = 0x04
	gpPairing          = 0x01
	gpMode             = 0x02
)

// gpSwitch is a switch of that kind.
type gpSwitch struct {
	source  uint32
	key     [16]byte
	counter uint32
	paired  bool // the proxies know it and its key
}

// AddGreenPower adds a switch that lives on the power of its presses.
func (n *Network) AddGreenPower(source uint32, key [16]byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if source == 0 || n.switches[source] != nil {
		return fmt.Errorf("air: the source ID %08x is taken", source)
	}
	if len(n.switches) >= maxDevices {
		return errFull
	}
	if n.switches == nil {
		n.switches = make(map[uint32]*gpSwitch)
	}
	n.switches[source] = &gpSwitch{source: source, key: key}
	return nil
}

// Teach presses the buttons of a Green Power switch that make it known. It fails if
// no router listens for such.
func (n *Network) Teach(source uint32) error {
	return n.green(source, func(s *gpSwitch, proxy *device) error {
		if !time.Now().Before(proxy.teachUntil) {
			return ErrClosed
		}
		// An on/off switch; its frame counter goes up by one, more options follow; full
		// security with a key of its own, which is here, encrypted, and the counter. The
		// MIC of the key is made up.
		payload := append([]byte{0x02, 0x81, 0xf2}, s.sealed()...)
		payload = append(payload, 0xd0, 0xd1, 0xd2, 0xd3)
		payload = binary.LittleEndian.AppendUint32(payload, s.counter)
		n.proxy(proxy, s, gpNotifyCommission, 0x0800, 0xe0, payload)
		return nil
	})
}

// PressGreenPower presses a button: the command is that of section A.4.1, such as 0x22
// for toggle. What nobody was taught is not passed on.
func (n *Network) PressGreenPower(source uint32, command uint8) error {
	return n.green(source, func(s *gpSwitch, proxy *device) error {
		if s.paired {
			n.proxy(proxy, s, gpNotify, 0x4480, command, nil) // security: full, individual key
		}
		return nil
	})
}

// Paired tells whether the routers pass on what the switch says.
func (n *Network) Paired(source uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.switches[source]
	return s != nil && s.paired
}

// green lets a switch send, and finds the router that hears it.
func (n *Network) green(source uint32, do func(*gpSwitch, *device) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.switches[source]
	if s == nil {
		return fmt.Errorf("air: there is no Green Power switch %08x", source)
	}
	s.counter++
	for _, d := range n.sorted {
		if d.router() && d.there() {
			return do(s, d)
		}
	}
	return errors.New("air: no router hears the Green Power switch")
}

// proxy passes on what a switch has said.
func (n *Network) proxy(d *device, s *gpSwitch, notification uint8, options uint16, command uint8, data []byte) {
	payload := binary.LittleEndian.AppendUint16(nil, options)
	payload = binary.LittleEndian.AppendUint32(payload, s.source)
	payload = binary.LittleEndian.AppendUint32(payload, s.counter)
	payload = append(append(payload, command, byte(len(data))), data...)
	payload = binary.LittleEndian.AppendUint16(payload, uint16(d.address))
	payload = append(payload, 0xc5) // how well it was heard
	d.send(Frame{Destination: zigbee.ToCoordinator, SourceEndpoint: zigbee.EndpointGreenPower, DestinationEndpoint: zigbee.EndpointGreenPower,
		Profile: zigbee.ProfileGreenPower, Cluster: clusterGreenPower},
		zcl.Frame{Type: zcl.Specific, DisableDefaultResponse: true, Sequence: d.next(), Command: notification, Payload: payload})
}

// handleGreenPower takes what the coordinator tells the proxies.
func (d *device) handleGreenPower(z zcl.Frame) {
	p := z.Payload
	if !d.router() || z.Type != zcl.Specific || !z.ServerToClient {
		return
	}
	switch {
	case z.Command == gpMode && len(p) >= 1:
		d.teachUntil = time.Time{}
		if p[0]&0x01 != 0 {
			window := 180 * time.Second
			if p[0]&0x02 != 0 && len(p) >= 3 {
				window = time.Duration(binary.LittleEndian.Uint16(p[1:])) * time.Second
			}
			d.teachUntil = time.Now().Add(window)
		}
	case z.Command == gpPairing && len(p) >= 7:
		options := uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16
		if s := d.network.switches[binary.LittleEndian.Uint32(p[3:])]; s != nil {
			// With a key that is wrong the proxies could not read the switch.
			s.paired = options&0x08 != 0 && s.knownBy(options, p[7:])
		}
	}
}

// knownBy says whether a pairing has the key of the switch: in the clear, since nothing in
// it says whether the switch has told it encrypted.
func (s *gpSwitch) knownBy(options uint32, p []byte) bool {
	const counterPresent, keyPresent = 1 << 14, 1 << 15
	if options&0x10 != 0 || options&keyPresent == 0 {
		return false
	}
	switch options >> 5 & 3 { // where to pass it on
	case 1, 2:
		p = p[min(2, len(p)):] // a group
	default:
		p = p[min(10, len(p)):] // the coordinator's addresses
	}
	p = p[min(1, len(p)):] // device ID
	if options&counterPresent != 0 {
		p = p[min(4, len(p)):]
	}
	return bytes.HasPrefix(p, s.key[:])
}

// sealed is the key of the switch under the key that all know (section A.1.5.3.3).
func (s *gpSwitch) sealed() []byte {
	block, err := aes.NewCipher(WellKnownKey[:])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	counter := []byte{1}
	for range 3 {
		counter = binary.LittleEndian.AppendUint32(counter, s.source)
	}
	counter = append(counter, 0x05, 0, 1)
	key := make([]byte, len(s.key))
	cipher.NewCTR(block, counter).XORKeyStream(key, s.key[:])
	return key
}
