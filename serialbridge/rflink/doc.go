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
// There is no checksum: a line is taken as a whole or not at all, from "20;" to
// the semicolon at its end, and numbers have as many digits as they should. What
// is not in its place is counted with [serialbridge.Sink.Damaged]:
//
//   - "syntax": not of the form above, or a known label with a value that is not
//     of its form
//   - "implausible": a number no sensor of that kind can have, or a temperature,
//     humidity, pressure or amount of rain that is too far from the one before
//     and was not said twice; it is left out
//   - "too long": no end within 512 bytes
//   - "command refused": the gateway does not know what it was told to send
//
// Of the devices of neighbours, and of those that never were, there is no end:
// 256 devices are kept, and when there are more, one that was heard just once
// makes room. If there is none, [serialbridge.Sink.Ignored] tells of it, as it does
// of devices that say nothing that is known here.
//
// Remote controls, doorbells, contacts and detectors speak when something happens:
// they are there as long as the gateway is.
//
// # Commands
//
// What a remote control of a known protocol switches can be switched by us: the
// gateway sends what the remote would. Nobody answers, so the state of a switch
// is what was heard or sent last. What the gateway has not confirmed with OK does
// not count as sent. A switch of which a level was heard is a light; Somfy's blinds
// are open or closed once they were told to go there. The colours of Mi-Light are not
// read: by which hue the gateway counts is not written down.
//
// A device that was switched by command is remembered, and can be switched after
// the next start without being heard before; 64 are. It has a button, Forget.
// What neighbours switch is not remembered.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode, and newDecoder does so, too. It holds at most one line of 512 bytes and the last
// announcement of 256 devices with at most 64 properties each. Run owns one
// goroutine, which reads; it ends when the port fails or is closed.
package rflink
