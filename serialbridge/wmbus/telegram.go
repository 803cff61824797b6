package wmbus

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"lintel/serialbridge"
)

// linkLayer is how long C, M and A are: what a telegram begins with (EN 13757-4,
// 12.6). The L field is not part of what the framings hand on.
const linkLayer = 9

// C fields of telegrams that are not asked for.
const (
	cSendNoReply   = 0x44
	cSendInstall   = 0x46
	cAccessNoReply = 0x47
	cAccessDemand  = 0x48
)

// CI fields (EN 13757-7, table 2).
const (
	ciFormatNone   = 0x69 // format frame without header
	ciFormatShort  = 0x6A
	ciFormatLong   = 0x6B
	ciLong         = 0x72
	ciCompactLong  = 0x73
	ciNone         = 0x78
	ciCompactNone  = 0x79
	ciShort        = 0x7A
	ciCompactShort = 0x7B
	ciNetwork      = 0x81
	ciELL1         = 0x8C // control, access number
	ciELL2         = 0x8D // and session number, CRC
	ciELL3         = 0x8E // and receiver
	ciELL4         = 0x8F // and both
	ciAFL          = 0x90
)

// A telegram is what a meter sent, in clear.
type telegram struct {
	link  address // who sent it
	meter address // whom it is of: not the sender where a radio module serves a meter
	ci    byte
	raw   []byte // from the C field on

	hasAccess bool
	access    byte
	hasStatus bool
	status    byte

	payload  []byte // behind all headers
	vouched  bool   // a key, a CRC or a MAC says that it is whole
	secret   bool   // it was encrypted
	scramble diehlForm
	format   []byte // the headers of its records
}

// A refusal is why nothing is made of a telegram. One of its fields is set, or none
// if there is nothing to tell.
type refusal struct {
	damaged string // constant
	ignored string // for a person
}

var (
	truncated = &refusal{damaged: serialbridge.DamagedTruncated}
	nothing   = &refusal{}
)

func ignored(format string, args ...any) *refusal {
	return &refusal{ignored: fmt.Sprintf(format, args...)}
}

// An opener takes telegrams apart.
type opener struct {
	keys keyring
	// clear lets telegrams pass that say they are encrypted and are not: those
	// in published collections. On the air there are none.
	clear bool
}

// afl is the authentication and fragmentation layer (EN 13757-7, 6).
type afl struct {
	present bool
	control byte // message control
	key     []byte
	counter [4]byte
	length  []byte
	mac     []byte
	at      int // where the message begins
}

// A cursor goes through the headers of a telegram.
type cursor struct {
	b     []byte
	short bool // more was wanted than there was
}

func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.short = true
		c.b = nil
		return make([]byte, n)
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) byte() byte { return c.take(1)[0] }

// open reads a telegram from the C field on.
func (o *opener) open(b []byte) (*telegram, *refusal) {
	if len(b) <= linkLayer {
		return nil, truncated
	}
	t := &telegram{raw: b, scramble: diehlFormOf(b)}
	t.link = linkAddress(b[1:])
	if t.scramble != diehlOMS {
		t.link = diehlAddress(b, t.scramble)
	}
	t.meter = t.link
	switch b[0] {
	case cSendNoReply, cSendInstall, 0x08, 0x18, 0x28, 0x38:
	default:
		return t, nothing // no readings in it
	}
	c := &cursor{b: b[linkLayer:]}
	var a afl
	for {
		ci := c.byte()
		if c.short {
			return t, truncated
		}
		var r *refusal
		switch {
		case ciELL1 <= ci && ci <= ciELL4:
			r = o.extended(t, c, ci)
		case ci == ciNetwork:
			c.take(2)
		case ci == ciAFL && !a.present:
			r = a.read(t, c)
			a.at = len(b) - len(c.b)
		default:
			t.ci = ci
			r := o.transport(t, c, &a)
			if r == nil && !t.secret && !o.clear && len(o.keys.of(t.meter, t.link)) > 0 {
				// Anybody may send in a meter's name. What only the meter can
				// have sent tells the readings from others.
				r = ignored("meter %v is not encrypted although a key is given for it: take the key away if that is right", t.meter)
			}
			return t, r
		}
		if r == nil && c.short {
			r = truncated
		}
		if r != nil {
			return t, r
		}
	}
}

// extended reads an extended link layer and decrypts what is behind it (EN 13757-4,
// 13.2).
func (o *opener) extended(t *telegram, c *cursor, ci byte) *refusal {
	control := c.byte()
	t.access, t.hasAccess = c.byte(), true
	if ci == ciELL3 || ci == ciELL4 {
		c.take(8) // the receiver
	}
	if ci == ciELL1 || ci == ciELL3 {
		return nil
	}
	session := [4]byte(c.take(4))
	if c.short {
		return truncated
	}
	clear := c.b
	switch mode := session[3] >> 5; mode {
	case 0:
		if !payloadIntact(clear) {
			return &refusal{damaged: serialbridge.DamagedChecksum}
		}
	case 1:
		if o.clear && payloadIntact(clear) {
			break
		}
		keys := o.keys.of(t.meter, t.link)
		if len(keys) == 0 {
			return ignored("meter %v is encrypted: its key is needed", t.meter)
		}
		clear = nil
		for _, k := range keys {
			if clear = decryptELL(k, t.link, control, session, c.b); clear != nil {
				break
			}
		}
		if clear == nil {
			return ignored("meter %v is encrypted, and the key given for it is not the right one", t.meter)
		}
		t.secret = true
	default:
		return ignored("meter %v is encrypted in a way that is not known: link layer mode %d", t.meter, mode)
	}
	t.vouched = true
	c.b = clear[2:]
	return nil
}

// read reads an AFL.
func (a *afl) read(t *telegram, c *cursor) *refusal {
	header := &cursor{b: c.take(int(c.byte()))}
	if c.short {
		return truncated
	}
	a.present = true
	fragments := binary.LittleEndian.Uint16(header.take(2))
	if fragments&0x4000 != 0 || fragments&0xFF > 1 {
		return ignored("meter %v sends its readings in pieces, which is not known here", t.meter)
	}
	if fragments&0x2000 != 0 {
		a.control = header.byte()
	}
	if fragments&0x0200 != 0 {
		a.key = header.take(2)
	}
	if fragments&0x0800 != 0 {
		a.counter = [4]byte(header.take(4))
	}
	if fragments&0x1000 != 0 {
		a.length = header.take(2)
	}
	if fragments&0x0400 != 0 {
		a.mac = header.b
	}
	if header.short {
		return truncated
	}
	return nil
}

// authentic reports whether the MAC is right. The message counter is part of it
// (EN 13757-7, 6.3.6).
func (a *afl) authentic(k key, t *telegram) bool {
	if len(a.mac) < 2 || len(a.mac) > 16 {
		return false
	}
	message := []byte{a.control}
	message = append(message, a.key...)
	message = append(message, a.counter[:]...)
	message = append(message, a.length...)
	message = append(message, t.raw[a.at:]...)
	mac := cmac(derive(k, macFromMeter, a.counter, t.meter.number), message)
	return bytes.Equal(mac[:len(a.mac)], a.mac)
}

// transport reads the header of the transport layer and decrypts what is behind it
// (EN 13757-7, 7).
func (o *opener) transport(t *telegram, c *cursor, a *afl) *refusal {
	switch t.ci {
	case ciFormatNone, ciNone, ciCompactNone:
		t.payload = c.b
		return nil
	case ciFormatLong, ciLong, ciCompactLong:
		t.meter = headerAddress(c.take(8))
		if c.short {
			return truncated
		}
		if t.meter.code() == "" {
			return &refusal{damaged: serialbridge.DamagedSyntax}
		}
	case ciFormatShort, ciShort, ciCompactShort:
	default:
		if t.scramble != diehlOMS || t.ci >= 0xA0 {
			t.payload = c.b
			return nil
		}
		return ignored("telegrams of meter %v hold no readings (CI %02X)", t.meter, t.ci)
	}
	t.access, t.hasAccess = c.byte(), true
	t.status, t.hasStatus = c.byte(), true
	config := binary.LittleEndian.Uint16(c.take(2))
	if c.short {
		return truncated
	}
	if t.scramble == diehlRealData {
		t.payload = unscrambleRecords(t.raw)
		if t.payload == nil && o.clear {
			t.payload = c.b
		}
		if t.payload == nil {
			return ignored("meter %v is scrambled in a way of its maker that is not known", t.meter)
		}
		t.vouched = true
		return nil
	}
	mode := config >> 8 & 0x1F
	blocks := int(config >> 4 & 0x0F)
	if blocks == 0 || blocks == 15 {
		blocks = maxTelegram // all
	}
	switch mode {
	case 0:
		t.payload = c.b
		return nil
	case 5:
		return o.decrypt(t, c.b, func(k key) []byte {
			return decryptCBC(k, mode5IV(t.meter, t.access), c.b, blocks)
		})
	case 7:
		extension := c.byte()
		if c.short {
			return truncated
		}
		if derivation := extension >> 4 & 3; derivation != 1 || !a.present {
			return ignored("meter %v derives its keys in a way that is not known", t.meter)
		}
		return o.decrypt(t, c.b, func(k key) []byte {
			if len(a.mac) > 0 && !a.authentic(k, t) {
				return nil
			}
			return decryptCBC(derive(k, encryptFromMeter, a.counter, t.meter.number), [16]byte{}, c.b, blocks)
		})
	case 16: // the first that is the makers' own
		if isRFMTX1(t) {
			t.payload = c.b
			return nil
		}
	}
	return ignored("meter %v is encrypted in a way that is not known: security mode %d", t.meter, mode)
}

// decrypt decrypts b with the keys for the meter.
func (o *opener) decrypt(t *telegram, b []byte, with func(key) []byte) *refusal {
	if o.clear && bytes.HasPrefix(b, filler) {
		t.payload = b
		return nil
	}
	keys := o.keys.of(t.meter, t.link)
	asked := len(keys) > 0
	if !asked && t.link.isOf(diehlCodes...) {
		keys = []key{diehlAESKey}
	}
	for _, k := range keys {
		clear := with(k)
		if clear == nil {
			continue
		}
		// Two bytes are right by chance now and then. A wrong key leaves
		// no records.
		if _, ok := parse(clear); ok || t.ci != ciShort && t.ci != ciLong {
			t.payload, t.vouched, t.secret = clear, true, true
			return nil
		}
	}
	if asked {
		return ignored("meter %v is encrypted, and the key given for it is not the right one", t.meter)
	}
	return ignored("meter %v is encrypted: its key is needed", t.meter)
}
