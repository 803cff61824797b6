// Package rflink speaks with RFLink gateways: an Arduino Mega with receiver and
// transmitter for the simple devices at 433 and 868 MHz, such as weather
// sensors, remote controls, sockets, doorbells and blinds.
//
// The gateway talks in lines (RFLink Protocol Reference):
//
//	20;2D;UPM/Esic;ID=0001;TEMP=00cf;HUM=16;BAT=OK;
//
// 20 is from the gateway and 10 to it; then come a running number, the protocol
// of the device, its ID, and labels with values. A device of the house is one
// protocol with one ID. Many sensors take a new ID when their battery is
// changed: they are new devices then. SWITCH tells one of the buttons or
// sockets that share an ID.
//
// Labels of which the unit depends on the device (KWATT, METER, DIST, SOUND,
// WDIR) are left out, as are those that are not known.
//
// There is no checksum: a line is taken as a whole or not at all, and what is
// not in its place is counted with [serialbridge.Sink.Damaged]:
//
//   - "syntax": not of the form above, or a known label with a value that is not
//     of its form
//   - "implausible": a number no sensor of that kind can have; it is left out
//   - "too long": no end within 512 bytes
//   - "too many devices": more than 256 were heard
//   - "command refused": the gateway does not know what it was told to send
//
// # Commands
//
// What a remote control of a known protocol switches can be switched by us: the
// gateway sends what the remote would. Nobody answers, so the state of a switch
// is what was heard or sent last. What the gateway has not confirmed with OK does
// not count as sent.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one line of 512 bytes and the last
// announcement of 256 devices with at most 64 properties each. Run owns one
// goroutine, which reads; it ends when the port fails or is closed.
package rflink
