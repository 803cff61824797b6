package crc

import "testing"

// The check values are those of the catalogue of parametrised CRC algorithms.
func TestCheckValues(t *testing.T) {
	check := []byte("123456789")
	for _, c := range []struct {
		name      string
		got, want uint16
	}{
		{"ARC", IBM.Update(0, check...), 0xBB3D},
		{"ARC in pieces", IBM.Update(IBM.Update(0, check[:4]...), check[4:]...), 0xBB3D},
		{"MODBUS", Modbus(check), 0x4B37},
		{"X.25", X25(check), 0x906E},
		{"KERMIT", CCITT.Update(0, check...), 0x2189},
	} {
		if c.got != c.want {
			t.Errorf("%s is %04X, want %04X", c.name, c.got, c.want)
		}
	}
}
