// Package znpstick is a stick with Z-Stack firmware that is not there: it speaks TI's
// Monitor and Test API over a stream of bytes, and its radio is in a network of package
// air. It is written from the descriptions of the protocol and of the structures in the
// memory of such sticks (zigbee-herdsman, MIT), and shares nothing with the driver of
// package znp.
//
// What a stick remembers is in its non-volatile memory, which lives as long as the
// [Stick] does: [Stick.Reset] takes the power away for a moment. It knows the commands
// that programs need to form, resume, back up and restore networks and to talk with
// devices. Any other command is refused as the firmware does it, and counted: see
// [Stick.Unhandled].
//
// # Contract
//
// All methods are safe for concurrent use. [Stick.Serve] blocks; it owns one goroutine
// more, which writes, and ends with its context or its stream. What the stick says
// while nobody is served, or while who is served does not read, is lost after 4096
// frames. A stick whose work is over is closed with [Stick.Close]; until then a few
// timers may be running.
package znpstick
