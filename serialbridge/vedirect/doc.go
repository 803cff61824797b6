// Package vedirect reads the VE.Direct port of Victron devices: solar chargers,
// battery monitors and shunts, inverters, chargers.
//
// The device sends blocks of text about once a second, without being asked. A
// block is a number of fields, each of them CR LF, a label, TAB and a value; the
// last is Checksum with one byte that makes the sum of all bytes of the block a
// multiple of 256 (Victron, VE.Direct Protocol 3.33). In between may stand
// frames of the HEX protocol, from ':' to LF, which do not belong to the sum.
// They are checked and passed over: without being asked, a device says nothing
// in them that is not in the text.
//
// A block is published whole or not at all. It is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": the sum of a block or of a HEX frame is wrong
//   - "syntax": a line is no field, or a known value is not of its form
//   - "truncated": a label comes twice, as when two blocks lost what stood
//     between them
//   - "too long": more than 64 fields, or a line or a HEX frame without end
//
// The block that was under way when listening began is not counted. The block
// that follows a damaged end may be lost with it: where the first one ended was
// in what is missing.
//
// # Identity
//
// The sum lets one damaged block in 256 pass, and a device is for ever. So the
// device is believed to be what two blocks that carry PID say in a row; nothing
// is published before. Blocks without PID, such as the history of a battery
// monitor, belong to the PID block in front of them.
//
// The ID is made from SER#. Where the PID blocks have none, as with many
// battery monitors, it is made from the product ID, vedirect_pid_A389, and the
// device is anonymous: the number of its USB cable tells it from others of the
// product.
//
// A value of "---" is not known to the device; if it was before, that is passed
// on. A time to go of -1 is endless.
//
// Nothing is ever sent: asking by the HEX protocol stops the text for a while, and
// setting by it can do harm to batteries.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one block of 64 fields, one HEX frame and
// the last announcement of 64 devices.
package vedirect
