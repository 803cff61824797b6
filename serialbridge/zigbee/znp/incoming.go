package znp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"lintel/serialbridge/zigbee"
)

// hear takes what the stick says by itself. The reader calls it.
func (c *Coordinator) hear(cmd command, data []byte) {
	switch cmd {
	case afIncoming:
		if m, ok := parseIncoming(data); ok {
			c.heardFrom(m.Source)
			c.tell(m)
		}
	case afIncomingExt:
		c.hearLong(data)
	case afDataConfirm:
		c.confirm(data)
	case zdoTCDevice:
		if len(data) >= 12 {
			c.tell(zigbee.Joined{
				NetworkAddress: address(data),
				IEEEAddress:    ieee(data[2:]),
				Parent:         address(data[10:]),
			})
		}
	case zdoAnnounce:
		if len(data) >= 13 {
			a := zigbee.Announced{
				NetworkAddress: address(data[2:]),
				IEEEAddress:    ieee(data[4:]),
				Capability:     data[12],
			}
			c.heardFrom(a.NetworkAddress)
			c.tell(a)
			c.announced(a)
		}
	case zdoLeave:
		if len(data) >= 13 {
			c.tell(zigbee.Left{
				NetworkAddress: address(data),
				IEEEAddress:    ieee(data[2:]),
				Rejoin:         data[12] != 0,
			})
		}
	case zdoConcentrator:
		if len(data) >= 10 {
			c.tell(zigbee.AddressChanged{NetworkAddress: address(data), IEEEAddress: ieee(data[2:])})
		}
	case sysResetIndicate:
		c.restarted(data)
	}
}

// Events implements [zigbee.Coordinator].
func (c *Coordinator) Events(f func(zigbee.Event)) {
	c.eventMu.Lock()
	defer c.eventMu.Unlock()
	c.events = f
}

// tell hands on an event.
func (c *Coordinator) tell(e zigbee.Event) {
	c.eventMu.Lock()
	defer c.eventMu.Unlock()
	if c.events != nil {
		c.events(e)
	}
}

// restarted fails if the stick has restarted by itself: its network does not run any
// more, and its endpoints are gone.
func (c *Coordinator) restarted(data []byte) {
	c.mu.Lock()
	ours := !c.opened || c.resetting
	c.mu.Unlock()
	if ours {
		return
	}
	reason := "for an unknown reason"
	if len(data) > 0 {
		switch data[0] {
		case 0:
			reason = "after its power had failed: check cable, hub and power supply"
		case 1:
			reason = "from outside"
		case 2:
			reason = "because its firmware was stuck"
		}
	}
	c.link.fail(fmt.Errorf("the Zigbee stick has restarted %s", reason))
}

func address(b []byte) zigbee.NetworkAddress {
	return zigbee.NetworkAddress(binary.LittleEndian.Uint16(b))
}

func ieee(b []byte) zigbee.IEEEAddress {
	return zigbee.IEEEAddress(binary.LittleEndian.Uint64(b))
}

// parseIncoming reads AF_INCOMING_MSG: group, cluster, source (each u16), source
// endpoint, destination endpoint, broadcast, link quality, security, time u32,
// transaction, length, data. Behind it is who sent it last, and the radius.
func parseIncoming(b []byte) (m zigbee.Incoming, ok bool) {
	if len(b) < 17 || len(b) < 17+int(b[16]) {
		return m, false
	}
	return zigbee.Incoming{
		Group:               binary.LittleEndian.Uint16(b),
		Cluster:             binary.LittleEndian.Uint16(b[2:]),
		Source:              address(b[4:]),
		SourceEndpoint:      b[6],
		DestinationEndpoint: b[7],
		Broadcast:           b[8] != 0,
		LinkQuality:         b[9],
		Data:                append([]byte(nil), b[17:17+int(b[16])]...),
	}, true
}

const (
	// maxMessage bounds a message that comes in pieces.
	maxMessage = 4096
	// address64 is the mode of an address that is an IEEE address.
	address64 = 3
)

// A long message is one whose data has to be fetched.
type long struct {
	message zigbee.Incoming
	time    uint32
	length  int
}

// hearLong takes AF_INCOMING_MSG_EXT: group, cluster (u16), mode of the source, source
// of eight bytes, source endpoint, source PAN u16, destination endpoint, broadcast, link
// quality, security, time u32, transaction, length u16, and the data if it fits.
func (c *Coordinator) hearLong(b []byte) {
	m, ok := parseLong(b)
	switch {
	case !ok:
	case m.message.Data != nil:
		c.heardFrom(m.message.Source)
		c.tell(m.message)
	default:
		c.charge(func(ctx context.Context) { c.fetch(ctx, m) })
	}
}

func parseLong(b []byte) (m long, ok bool) {
	if len(b) < 27 {
		return m, false
	}
	m.message = zigbee.Incoming{
		Group:               binary.LittleEndian.Uint16(b),
		Cluster:             binary.LittleEndian.Uint16(b[2:]),
		SourceEndpoint:      b[13],
		DestinationEndpoint: b[16],
		Broadcast:           b[17] != 0,
		LinkQuality:         b[18],
	}
	if b[4] == address64 {
		m.message.Source, m.message.IEEEAddress = zigbee.UnknownAddress, ieee(b[5:])
	} else {
		m.message.Source = address(b[5:])
	}
	m.time = binary.LittleEndian.Uint32(b[20:])
	m.length = int(binary.LittleEndian.Uint16(b[25:]))
	if m.length > maxMessage {
		return m, false
	}
	if rest := b[27:]; m.length <= len(rest) {
		m.message.Data = append([]byte{}, rest[:m.length]...)
	}
	return m, true
}

// fetch fetches the data of a long message from the stick's buffer.
func (c *Coordinator) fetch(ctx context.Context, m long) {
	data := make([]byte, 0, m.length)
	var err error
	for len(data) < m.length && err == nil {
		n := min(m.length-len(data), maxChunk)
		b := binary.LittleEndian.AppendUint32(nil, m.time)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(data)))
		var answer []byte
		answer, err = c.link.request(ctx, afDataRetrieve, append(b, byte(n)))
		if err == nil {
			err = checkStatus(afDataRetrieve, answer)
		}
		if err == nil && len(answer) != 2+n {
			err = errForm(afDataRetrieve)
		}
		if err == nil {
			data = append(data, answer[2:]...)
		}
	}
	// Fetching nothing frees the buffer.
	free := append(binary.LittleEndian.AppendUint32(nil, m.time), 0, 0, 0)
	if _, ferr := c.link.request(ctx, afDataRetrieve, free); err == nil {
		err = ferr
	}
	if len(data) < m.length {
		if !errors.Is(err, context.Canceled) {
			c.log.Warn("a long message is lost", "device", uint16(m.message.Source), "err", err)
		}
		return
	}
	m.message.Data = data
	c.heardFrom(m.message.Source)
	c.tell(m.message)
}
