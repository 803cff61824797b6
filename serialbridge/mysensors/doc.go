// Package mysensors speaks with MySensors gateways: an Arduino or ESP with a radio
// (nRF24, RFM69) behind which self-made sensors and actuators report.
//
// The gateway talks in lines (MySensors Serial Protocol 2.x):
//
//	node;child;command;ack;type;payload
//
// A node is a device of the house. Its children are single sensors or actuators;
// each of their variables becomes a property, named by the variable and the
// number of the child: temperature_1. A node presents itself and its children
// when it starts, which tells what kind of thing a child is and what it is
// called. A node that has not presented itself is shown all the same, with what
// its variables tell by themselves. Units are metric.
//
// A child that presents itself as a dimmer, a coloured light, a blind, a heater, an air
// conditioner, a lock or a GPS receiver is one property, light_1: what its variables are
// in it is as in Home Assistant's own integration of MySensors, since nodes were made
// for that. A blind whose position was not heard is open or closed once it has
// confirmed to go there. The text of a display (S_INFO) can be set.
//
// Where the standard gives no unit (wind, distance, flow, dust), there is none.
// V_ID, V_UNIT_PREFIX, scenes and infrared codes are not read, requests for
// values, for the time and for firmware are not answered;
// [serialbridge.Sink.Ignored] says so.
//
// There is no checksum: a line is taken as a whole or not at all. The first one
// is passed over, because its beginning may be missing, and a node that was not heard
// before is believed when it speaks again within a day. A payload is no longer
// than a radio message, and has fewer semicolons than a line: it could be two
// lines that lost what stood between them. What is not in its place is counted
// with [serialbridge.Sink.Damaged]:
//
//   - "syntax": not of the form above, or a known variable with a value that is
//     not of its form
//   - "implausible": a number that such a variable cannot have, or a temperature,
//     humidity or pressure that is too far from the one before and was not said
//     twice
//   - "too long": no end within 256 bytes
//   - "too many properties": more than 128 of one node
//
// # Identity
//
// The ID of a device is its number in the radio network, 0 is the gateway's own
// node. Nodes have nothing else that is unique, so devices are anonymous: what
// tells the gateway's stick from others is added.
//
// # Memory
//
// What a node said of itself and which variables it has is remembered, and nodes
// that are remembered are announced at the start: some speak for hours only when
// they are spoken to. In Run each has a button, Forget, for when it is gone; its
// number is free then. Each gateway has a memory of its own.
//
// A node that measures nothing is there as long as the gateway is: relays and
// contacts may have nothing to say for days.
//
// # Run
//
// Run gives a number to a node that asks for one (I_ID_REQUEST), one that was not
// heard of nor given. It is remembered as given. Nodes that were there before the
// memory was are not heard of while they sleep: the number is drawn by lot, so
// that a clash is unlikely. Run tells nodes to use metric units, asks those that
// are not known to present themselves, and sets variables. A value that was set
// counts when the node has acknowledged it.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode, and newDecoder does so, too. It holds at most one line of 256
// bytes and 255 nodes with at most 128 properties each. Run owns one goroutine, which reads; it ends when the
// port fails or is closed.
package mysensors
