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
//     time, which only versions that have a CRC do; or a sealed telegram of a
//     known key does not open
//   - "syntax": a line is malformed, or a number is not a number
//   - "truncated": a new telegram began before this one ended
//   - "too long": no end within 16 KiB
//   - "replayed": the frame counter of a sealed telegram went back
//
// A telegram without CRC (DSMR 2.2 and 3, Easymeter) has to be right in more
// ways: every known object is of the form that is known, no object occurs twice,
// and there is at least one register of electric energy. Where a CRC vouches for
// the telegram, an object of unknown form is left out by itself.
//
// Times carry the offset of Central Europe: S is UTC+2, W is UTC+1. A time
// without that letter (DSMR 2.2 and 3) is not published: its offset is unknown.
//
// # Sealed telegrams
//
// The meters of Luxembourg (Smarty) and the Sagemcom T210-D-r of Austria encrypt
// each telegram with a key of their own, see [Options]; sealed.go has the form.
// Those that cannot be opened are told with [serialbridge.Sink.Ignored], in words
// that name the meter: its key is missing, or it does not fit. Who reads the key
// off wrong sees that at once.
//
// A key is known by what comes out: a tag that is right or the beginning of a
// telegram. Hence a key need not stand under the name of its meter.
//
// The authentication key is not needed to decrypt, only to verify the tag.
// Luxembourg's specification gives all meters the same public one, but there are
// meters that have another (github.com/ndokter/dsmr_parser, pull request 185); in
// Austria each meter has its own. Where it is not known the telegram must have a
// CRC that is right, which is as much as a meter that does not encrypt offers. A
// meter whose tag was right once, with the key given or the public one, has to
// have it right from then on.
//
// Frame counters are kept in memory for as long as the decoder lives and are not
// remembered beyond: that would write to the card every few seconds; a mark that
// is written rarely would refuse, and for ever, a meter that was given a new key
// and so begins at 0 again (DLMS); and who can put telegrams on this cable could
// do so while the box is off. For the same reason a meter is believed again when
// it has sent older counters, and nothing else, for ten minutes.
//
// Other meters of Austria (Kaifa, Landis+Gyr, Iskraemeco) put DLMS data instead of
// a telegram into the same encryption, most of them on M-Bus or HDLC. They are not
// read here.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one telegram of 16 KiB, one sealed telegram
// of 16 KiB, the last announcement of 64 devices and the counters of 64 meters.
package dsmr
