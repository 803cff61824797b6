package zcl

import (
	"bytes"
	"testing"
)

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0x18, 0x01, 0x0a, 0x00, 0x00, 0x29, 0x66, 0x08})
	f.Add([]byte{0x0c, 0x5f, 0x11, 0x02, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := ParseFrame(data)
		if err != nil {
			return
		}
		again, err := ParseFrame(frame.Append(nil))
		if err != nil || !bytes.Equal(again.Payload, frame.Payload) || again.Command != frame.Command || again.Sequence != frame.Sequence {
			t.Errorf("%x: %+v, then %+v, %v", data, frame, again, err)
		}
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add(uint8(ReportAttributes), []byte{0x00, 0x00, 0x29, 0x66, 0x08})
	f.Add(uint8(ReadAttributesResponse), []byte{0x05, 0x00, 0x00, 0x42, 0x02, 'o', 'k', 0x06, 0x00, 0x86})
	f.Add(uint8(ReportAttributes), []byte{0x01, 0xff, 0x4c, 0x02, 0x00, 0x10, 0x01, 0x48, 0x20, 0x01, 0x00, 0x07})
	f.Fuzz(func(t *testing.T, command uint8, payload []byte) {
		attributes, err := ParseAttributes(command, payload)
		if err != nil {
			return
		}
		data, err := AppendAttributes(nil, command, attributes)
		if err != nil {
			t.Fatalf("%x: %+v: %v", payload, attributes, err)
		}
		again, err := ParseAttributes(command, data)
		if err != nil || len(again) != len(attributes) {
			t.Errorf("%x became %x: %+v, %v", payload, data, again, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add(uint16(0x0008), uint8(0), false, []byte{0x78, 0x0a, 0x00})
	f.Add(uint16(0x0005), uint8(1), true, []byte{0, 1, 0, 2, 3, 0, 0, 6, 0, 1, 1})
	f.Add(uint16(0x0021), uint8(0), false, []byte{0x08, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 0x20, 0})
	f.Add(uint16(0x0201), uint8(1), false, []byte{1, 1, 1, 0x68, 1, 0x34, 8})
	f.Add(uint16(0xef00), uint8(2), true, []byte{0, 1, 4, 2, 0, 4, 0, 0, 0, 7})
	f.Fuzz(func(t *testing.T, cluster uint16, command uint8, response bool, payload []byte) {
		c := ClusterByID(cluster)
		if c == nil {
			return
		}
		m := c.Command(command, response)
		if m == nil {
			return
		}
		values, err := m.Parse(payload)
		if err != nil {
			return
		}
		data, err := m.Append(nil, values)
		if err != nil {
			t.Fatalf("%s %s %x: %v: %v", c.Name, m.Name, payload, values, err)
		}
		if _, err := m.Parse(data); err != nil {
			t.Errorf("%s %s %x became %x: %v", c.Name, m.Name, payload, data, err)
		}
	})
}
