// Package mqtt is the wire of MQTT 3.1, 3.1.1 and 5.0: packets, properties,
// reason codes, topic names and topic filters. It does no I/O.
//
// Parse takes a packet off a buffer, the Decode method of its type reads it, and
// the Append methods write packets. Decoded packets of the hot path point into
// the buffer; those of the others are copies. Both directions are here, so that
// clients and servers share one codec.
//
// What is wrong with a packet is an *Error with the reason code that the standard
// names. No input makes this package panic, or allocate more than some fifty times
// its length in all (empty filters, empty user properties): who reads from
// strangers bounds the size of a packet in Parse.
//
// Statements of the standards are cited as [v3 MQTT-x.y.z-n] for 3.1.1 and
// [v5 MQTT-x.y.z-n] for 5.0: their numbers differ.
package mqtt
