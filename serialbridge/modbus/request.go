package modbus

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The functions that are spoken (MODBUS application protocol 1.1b3, 6).
const (
	readCoils              = 1
	readDiscreteInputs     = 2
	readHoldingRegisters   = 3
	readInputRegisters     = 4
	writeSingleCoil        = 5
	writeSingleRegister    = 6
	writeMultipleCoils     = 15
	writeMultipleRegisters = 16

	// exceptionFlag is added to the function in the answer that refuses it.
	exceptionFlag = 0x80
)

// Limits of the application protocol, chapter 6.
const (
	maxUnit           = 247 // MODBUS over serial line 1.02, 2.2
	maxReadBits       = 2000
	maxReadRegisters  = 125
	maxWriteBits      = 1968
	maxWriteRegisters = 123
	maxFrame          = 256
)

// A request is what a master asks of a unit.
type request struct {
	unit     byte // 0: all of them, who do not answer
	function byte
	address  uint16
	count    int    // of coils or registers
	data     []byte // what a write writes
}

// bytes returns the request as it goes over the line.
func (q request) bytes() []byte {
	b := []byte{q.unit, q.function}
	b = binary.BigEndian.AppendUint16(b, q.address)
	switch q.function {
	case writeSingleCoil, writeSingleRegister:
		b = append(b, q.data...)
	case writeMultipleCoils, writeMultipleRegisters:
		b = binary.BigEndian.AppendUint16(b, uint16(q.count))
		b = append(append(b, byte(len(q.data))), q.data...)
	default:
		b = binary.BigEndian.AppendUint16(b, uint16(q.count))
	}
	return seal(b)
}

// answerHead returns what an answer that grants the request begins with, and its
// length with the CRC.
func (q request) answerHead() (head []byte, length int) {
	if q.reads() {
		n := 2 * q.count
		if q.bits() {
			n = (q.count + 7) / 8
		}
		return []byte{q.unit, q.function, byte(n)}, 3 + n + 2
	}
	return q.bytes()[:6], 8 // address, and value or count, come back
}

func (q request) reads() bool { return q.function <= readInputRegisters }

// bits reports whether the request is about coils or discrete inputs.
func (q request) bits() bool {
	return q.function == readCoils || q.function == readDiscreteInputs ||
		q.function == writeSingleCoil || q.function == writeMultipleCoils
}

func (q request) equal(p request) bool {
	return q.unit == p.unit && q.function == p.function && q.address == p.address &&
		q.count == p.count && slices.Equal(q.data, p.data)
}

// String tells a request to a person.
func (q request) String() string {
	verb, what := "read", map[byte]string{
		readCoils: "coil", readDiscreteInputs: "discrete input", readHoldingRegisters: "holding register", readInputRegisters: "input register",
		writeSingleCoil: "coil", writeSingleRegister: "holding register", writeMultipleCoils: "coil", writeMultipleRegisters: "holding register",
	}[q.function]
	if !q.reads() {
		verb = "write"
	}
	if q.count == 1 {
		return fmt.Sprintf("%s %s %d", verb, what, q.address)
	}
	return fmt.Sprintf("%s %ss %d to %d", verb, what, q.address, int(q.address)+q.count-1)
}

// parseRequest looks at the beginning of a request. It returns its length with the
// CRC, zero if it is not known yet, and false if it is none. The request itself is
// complete when b has that length.
func parseRequest(b []byte) (q request, length int, ok bool) {
	if b[0] > maxUnit {
		return q, 0, false
	}
	if len(b) < 2 {
		return q, 0, true
	}
	q = request{unit: b[0], function: b[1], count: 1}
	limit := 0
	switch q.function {
	case readCoils, readDiscreteInputs:
		limit = maxReadBits
	case readHoldingRegisters, readInputRegisters:
		limit = maxReadRegisters
	case writeMultipleCoils:
		limit = maxWriteBits
	case writeMultipleRegisters:
		limit = maxWriteRegisters
	case writeSingleCoil, writeSingleRegister:
	default:
		return q, 0, false
	}
	if q.unit == 0 && q.reads() {
		return q, 0, false
	}
	if len(b) < 6 {
		return q, 0, true
	}
	q.address = binary.BigEndian.Uint16(b[2:])
	word := int(binary.BigEndian.Uint16(b[4:]))
	if limit == 0 {
		q.data = b[4:6]
		return q, 8, q.function == writeSingleRegister || word == 0 || word == 0xFF00
	}
	q.count = word
	if q.count < 1 || q.count > limit || int(q.address)+q.count > 1<<16 {
		return q, 0, false
	}
	if q.reads() {
		return q, 8, true
	}
	if len(b) < 7 {
		return q, 0, true
	}
	n := 2 * q.count
	if q.bits() {
		n = (q.count + 7) / 8
	}
	if len(b) >= 7+n {
		q.data = b[7 : 7+n]
	}
	return q, 7 + n + 2, int(b[6]) == n
}

// An exception is why a unit refuses a request.
type exception byte

// The exceptions after which asking again does not help.
const (
	illegalFunction    exception = 1
	illegalDataAddress exception = 2
	illegalDataValue   exception = 3
)

// lasting reports whether the same request will be refused again.
func (e exception) lasting() bool { return e >= illegalFunction && e <= illegalDataValue }

func (e exception) String() string {
	switch e {
	case illegalFunction:
		return "it does not know this function"
	case illegalDataAddress:
		return "it does not have them all"
	case illegalDataValue:
		return "it does not take this value or this many"
	case 4:
		return "it failed"
	case 5:
		return "it takes longer, ask later"
	case 6:
		return "it is busy"
	case 8:
		return "its memory is damaged"
	case 10:
		return "the gateway has no way to it"
	case 11:
		return "it does not answer the gateway"
	}
	return fmt.Sprintf("exception %d", byte(e))
}
