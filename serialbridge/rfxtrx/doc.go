// Package rfxtrx speaks with RFXCOM's RFXtrx433 transceivers: it reads weather
// sensors, energy meters, contacts, detectors and remote controls at 433 MHz, and
// switches what remote controls of the same kinds switch.
//
// A packet is a byte that says how many follow, a type, a subtype, a running
// number and what the type has: an ID, values, and strength of the signal with
// the state of the battery in one byte (RFXtrx User Guide). There is no checksum
// and nothing that begins a packet; so a packet has to be of a type that is known
// and of that type's length, its subtype and command such as exist, and its values
// such as can be. What is right behind noise does not begin a device: its
// beginning may be elsewhere. A sensor is shown once it was heard twice, and a
// temperature, humidity, pressure or amount of rain that is too far from the one
// before once it was said twice. A remote control, a contact or a detector is shown at
// once: the first press is not to be lost. These speak when something happens;
// they are there as long as the transceiver is.
//
// Many sensors draw a new ID when their battery is changed; they are new devices
// then.
//
// What is thrown away is counted with [serialbridge.Sink.Damaged]:
//
//   - "syntax": bytes that are no packet
//   - "truncated": nothing came for half a second within a packet
//   - "implausible": a value that no sensor has, or one that is in doubt as above
//   - "command refused": the transceiver could not send
//
// [serialbridge.Sink.Ignored] tells of packets of types, subtypes and commands
// that are not read here. 256 devices are kept; when there are more, one that was
// heard just once makes room, and if there is none, the new one is ignored.
//
// # Commands
//
// Run resets the transceiver, asks for its status and starts its receiver. It can
// switch Lighting1, Lighting2 and Lighting5 units and RollerTrol blinds that were
// heard. Nobody answers by radio, so the state is what was heard or sent last;
// what the transceiver has not confirmed does not count as sent. A unit of which a level
// was heard is a light.
//
// A device that was switched by command is remembered, and can be switched after
// the next start without being heard before; 64 are. It has a button, Forget.
// What neighbours switch is not remembered.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode, and newDecoder does so, too. It holds at most one packet of 41 bytes and what it knows of
// 256 devices with at most 64 properties each. Run owns one goroutine, which
// reads; it ends when the port fails or is closed.
package rfxtrx
