package lend

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// steps takes in whole and returns what came out, as text.
func steps(p *parser, in []byte) string {
	var out strings.Builder
	for rest := bytes.Clone(in); len(rest) > 0; {
		var data []byte
		var c command
		data, c, rest = p.step(rest)
		writeStep(&out, data, c)
	}
	return out.String()
}

func writeStep(out *strings.Builder, data []byte, c command) {
	for _, b := range data {
		fmt.Fprintf(out, "%02X ", b)
	}
	switch {
	case c.damaged != "":
		fmt.Fprintf(out, "(%s) ", c.damaged)
	case c.verb == sb:
		fmt.Fprintf(out, "SB[% X] ", c.sub)
	case c.verb != 0:
		name := map[byte]string{will: "WILL", wont: "WONT", do: "DO", dont: "DONT"}[c.verb]
		fmt.Fprintf(out, "%s[%d] ", name, c.option)
	}
}

func TestParser(t *testing.T) {
	for _, test := range []struct {
		name   string
		in     []byte
		binary bool
		want   string
	}{
		{"data", []byte{1, 2, 3}, false, "01 02 03"},
		{"IAC as data", []byte{1, iac, iac, 2, iac, iac}, false, "01 FF 02 FF"},
		{"negotiation", []byte{1, iac, will, 44, 2, iac, dont, 255, iac, wont, 0, iac, do, 3}, false, "01 WILL[44] 02 DONT[255] WONT[0] DO[3]"},
		{"subnegotiation", []byte{iac, sb, 44, 1, 0, 0, 0x25, 0x80, iac, se, 7}, false, "SB[2C 01 00 00 25 80] 07"},
		{"IAC in a subnegotiation", []byte{iac, sb, 44, 1, iac, iac, iac, iac, 0, 0, iac, se}, false, "SB[2C 01 FF FF 00 00]"},
		{"SE in a subnegotiation", []byte{iac, sb, 44, se, iac, se}, false, "SB[2C F0]"},
		{"empty subnegotiation", []byte{iac, sb, iac, se, 1}, false, "SB[] 01"},
		{"subnegotiation without end", []byte{iac, sb, 44, 1, iac, will, 44, 5}, false, "(telnet syntax) WILL[44] 05"},
		{"subnegotiation in another", []byte{iac, sb, 44, 1, iac, sb, 44, 2, iac, se}, false, "(telnet syntax) SB[2C 02]"},
		{"longest subnegotiation", slices.Concat([]byte{iac, sb}, bytes.Repeat([]byte{iac, iac}, 256), []byte{iac, se}), false,
			"SB[" + strings.TrimSpace(strings.Repeat("FF ", 256)) + "]"},
		{"too long", slices.Concat([]byte{iac, sb}, make([]byte, 257), []byte{iac, se, 1}), false, "(telnet too long) 01"},
		{"other commands", []byte{1, iac, 241, 2, iac, 243, 3, iac, 246, iac, 249, iac, 236}, false, "01 02 03"},
		{"no command", []byte{1, iac, 65, 2, iac, se, 3, iac, 235}, false, "01 (telnet syntax) 02 (telnet syntax) 03 (telnet syntax)"},
		{"carriage return alone", []byte{'a', '\r', 0, 'b', '\r', '\n', 0, '\r', '\r', 0, 0}, false, "61 0D 62 0D 0A 00 0D 0D 00"},
		{"carriage return in binary", []byte{'a', '\r', 0, 'b'}, true, "61 0D 00 62"},
		{"command behind a carriage return", []byte{'\r', iac, will, 0, 0, 1}, false, "0D WILL[0] 01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := parser{binary: test.binary}
			if got := strings.TrimSpace(steps(&p, test.in)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			for i := range test.in {
				p := parser{binary: test.binary}
				got := steps(&p, test.in[:i]) + steps(&p, test.in[i:])
				if strings.TrimSpace(got) != test.want {
					t.Errorf("split at %d: got %s, want %s", i, got, test.want)
				}
			}
		})
	}
}

func TestEscape(t *testing.T) {
	for _, test := range []struct {
		pieces []string
		binary bool
		want   string
	}{
		{[]string{"a\xffb\xff"}, true, "a\xff\xffb\xff\xff"},
		{[]string{"\r\n\ra\r"}, true, "\r\n\ra\r"},
		{[]string{"\r\n\ra\r"}, false, "\r\n\r\x00a\r"},
		{[]string{"a\r", "\nb\r", "c\r", "\r", "\xff"}, false, "a\r\nb\r\x00c\r\x00\r\x00\xff\xff"},
	} {
		var e escaper
		var got []byte
		for _, p := range test.pieces {
			got = e.escape(got, []byte(p), test.binary)
		}
		if string(got) != test.want {
			t.Errorf("%q: got %q, want %q", test.pieces, got, test.want)
		}
	}
}

// Whoever agrees to what is agreed upon is not answered, or there is no end.
func TestNegotiation(t *testing.T) {
	n := newNegotiation()
	for _, test := range []struct {
		verb, option byte
		want         []byte
	}{
		{do, optionBinary, nil}, // as was asked for
		{do, optionBinary, nil},
		{will, optionBinary, nil},
		{will, optionBinary, nil},
		{will, optionComPort, nil},
		{do, optionComPort, []byte{iac, will, optionComPort}},
		{do, optionComPort, nil},
		{do, 1, []byte{iac, wont, 1}}, // ECHO
		{do, 1, []byte{iac, wont, 1}},
		{will, 24, []byte{iac, dont, 24}},
		{wont, 24, nil},
		{dont, 1, nil},
		{dont, optionSuppressGoAhead, nil}, // refused
		{do, optionSuppressGoAhead, []byte{iac, will, optionSuppressGoAhead}},
		{dont, optionBinary, []byte{iac, wont, optionBinary}},
		{dont, optionBinary, nil},
		{wont, optionBinary, []byte{iac, dont, optionBinary}},
		{will, optionBinary, []byte{iac, do, optionBinary}},
	} {
		if got := n.answer(command{verb: test.verb, option: test.option}); !bytes.Equal(got, test.want) {
			t.Errorf("%d %d: answered %v, want %v", test.verb, test.option, got, test.want)
		}
	}
	if n.ours[optionBinary] != off || n.theirs[optionBinary] != on || len(n.ours)+len(n.theirs) != 6 {
		t.Errorf("agreed %+v", n)
	}
}

func FuzzTelnet(f *testing.F) {
	f.Add([]byte{1, iac, iac, iac, will, 44, iac, sb, 44, 1, 0, 0, 0x25, 0x80, iac, se, '\r', 0}, false)
	f.Add([]byte{iac, sb, 44, 1, iac, sb, iac, iac, iac, 1, iac, se}, true)
	f.Add(slices.Concat([]byte{iac, sb}, make([]byte, 300), []byte{iac, se}), true)
	for _, line := range exchanges() {
		f.Add(line.client, true)
	}
	f.Fuzz(func(t *testing.T, in []byte, isBinary bool) {
		whole := parser{binary: isBinary}
		want := steps(&whole, in)

		// The pieces do not matter, and nothing grows.
		pieces := parser{binary: isBinary}
		var got strings.Builder
		n := newNegotiation()
		port := &linePort{}
		com := comPort{port: port, line: line9600}
		for i := range in {
			for rest := []byte{in[i]}; len(rest) > 0; {
				var data []byte
				var c command
				data, c, rest = pieces.step(rest)
				writeStep(&got, data, c)
				if len(pieces.sub) > maxSubnegotiation {
					t.Fatalf("holds %d bytes", len(pieces.sub))
				}
				switch c.verb {
				case 0:
				case sb:
					r := com.serve(c.sub)
					if len(r.answer) > 32 || r.answer != nil && r.damaged != "" {
						t.Fatalf("% X: %+v", c.sub, r)
					}
					if r.answer != nil {
						// What we send is telnet too.
						var p parser
						data, back, rest := p.step(bytes.Clone(r.answer))
						if len(data) != 0 || len(rest) != 0 || back.verb != sb || back.sub[1] != c.sub[1]+fromServer {
							t.Fatalf("% X: answered % X", c.sub, r.answer)
						}
					}
				default:
					if a := n.answer(c); a != nil && len(a) != 3 {
						t.Fatalf("answered % X", a)
					}
				}
			}
		}
		if got.String() != want {
			t.Fatalf("in pieces: %s\nwhole: %s", got.String(), want)
		}
		if len(n.ours) != 3 || len(n.theirs) != 3 {
			t.Fatalf("remembers %+v", n)
		}
		if com.line != port.current(line9600) {
			t.Fatalf("says %v, is %v", com.line, port.line)
		}

		// What is escaped comes out as it was.
		var e escaper
		p := parser{binary: isBinary}
		var back []byte
		half := len(in) / 2
		for rest := append(e.escape(nil, in[:half], isBinary), e.escape(nil, in[half:], isBinary)...); len(rest) > 0; {
			var data []byte
			var c command
			data, c, rest = p.step(rest)
			if c.verb != 0 || c.damaged != "" {
				t.Fatalf("%+v", c)
			}
			back = append(back, data...)
		}
		if !bytes.Equal(back, in) {
			t.Fatalf("% X came back as % X", in, back)
		}
	})
}
