package textlines

import (
	"bytes"
	"strconv"

	"lintel/serialbridge/crc"
)

// A checksum is over the bytes before '*', without a '$' that begins the line.
type checksum struct {
	digits int // behind '*'
	sum    func([]byte) uint16
}

var checksums = map[string]checksum{
	"xor":   {2, xor},
	"sum8":  {2, sum8},
	"crc16": {4, crc.Modbus},
}

// verify returns the line without its checksum, if that is right.
func (c checksum) verify(line []byte) ([]byte, bool) {
	line = bytes.TrimRight(line, " \t")
	i := len(line) - c.digits - 1
	if i < 0 || line[i] != '*' {
		return nil, false
	}
	// No sign and no underscore passes: there are digits only.
	want, err := strconv.ParseUint(string(line[i+1:]), 16, 16)
	text := bytes.TrimPrefix(line[:i], []byte("$"))
	return text, err == nil && uint16(want) == c.sum(text)
}

func xor(b []byte) (sum uint16) {
	for _, c := range b {
		sum ^= uint16(c)
	}
	return sum
}

func sum8(b []byte) (sum uint16) {
	for _, c := range b {
		sum += uint16(c)
	}
	return sum & 0xFF
}
