package simulator

import (
	"bytes"
	"encoding/binary"
	"time"
)

// smlMeter is a German electricity meter with an optical head (SML 1.04). It
// counts tenths of a Wh.
func smlMeter(number uint64) Device {
	server := []byte{0x0A, 0x01, 'L', 'N', 'T', 0x00}
	server = binary.BigEndian.AppendUint32(server, uint32(number))
	n := int64(0)
	return Device{Protocol: "sml", Interval: time.Second, Talk: func(time.Time) []Frame {
		n++
		frame := smlFile(server, uint32(n), []smlEntry{
			{[]byte("\x01\x00\x01\x08\x00\xFF"), 30, -1, n}, // Wh
			{[]byte("\x01\x00\x02\x08\x00\xFF"), 30, -1, 765_432_1},
			{[]byte("\x01\x00\x10\x07\x00\xFF"), 27, 0, 200 + n%50}, // W
		})
		return one(frame, n, len(frame)-2)
	}}
}

// An smlEntry is SML_ListEntry: an OBIS code, a unit of IEC 62056-62, a power of
// ten and a value.
type smlEntry struct {
	name   []byte
	unit   byte
	scaler int8
	value  int64
}

// smlFile writes an SML file with one list in the frame of the SML transport
// protocol.
func smlFile(server []byte, number uint32, entries []smlEntry) []byte {
	octets := func(b ...byte) []byte { return append([]byte{byte(len(b) + 1)}, b...) }
	absent := []byte{0x01}

	open := []byte{0x76} // SML_PublicOpen.Res
	open = append(open, absent...)
	open = append(open, absent...)
	open = append(open, octets(binary.BigEndian.AppendUint32(nil, number)...)...)
	open = append(open, octets(server...)...)
	open = append(open, absent...)
	open = append(open, absent...)

	list := []byte{0x77} // SML_GetList.Res
	list = append(list, absent...)
	list = append(list, octets(server...)...)
	list = append(list, octets(0x01, 0x00, 0x62, 0x0A, 0xFF, 0xFF)...)
	list = append(list, 0x72, 0x62, 0x01, 0x65) // SML_Time: seconds since it was switched on
	list = binary.BigEndian.AppendUint32(list, number)
	list = append(list, 0x70|byte(len(entries)))
	for _, e := range entries {
		list = append(list, 0x77)
		list = append(list, octets(e.name...)...)
		list = append(list, absent...)
		list = append(list, absent...)
		list = append(list, 0x62, e.unit, 0x52, byte(e.scaler), 0x59)
		list = binary.BigEndian.AppendUint64(list, uint64(e.value))
		list = append(list, absent...)
	}
	list = append(list, absent...)
	list = append(list, absent...)

	var file []byte
	for i, m := range []struct {
		tag  uint16
		body []byte
	}{{0x0101, open}, {0x0701, list}, {0x0201, []byte{0x71, 0x01}}} {
		start := len(file)
		file = append(file, 0x76, 0x05)
		file = binary.BigEndian.AppendUint32(file, number<<2|uint32(i))
		file = append(file, 0x62, 0x00, 0x62, 0x00, 0x72, 0x63)
		file = binary.BigEndian.AppendUint16(file, m.tag)
		file = append(file, m.body...)
		crc := x25(file[start:])
		file = append(file, 0x63)
		file = binary.LittleEndian.AppendUint16(file, crc)
		file = append(file, 0x00)
	}

	const escape = "\x1B\x1B\x1B\x1B"
	fill := -len(file) & 3
	file = append(file, make([]byte, fill)...)
	frame := []byte(escape + "\x01\x01\x01\x01")
	frame = append(frame, bytes.ReplaceAll(file, []byte(escape), []byte(escape+escape))...)
	frame = append(frame, escape+"\x1A"...)
	frame = append(frame, byte(fill))
	return binary.LittleEndian.AppendUint16(frame, x25(frame))
}
