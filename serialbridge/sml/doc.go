// Package sml reads the infrared and wired interfaces of German electricity
// meters that push their values in the Smart Message Language (SML 1.04, BSI
// TR-03109-1 annex).
//
// An SML file comes in the frame of the SML transport protocol, version 1: an
// escape sequence of four bytes 1B with 01010101 behind it, the messages, and
// the same escape with 1A, the number of fill bytes and a CRC-16. Messages are
// trees of octet strings, integers and lists, and each has a CRC of its own.
// What a meter says stands in GetList.Res as a list of objects named by OBIS
// codes (IEC 62056-61) with units of IEC 62056-62.
//
// A file is published whole or not at all. It is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": the CRC of the frame or of a message is wrong. Messages may
//     carry CRC-16/X.25 or, as Holley's do, CRC-16/KERMIT
//   - "syntax": an unknown escape sequence, or a tree that is no SML file
//   - "truncated": a new frame began before this one ended
//   - "too long": no end within 16 KiB
//
// The bytes that begin a frame always do. An escaped 1B1B1B1B with 01010101 as
// data behind it would look the same and costs its file; it does not occur in
// meters, while frames that are cut in their last bytes do.
//
// The device is named by the server ID of GetList.Res. In the form of DIN
// 43863-5 it is turned into what is printed on the meter, 1ESY1162232997; else
// it stays hexadecimal. A meter that leaves it empty is anonymous, sml_meter: what
// tells its reading head from others is added to the ID. It is shown at its third
// list without a server ID, and not at all if there was one with it.
//
// Without the customer's PIN many meters tell whole kWh only and no power. Some
// meters by DZG say a power between 327.68 and 655.35 W as if it were negative;
// others say small negative powers in the same form, and nothing in the file
// tells which it is, so the number is passed on as it stands (libsml, sml_shared.h).
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one file of 16 KiB and the last
// announcement of 64 devices.
package sml
