package simulator

import (
	"bytes"
	"encoding/binary"
	"time"
)

// enoceanTransceiver is an EnOcean transceiver (ESP3 1.5) that hears an electricity meter of
// the profile A5-12-01, which counts kWh, up to 16777215 and then from 0. Every
// eighth telegram teaches in, as if somebody pressed the button again and again.
// The transceiver tells its base ID, and confirms what it is told to send.
func enoceanTransceiver(number uint64) Device {
	n, telegrams := int64(0), 0
	telegram := func(n int64, payload uint32) Frame {
		data := binary.BigEndian.AppendUint32([]byte{0xA5}, payload)
		data = binary.BigEndian.AppendUint32(data, 0x01810000+uint32(number))
		// A single subtelegram for everybody, -64 dBm, not encrypted.
		return esp3(n, 0x01, append(data, 0x00), []byte{1, 0xFF, 0xFF, 0xFF, 0xFF, 64, 0})
	}
	return Device{
		Protocol: "enocean", Interval: time.Second,
		Talk: func(time.Time) []Frame {
			telegrams++
			if telegrams%8 == 1 {
				// Func 12, type 01, manufacturer 00B; the lowest byte says
				// that these are there and that it teaches in.
				return []Frame{telegram(0, 0x12<<26|0x01<<19|0x00B<<8|0x80)}
			}
			n++
			// A total without decimals (DT 0), data telegram.
			return []Frame{telegram(n, uint32(n)<<8|0x08)}
		},
		Answer: func(heard []byte) (int, []Frame) {
			start := bytes.IndexByte(heard, 0x55)
			if start != 0 {
				if start < 0 {
					start = len(heard)
				}
				return start, nil
			}
			if len(heard) < 6 {
				return 0, nil
			}
			if crc8(heard[1:5]) != heard[5] {
				return 1, nil
			}
			size := 7 + int(heard[1])<<8 + int(heard[2]) + int(heard[3])
			if len(heard) < size {
				return 0, nil
			}
			const okay = 0x00
			switch {
			case crc8(heard[6:size-1]) != heard[size-1]:
				return 1, nil
			case heard[4] == 0x05 && heard[6] == 0x08: // CO_RD_IDBASE, which may be changed ten times
				return size, []Frame{esp3(0, 0x02, []byte{okay, 0xFF, 0x80, 0x00, 0x80}, []byte{10})}
			}
			return size, []Frame{esp3(0, 0x02, []byte{okay}, nil)}
		},
	}
}

// esp3 writes a packet of the EnOcean Serial Protocol 3.
func esp3(n int64, kind byte, data, optional []byte) Frame {
	b := binary.BigEndian.AppendUint16([]byte{0x55}, uint16(len(data)))
	b = append(b, byte(len(optional)), kind)
	b = append(b, crc8(b[1:]))
	b = append(append(b, data...), optional...)
	return Frame{Data: append(b, crc8(b[6:])), Count: n, Sum: len(b)}
}
