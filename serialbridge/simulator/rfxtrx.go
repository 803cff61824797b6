package simulator

import (
	"encoding/binary"
	"time"
)

// rfxtrxTransceiver is an RFXtrx433 that hears an electricity meter (RFXtrx User Guide, type
// 5A). It counts W, up to 999999 and then from 0. It tells its status when it is
// asked, and confirms what it is told to send.
func rfxtrxTransceiver(number uint64) Device {
	n, sequence := int64(0), byte(0)
	packet := func(n int64, kind, subtype byte, rest ...byte) Frame {
		b := append([]byte{byte(3 + len(rest)), kind, subtype, sequence}, rest...)
		sequence++
		return Frame{Data: b, Count: n}
	}
	return Device{
		Protocol: "rfxtrx", Interval: time.Second,
		Talk: func(time.Time) []Frame {
			n++
			meter := binary.BigEndian.AppendUint16(nil, uint16(number+1))
			meter = append(meter, 0) // count
			meter = binary.BigEndian.AppendUint32(meter, uint32(n%1_000_000))
			meter = binary.BigEndian.AppendUint16(meter, 0) // total in 1/223.666 Wh, six bytes
			meter = binary.BigEndian.AppendUint32(meter, uint32(223_666+n))
			return []Frame{packet(n, 0x5A, 0x01, append(meter, 0x79)...)} // signal 7, battery 9
		},
		Answer: func(heard []byte) (int, []Frame) {
			size := 1 + int(heard[0])
			if len(heard) < size {
				return 0, nil
			}
			if size < 5 {
				return size, nil
			}
			switch kind, command := heard[1], heard[4]; {
			case kind != 0x00:
				// It was sent, and has the number of what was asked for.
				return size, []Frame{{Data: []byte{0x04, 0x02, 0x01, heard[3], 0x00}}}
			case command == 0x02: // status: an RFXtrx433 with firmware 95
				return size, []Frame{packet(0, 0x01, 0x00, command, 0x53, 95, 0, 0x08, 0x27, 0, 1, 3, 0)}
			case command == 0x07: // start
				return size, []Frame{packet(0, 0x01, 0x07, append([]byte{command}, "Copyright RFXCOM"...)...)}
			}
			return size, nil
		},
	}
}
