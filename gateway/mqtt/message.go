package mqtt

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// QoS is the quality of service of a message or a subscription: 0, 1 or 2.
type QoS = byte

// Message is an application message on its way through the house, whatever
// protocol version it came in by or leaves by.
//
// A Message that was handed to somebody is shared: nobody changes it or the
// bytes that it points at.
type Message struct {
	Topic   string
	Payload []byte
	QoS     QoS
	Retain  bool

	// Properties holds the MQTT 5.0 properties that travel with the message,
	// in wire form and in the publisher's order: payload format indicator,
	// content type, response topic, correlation data and user properties.
	// Topic alias, subscription identifiers and the message expiry interval
	// are never in it: they belong to a hop, not to the message.
	Properties []byte

	// Expires is when the message expires, on the monotonic clock;
	// the zero time is never.
	Expires time.Time

	// Volatile says that a retained message is not worth the card: its publisher sends it
	// anew at each start. It ends with the program.
	Volatile bool

	// Provisional is set by a store that does not know yet for how long the
	// machine was off: Expires leaves that out.
	Provisional bool

	// Trace is the number under which somebody follows the message through the house; 0:
	// nobody does. It is neither sent nor stored.
	Trace uint64
}

// Validate reports why a message cannot be published. The error is the one that
// a client would cause with the same in a PUBLISH of 5.0. A message that was
// decoded needs no such look.
func (m *Message) Validate() error {
	if m.QoS > 2 { // [v5 MQTT-3.3.1-4]
		return malformed(fmt.Sprintf("QoS %d", m.QoS))
	}
	if m.Topic == "" {
		return protocolError("empty topic name")
	}
	if !utf8.ValidString(m.Topic) || strings.Contains(m.Topic, "\x00") { // [v5 MQTT-1.5.4-1, MQTT-1.5.4-2]
		return malformed("topic name is not valid UTF-8")
	}
	if !ValidTopicName(m.Topic) { // [v5 MQTT-3.3.2-2]
		return &Error{TopicNameInvalid, fmt.Sprintf("topic name %.40q", m.Topic)}
	}
	_, err := DecodeProperties(m.Properties)
	return err
}

// Size returns the size of a PUBLISH packet of 5.0 with the message, on a hop
// that adds nothing of its own.
func (m *Message) Size() int {
	p := Publish{QoS: m.QoS, Payload: m.Payload, Properties: m.Properties, HasExpiry: !m.Expires.IsZero()}
	length, _ := p.length(V50, m.Topic)
	return 1 + varintSize(uint32(length)) + length
}
