package mqtt

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// A message is valid if a PUBLISH with it is, and wrong for the same reason.
func TestMessageValidate(t *testing.T) {
	user := "\x26\x00\x01a\x00\x01b"
	for _, m := range []Message{
		{Topic: "a"},
		{Topic: "/"},
		{Topic: "größe/温度", QoS: 2, Retain: true, Payload: []byte("\xff\x00")},
		{Topic: strings.Repeat("a", 65535)},
		{Topic: "a", Properties: []byte(user + user)},
		{Topic: "a", Properties: []byte("\x01\x01\x03\x00\x01t" + user + "\x08\x00\x01r\x09\x00\x02\xff\x00")},
		{},
		{Topic: "a", QoS: 3},
		{Topic: "a", QoS: 7},
		{Topic: "a/#"},
		{Topic: "+"},
		{Topic: "a\x00"},
		{Topic: "a\xff"},
		{Topic: "\xed\xa0\x80"}, // a surrogate
		{Topic: "a", Properties: []byte("\x03\x00")},                 // cut off
		{Topic: "a", Properties: []byte("\x03\x00\x01\xff")},         // not UTF-8
		{Topic: "a", Properties: []byte("\x01\x02")},                 // neither 0 nor 1
		{Topic: "a", Properties: []byte("\x01\x00\x01\x00")},         // twice
		{Topic: "a", Properties: []byte("\x08\x00\x01#")},            // no topic to answer to
		{Topic: "a", Properties: []byte("\x11\x00\x00\x00\x01")},     // of another packet
		{Topic: "a", Properties: []byte("\x7f")},                     // unknown
		{Topic: "a", Properties: []byte(user + "\x26\x00\x01a")},     // half
		{Topic: "a", Properties: []byte("\x26\x00\x01\x00\x00\x00")}, // U+0000
	} {
		p := Publish{Topic: []byte(m.Topic), QoS: m.QoS & 3, PacketID: 1, Retain: m.Retain, Payload: m.Payload, Properties: m.Properties}
		packet := p.Append(nil, V50)
		parsed, _, err := Parse(packet, V50, 0)
		if err != nil {
			t.Fatal(err)
		}
		var decoded Publish
		if want, got := code(decoded.Decode(parsed, V50)), code(m.Validate()); got != want {
			t.Errorf("%.40q with QoS %d and properties %q: %q, a PUBLISH with it %q", m.Topic, m.QoS, m.Properties, got, want)
		}
	}
	// What belongs to a hop is fine in a PUBLISH, but not in a message.
	for _, properties := range []string{"\x02\x00\x00\x00\x01", "\x23\x00\x01", "\x0b\x01"} {
		m := Message{Topic: "a", Properties: []byte(properties)}
		if got := code(m.Validate()); got != "82" {
			t.Errorf("properties %q: %q, want 82", properties, got)
		}
	}
	long := Message{Topic: strings.Repeat("a", 65536)}
	if got := code(long.Validate()); got != "90" {
		t.Errorf("a topic name of %d bytes: %q", len(long.Topic), got)
	}
}

func TestMessageSize(t *testing.T) {
	for qos := range QoS(3) {
		for _, payload := range []int{0, 100, 121, 122, 123, 20_000} {
			for _, properties := range []string{"", "\x01\x01"} {
				m := Message{Topic: "a/b", QoS: qos, Payload: make([]byte, payload), Properties: []byte(properties)}
				p := Publish{Topic: []byte("a/b"), QoS: qos, PacketID: 1, Payload: m.Payload, Properties: m.Properties}
				if got, want := m.Size(), len(p.Append(nil, V50)); got != want {
					t.Errorf("size %d, want %d", got, want)
				}
				m.Expires, p.HasExpiry = time.Now(), true
				if got, want := m.Size(), len(p.Append(nil, V50)); got != want {
					t.Errorf("size with expiry %d, want %d", got, want)
				}
			}
		}
	}
}

func TestMessageProperties(t *testing.T) {
	var p Properties
	p.AddUser("k", "2")
	p.SetText(ContentType, "text/plain")
	p.SetUint(PayloadFormatIndicator, 1)
	p.AddUser("k", "1")
	p.SetText(ResponseTopic, "answers")
	p.SetText(CorrelationData, "\x00\xff")
	m := Message{Topic: "a", Properties: p.Encode(nil)}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := DecodeProperties(m.Properties)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("decoded %v, %v, want %v", got, err, p)
	}
	none, err := DecodeProperties(nil)
	if err != nil || !reflect.DeepEqual(none, Properties{}) {
		t.Errorf("no properties decoded to %v, %v", none, err)
	}
}
