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
// teach-in with profile, or UTE. Until then a sender is listed as a device
// without readings, and its telegrams are counted as damaged for the reason
// "unknown profile". A decoder forgets profiles when it ends.
// Radiator actuators (A5-20) are read only: they want a set point as an answer,
// which nobody here has.
//
// Encrypted telegrams (SEC) are refused: the sender is listed, its model says
// why there is nothing more, and its telegrams are counted as "encrypted".
//
// Packets and telegrams are thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "header checksum": 0x55 does not begin a packet, or the header is damaged
//   - "data checksum": the rest of the packet is
//   - "truncated": nothing came for half a second within a packet
//   - "too long": more than 512 bytes of data
//   - "syntax": a telegram is not of its length
//   - "unknown profile", "encrypted": see above
//   - "unknown telegram": of a kind that is not known here, or of ERP2
//   - "too many senders": more than 256 were heard
//
// # Commands
//
// Run asks the transceiver for its base ID and sends under that ID. An actuator
// of the profiles D2-01 obeys once it has been taught: press "Teach in" at the
// transceiver's device, then teach-in at the actuator within three minutes; its
// UTE query is answered. Other actuators are taught to one of the eight rockers
// that the transceiver has under the IDs behind the base ID, as if to a switch
// at the wall.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one packet of 773 bytes and what it knows
// of 256 senders. Run owns one goroutine, which reads; it ends when the port
// fails or is closed, at the latest when the supervisor closes it behind Run.
package enocean
