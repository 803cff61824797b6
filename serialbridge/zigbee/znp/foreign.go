package znp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// foreignTime is how long other kinds of firmware may take to answer.
const foreignTime = 400 * time.Millisecond

// foreign kinds of firmware: what they are asked, how they are known by what they
// answer, and what a person can do.
var foreign = [...]struct {
	question []byte
	answers  func(heard []byte) bool
	advice   error
}{
	{
		// A cancel byte and the frame RST of ASH (UG101, section 2.3).
		question: []byte{0x1a, 0xc0, 0x38, 0xbc, 0x7e},
		answers:  speaksASH,
		advice: errors.New("the stick answers as a Silicon Labs one (EmberZNet): choose ezsp as its radio, " +
			"or flash Z-Stack coordinator firmware if it is made for it"),
	},
	{
		// The request for the firmware version, 0x0d.
		question: []byte{0xc0, 0x0d, 0x01, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe9, 0xff, 0xc0},
		answers:  speaksDeCONZ,
		advice: unsupported("the stick answers as a ConBee or RaspBee (deCONZ), which is not supported: " +
			"use a stick with Z-Stack or EmberZNet coordinator firmware"),
	},
	{
		// The request for the version, 0x0010, with its bytes escaped.
		question: []byte{0x01, 0x02, 0x10, 0x10, 0x02, 0x10, 0x02, 0x10, 0x10, 0x03},
		answers:  speaksZiGate,
		advice: unsupported("the stick answers as a ZiGate, which is not supported: " +
			"use a stick with Z-Stack or EmberZNet coordinator firmware"),
	},
}

// ErrUnsupported is what Open's error is if the stick answers as one of a kind that no
// package of this program speaks with.
var ErrUnsupported = errors.New("znp: a stick of another kind")

// ErrSilent is what Open's error is if the stick says nothing at all.
var ErrSilent = errors.New("the stick does not answer")

// unsupported is ErrUnsupported with what a person can do.
type unsupported string

func (u unsupported) Error() string { return string(u) }
func (unsupported) Unwrap() error   { return ErrUnsupported }

var (
	errBootLoader = errors.New("the stick is in its boot loader, without firmware: flash Z-Stack coordinator firmware")
	errText       = errors.New("the stick talks in lines of text, it is no Zigbee coordinator: " +
		"choose another stick, or flash Z-Stack coordinator firmware if it is made for it")
	errForeign = errors.New("the stick answers, but not as Z-Stack does: check its speed and its kind, " +
		"or flash Z-Stack coordinator firmware")
	errEcho = errors.New("the port hears what is sent to it: its two data lines are connected with each other, " +
		"or what is plugged in is no stick")
	errSilent = fmt.Errorf("%w: check that it is a Zigbee stick with Z-Stack firmware "+
		"and the right speed and flow control, then unplug it and plug it in again", ErrSilent)
)

// diagnose returns why the stick does not answer as it should.
func (c *Coordinator) diagnose(ctx context.Context) error {
	for _, kind := range &foreign {
		if kind.answers(c.link.heardFirst()) {
			return kind.advice
		}
	}
	for _, kind := range &foreign {
		if err := c.sendRaw(ctx, kind.question, foreignTime); err != nil {
			return err
		}
		if bytes.Contains(c.link.heardFirst(), kind.question) {
			return errEcho
		}
		if kind.answers(c.link.heardFirst()) {
			return kind.advice
		}
	}
	heard := c.link.heardFirst()
	switch {
	case bytes.Contains(bytes.ToLower(heard), []byte("bootloader")):
		return errBootLoader
	case isText(heard):
		return errText
	case len(heard) > 0:
		return errForeign
	}
	return errSilent
}

// heardFirst returns the first bytes that were heard.
func (l *link) heardFirst() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.first)
}

// speaksASH finds the frame RSTACK or ERROR: control, version 2, a code, CRC.
func speaksASH(heard []byte) bool {
	for piece := range bytes.SplitSeq(heard, []byte{0x7e}) {
		if i := bytes.LastIndexByte(piece, 0x1a); i >= 0 {
			piece = piece[i+1:]
		}
		if len(piece) == 5 && (piece[0] == 0xc1 || piece[0] == 0xc2) && piece[1] == 2 &&
			crcCCITT(piece[:3]) == binary.BigEndian.Uint16(piece[3:]) {
			return true
		}
	}
	return false
}

func crcCCITT(b []byte) uint16 {
	crc := uint16(0xffff)
	for _, x := range b {
		crc ^= uint16(x) << 8
		for range 8 {
			high := crc&0x8000 != 0
			crc <<= 1
			if high {
				crc ^= 0x1021
			}
		}
	}
	return crc
}

// speaksDeCONZ finds the answer to the request for the version: SLIP, with a sum.
func speaksDeCONZ(heard []byte) bool {
	for piece := range bytes.SplitSeq(heard, []byte{0xc0}) {
		piece = bytes.ReplaceAll(piece, []byte{0xdb, 0xdc}, []byte{0xc0})
		piece = bytes.ReplaceAll(piece, []byte{0xdb, 0xdd}, []byte{0xdb})
		if len(piece) < 7 || piece[0] != 0x0d && piece[0] != 0x0e && piece[0] != 0x07 {
			continue
		}
		var sum uint16
		for _, x := range piece[:len(piece)-2] {
			sum -= uint16(x)
		}
		if sum == binary.LittleEndian.Uint16(piece[len(piece)-2:]) {
			return true
		}
	}
	return false
}

// speaksZiGate finds a frame: 01, type, length, sum, data, 03, escaped with 02.
func speaksZiGate(heard []byte) bool {
	for piece := range bytes.SplitSeq(heard, []byte{0x03}) {
		i := bytes.LastIndexByte(piece, 0x01)
		if i < 0 {
			continue
		}
		var plain []byte
		for j := i + 1; j < len(piece); j++ {
			x := piece[j]
			if x == 0x02 && j+1 < len(piece) {
				j++
				x = piece[j] ^ 0x10
			}
			plain = append(plain, x)
		}
		// The length counts the link quality at the end.
		if len(plain) < 5 || int(binary.BigEndian.Uint16(plain[2:])) != len(plain)-5 {
			continue
		}
		if plain[4] == checksum(plain[:4])^checksum(plain[5:]) {
			return true
		}
	}
	return false
}

// isText says that what was heard is letters, digits and ends of line.
func isText(heard []byte) bool {
	printable := 0
	for _, x := range heard {
		if x >= ' ' && x < 0x7f || x == '\r' || x == '\n' || x == '\t' {
			printable++
		}
	}
	return len(heard) >= 8 && printable*10 >= len(heard)*9
}
