package mqtt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// vector is a case of testdata/packets.txt, whose head tells the format.
type vector struct {
	name    string
	version Version
	want    string
	packet  []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	file, err := os.ReadFile("testdata/packets.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	comment := ""
	for i, line := range strings.Split(string(file), "\n") {
		if line == "" || line[0] == '#' {
			comment = strings.TrimLeft(line, "# ")
			continue
		}
		version, rest, _ := strings.Cut(line, " ")
		want, rest, _ := strings.Cut(rest, " ")
		v, err := strconv.Atoi(version)
		if err != nil || comment == "" {
			t.Fatalf("packets.txt:%d: want a comment and a version", i+1)
		}
		packet, err := parseBytes(rest)
		if err != nil {
			t.Fatalf("packets.txt:%d: %v", i+1, err)
		}
		all = append(all, vector{fmt.Sprintf("line %d: %s", i+1, comment), Version(v), want, packet})
		comment = ""
	}
	return all
}

// parseBytes reads hexadecimal, and text in quotes.
func parseBytes(s string) (b []byte, err error) {
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		x, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			return nil, err
		}
		b = append(b, x...)
	}
	return b, nil
}

func (x vector) valid() bool { return x.want == "same" || x.want == "other" }

// body is what all decoded packets have in common.
type body interface {
	Append(dst []byte, v Version) []byte
}

type connect struct{ Connect }

func (c *connect) Append(dst []byte, _ Version) []byte { return c.Connect.Append(dst) }

type ping struct{ t PacketType }

func (x *ping) Append(dst []byte, _ Version) []byte { return append(dst, byte(x.t)<<4, 0) }

func decode(p Packet, v Version) (body, error) {
	switch p.Type {
	case CONNECT:
		c := new(connect)
		return c, c.Decode(p)
	case CONNACK:
		c := new(Connack)
		return c, c.Decode(p, v)
	case PUBLISH:
		m := new(Publish)
		return m, m.Decode(p, v)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		a := new(Ack)
		return a, a.Decode(p, v)
	case SUBSCRIBE:
		s := new(Subscribe)
		return s, s.Decode(p, v)
	case SUBACK, UNSUBACK:
		s := new(Suback)
		return s, s.Decode(p, v)
	case UNSUBSCRIBE:
		u := new(Unsubscribe)
		return u, u.Decode(p, v)
	case DISCONNECT, AUTH:
		x := new(Disconnect)
		return x, x.Decode(p, v)
	}
	return &ping{p.Type}, nil
}

// read parses and decodes a buffer that holds exactly one packet.
func read(packet []byte, v Version) (body, error) {
	p, n, err := Parse(packet, v, 0)
	if err != nil {
		return nil, err
	}
	if n != len(packet) {
		return nil, fmt.Errorf("packet of %d bytes, Parse says %d", len(packet), n)
	}
	return decode(p, v)
}

// code returns the reason code of an error of this package.
func code(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return fmt.Sprintf("%02X", byte(e.Code))
	}
	return err.Error()
}

// seal puts a fixed header before a body.
func seal(t PacketType, flags byte, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	return append(appendHeader(nil, t, flags, len(b)), b...)
}

func TestVectors(t *testing.T) {
	all := vectors(t)
	if len(all) < 300 {
		t.Fatalf("only %d vectors were read", len(all))
	}
	for _, x := range all {
		t.Run(x.name, func(t *testing.T) {
			got, err := read(x.packet, x.version)
			if !x.valid() {
				if code(err) != x.want {
					t.Fatalf("% x\ngot %v, want reason code %s", x.packet, err, x.want)
				}
				return
			}
			if err != nil {
				t.Fatalf("% x\n%v", x.packet, err)
			}
			encoded := got.Append([]byte("before"), x.version)[len("before"):]
			if same := bytes.Equal(encoded, x.packet); same != (x.want == "same") {
				t.Fatalf("encodes to % x\nit was         % x", encoded, x.packet)
			}
			again, err := read(encoded, x.version)
			if err != nil {
				t.Fatalf("own encoding % x: %v", encoded, err)
			}
			if !reflect.DeepEqual(again, got) {
				t.Fatalf("after encoding and decoding\n%+v\nbefore\n%+v", again, got)
			}
		})
	}
}

// TestFields looks into a packet of each type, in both directions: that encoding
// undoes decoding does not show that a field is the right one.
func TestFields(t *testing.T) {
	for _, x := range []struct {
		packet string
		v      Version
		want   body
	}{
		{"10 28 0004 'MQTT' 84 F4 0102 0002 'id' 0003 'w/t' 0003 'msg' 0004 'user' 0008 'password'", 0,
			&connect{Connect{Version: V311, Bridge: true, KeepAlive: 0x102, ClientID: "id",
				Will:        &Message{Topic: "w/t", Payload: []byte("msg"), QoS: 2, Retain: true},
				HasUserName: true, UserName: "user", HasPassword: true, Password: []byte("password")}}},
		{"10 2D 0004 'MQTT' 05 0E 0000 05 11 FFFFFFFF 0001 'c' 13 18 00000005 02 00000007 03 0001 't' 09 0002 00FF 0001 'w' 0001 'm'", 0,
			&connect{Connect{Version: V50, CleanStart: true, ClientID: "c",
				Properties: Properties{[]property{{id: SessionExpiryInterval, num: 1<<32 - 1}}},
				WillDelay:  5, WillExpiry: 7, HasWillExpiry: true,
				Will: &Message{Topic: "w", Payload: []byte("m"), QoS: 1,
					Properties: []byte("\x03\x00\x01t\x09\x00\x02\x00\xff")}}}},
		{"20 02 01 00", V311, &Connack{SessionPresent: true}},
		{"20 06 00 95 03 21 0014", V50, &Connack{Code: PacketTooLarge,
			Properties: Properties{[]property{{id: ReceiveMaximum, num: 20}}}}},
		{"3D 08 0003 'a/b' 0102 'x'", V311, &Publish{Dup: true, QoS: 2, Retain: true, PacketID: 0x102,
			Topic: []byte("a/b"), Payload: []byte("x")}},
		{"30 16 0001 'a' 11 26 0001 'k' 0001 'v' 02 0000000A 23 0002 0B 03 'x'", V50,
			&Publish{Topic: []byte("a"), Payload: []byte("x"), TopicAlias: 2, Expiry: 10, HasExpiry: true,
				Identifiers: []uint32{3}, Properties: []byte("\x26\x00\x01k\x00\x01v")}},
		{"62 03 0102 92", V50, &Ack{Type: PUBREL, PacketID: 0x102, Code: PacketIdentifierNotFound}},
		{"82 0B 0102 02 0B 05 0003 'a/#' 2D", V50, &Subscribe{PacketID: 0x102,
			Filters:    []FilterRequest{{"a/#", 0x20 | RetainAsPublished | NoLocal | 1}},
			Properties: Properties{[]property{{id: SubscriptionIdentifier, num: 5}}}}},
		{"90 04 0102 01 80", V311, &Suback{Type: SUBACK, PacketID: 0x102, Codes: []ReasonCode{GrantedQoS1, UnspecifiedError}}},
		{"A2 08 0102 0001 'a' 0001 'b'", V311, &Unsubscribe{PacketID: 0x102, Filters: []string{"a", "b"}}},
		{"B0 05 0102 00 11 00", V50, &Suback{Type: UNSUBACK, PacketID: 0x102, Codes: []ReasonCode{NoSubscriptionExisted, Success}}},
		{"E0 01 8E", V50, &Disconnect{Type: DISCONNECT, Code: SessionTakenOver}},
		{"F0 06 19 04 15 0001 'M'", V50, &Disconnect{Type: AUTH, Code: ReAuthenticate,
			Properties: Properties{[]property{{id: AuthenticationMethod, text: "M"}}}}},
	} {
		packet, err := parseBytes(x.packet)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(packet, x.v)
		if err != nil || !reflect.DeepEqual(got, x.want) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", x.packet, got, err, x.want)
		}
		if b := x.want.Append(nil, x.v); !bytes.Equal(b, packet) {
			t.Errorf("%+v\nencodes to % x\nwant       % x", x.want, b, packet)
		}
	}
}

// TestStrings puts good and bad UTF-8 into every string of every packet, found
// by the letters STR in the vectors [v5 MQTT-1.5.4-1, MQTT-1.5.4-2, MQTT-1.5.7-1].
func TestStrings(t *testing.T) {
	fields := 0
	for _, x := range vectors(t) {
		if x.want != "same" {
			continue
		}
		for i := range x.packet {
			if !bytes.HasPrefix(x.packet[i:], []byte("STR")) {
				continue
			}
			fields++
			for _, s := range []struct{ text, want string }{
				{"\xef\xbb\xbf", "ok"}, // a byte order mark stays [v5 MQTT-1.5.4-3]
				{"\xef\xbf\xbf", "ok"}, // U+FFFF may be refused and is not
				{"a\x01b", "ok"},
				{"a\x7fb", "ok"},
				{"\xed\x9f\xbf", "ok"}, // the last before the surrogates
				{"\xee\x80\x80", "ok"}, // the first behind them
				{"\xed\xa0\x80", "81"}, // a high surrogate
				{"\xed\xbf\xbf", "81"}, // a low one
				{"\x00ab", "81"},
				{"ab\x00", "81"},
				{"a\xc0\x80", "81"},    // U+0000 in overlong form
				{"\xe0\x80\xaf", "81"}, // '/' in overlong form
				{"a\xc1\xbf", "81"},
				{"\xf4\x90\x80", "81"}, // beyond U+10FFFF, and cut off
				{"a\xe2\x82", "81"},
				{"a\x80b", "81"},
				{"ab\xff", "81"},
			} {
				packet := bytes.Clone(x.packet)
				copy(packet[i:], s.text)
				got, err := read(packet, x.version)
				if code(err) != s.want {
					t.Errorf("%s: %q at %d: %v, want %s", x.name, s.text, i, err, s.want)
				} else if err == nil && !bytes.Equal(got.Append(nil, x.version), packet) {
					t.Errorf("%s: %q at %d is not kept as it is", x.name, s.text, i)
				}
			}
		}
	}
	if fields < 50 {
		t.Errorf("only %d strings were tested", fields)
	}
}

// TestErrorsAreShort: what a stranger writes does not blow up the words for it.
func TestErrorsAreShort(t *testing.T) {
	long := bytes.Repeat([]byte{'#'}, 65535)
	for _, packet := range [][]byte{
		seal(CONNECT, 0, appendString(nil, long), []byte("\x04\x02\x00\x00\x00\x00")),
		seal(PUBLISH, 0, appendString(nil, long)),
	} {
		if _, err := read(packet, V311); err == nil || len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes, want a short one", len(fmt.Sprint(err)))
		}
	}
}

// TestMemory holds the package to its word about hostile packets: those with the
// most values to the byte.
func TestMemory(t *testing.T) {
	user := bytes.Repeat([]byte("\x26\x00\x00\x00\x00"), 20000)
	identifiers := bytes.Repeat([]byte("\x0b\x01"), 50000)
	for _, x := range []struct {
		name   string
		packet []byte
	}{
		{"user properties", seal(CONNECT, 0, []byte("\x00\x04MQTT\x05\x02\x00\x00"), appendVarint(nil, uint32(len(user))), user, []byte("\x00\x00"))},
		{"user properties of a will", seal(CONNECT, 0, []byte("\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x00"), appendVarint(nil, uint32(len(user))), user, []byte("\x00\x01w\x00\x00"))},
		{"subscription identifiers", seal(PUBLISH, 0, []byte("\x00\x01a"), appendVarint(nil, uint32(len(identifiers))), identifiers)},
		{"filters", seal(SUBSCRIBE, 2, []byte("\x00\x01\x00"), make([]byte, 3*30000))},
		{"filters to leave", seal(UNSUBSCRIBE, 2, []byte("\x00\x01\x00"), make([]byte, 2*50000))},
		{"codes", seal(SUBACK, 0, []byte("\x00\x01\x00"), make([]byte, 100000))},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(x.packet, V50)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		got := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(x.packet))
		t.Logf("%s: %.1f bytes for each", x.name, got)
		if got > 60 {
			t.Errorf("%s: decoding allocates %.1f bytes for each, want at most 60", x.name, got)
		}
	}
}
