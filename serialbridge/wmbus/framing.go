package wmbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"

	"lintel/serialbridge/crc"
)

// A frame is what a receiver says it heard: a telegram of a meter from the C field
// on, without the CRCs of the radio.
type frame struct {
	telegram []byte
	rssi     int  // dBm; 0: not told
	checked  bool // a checksum vouches for the telegram
}

// verdict is what the bytes at the head of the buffer are.
type verdict byte

const (
	noFrame   verdict = iota // no frame begins here
	partial                  // may be one once there is more
	whole                    // a frame
	broken                   // a frame with a wrong checksum
	malformed                // of the right form, but no telegram can be so
)

// Bounds of what may wait in the buffer.
const (
	// maxTelegram is the longest telegram: the L field is one byte.
	maxTelegram = 255
	// maxLine is the longest line of a CUL: "bY", a frame with its CRCs (290
	// bytes), LQI and RSSI in hex, and the line end.
	maxLine = 2 + 2*(290+2) + 2
	// maxFrame bounds all three.
	maxFrame = maxLine
	// maxText is the longest line that a CUL answers with.
	maxText = 80
)

// Beginnings of frames.
const (
	startHCI   = 0xA5 // iM871A
	startAmber = 0xFF // AMB8465
	startCUL   = 'b'
)

// The iM871A's frames (WiMOD wireless M-Bus HCI specification, 2.2):
//
//	A5, control and endpoint, message, length, payload[length],
//	time stamp[4] if control bit 1, RSSI[1] if bit 2, CRC[2] if bit 3
const (
	hciReserved     = 0x10
	hciTimestamp    = 0x20
	hciRSSI         = 0x40
	hciCRC          = 0x80
	hciRadioLink    = 0x02 // endpoint
	hciTelegramHere = 0x03 // WMBUSMSG_IND
)

// hci looks for a frame of an iM871A at the head of b. It returns the frame and
// how long it is.
func hci(b []byte) (frame, int, verdict) {
	if len(b) < 2 {
		return frame{}, 0, partial
	}
	control, endpoint := b[1]&0xF0, b[1]&0x0F
	if control&hciReserved != 0 || endpoint < 1 || endpoint > 4 {
		return frame{}, 0, noFrame
	}
	if len(b) < 4 {
		return frame{}, 0, partial
	}
	payload := 4 + int(b[3])
	end := payload
	if control&hciTimestamp != 0 {
		end += 4
	}
	rssi := end
	if control&hciRSSI != 0 {
		end++
	}
	if control&hciCRC != 0 {
		end += 2
	}
	telegramHere := endpoint == hciRadioLink && b[2] == hciTelegramHere
	// Without a CRC nothing but its form tells a frame from noise. Answers to
	// questions do not matter: none are asked.
	if control&hciCRC == 0 && (!telegramHere || !plausible(b[4:min(len(b), payload)], int(b[3]))) {
		return frame{}, 0, noFrame
	}
	if len(b) < end {
		return frame{}, 0, partial
	}
	if control&hciCRC != 0 && crc.X25(b[1:end-2]) != binary.LittleEndian.Uint16(b[end-2:]) {
		return frame{}, 0, broken
	}
	if !telegramHere {
		return frame{}, end, whole // an answer to a question of before
	}
	f := frame{telegram: b[4:payload], checked: control&hciCRC != 0}
	if !plausible(f.telegram, len(f.telegram)) {
		return frame{}, end, malformed
	}
	if control&hciRSSI != 0 {
		// Si1002 data sheet, figure of RSSI against input power: 45 is
		// -100 dBm, 205 is -20 dBm.
		f.rssi = min(-100+(int(b[rssi])-45)/2, -1)
	}
	return f, end, whole
}

// The AMB8465's frames (AMB8465-M manual, command interface):
//
//	FF, command, length, payload[length], RSSI[1] if so configured, XOR of all
//
// CMD_DATA_IND brings a telegram. Whether there is an RSSI the frame does not
// tell: the checksum does.
const (
	amberDataInd  = 0x03
	amberResponse = 0x80
)

func amber(b []byte) (frame, int, verdict) {
	if len(b) < 3 {
		return frame{}, 0, partial
	}
	payload := 3 + int(b[2])
	if b[1]&^amberResponse != amberDataInd || !plausible(b[3:min(len(b), payload)], int(b[2])) {
		return frame{}, 0, noFrame
	}
	if len(b) < payload+1 {
		return frame{}, 0, partial
	}
	f := frame{telegram: b[3:payload], checked: true}
	if xorOf(b[:payload]) == b[payload] {
		return f, payload + 1, whole
	}
	if len(b) < payload+2 {
		return frame{}, 0, partial
	}
	if xorOf(b[:payload+1]) != b[payload+1] {
		return frame{}, 4, broken // and what is inside is not a bare telegram
	}
	f.rssi = cc1101dBm(b[payload])
	return f, payload + 2, whole
}

// bare looks for a telegram without a head, L field first, as an AMB8465 puts it out
// when it is not in command mode. There is no checksum and no byte to begin with: only
// what meters send without being asked is taken. An RSSI behind it is passed over.
func bare(b []byte) (frame, int, verdict) {
	length := int(b[0])
	switch {
	case length < linkLayer+1:
		return frame{}, 0, noFrame
	case len(b) > 1 && b[1] != cSendNoReply && b[1] != cSendInstall,
		!plausible(b[1:], length):
		return frame{}, 0, noFrame
	}
	if len(b) > 1+linkLayer {
		_, known := kinds[b[linkLayer]]
		ci := b[1+linkLayer]
		if !known || ci != ciLong && (ci < ciNone || ci > ciCompactShort) && (ci < ciELL1 || ci > ciAFL) && (ci < 0xA0 || ci > 0xB7) {
			return frame{}, 0, noFrame
		}
	}
	if len(b) < 1+length {
		return frame{}, 0, partial
	}
	return frame{telegram: b[1 : 1+length]}, 1 + length, whole
}

// cul looks for a line of culfw with a telegram: 'b' and the frame as it was on the
// radio, CRCs and all, in hex; "bY" if the frame is of format B. With X21 there is
// LQI and RSSI behind it (culfw command reference; clib/rf_mbus.c).
func cul(b []byte) (frame, int, verdict) {
	end := bytes.IndexAny(b, "\r\n")
	body := b[1:]
	if end >= 0 {
		body = b[1:end]
	}
	formatB := len(body) > 0 && body[0] == 'Y'
	if formatB {
		body = body[1:]
	}
	for _, c := range body {
		if !isHex(c) {
			return frame{}, 0, noFrame
		}
	}
	if end < 0 {
		if len(b) >= maxLine {
			return frame{}, 0, noFrame
		}
		return frame{}, 0, partial
	}
	if len(body) < 2*12 {
		return frame{}, 0, noFrame // a word that begins with b
	}
	radio := make([]byte, len(body)/2)
	if _, err := hex.Decode(radio, body[:len(radio)*2]); err != nil || len(body)%2 != 0 {
		return frame{}, end, malformed
	}
	length := lengthA(radio[0])
	if formatB {
		length = int(radio[0]) + 1
	}
	f := frame{checked: true}
	switch len(radio) {
	case length:
	case length + 2:
		f.rssi = cc1101dBm(radio[length+1])
	default:
		return frame{}, end, malformed
	}
	strip := stripA
	if formatB {
		strip = stripB
	}
	telegram, ok := strip(radio[:length])
	switch {
	case !ok:
		return frame{}, end, broken // the line ends where it ends
	case !plausible(telegram, len(telegram)):
		return frame{}, end, malformed
	}
	f.telegram = telegram
	return f, end, whole
}

// cc1101dBm is the RSSI of a CC1101 in dBm (CC1101 data sheet, 17.3).
func cc1101dBm(raw byte) int { return min(int(int8(raw))/2-74, -1) }

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

// lengthA is the length of a frame of format A, with its L field and its CRCs: ten
// bytes, then blocks of up to sixteen, each with a CRC (EN 13757-4, 12.3).
func lengthA(l byte) int {
	rest := max(0, int(l)-9)
	return int(l) + 1 + 2 + 2*((rest+15)/16)
}

// stripA checks the CRCs of a frame of format A and returns it from the C field on.
func stripA(b []byte) ([]byte, bool) {
	var telegram []byte
	for size := 10; len(b) > 0; size = 16 {
		n := min(size, len(b)-2)
		if n <= 0 || crcEN13757(b[:n]) != binary.BigEndian.Uint16(b[n:]) {
			return nil, false
		}
		telegram = append(telegram, b[:n]...)
		b = b[n+2:]
	}
	return telegram[1:], true
}

// stripB does the same for format B, whose L field counts the CRCs: one block of up
// to 126 bytes and perhaps another (EN 13757-4, 12.4).
func stripB(b []byte) ([]byte, bool) {
	var telegram []byte
	for len(b) > 0 {
		n := min(126, len(b)-2)
		if n <= 0 || crcEN13757(b[:n]) != binary.BigEndian.Uint16(b[n:n+2]) {
			return nil, false
		}
		telegram = append(telegram, b[:n]...)
		b = b[n+2:]
	}
	return telegram[1:], len(telegram) > 1
}

// plausible reports whether b may be the beginning of a telegram of that length:
// a C field of EN 13757-4 (12.6) and a manufacturer of three letters.
func plausible(b []byte, length int) bool {
	if length < linkLayer+1 {
		return false
	}
	if len(b) > 0 && !knownC(b[0]) {
		return false
	}
	if len(b) > 2 && manufacturerCode(binary.LittleEndian.Uint16(b[1:])) == "" {
		return false
	}
	return true
}

// knownC reports whether a meter or its master begins a telegram so.
func knownC(c byte) bool {
	switch c {
	case cSendNoReply, cSendInstall, cAccessNoReply, cAccessDemand,
		0x08, 0x18, 0x28, 0x38, // RSP-UD
		0x00, 0x10, 0x20, 0x30, // ACK
		0x06, 0x16, // CNF-IR
		0x40, 0x43, 0x53, 0x63, 0x73, // SND-NKE, SND-UD
		0x4B, 0x5B, 0x6B, 0x7B, 0x4A, 0x5A, 0x6A, 0x7A: // REQ-UD
		return true
	}
	return false
}
