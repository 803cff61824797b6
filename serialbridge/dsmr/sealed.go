package dsmr

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
)

// A sealed telegram is the APDU general-glo-ciphering of DLMS/COSEM (IEC
// 62056-5-3), in the one form that the P1 specification of Luxembourg allows
// (Luxmetering E-Meter P1 Specification 1.1.3, 3.2.5) and Austria took over:
//
//	DB                 tag of general-glo-ciphering
//	08 title           system title: 8 bytes that name the meter
//	82 hi lo           length of all that follows
//	30                 security control: suite 0, authenticated and encrypted
//	4 bytes            frame counter
//	…                  the telegram, encrypted with AES-128-GCM
//	12 bytes           authentication tag
const (
	titleSize    = 8
	headSize     = 14 // up to and including the security control byte
	counterSize  = 4
	preambleSize = headSize + counterSize
	tagSize      = 12
)

// security is the security control byte, which also begins the additional data.
const security = 0x30

// publicAuthenticationKey is the authentication key that the specification of
// Luxembourg gives all meters.
var publicAuthenticationKey = []byte{
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF,
}

// forgetCounter is how long a meter whose frame counter went back is not
// believed. After that it has begun to count anew.
const forgetCounter = 10 * time.Minute

// systemTitle names a meter: three letters of its maker, and five bytes of
// which the last 28 bits are the serial number.
type systemTitle [titleSize]byte

// String returns the title as hexadecimal digits.
func (t systemTitle) String() string { return strings.ToUpper(hex.EncodeToString(t[:])) }

// serial returns the serial number as it ends the number of the meter: the
// Smarty 53414767700067C8 is SAG1030700026568, the Kaifa 4B464D1010000023 is
// 1KFM0100000035.
func (t systemTitle) serial() string {
	return fmt.Sprintf("%08d", binary.BigEndian.Uint32(t[4:])&0x0FFFFFFF)
}

// hasNumber reports whether number is the meter's. What stands between maker
// and serial number differs from maker to maker.
func (t systemTitle) hasNumber(number string) bool {
	return strings.HasSuffix(number, t.serial()) && strings.Contains(number, string(t[:3]))
}

// describe names the meter for its owner, who knows the number that is printed
// on it.
func (t systemTitle) describe() string {
	return fmt.Sprintf("meter %s…%s (system title %s)", t[:3], t.serial(), t)
}

// sealedSize returns how long the sealed telegram is that begins with head.
func sealedSize(head []byte) (int, bool) {
	if head[0] != 0xDB || head[1] != titleSize || head[10] != 0x82 || head[13] != security {
		return 0, false
	}
	if !isMaker(head[2:5]) {
		return 0, false
	}
	n := headSize - 1 + int(binary.BigEndian.Uint16(head[11:]))
	return n, n > preambleSize+tagSize && n <= maxTelegram
}

// isMaker reports whether b is the three letters of a maker.
func isMaker(b []byte) bool {
	return len(bytes.Trim(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) == 0
}

// fitting is how well a key fits a sealed telegram. A greater one says more.
type fitting byte

const (
	wrongKey            fitting = iota // nothing that a meter would say comes out
	damaged                            // the beginning of a telegram, but not a whole one
	wrongAuthentication                // a whole telegram, but the authentication key given is another
	vouchedByCRC                       // a whole telegram; its authentication key is not known
	vouchedByTag                       // what the meter sent, whatever it is
)

// open decrypts a sealed telegram.
func (k key) open(frame []byte) (plain []byte, f fitting) {
	nonce := append(bytes.Clone(frame[2:2+titleSize]), frame[headSize:preambleSize]...)
	authentication := k.authentication
	if authentication == nil {
		authentication = publicAuthenticationKey
	}
	plain, err := k.gcm.Open(nil, nonce, frame[preambleSize:], append([]byte{security}, authentication...))
	if err == nil {
		return plain, vouchedByTag
	}
	plain = k.withoutTag(nonce, frame[preambleSize:len(frame)-tagSize])
	switch {
	case !beginsTelegram(plain):
		return nil, wrongKey
	case !wholeTelegram(plain):
		return nil, damaged
	case k.authentication != nil:
		return nil, wrongAuthentication
	}
	return plain, vouchedByCRC
}

// withoutTag decrypts without looking at the tag. GCM encrypts in counter mode,
// which begins with the block of nonce and 00000002 (NIST SP 800-38D, 7.1).
func (k key) withoutTag(nonce, sealed []byte) []byte {
	plain := make([]byte, len(sealed))
	cipher.NewCTR(k.block, append(bytes.Clone(nonce), 0, 0, 0, 2)).XORKeyStream(plain, sealed)
	return plain
}

// beginsTelegram reports whether an identification line begins plain.
func beginsTelegram(plain []byte) bool {
	header, _, found := bytes.Cut(plain[:min(len(plain), maxHeader)], []byte("\n"))
	return found && validHeader(trimEOL(header))
}

// wholeTelegram reports whether plain, which begins a telegram, is one with a
// CRC that is right.
func wholeTelegram(plain []byte) bool {
	end := bytes.LastIndexByte(plain, '!') + 1
	sum, err := strconv.ParseUint(string(trimEOL(plain[end:])), 16, 16)
	return end > 0 && err == nil && uint16(sum) == crc.IBM.Update(0, plain[:end]...)
}

// An opened meter is one whose key is known.
type openedMeter struct {
	key      key
	tag      bool // its tag was right once: it has to be from then on
	counter  uint32
	accepted time.Time // when counter came
}

// unseal opens the sealed telegram in d.sealed and takes what is in it.
func (d *decoder) unseal(received time.Time) {
	frame := d.sealed
	title := systemTitle(frame[2:])
	counter := binary.BigEndian.Uint32(frame[headSize:])

	meter, opened := d.meters[title]
	candidates := []key{meter.key}
	if !opened {
		candidates = keysFor(d.keys, title)
	}
	var plain []byte
	var f fitting
	for _, k := range candidates {
		if p, g := k.open(frame); g > f {
			plain, f, meter.key = p, g, k
		}
	}
	switch {
	case len(candidates) == 0:
		d.sink.Ignored(title.describe() + " is encrypted: ask the network operator for its key, and set it")
		return
	case f == damaged, opened && (f < vouchedByCRC || meter.tag && f < vouchedByTag):
		d.sink.Damaged(serialbridge.DamagedChecksum)
		return
	case f == wrongKey:
		d.sink.Ignored("the key does not fit " + title.describe() + ": compare it with what the network operator sent")
		return
	case f == wrongAuthentication:
		d.sink.Ignored("the authentication key does not fit " + title.describe() + ": correct it or leave it out")
		return
	case opened && counter <= meter.counter && received.Sub(meter.accepted) < forgetCounter:
		d.sink.Damaged(damagedReplayed)
		return
	}
	if !opened && len(d.meters) >= maxMeters {
		clear(d.meters)
	}
	meter.tag = meter.tag || f == vouchedByTag
	meter.counter, meter.accepted = counter, received
	d.meters[title] = meter
	if !beginsTelegram(plain) {
		d.sink.Ignored(title.describe() + " encrypts something else than a P1 telegram, which is not known here")
		return
	}
	d.title = title.String()
	for _, b := range plain {
		d.next(b, received)
	}
	d.title = ""
	if d.position != outside {
		d.sink.Damaged(serialbridge.DamagedTruncated)
		d.position = outside
	}
}
