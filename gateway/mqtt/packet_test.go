package mqtt

import (
	"bytes"
	"errors"
	"testing"
)

// TestFlags tries every first byte [v3 MQTT-2.2.2-2, v5 MQTT-2.1.3-1].
func TestFlags(t *testing.T) {
	for _, v := range []Version{0, V31, V311, V50} {
		for first := range 256 {
			typ, flags := PacketType(first>>4), byte(first&15)
			want := "81"
			switch typ {
			case 0:
			case CONNECT, PUBLISH: // Decode looks at these
				want = "ok"
			case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
				if flags == 2 || flags == 0x0a && v == V31 {
					want = "ok"
				}
			case AUTH:
				if flags == 0 && (v == 0 || v == V50) {
					want = "ok"
				}
			default:
				if flags == 0 {
					want = "ok"
				}
			}
			// The first byte alone tells.
			for _, buf := range [][]byte{{byte(first)}, {byte(first), 0}} {
				p, n, err := Parse(buf, v, 0)
				if code(err) != want {
					t.Errorf("version %d, % x: %v, want %s", v, buf, err, want)
				}
				if err == nil && n == 2 && (p.Type != typ || p.Flags != flags || len(p.Body) != 0) {
					t.Errorf("version %d, % x: parsed as %+v", v, buf, p)
				}
			}
		}
	}
}

func TestSize(t *testing.T) {
	for _, x := range []struct {
		buf  string
		size int
		want string
	}{
		{"", 0, "ok"},
		{"\x30", 0, "ok"},
		{"\x30\x00", 2, "ok"},
		{"\x30\x7f", 2 + 127, "ok"},
		{"\x30\x80", 0, "ok"},
		{"\x30\x80\x01", 3 + 128, "ok"},
		{"\x30\xff\x7f", 3 + 16383, "ok"},
		{"\x30\x80\x80\x01", 4 + 16384, "ok"},
		{"\x30\xff\xff\x7f", 4 + 2097151, "ok"},
		{"\x30\x80\x80\x80\x01", 5 + 2097152, "ok"},
		{"\x30\xff\xff\xff\x7f", 5 + MaxRemainingLength, "ok"},
		{"\x30\xff\xff\xff", 0, "ok"},
		{"\x30\xff\xff\xff\xff", 0, "81"},
		{"\x30\x80\x80\x80\x80\x01", 0, "81"},
		{"\x30\x80\x00", 0, "81"},
		{"\x30\xff\x80\x00", 0, "81"},
		{"\x30\xff\xff\xff\x00", 0, "81"},
	} {
		size, err := Size([]byte(x.buf))
		if size != x.size || code(err) != x.want {
			t.Errorf("% x: %d, %v; want %d, %s", x.buf, size, err, x.size, x.want)
		}
		if x.size > 0 {
			header := appendHeader(nil, PUBLISH, 0, x.size-len(x.buf))
			if string(header) != x.buf {
				t.Errorf("% x is encoded as % x", x.buf, header)
			}
		}
	}
}

// TestPartialInput: what has come so far of a good packet is never an error, and
// what comes behind it is not looked at.
func TestPartialInput(t *testing.T) {
	for _, x := range vectors(t) {
		if !x.valid() {
			continue
		}
		for i := range x.packet {
			if _, n, err := Parse(x.packet[:i], x.version, len(x.packet)); n != 0 || err != nil {
				t.Errorf("%s: the first %d bytes of %d: %d, %v", x.name, i, len(x.packet), n, err)
			}
		}
		p, n, err := Parse(append(bytes.Clone(x.packet), 0, 0xff), x.version, 0)
		if n != len(x.packet) || err != nil {
			t.Errorf("%s: with more behind it: %d, %v", x.name, n, err)
		}
		if cap(p.Body) != len(p.Body) {
			t.Errorf("%s: the body can grow into the next packet", x.name)
		}
	}
}

// TestMaxSize: the limit counts the whole packet, equal is allowed
// [v5 MQTT-3.2.2-15], and the header alone tells.
func TestMaxSize(t *testing.T) {
	for _, payload := range []int{0, 1, 120, 123, 124, 125, 16376, 16377, 16378, 16379} {
		m := Publish{Topic: []byte("a/b"), Payload: make([]byte, payload)}
		packet := m.Append(nil, V311)
		if _, n, err := Parse(packet, V311, len(packet)); n != len(packet) || err != nil {
			t.Errorf("%d bytes, limit %d: %d, %v", len(packet), len(packet), n, err)
		}
		header := 2
		if len(packet) > 2+127 {
			header = 3
		}
		if len(packet) > 3+16383 {
			header = 4
		}
		for i := 1; i <= len(packet); i++ {
			_, n, err := Parse(packet[:i], V311, len(packet)-1)
			var e *Error
			if tooLarge := errors.As(err, &e) && e.Code == PacketTooLarge; n != 0 || tooLarge != (i >= header) {
				t.Fatalf("%d of %d bytes, limit one less: %d, %v", i, len(packet), n, err)
			}
		}
	}
	if _, n, err := Parse([]byte("\x30\xff\xff\xff\x7f"), V311, 0); n != 0 || err != nil {
		t.Errorf("without a limit: %d, %v", n, err)
	}
}
