// Package enocean speaks with EnOcean transceivers (TCM 310, USB 300, USB 500
// in ERP1 mode): it reads what switches, sensors and actuators send by radio,
// and switches actuators.
//
// A transceiver talks in packets of the EnOcean Serial Protocol 3 (ESP3): 0x55,
// a header with its own CRC8, data, optional data, and a CRC8 over both. A
// packet of type RADIO_ERP1 holds a telegram: RORG, payload, the ID of the
// sender and a status byte.
//
// What the payload means is laid down by an EnOcean Equipment Profile (EEP
// 2.6.7). Rockers (F6-02), window handles (F6-10) and contacts (D5-00-01) tell
// by the form of their telegrams what they are. The others say it once only, in
// a teach-in telegram that is sent when somebody presses a button on them: 4BS
// teach-in with profile, or UTE. Read are A5-02, A5-04, A5-07, A5-08, A5-12-00 to
// 03 and 10, A5-20-01 and 04, D2-01 and D2-05-00. An output of D2-01 that dims is a
// light, D2-05-00 a blind, with slats if it tells their angle.
// Radiator actuators (A5-20) are read only: they want a set point as an answer,
// which nobody here has.
//
// # Learning
//
// EnOcean carries through walls: the telegrams of neighbours are heard, too, and
// anybody can send a teach-in telegram. So a sender is learned only while
// somebody wants it: the transceiver has a switch, Learn, that is on for ten
// minutes after it was turned on. That is what people know from other gateways,
// which make devices of teach-in telegrams while they are told to and of nothing
// else. It holds for rockers, handles and contacts as well, although they
// could be read at once: they are used while Learn is on. Otherwise the first
// use by a neighbour would put his windows into this house, and remember them.
//
// A stick that has not learned anything yet begins with Learn on, so that a new
// one speaks without anything being set; what a neighbour uses in these ten
// minutes is learned with it, and can be forgotten. The stick only listens then:
// actuators that wait for an answer, and are ours with it, are taught when
// somebody has turned Learn on.
//
// What was learned is remembered, profiles that are not known here too: a later
// version may know them. It is shared by all transceivers; one that is running
// knows what the others learn when it starts again. Each device that was learned
// has a button, Forget. A device that says by UTE that it is to be deleted is
// forgotten while Learn is on.
//
// A decoder that is not Run's (listening at an unknown stick, captures) learns
// always: it remembers nothing for others.
//
// # Damage
//
// Packets and telegrams are thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "header checksum": 0x55 does not begin a packet, or the header is damaged
//   - "data checksum": the rest of the packet is
//   - "truncated": nothing came for half a second within a packet
//   - "too long": more than 512 bytes of data
//   - "syntax": a telegram is not of its length
//
// Telegrams of senders that were not learned, of profiles or kinds that are not
// known and encrypted ones (SEC) are whole, but nothing can be made of them:
// [serialbridge.Sink.Ignored] says why, and what to do about it.
//
// Rockers, handles, contacts, motion sensors and actuators speak when something
// happens to them; they are there as long as their stick is.
//
// # Commands
//
// Run asks the transceiver for its base ID and sends under that ID. An actuator
// of the profiles D2-01 or D2-05 obeys once it has been taught: turn Learn on at the
// transceiver's device, then teach-in at the actuator; its UTE query is answered.
// Other actuators are taught to one of the eight rockers that the transceiver has
// under the IDs behind the base ID, as if to a switch at the wall. At the start
// the actuators that were learned are asked for their state, their energy and
// their power, one after the other; those that measure are asked again every five
// minutes.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode, and newDecoder does so, too. It holds at most one packet of
// 773 bytes and what it knows of 256 senders, each of which is remembered under
// one key. Run owns one goroutine, which reads; it ends when the port fails or is
// closed, at the latest when the supervisor closes it behind Run.
package enocean
