// Package wmbus hears wireless M-Bus: meters for water, heat, gas and electricity,
// heat cost allocators, room sensors and smoke detectors that send their readings at
// 868 MHz (EN 13757-4, Open Metering System).
//
// # Receivers
//
// One decoder knows the frames of three kinds of sticks, by their first byte:
//
//   - IMST iM871A, 57600 baud: A5, with time stamp, RSSI and CRC or without
//   - Amber (Würth) AMB8465, 9600 baud: FF, with a checksum, if the stick is set to put
//     out frames with a head (command mode); telegrams without a head are taken only
//     if the options name the receiver, for they have neither beginning nor checksum
//   - CUL and its copies with culfw, 38400 baud: lines that begin with b, with the
//     CRCs of the radio, which are checked
//
// iM871A and AMB8465 are only listened to: the mode of the radio (T or C) is set in
// them with their makers' tools. A CUL has to be told: [Driver] asks for its version
// ("V") and sends "brc" or, if the firmware is without it, "brt", then "X21", again when
// nothing was heard for long. Nothing else is ever sent, and nothing at all to a
// receiver that the options name as another.
//
// # Telegrams
//
// A telegram is a link layer with the meter's address, perhaps an extended link layer
// and an authentication layer, a header with status and security, and data records
// (EN 13757-3). It is decrypted with the key of its meter: security modes 0, 5 and 7,
// and the counter mode of the extended link layer. The MAC of mode 7 is checked; the
// others tell by fixed bytes or a CRC whether the key was right. A meter with a key is
// not believed when it speaks in clear.
//
// Each meter is a device, wmbus_KAM_12345678: the maker's three letters and the number
// on the label. Its properties are its records, named after what is measured, with
// function, direction, phase, tariff, part and storage number as far as they are not
// the usual: energy, power_export, voltage_l1, max_flow, water_storage_1. Values of the
// past (storage numbers other than 0) are diagnostic. A value that the meter says is
// invalid is nil. Records of the maker's are left out, but for those in makers.go and
// diehl.go: Techem, Diehl (IZAR), BMeters, Apator, Lansen, Axioma, Kamstrup.
// Compact frames are read once their meter has sent a whole one; the format is
// remembered.
//
// Dates and times are the meter's own, without a zone. A date that comes each year is
// in a property of its own, …_yearly, as --07-01.
//
// # What is not published
//
// Telegrams are thrown away, counted with [serialbridge.Sink.Damaged]:
//
//   - "checksum": a CRC or checksum is wrong: the receiver's, the radio's, or that
//     behind an extended link layer
//   - "syntax": headers or records that cannot be so
//   - "truncated": the telegram or the frame ends too early
//
// Whole ones of which nothing can be made are counted with
// [serialbridge.Sink.Ignored], which says of which meter and why: no key, a wrong key,
// a form of the maker's, a meter that is not wanted.
//
// An iM871A's frames have a CRC only if it is so configured, and those of an AMB8465
// may have nothing. A telegram for which no
// CRC, checksum or key vouches is published from the second time on that its meter is
// heard: noise does not look like the same meter twice. A telegram that comes again
// within five seconds, as through a repeater, is published once.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its sink from
// Decode. It holds at most one frame (590 bytes), the last announcement of 200 meters
// with 128 properties each, 256 formats of up to 255 bytes, 256 addresses heard once and
// the sums of 64 telegrams. A frame whose bytes are more than a second apart is none.
//
// Sources: EN 13757-3, -4 and -7 and OMS Specification Volume 2 as far as they are told
// in public; WiMOD HCI and AMB8465 manuals; the culfw command reference; for makers' own
// forms the open decoders named in makers.go.
package wmbus
