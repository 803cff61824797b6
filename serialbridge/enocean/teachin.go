package enocean

import (
	"encoding/hex"
	"fmt"
)

// profileID is the number of an EnOcean Equipment Profile, such as A5-02-05.
type profileID struct {
	rorg    rorg
	fn, typ byte // FUNC and TYPE
}

func (p profileID) String() string {
	return fmt.Sprintf("%02X-%02X-%02X", byte(p.rorg), p.fn, p.typ)
}

// parseProfile reads what String writes.
func parseProfile(s string) (profileID, bool) {
	if len(s) != len("A5-02-05") || s[2] != '-' || s[5] != '-' {
		return profileID{}, false
	}
	b, err := hex.DecodeString(s[:2] + s[3:5] + s[6:])
	if err != nil {
		return profileID{}, false
	}
	return profileID{rorg(b[0]), b[1], b[2]}, true
}

// manufacturerID is a number of the list of the EnOcean Alliance; zero is none.
type manufacturerID uint16

// learnBit is 0 in a telegram of 1BS or 4BS that teaches in (EEP 2.6.7, "Teach-in
// procedures"). It is in the last byte.
const learnBit = 0x08

func teachesIn(t telegram) bool {
	return t.payload[len(t.payload)-1]&learnBit == 0
}

// teachIn4BS reads a 4BS telegram that teaches in: FUNC (6 bits), TYPE (7),
// manufacturer (11), and in the last byte whether there are these. Variation 1
// has none.
func teachIn4BS(payload []byte) (p profileID, m manufacturerID, ok bool) {
	if payload[3]&0x80 == 0 {
		return profileID{}, 0, false
	}
	p = profileID{bs4, payload[0] >> 2, payload[0]&3<<5 | payload[1]>>3}
	m = manufacturerID(payload[1]&7)<<8 | manufacturerID(payload[2])
	return p, m, true
}

// A uteQuery is a telegram of the universal teach-in, EEP based (EEP 2.6.7,
// "UTE").
type uteQuery struct {
	answer       bool // the sender waits for an answer
	deletion     bool // to be forgotten
	manufacturer manufacturerID
	profile      profileID
}

// parseUTE reads a UTE telegram. It reports false for answers, which are not for
// us, and for commands that are not known.
func parseUTE(payload []byte) (uteQuery, bool) {
	if payload[0]&0x0F != 0 {
		return uteQuery{}, false
	}
	return uteQuery{
		answer:       payload[0]&0x40 == 0,
		deletion:     payload[0]>>4&3 == 1,
		manufacturer: manufacturerID(payload[3]&7)<<8 | manufacturerID(payload[2]),
		profile:      profileID{rorg(payload[6]), payload[5], payload[4]},
	}, true
}

// The first bytes of answers to a query: bidirectional, what became of it (bits 5
// and 4), command 1.
const (
	uteAccepted = 0x91
	uteDeleted  = 0xA1
)

// answerTo returns the payload that answers a query: but for the first byte all
// is as it was asked.
func answerTo(query []byte, first byte) []byte {
	answer := append([]byte(nil), query...)
	answer[0] = first
	return answer
}

// manufacturers are those that are met most, from the EnOcean Alliance's list.
var manufacturers = map[manufacturerID]string{
	0x001: "Peha",
	0x002: "Thermokon",
	0x003: "Servodan",
	0x004: "EchoFlex",
	0x005: "Omnio",
	0x00A: "Kieback+Peter",
	0x00B: "EnOcean",
	0x00D: "Eltako",
	0x00E: "Leviton",
	0x00F: "Honeywell",
	0x011: "Siemens",
	0x014: "Elsner Elektronik",
	0x015: "Diehl Controls",
	0x016: "BSC Computer",
	0x017: "S+S Regeltechnik",
	0x019: "Intesis",
}
