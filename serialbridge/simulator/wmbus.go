package simulator

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"time"
)

// waterMeter is an iM871A, a radio stick at which a water meter is heard (wireless
// M-Bus, EN 13757-3 and -4; WM-Bus HCI of IMST). It counts litres. Without a key
// its telegrams are in clear, else they are encrypted in security mode 5. The
// stick takes every configuration.
func waterMeter(number uint64, key []byte) Device {
	n := int64(0)
	return Device{
		Protocol: "wmbus", Interval: 16 * time.Second,
		Talk: func(time.Time) []Frame {
			n++
			return []Frame{hci(n, radioLink, 0x03, meterTelegram(number, n, key))}
		},
		Answer: answerHCI,
	}
}

// meterKey is the key of the encrypted water meter with a number.
func meterKey(number uint64) []byte {
	return fmt.Appendf(nil, "LINTEL%010d", number%1e10)
}

// meterNumber is what is printed on the water meter with a number.
func meterNumber(number uint64) string { return fmt.Sprintf("%08d", 31400000+number%100000) }

// meterTelegram writes the telegram of a water meter from its C field on: the
// stick leaves the length out, and the checksums of the radio.
func meterTelegram(number uint64, n int64, key []byte) []byte {
	const lnt = ('L'-64)<<10 | ('N'-64)<<5 | ('T' - 64)
	address := binary.LittleEndian.AppendUint16(nil, lnt)
	address = append(address, bcd(meterNumber(number))...)
	address = append(address, 0x01, 0x07) // version, water

	records := []byte{0x2F, 0x2F}
	records = append(records, 0x04, 0x13) // volume in litres
	records = binary.LittleEndian.AppendUint32(records, uint32(n))
	records = append(records, 0x02, 0x5A, 0x7B, 0x00) // flow temperature in 0.1 °C
	for len(records)%aes.BlockSize != 0 {
		records = append(records, 0x2F)
	}

	access := byte(n)
	configuration := uint16(0)
	if key != nil {
		// Synchronous, mode 5, number of blocks.
		configuration = 0x2000 | 5<<8 | uint16(len(records)/aes.BlockSize)<<4
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err) // not 16 bytes
		}
		iv := append([]byte(nil), address...)
		for len(iv) < aes.BlockSize {
			iv = append(iv, access)
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(records, records)
	}
	b := append([]byte{0x44}, address...) // C: spontaneous
	b = append(b, 0x7A, access, 0x00)     // CI: short header; no error
	b = binary.LittleEndian.AppendUint16(b, configuration)
	return append(b, records...)
}

// bcd writes digits, the last two first.
func bcd(digits string) []byte {
	var b []byte
	for i := len(digits); i >= 2; i -= 2 {
		b = append(b, (digits[i-2]-'0')<<4|(digits[i-1]-'0'))
	}
	return b
}

// Endpoints of WM-Bus HCI.
const (
	deviceManagement = 0x01
	radioLink        = 0x02
)

// hci writes a message of WM-Bus HCI with a checksum. What comes by radio has the
// strength of the signal behind it: -75 dBm.
func hci(n int64, endpoint, message byte, payload []byte) Frame {
	control := byte(0x80)
	if endpoint == radioLink {
		control |= 0x40
	}
	b := append([]byte{0xA5, control | endpoint, message, byte(len(payload))}, payload...)
	if endpoint == radioLink {
		b = append(b, 95)
	}
	return Frame{Data: binary.LittleEndian.AppendUint16(b, x25(b[1:])), Count: n, Sum: len(b)}
}

// answerHCI answers a request to the stick.
func answerHCI(heard []byte) (int, []Frame) {
	if heard[0] != 0xA5 {
		return 1, nil
	}
	if len(heard) < 4 {
		return 0, nil
	}
	size := 4 + int(heard[3])
	for _, part := range []struct{ bit, size byte }{{0x20, 4}, {0x40, 1}, {0x80, 2}} { // time, strength, checksum
		if heard[1]&part.bit != 0 {
			size += int(part.size)
		}
	}
	if len(heard) < size {
		return 0, nil
	}
	endpoint, request := heard[1]&0x0F, heard[2]
	if heard[1]&0x80 != 0 && binary.LittleEndian.Uint16(heard[size-2:]) != x25(heard[1:size-2]) {
		return 1, nil
	}
	if endpoint != deviceManagement {
		return size, nil
	}
	payload := []byte{0x00} // done
	switch request {
	case 0x01, 0x07: // ping, reset: nothing to say
		payload = nil
	case 0x05: // configuration: device mode other, link mode T1
		payload = []byte{0x03, 0x00, 0x03, 0x00}
	case 0x0F: // device: iM871A, firmware 1.4, HCI 1.0, number
		payload = []byte{0x33, 0x00, 0x14, 0x10, 0x01, 0x02, 0x03, 0x04}
	}
	return size, []Frame{hci(0, deviceManagement, request+1, payload)}
}
