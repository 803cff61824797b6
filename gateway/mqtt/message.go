package mqtt

import "time"

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
}
