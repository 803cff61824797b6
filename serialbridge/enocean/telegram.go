package enocean

import (
	"encoding/binary"
	"fmt"
)

// rorg says of what kind a radio telegram is (EEP 2.6.7, "Telegram types").
type rorg byte

const (
	rps rorg = 0xF6 // repeated switch communication
	bs1 rorg = 0xD5 // 1 byte
	bs4 rorg = 0xA5 // 4 bytes
	vld rorg = 0xD2 // variable length
	ute rorg = 0xD4 // universal teach-in

	sec       rorg = 0x30 // encrypted
	secEncaps rorg = 0x31 // encrypted, with RORG inside
	secChain  rorg = 0x33 // part of an encrypted chain
	secTeach  rorg = 0x35 // teach-in of keys
)

// senderID is the ID of a sender or receiver. The maker burns it in, and it is
// printed on the device.
type senderID uint32

func (id senderID) String() string { return fmt.Sprintf("%08X", uint32(id)) }

// broadcast is the destination of what is meant for everybody.
const broadcast senderID = 0xFFFFFFFF

// A telegram is a radio telegram of ERP1.
type telegram struct {
	rorg    rorg
	payload []byte
	sender  senderID
	status  byte
	signal  int64 // dBm; zero if it is not known
}

const (
	// telegramFrame is what a telegram has besides its payload: RORG, ID and
	// status.
	telegramFrame = 6
	// optionalSize is the size of the optional data of RADIO_ERP1: number of
	// subtelegrams, destination, signal strength, security level (ESP3 2.1).
	optionalSize = 7
)

// payloadSizes are the sizes of telegrams of fixed length.
var payloadSizes = map[rorg]int{rps: 1, bs1: 1, bs4: 4, ute: 7}

// maxVLD is the longest payload of VLD (EEP 2.6.7, "VLD").
const maxVLD = 14

// parseTelegram reads a packet of the type RADIO_ERP1.
func parseTelegram(p packet) (telegram, bool) {
	n := len(p.data) - telegramFrame
	if n < 1 {
		return telegram{}, false
	}
	t := telegram{
		rorg:    rorg(p.data[0]),
		payload: p.data[1 : 1+n],
		sender:  senderID(binary.BigEndian.Uint32(p.data[1+n:])),
		status:  p.data[5+n],
	}
	size, fixed := payloadSizes[t.rorg]
	if fixed && n != size || t.rorg == vld && n > maxVLD {
		return telegram{}, false
	}
	if len(p.optional) == optionalSize {
		// 0xFF is what a sender puts there.
		if strength := p.optional[5]; strength != 0xFF {
			t.signal = -int64(strength)
		}
	}
	return t, true
}

// packet returns the packet that sends the telegram to a destination.
func (t telegram) packet(destination senderID) packet {
	data := append([]byte{byte(t.rorg)}, t.payload...)
	data = binary.BigEndian.AppendUint32(data, uint32(t.sender))
	data = append(data, t.status)
	// Three subtelegrams, as for everything that is sent (ESP3 2.1).
	optional := binary.BigEndian.AppendUint32([]byte{3}, uint32(destination))
	return packet{radioERP1, data, append(optional, 0xFF, 0)}
}
