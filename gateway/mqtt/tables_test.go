package mqtt

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// propertyRows is table 2-4 of the standard, in short: identifier, type (b byte,
// 2 and 4 integers, v variable byte integer, s string, d binary data, p pair) and
// the packets, W for the will.
const propertyRows = `
01 b PUBLISH W
02 4 PUBLISH W
03 s PUBLISH W
08 s PUBLISH W
09 d PUBLISH W
0B v PUBLISH SUBSCRIBE
11 4 CONNECT CONNACK DISCONNECT
12 s CONNACK
13 2 CONNACK
15 s CONNECT CONNACK AUTH
16 d CONNECT CONNACK AUTH
17 b CONNECT
18 4 W
19 b CONNECT
1A s CONNACK
1C s CONNACK DISCONNECT
1F s CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH
21 2 CONNECT CONNACK
22 2 CONNECT CONNACK
23 2 PUBLISH
24 b CONNACK
25 b CONNACK
26 p CONNECT W CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH
27 4 CONNECT CONNACK
28 b CONNACK
29 b CONNACK
2A b CONNACK
`

// propertyPlaces are packets of 5.0 around the place of their properties.
var propertyPlaces = map[string]struct {
	t             PacketType
	flags         byte
	before, after string
}{
	"CONNECT":     {CONNECT, 0, "\x00\x04MQTT\x05\x02\x00\x00", "\x00\x01c"},
	"W":           {CONNECT, 0, "\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01c", "\x00\x01w\x00\x00"},
	"CONNACK":     {CONNACK, 0, "\x00\x00", ""},
	"PUBLISH":     {PUBLISH, 0, "\x00\x01a", "payload"},
	"PUBACK":      {PUBACK, 0, "\x00\x01\x80", ""},
	"PUBREC":      {PUBREC, 0, "\x00\x01\x80", ""},
	"PUBREL":      {PUBREL, 2, "\x00\x01\x92", ""},
	"PUBCOMP":     {PUBCOMP, 0, "\x00\x01\x92", ""},
	"SUBSCRIBE":   {SUBSCRIBE, 2, "\x00\x01", "\x00\x01a\x00"},
	"SUBACK":      {SUBACK, 0, "\x00\x01", "\x00"},
	"UNSUBSCRIBE": {UNSUBSCRIBE, 2, "\x00\x01", "\x00\x01a"},
	"UNSUBACK":    {UNSUBACK, 0, "\x00\x01", "\x00"},
	"DISCONNECT":  {DISCONNECT, 0, "\x80", ""},
	"AUTH":        {AUTH, 0, "\x18", ""},
}

// TestPropertyTable puts every property into every packet: once, twice, and cut off.
func TestPropertyTable(t *testing.T) {
	types := map[byte]string{}
	places := map[byte][]string{}
	for line := range strings.Lines(strings.TrimSpace(propertyRows)) {
		f := strings.Fields(line)
		id, err := strconv.ParseUint(f[0], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		types[byte(id)], places[byte(id)] = f[1], f[2:]
	}
	values := map[string]string{"b": "\x01", "2": "\x00\x01", "4": "\x00\x00\x00\x01", "v": "\x01",
		"s": "\x00\x01a", "d": "\x00\x01\xff", "p": "\x00\x01k\x00\x01v", "": "\x00"}
	for name, place := range propertyPlaces {
		try := func(properties ...string) (body, []byte, error) {
			p := strings.Join(properties, "")
			packet := seal(place.t, place.flags, []byte(place.before), []byte{byte(len(p))}, []byte(p), []byte(place.after))
			got, err := read(packet, V50)
			return got, packet, err
		}
		for i := range 256 {
			id := byte(i)
			wire := string(appendVarint(nil, uint32(id)))
			one := wire + values[types[id]]
			// The method is not left out, and data do not come without it.
			var method string
			if id != byte(AuthenticationMethod) && (name == "AUTH" || name == "CONNECT" && id == byte(AuthenticationData)) {
				method = "\x15\x00\x01M"
			}
			want, twice := "81", "81"
			if slices.Contains(places[id], name) {
				want, twice = "ok", "82"
				if id == byte(UserProperty) || id == byte(SubscriptionIdentifier) && name == "PUBLISH" {
					twice = "ok"
				}
			}
			got, packet, err := try(method, one)
			if code(err) != want {
				t.Errorf("property %02X in %s: %v, want %s", id, name, err, want)
			} else if err == nil && !bytes.Equal(got.Append(nil, V50), packet) {
				t.Errorf("property %02X in %s: encodes to % x, was % x", id, name, got.Append(nil, V50), packet)
			}
			if _, _, err := try(method, one, one); code(err) != twice {
				t.Errorf("property %02X twice in %s: %v, want %s", id, name, err, twice)
			}
			if _, _, err := try(method, one[:len(one)-1]); code(err) != "81" {
				t.Errorf("property %02X cut off in %s: %v, want 81", id, name, err)
			}
		}
	}
}

// codeRows are the reason codes that the sections of the packets list.
var codeRows = map[PacketType]string{
	CONNACK:    "00 80 81 82 83 84 85 86 87 88 89 8A 8C 90 95 97 99 9A 9B 9C 9D 9F",
	PUBACK:     "00 10 80 83 87 90 91 97 99",
	PUBREC:     "00 10 80 83 87 90 91 97 99",
	PUBREL:     "00 92",
	PUBCOMP:    "00 92",
	SUBACK:     "00 01 02 80 83 87 8F 91 97 9E A1 A2",
	UNSUBACK:   "00 11 80 83 87 8F 91",
	DISCONNECT: disconnectBoth + " " + disconnectClient + " " + disconnectServer,
	AUTH:       "00 18 19",
}

const (
	disconnectBoth   = "00 80 81 82 83 90 93 94 95 96 97 98 99"
	disconnectClient = "04"
	disconnectServer = "87 89 8B 8D 8E 8F 9A 9B 9C 9D 9E 9F A0 A1 A2"
)

func TestReasonCodes(t *testing.T) {
	packets := map[PacketType]func(c byte) []byte{
		CONNACK:    func(c byte) []byte { return []byte{0x20, 3, 0, c, 0} },
		PUBACK:     func(c byte) []byte { return []byte{0x40, 3, 0, 1, c} },
		PUBREC:     func(c byte) []byte { return []byte{0x50, 3, 0, 1, c} },
		PUBREL:     func(c byte) []byte { return []byte{0x62, 3, 0, 1, c} },
		PUBCOMP:    func(c byte) []byte { return []byte{0x70, 3, 0, 1, c} },
		SUBACK:     func(c byte) []byte { return []byte{0x90, 4, 0, 1, 0, c} },
		UNSUBACK:   func(c byte) []byte { return []byte{0xb0, 4, 0, 1, 0, c} },
		DISCONNECT: func(c byte) []byte { return []byte{0xe0, 1, c} },
		AUTH:       func(c byte) []byte { return []byte{0xf0, 6, c, 4, 0x15, 0, 1, 'M'} },
	}
	for typ, row := range codeRows {
		for c := range 256 {
			x := fmt.Sprintf("%02X", c)
			want := "81"
			if strings.Contains(row, x) {
				want = "ok"
				if strings.HasPrefix(ReasonCode(c).String(), "reason code") {
					t.Errorf("reason code %s has no name", x)
				}
			}
			if _, err := read(packets[typ](byte(c)), V50); code(err) != want {
				t.Errorf("%v with code %s: %v, want %s", typ, x, err, want)
			}
		}
	}
	if s := ReasonCode(0x03).String(); s != "reason code 0x03" {
		t.Errorf("a code that is none: %q", s)
	}
}

// TestSenders holds DISCONNECT and AUTH to the senders that their tables name.
func TestSenders(t *testing.T) {
	for _, x := range []struct {
		t              PacketType
		codes          string
		client, server bool
	}{
		{DISCONNECT, disconnectBoth, true, true},
		{DISCONNECT, disconnectClient, true, false},
		{DISCONNECT, disconnectServer, false, true},
		{AUTH, "00", false, true},
		{AUTH, "18", true, true},
		{AUTH, "19", true, false},
	} {
		for _, s := range strings.Fields(x.codes) {
			c, err := strconv.ParseUint(s, 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			d := Disconnect{Type: x.t, Code: ReasonCode(c)}
			if d.ClientMaySend() != x.client || d.ServerMaySend() != x.server {
				t.Errorf("%v %s: client %v, server %v; want %v, %v", x.t, s, d.ClientMaySend(), d.ServerMaySend(), x.client, x.server)
			}
		}
	}
	d := Disconnect{Type: DISCONNECT}
	d.Properties.SetUint(SessionExpiryInterval, 0)
	if d.ServerMaySend() || !d.ClientMaySend() {
		t.Error("only a client may send a session expiry interval")
	}
}

func TestConnectReturnCode(t *testing.T) {
	want := map[ReasonCode]byte{0x00: 0, 0x84: 1, 0x85: 2, 0x88: 3, 0x89: 3, 0x97: 3, 0x9C: 3, 0x9D: 3, 0x9F: 3, 0x86: 4, 0x87: 5, 0x8A: 5, 0x8C: 5}
	for c := range 256 {
		got, ok := ReasonCode(c).ConnectReturnCode()
		w, fits := want[ReasonCode(c)]
		if got != w || ok != fits {
			t.Errorf("%02X: %d, %v; want %d, %v", c, got, ok, w, fits)
		}
	}
}

// TestOldSuback: what the older protocols are told of a refusal.
func TestOldSuback(t *testing.T) {
	s := Suback{Type: SUBACK, PacketID: 1, Codes: []ReasonCode{GrantedQoS2, NotAuthorized, TopicFilterInvalid}}
	for v, want := range map[Version]string{
		V31:  "\x90\x05\x00\x01\x02\x00\x00",
		V311: "\x90\x05\x00\x01\x02\x80\x80",
		V50:  "\x90\x06\x00\x01\x00\x02\x87\x8f",
	} {
		if got := s.Append(nil, v); string(got) != want {
			t.Errorf("version %d: % x, want % x", v, got, want)
		}
	}
	u := Suback{Type: UNSUBACK, PacketID: 1, Codes: []ReasonCode{NoSubscriptionExisted}}
	if got := u.Append(nil, V311); string(got) != "\xb0\x02\x00\x01" {
		t.Errorf("UNSUBACK of 3.1.1: % x", got)
	}
	c := Connack{SessionPresent: true}
	if got := c.Append(nil, V31); string(got) != "\x20\x02\x00\x00" {
		t.Errorf("CONNACK of 3.1: % x", got)
	}
}

func TestSetPacketID(t *testing.T) {
	for _, v := range []Version{V31, V311, V50} {
		for _, payload := range []int{0, 100, 1000, 20000, 2100000} {
			for _, topic := range []string{"t", strings.Repeat("level/", 50)} {
				m := Publish{QoS: 1, PacketID: 1, Topic: []byte(topic), Payload: bytes.Repeat([]byte{0xa5}, payload), HasExpiry: true, Expiry: 9}
				packet := m.Append(nil, v)
				SetPacketID(packet, 0xfffe)
				m.PacketID = 0xfffe
				if !bytes.Equal(packet, m.Append(nil, v)) {
					t.Errorf("version %d, payload of %d bytes, topic of %d: not only the packet identifier changed, or not it", v, payload, len(topic))
				}
			}
		}
	}
}

func TestProperties(t *testing.T) {
	var p Properties
	if p.Has(ReasonString) || p.Uint(ReceiveMaximum, 65535) != 65535 || p.Text(ReasonString) != "" || p.User() != nil {
		t.Error("there is something in no properties")
	}
	p.SetUint(ReceiveMaximum, 20)
	p.SetUint(SessionExpiryInterval, 0)
	p.AddUser("k", "2")
	p.SetText(ReasonString, "why")
	p.AddUser("k", "1")
	p.SetText(AuthenticationData, "\x00\xff")
	p.AddUser("", "")
	c := Connack{Code: ServerBusy, Properties: p}
	got, err := read(c.Append(nil, V50), V50)
	if err != nil {
		t.Fatal(err)
	}
	q := &got.(*Connack).Properties
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"a number", q.Uint(ReceiveMaximum, 65535), uint32(20)},
		{"0 is not missing", q.Uint(SessionExpiryInterval, 7), uint32(0)},
		{"0 is there", q.Has(SessionExpiryInterval), true},
		{"missing", q.Uint(TopicAliasMaximum, 7), uint32(7)},
		{"not there", q.Has(TopicAliasMaximum), false},
		{"text", q.Text(ReasonString), "why"},
		{"binary data", q.Text(AuthenticationData), "\x00\xff"},
		{"no text", q.Text(ServerReference), ""},
		{"user properties keep their order and doubles", q.User(), []Pair{{"k", "2"}, {"k", "1"}, {"", ""}}},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s: %v, want %v", x.what, x.got, x.want)
		}
	}
	// Longer than any buffer that the encoder may have at hand.
	c.Properties.AddUser(strings.Repeat("n", 65535), strings.Repeat("v", 65535))
	got, err = read(c.Append(nil, V50), V50)
	if err != nil || !reflect.DeepEqual(got, &c) {
		t.Errorf("long properties are not kept: %v", err)
	}
}

func TestNames(t *testing.T) {
	if s := fmt.Sprint(PUBLISH, AUTH, PacketType(0), PacketType(0xff)); s != "PUBLISH AUTH reserved AUTH" {
		t.Error(s)
	}
	if s := malformed("x").Error() + ", " + (&Error{Code: ServerBusy}).Error(); s != "malformed packet: x, server busy" {
		t.Error(s)
	}
}
