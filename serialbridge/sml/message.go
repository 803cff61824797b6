package sml

import (
	"encoding/binary"
	"math"
	"math/bits"

	"lintel/serialbridge"
	"lintel/serialbridge/crc"
)

// Types in the tag-length field of SML's binary encoding.
const (
	typeOctets   = 0
	typeBoolean  = 4
	typeInteger  = 5
	typeUnsigned = 6
	typeList     = 7
)

// maxDepth bounds how deep lists stand in lists. GetList.Res needs five levels.
const maxDepth = 16

// getListRes is the tag of the message body that carries values.
const getListRes = 0x0701

// A list is what GetList.Res carries, as far as it is used.
type list struct {
	server  []byte
	entries []entry
}

// An entry is SML_ListEntry without its status, time and signature.
type entry struct {
	name   obis
	unit   int64 // IEC 62056-62, 0 if there is none
	scaler int64 // power of ten
	value  value
}

// A value is an octet string or a number; of any other type it is nothing.
type value struct {
	octets   []byte
	number   bool
	negative bool
	size     uint64 // absolute value of the number
}

// parseFile returns the lists of an SML file, or why it cannot be trusted.
func parseFile(file []byte) ([]list, string) {
	r := &reader{data: file}
	var lists []list
	for r.reason == "" {
		// Some meters fill with end marks without counting them.
		for r.at < len(r.data) && r.data[r.at] == 0 {
			r.at++
		}
		if r.at == len(r.data) {
			return lists, ""
		}
		if l, ok := r.message(); ok {
			lists = append(lists, l)
		}
	}
	return nil, r.reason
}

// A reader walks through a tree and remembers what was wrong first. After that
// it stands still and returns zero values.
type reader struct {
	data   []byte
	at     int
	depth  int
	reason string // of the damage
}

func (r *reader) fail(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
}

// message reads SML_Message and returns the list, if there is one in it.
func (r *reader) message() (list, bool) {
	start := r.at
	r.expectList(6)
	r.skip() // transactionId
	r.skip() // groupNo
	r.skip() // abortOnError
	r.expectList(2)
	tag := r.number()
	var l list
	if tag == getListRes {
		l = r.getList()
	} else {
		r.skip()
	}
	end := r.at
	number := r.number()
	if number < 0 || number > math.MaxUint16 || r.at == len(r.data) || r.data[r.at] != 0 { // endOfSmlMsg
		r.fail(serialbridge.DamagedSyntax)
	}
	if r.reason != "" {
		return list{}, false
	}
	r.at++
	// The low byte of the checksum comes first, which is not how SML writes
	// numbers. A checksum that begins with a zero may be a byte shorter.
	sum := bits.ReverseBytes16(uint16(number))
	if body := r.data[start:end]; sum != crc.X25(body) && sum != crc.CCITT.Update(0, body...) {
		r.fail(serialbridge.DamagedChecksum)
	}
	return l, tag == getListRes
}

// getList reads SML_GetList.Res.
func (r *reader) getList() list {
	r.expectList(7)
	r.skip() // clientId
	l := list{server: r.value().octets}
	r.skip() // listName
	r.skip() // actSensorTime
	count := r.list()
	for i := 0; i < count && r.reason == ""; i++ {
		l.entries = append(l.entries, r.entry())
	}
	r.skip() // listSignature
	r.skip() // actGatewayTime
	return l
}

func (r *reader) entry() entry {
	r.expectList(7)
	name := r.value().octets
	r.skip() // status
	r.skip() // valTime
	e := entry{unit: r.number(), scaler: r.number(), value: r.value()}
	r.skip() // valueSignature
	if len(name) != len(e.name) {
		r.fail(serialbridge.DamagedSyntax)
		return e
	}
	e.name = obis(name)
	return e
}

// tagLength reads a tag-length field: the type, and how many bytes or, in a
// list, elements follow.
func (r *reader) tagLength() (kind, length int) {
	start := r.at
	for {
		if r.reason != "" || r.at == len(r.data) || r.at-start == 4 {
			r.fail(serialbridge.DamagedSyntax)
			return 0, 0
		}
		b := r.data[r.at]
		if r.at == start {
			kind = int(b >> 4 & 7)
		}
		r.at++
		length = length<<4 | int(b&0xF)
		if b&0x80 == 0 {
			break
		}
	}
	if kind != typeList {
		length -= r.at - start // it counts itself
	}
	// Each element of a list takes a byte at least.
	if length < 0 || length > len(r.data)-r.at {
		r.fail(serialbridge.DamagedSyntax)
		return 0, 0
	}
	return kind, length
}

// list reads the beginning of a list and returns how many elements follow.
func (r *reader) list() int {
	kind, length := r.tagLength()
	if kind != typeList {
		r.fail(serialbridge.DamagedSyntax)
		return 0
	}
	return length
}

func (r *reader) expectList(length int) {
	if r.list() != length {
		r.fail(serialbridge.DamagedSyntax)
	}
}

// skip passes over one element with all that is in it.
func (r *reader) skip() {
	kind, length := r.tagLength()
	if kind != typeList {
		r.at += length
		return
	}
	if r.depth++; r.depth > maxDepth {
		r.fail(serialbridge.DamagedSyntax)
	}
	for i := 0; i < length && r.reason == ""; i++ {
		r.skip()
	}
	r.depth--
}

// number reads a number that fits, or one that was left out, which is 0.
func (r *reader) number() int64 {
	v := r.value()
	if len(v.octets) > 0 || v.size >= 1<<62 {
		r.fail(serialbridge.DamagedSyntax)
		return 0
	}
	if v.negative {
		return -int64(v.size)
	}
	return int64(v.size)
}

// value reads one element of any type.
func (r *reader) value() value {
	if r.at < len(r.data) && r.data[r.at]>>4&7 == typeList {
		r.skip()
		return value{}
	}
	kind, length := r.tagLength()
	if r.reason != "" {
		return value{}
	}
	content := r.data[r.at : r.at+length]
	r.at += length
	switch kind {
	case typeOctets:
		return value{octets: content}
	case typeInteger, typeUnsigned:
		if length == 0 || length > 8 {
			r.fail(serialbridge.DamagedSyntax)
			return value{}
		}
		// Numbers may be of any length up to eight bytes.
		var padded [8]byte
		negative := kind == typeInteger && content[0]&0x80 != 0
		if negative {
			padded = [8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
		}
		copy(padded[8-length:], content)
		n := binary.BigEndian.Uint64(padded[:])
		if negative {
			n = -n
		}
		return value{number: true, negative: negative, size: n}
	case typeBoolean:
		return value{}
	}
	r.fail(serialbridge.DamagedSyntax)
	return value{}
}
