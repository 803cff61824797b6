package broker_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

const (
	only3 = 1 << mqtt.V311
	only5 = 1 << mqtt.V50
	both  = only3 | only5
)

// violations are packets that end a connection, each sent after CONNECT.
// Numbers are those of the standards; the code is that of the DISCONNECT in 5.0.
var violations = []struct {
	name     string
	versions int
	packet   string
	code     mqtt.ReasonCode
}{
	{"packet type 0", both, "\x00\x00", mqtt.MalformedPacket},
	{"second CONNECT", only3, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a", mqtt.ProtocolError},
	{"second CONNECT", only5, "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a", mqtt.ProtocolError},
	{"CONNACK", both, "\x20\x02\x00\x00", mqtt.ProtocolError},
	{"SUBACK", only3, "\x90\x03\x00\x01\x00", mqtt.ProtocolError},
	{"SUBACK", only5, "\x90\x04\x00\x01\x00\x00", mqtt.ProtocolError},
	{"UNSUBACK", only3, "\xB0\x02\x00\x01", mqtt.ProtocolError},
	{"UNSUBACK", only5, "\xB0\x04\x00\x01\x00\x00", mqtt.ProtocolError},
	{"PINGRESP", both, "\xD0\x00", mqtt.ProtocolError},
	{"AUTH", only3, "\xF0\x00", mqtt.MalformedPacket},
	{"AUTH", only5, "\xF0\x00", mqtt.ProtocolError},
	{"AUTH with a method", only5, "\xF0\x06\x19\x04\x15\x00\x01x", mqtt.ProtocolError},

	{"PINGREQ with flags", both, "\xC1\x00", mqtt.MalformedPacket},
	{"PINGREQ with a body", both, "\xC0\x01\x00", mqtt.MalformedPacket},
	{"remaining length in overlong form", both, "\xC0\x80\x00", mqtt.MalformedPacket},
	{"remaining length of five bytes", both, "\x30\x80\x80\x80\x80\x01", mqtt.MalformedPacket},
	{"packet of 256 MB", both, "\x30\xFF\xFF\xFF\x7F", mqtt.PacketTooLarge},

	{"PUBLISH with QoS 3", both, "\x36\x05\x00\x01t\x00\x01", mqtt.MalformedPacket},
	{"PUBLISH with DUP and QoS 0", both, "\x38\x05\x00\x01t\x00\x00", mqtt.MalformedPacket},
	{"PUBLISH with packet id 0", only3, "\x32\x05\x00\x01t\x00\x00", mqtt.ProtocolError},
	{"PUBLISH with packet id 0", only5, "\x32\x06\x00\x01t\x00\x00\x00", mqtt.ProtocolError},
	{"PUBLISH without packet id", both, "\x32\x03\x00\x01t", mqtt.MalformedPacket},
	{"PUBLISH whose topic runs over", both, "\x30\x03\x00\x09t", mqtt.MalformedPacket},
	{"PUBLISH to a wildcard +", only3, "\x30\x05\x00\x03a/+", mqtt.TopicNameInvalid},
	{"PUBLISH to a wildcard +", only5, "\x30\x06\x00\x03a/+\x00", mqtt.TopicNameInvalid},
	{"PUBLISH to a wildcard #", only5, "\x30\x04\x00\x01#\x00", mqtt.TopicNameInvalid},
	{"PUBLISH without topic", only3, "\x30\x02\x00\x00", mqtt.TopicNameInvalid},
	{"PUBLISH without topic and alias", only5, "\x30\x03\x00\x00\x00", mqtt.ProtocolError},
	{"PUBLISH with U+0000 in the topic", only3, "\x30\x05\x00\x03a\x00b", mqtt.MalformedPacket},
	{"PUBLISH with a surrogate in the topic", both, "\x30\x06\x00\x03\xED\xA0\x80\x00", mqtt.MalformedPacket},
	{"PUBLISH with an overlong form in the topic", both, "\x30\x05\x00\x02\xC0\x80\x00", mqtt.MalformedPacket},
	{"PUBLISH whose properties run over", only5, "\x30\x04\x00\x01t\x05", mqtt.MalformedPacket},
	{"PUBLISH with an unknown property", only5, "\x30\x06\x00\x01t\x02\x04\x00", mqtt.MalformedPacket},
	{"PUBLISH with a property of CONNECT", only5, "\x30\x07\x00\x01t\x03\x21\x00\x01", mqtt.MalformedPacket},
	{"PUBLISH with will delay", only5, "\x30\x09\x00\x01t\x05\x18\x00\x00\x00\x01", mqtt.MalformedPacket},
	{"PUBLISH with a property twice, the first 0", only5, "\x30\x08\x00\x01t\x04\x01\x00\x01\x01", mqtt.ProtocolError},
	{"PUBLISH with payload format 2", only5, "\x30\x06\x00\x01t\x02\x01\x02", mqtt.ProtocolError},
	{"PUBLISH with a wildcard as response topic", only5, "\x30\x08\x00\x01t\x04\x08\x00\x01+", mqtt.ProtocolError},
	{"PUBLISH with an empty response topic", only5, "\x30\x07\x00\x01t\x03\x08\x00\x00", mqtt.ProtocolError},
	{"PUBLISH with a subscription identifier", only5, "\x30\x06\x00\x01t\x02\x0B\x01", mqtt.ProtocolError},
	{"PUBLISH with topic alias 0", only5, "\x30\x07\x00\x01t\x03\x23\x00\x00", mqtt.TopicAliasInvalid},
	{"PUBLISH with topic alias 65", only5, "\x30\x07\x00\x01t\x03\x23\x00\x41", mqtt.TopicAliasInvalid},
	{"PUBLISH with an unknown topic alias", only5, "\x30\x06\x00\x00\x03\x23\x00\x01", mqtt.ProtocolError},
	{"PUBLISH with half a user property", only5, "\x30\x08\x00\x01t\x04\x26\x00\x01a", mqtt.MalformedPacket},

	{"PUBACK with flags", both, "\x42\x02\x00\x01", mqtt.MalformedPacket},
	{"PUBREC with flags", both, "\x51\x02\x00\x01", mqtt.MalformedPacket},
	{"PUBREL without flags", both, "\x60\x02\x00\x01", mqtt.MalformedPacket},
	{"PUBREL with DUP", both, "\x6A\x02\x00\x01", mqtt.MalformedPacket},
	{"PUBCOMP with flags", both, "\x72\x02\x00\x01", mqtt.MalformedPacket},
	{"PUBACK with packet id 0", both, "\x40\x02\x00\x00", mqtt.ProtocolError},
	{"PUBREC with packet id 0", both, "\x50\x02\x00\x00", mqtt.ProtocolError},
	{"PUBREL with packet id 0", both, "\x62\x02\x00\x00", mqtt.ProtocolError},
	{"PUBCOMP with packet id 0", both, "\x70\x02\x00\x00", mqtt.ProtocolError},
	{"PUBACK with half a packet id", both, "\x40\x01\x00", mqtt.MalformedPacket},
	{"PUBACK with trailing bytes", only3, "\x40\x03\x00\x01\x00", mqtt.MalformedPacket},
	{"PUBREC with trailing bytes", only3, "\x50\x03\x00\x01\x00", mqtt.MalformedPacket},
	{"PUBREL with trailing bytes", only3, "\x62\x03\x00\x01\x00", mqtt.MalformedPacket},
	{"PUBCOMP with trailing bytes", only3, "\x70\x03\x00\x01\x00", mqtt.MalformedPacket},
	{"PUBACK with bytes behind the properties", only5, "\x40\x05\x00\x01\x00\x00\x00", mqtt.MalformedPacket},
	{"PUBACK with an unknown code", only5, "\x40\x03\x00\x01\x01", mqtt.MalformedPacket},
	{"PUBREC with an unknown code", only5, "\x50\x03\x00\x01\x92", mqtt.MalformedPacket},
	{"PUBREL with an unknown code", only5, "\x62\x03\x00\x01\x91", mqtt.MalformedPacket},
	{"PUBCOMP with an unknown code", only5, "\x70\x03\x00\x01\x80", mqtt.MalformedPacket},
	{"PUBACK with a property of PUBLISH", only5, "\x40\x06\x00\x01\x00\x02\x01\x00", mqtt.MalformedPacket},

	{"SUBSCRIBE without flags", both, "\x80\x06\x00\x01\x00\x01t\x00", mqtt.MalformedPacket},
	{"SUBSCRIBE with DUP", both, "\x8A\x06\x00\x01\x00\x01t\x00", mqtt.MalformedPacket},
	{"SUBSCRIBE with packet id 0", only3, "\x82\x06\x00\x00\x00\x01t\x00", mqtt.ProtocolError},
	{"SUBSCRIBE without filter", only3, "\x82\x02\x00\x01", mqtt.ProtocolError},
	{"SUBSCRIBE without filter", only5, "\x82\x03\x00\x01\x00", mqtt.ProtocolError},
	{"SUBSCRIBE without options", only3, "\x82\x05\x00\x01\x00\x01t", mqtt.MalformedPacket},
	{"SUBSCRIBE without options", only5, "\x82\x06\x00\x01\x00\x00\x01t", mqtt.MalformedPacket},
	{"SUBSCRIBE with QoS 3", only3, "\x82\x06\x00\x01\x00\x01t\x03", mqtt.MalformedPacket},
	{"SUBSCRIBE with options of 5.0", only3, "\x82\x06\x00\x01\x00\x01t\x04", mqtt.MalformedPacket},
	{"SUBSCRIBE with QoS 3", only5, "\x82\x07\x00\x01\x00\x00\x01t\x03", mqtt.ProtocolError},
	{"SUBSCRIBE with retain handling 3", only5, "\x82\x07\x00\x01\x00\x00\x01t\x30", mqtt.ProtocolError},
	{"SUBSCRIBE with reserved options", only5, "\x82\x07\x00\x01\x00\x00\x01t\x40", mqtt.MalformedPacket},
	{"SUBSCRIBE with no local on a share", only5, "\x82\x10\x00\x01\x00\x00\x0a$share/g/t\x04", mqtt.ProtocolError},
	{"SUBSCRIBE with identifier 0", only5, "\x82\x09\x00\x01\x02\x0B\x00\x00\x01t\x00", mqtt.ProtocolError},
	{"SUBSCRIBE with two identifiers", only5, "\x82\x0B\x00\x01\x04\x0B\x01\x0B\x02\x00\x01t\x00", mqtt.ProtocolError},
	{"SUBSCRIBE with U+0000 in the filter", only5, "\x82\x07\x00\x01\x00\x00\x01\x00\x00", mqtt.MalformedPacket},
	{"UNSUBSCRIBE without flags", both, "\xA0\x05\x00\x01\x00\x01t", mqtt.MalformedPacket},
	{"UNSUBSCRIBE with packet id 0", only3, "\xA2\x05\x00\x00\x00\x01t", mqtt.ProtocolError},
	{"UNSUBSCRIBE without filter", only3, "\xA2\x02\x00\x01", mqtt.ProtocolError},
	{"UNSUBSCRIBE without filter", only5, "\xA2\x03\x00\x01\x00", mqtt.ProtocolError},

	{"DISCONNECT with flags", both, "\xE1\x00", mqtt.MalformedPacket},
	{"DISCONNECT with a body", only3, "\xE0\x01\x00", mqtt.MalformedPacket},
	{"DISCONNECT with an unknown code", only5, "\xE0\x01\x01", mqtt.MalformedPacket},
	{"DISCONNECT with a code of servers", only5, "\xE0\x01\x8E", mqtt.ProtocolError},
	{"DISCONNECT that raises the session expiry from 0", only5, "\xE0\x07\x00\x05\x11\x00\x00\x00\x01", mqtt.ProtocolError},
	{"DISCONNECT with a property of CONNECT", only5, "\xE0\x05\x00\x03\x21\x00\x01", mqtt.MalformedPacket},
}

// Each violation ends its own connection, with its reason in 5.0, publishes the
// will, and disturbs nobody else [v5 MQTT-4.13.1-1, v3 MQTT-4.8.0-1].
func TestViolations(t *testing.T) {
	s := newServer(t)
	watch := connect(t, s, clean(mqtt.V311, "watch"))
	watch.subscribe(filter("will/#", 1))
	for i, x := range violations {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V50} {
			if x.versions&(1<<v) == 0 {
				continue
			}
			t.Run(versionName(v)+" "+x.name, func(t *testing.T) {
				packet := clean(v, "violator")
				topic := fmt.Sprintf("will/%d", i)
				packet.Will = &mqtt.Message{Topic: topic, Payload: []byte("gone"), QoS: 1}
				before := s.Stats().MalformedPackets
				c := connect(t, s, packet)
				c.raw([]byte(x.packet))
				c.wantEnd(x.code)
				watch.t = t
				watch.ack(mqtt.PUBACK, watch.wantMessage(topic, "gone", 1).PacketID)
				if after := s.Stats().MalformedPackets; after != before+1 {
					t.Errorf("%d malformed packets were counted", after-before)
				}
			})
		}
	}
	watch.t = t
	watch.barrier()
}

// Acknowledgements that do not fit what was sent.
func TestWrongAcknowledgement(t *testing.T) {
	s := newServer(t)
	for _, x := range []struct {
		qos mqtt.QoS
		ack mqtt.PacketType
	}{
		{1, mqtt.PUBREC}, {1, mqtt.PUBCOMP}, {2, mqtt.PUBACK}, {2, mqtt.PUBCOMP},
	} {
		forVersions(t, func(t *testing.T, v mqtt.Version) {
			c := connect(t, s, clean(v, "c"))
			c.subscribe(filter("t", 2))
			c.send(&mqtt.Publish{Topic: []byte("t"), QoS: x.qos, PacketID: 1})
			c.either(mqtt.PUBACK+mqtt.PacketType(x.qos)-1, mqtt.PUBLISH)
			c.ack(x.ack, 1)
			c.wantEnd(mqtt.ProtocolError)
		}, mqtt.V311, mqtt.V50)
	}
}

// Nobody may break the connection with acknowledgements of what was never sent:
// after a reconnect they are likely [v5 MQTT-4.3.3].
func TestUnknownAcknowledgement(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		missing := mqtt.Success
		if v == mqtt.V50 {
			missing = mqtt.PacketIdentifierNotFound
		}
		c := connect(t, s, clean(v, "c"))
		c.ack(mqtt.PUBACK, 9)
		c.ack(mqtt.PUBCOMP, 9)
		c.barrier()
		c.ack(mqtt.PUBREC, 9)
		c.wantAck(mqtt.PUBREL, 9, missing)
		c.ack(mqtt.PUBREL, 9)
		c.wantAck(mqtt.PUBCOMP, 9, missing)
	}, versions...)
}

// What 3.1 allows and later versions do not: DUP on what is sent again, and
// flags whose fields are missing.
func TestLooseOldVersion(t *testing.T) {
	s := newServer(t)
	c := connect(t, s, clean(mqtt.V31, "old"))
	c.raw([]byte("\x8A\x06\x00\x01\x00\x01t\x02"))
	c.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS2)
	c.raw([]byte("\x3C\x06\x00\x01t\x00\x05x"))
	c.either(mqtt.PUBREC, mqtt.PUBLISH)
	c.raw([]byte("\x6A\x02\x00\x05"))
	c.wantAck(mqtt.PUBCOMP, 5, mqtt.Success)
	c.raw([]byte("\xAA\x05\x00\x02\x00\x01t"))
	c.wantCodes(mqtt.UNSUBACK, 2)
	c.raw([]byte("\x82\x02\x00\x03")) // no filter: nothing to refuse in 3.1
	c.wantCodes(mqtt.SUBACK, 3)
	c.barrier()
}

// The reason reaches a client that goes on sending and has not read yet: closing
// a socket with unread input makes TCP throw away what was sent.
func TestReasonReachesBusyClient(t *testing.T) {
	s := newServer(t)
	b := []byte("\xC1\x00")
	for range 5000 {
		b = (&mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 100)}).Append(b, mqtt.V50)
	}
	secure, config := serveTLS(t, s)
	for range 20 {
		c := connect(t, s, clean(mqtt.V50, "busy"))
		c.raw(b)
		c.wantEnd(mqtt.MalformedPacket)

		nc, err := tls.Dial("tcp", secure, config)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		c = &rawClient{t: t, net: nc, version: mqtt.V50}
		packet := clean(mqtt.V50, "busy over TLS")
		c.raw(packet.Append(nil))
		c.expect(mqtt.CONNACK)
		c.raw(b)
		c.wantEnd(mqtt.MalformedPacket)
		nc.Close()
	}
}

// A whole session in writes of one byte each.
func TestOneByteWrites(t *testing.T) {
	s := newServer(t)
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		packet := clean(v, "slow")
		b := packet.Append(nil)
		b = (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("a/+", 2)}}).Append(b, v)
		b = (&mqtt.Publish{Topic: []byte("a/b"), Payload: make([]byte, 300), QoS: 1, PacketID: 2}).Append(b, v)
		b = append(b, 0xC0, 0, 0xE0, 0)
		c := openRaw(t, s, v)
		for i := range b {
			c.raw(b[i : i+1])
		}
		c.expect(mqtt.CONNACK)
		c.wantCodes(mqtt.SUBACK, 1, mqtt.GrantedQoS2)
		c.wantMessage("a/b", string(make([]byte, 300)), 1)
		c.wantAck(mqtt.PUBACK, 2, mqtt.Success)
		c.expect(mqtt.PINGRESP)
		c.end()
	}, versions...)
}
