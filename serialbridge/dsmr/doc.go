// Package dsmr reads the P1 port of smart meters: the telegrams of the Dutch
// Smart Meter Requirements (DSMR) 2.2 to 5 and of the dialects that grew from
// them in Belgium, Luxembourg, Austria, Hungary, Sweden and Germany.
//
// A telegram is text: '/', a line that identifies the meter, one line for each
// object, '!', and since DSMR 4 a CRC. Objects are named by OBIS codes
// (IEC 62056-61), lines are written as in IEC 62056-21. The meters for gas,
// heat and water that hang on the electricity meter's M-Bus become devices of
// their own.
//
// A telegram is published whole or not at all. It is thrown away, and counted
// with [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": the CRC is wrong, or missing although the telegram tells the
//     time, which only versions that have a CRC do
//   - "syntax": a line is malformed, or a number is not a number
//   - "truncated": a new telegram began before this one ended
//   - "too long": no end within 16 KiB
//
// A telegram without CRC (DSMR 2.2 and 3, Easymeter) has to be right in more
// ways: every known object is of the form that is known, no object occurs twice,
// and there is at least one register of electric energy. Where a CRC vouches for
// the telegram, an object of unknown form is left out by itself.
//
// Times carry the offset of Central Europe: S is UTC+2, W is UTC+1. A time
// without that letter (DSMR 2.2 and 3) is not published: its offset is unknown.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one telegram of 16 KiB and the last
// announcement of 64 devices.
package dsmr
