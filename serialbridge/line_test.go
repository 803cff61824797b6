package serialbridge

import "testing"

func TestParseLine(t *testing.T) {
	for _, text := range []string{"9600 8N1", "115200 8N1", "1200 7E1", "250000 8O2", "50 7E1", "460800 8N1 rtscts", "115200 8N1 xonxoff"} {
		if l, err := ParseLine(text); err != nil || l.String() != text {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
	for _, text := range []string{"", "9600", "9600 8N", "9600 8N11", "8N1 9600", "9600 9N1", "9600 8X1", "9600 8N3", "-9600 8N1", "+9600 8N1",
		"9600x 8N1", "0 8N1", "99999999999999999999 8N1", "9600  8N1", "9600 8n1", "9600\n8N1", "9600 8N1 rts"} {
		if l, err := ParseLine(text); err == nil {
			t.Errorf("%q: %v", text, l)
		}
	}
}
