// Package textlines reads boards that print lines of their own design: a person says
// in [Options] what the lines mean. Boards with the lines of OpenMQTTGateway and
// Theengs are known by package jsonlines.
//
//	{"outside":{"temp":21.5,"hum":40}}     format json: a value is at a path, outside.temp
//	21.5,40,1013                           format csv: a value is in a column, 1
//	T=21.5 H=40 P=1013                     format keyvalue: a value has a key, T
//
// A line ends with CR, LF or both. Empty lines and comments are passed over. All that
// a line has beyond what the options name is passed over too.
//
// A line is published whole or not at all. It is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "syntax": it is not of the format, has control characters or is not UTF-8; a
//     JSON object is nested deeper than 8; a member or a key is there twice; a line of
//     csv has another number of columns than it must; what must be a number is none;
//     a text is none of those that there are
//   - "checksum": it is wrong or missing
//   - "implausible": a number is not between its minimum and maximum. Where a
//     checksum vouches for the line, the number is what a board says of a sensor that
//     is broken (-127 °C), and the value is published as not known.
//   - "too long": no line end within 4 KiB
//
// The first line that comes may be the end of one that began before anybody heard it:
// it is not counted, and unless it is JSON or has a checksum it is not believed. What
// is whole but says nothing is told to [serialbridge.Sink.Ignored]. A missing value, or
// an empty one, keeps the last; JSON's null is a value that is not known any more.
//
// # Numbers
//
// Numbers are decimal, with at most 32 characters, an optional point and an exponent
// of at most two digits. NaN and infinities are none. Scale and offset are applied to
// the decimal number, so that 0.1 of 217 is 21.7 and nothing next to it.
//
// # Checksums
//
// The checksum is two or four hexadecimal digits behind the last '*' of a line, over
// the bytes before, without a '$' that begins the line: "xor" of all bytes (as in NMEA
// 0183), "sum8" of all bytes, or "crc16", which is that of Modbus.
//
// # Identity
//
// A device with an ID is textlines_ID; what IDFrom finds is behind. A device that has
// neither is the board itself, and told from others by its stick
// ([serialbridge.Device].Anonymous). Nothing is published of a device whose ID is in
// the data before its second line, unless there is a checksum: a digit may be damaged.
//
// # Commands
//
// What is commanded is written as the text that the options have for the property; a
// number as the board has it, scale and offset taken off, with three decimals at most.
// Devices that take commands are announced before they say a word, unless their ID is
// in the data. If the board does not tell the property, what was commanded last is what
// is known.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its sink from
// Decode. It holds at most one line of 4 KiB and 256 devices whose ID is in the data
// besides the 32 that can be configured. Run starts the goroutine of
// [serialbridge.Hear]; it writes commands and nothing else.
package textlines
