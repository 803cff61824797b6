// Package teleinfo reads the customer's output of French electricity meters, the
// télé-information client (TIC): the historic mode of all electronic meters
// (Enedis-NOI-CPT_02E) and the standard mode of Linky (Enedis-NOI-CPT_54E), with
// one phase or three, of consumers and of producers.
//
// A frame is text between STX and ETX: groups from LF to CR, each a label, in
// some groups a time, a value and a checksum of six bits. Historic mode puts
// spaces between them and leaves the last one out of the sum, standard mode puts
// tabs and counts it in.
//
// A frame is published whole or not at all: six bits are too few to trust the
// neighbours of a damaged group. It is thrown away, and counted with
// [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": the checksum of a group is wrong
//   - "syntax": a group is malformed, a known value is not of its form, or the
//     modes are mixed
//   - "truncated": a new frame began or the meter broke off (EOT) before the end,
//     or a label comes twice, as when two frames lost what stood between them
//   - "too long": no end within 8 KiB or 128 groups
//   - "no meter number": neither ADCO nor ADSC is in it, or all its digits are 0
//
// An STX without LF behind it begins no frame and is not counted.
//
// The device is named by ADCO or ADSC, which are the same number: a Linky stays
// the same device when its mode changes. One number follows another only when two
// frames in a row tell it. A meter that tells none in its first three frames is
// anonymous, teleinfo_meter, until there is one: what tells its adapter from
// others is added to the ID.
//
// Times carry the offset of continental France: E is UTC+2, H is UTC+1. In small
// letters the meter says that its clock is not sure; such a time is left out. So
// is PRM, the number of the delivery point: it names the customer.
//
// The groups ADPS and ADIR1 to ADIR3 are there while too much is drawn, and PEJP
// while a peak is announced. They become properties that are true or false; false
// is told by frames that have the other groups of their kind.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one frame of 8 KiB and the last announcement
// of 64 devices.
package teleinfo
