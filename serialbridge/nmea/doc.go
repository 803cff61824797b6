// Package nmea reads satellite receivers (GPS and its kin) and the navigation
// instruments that pass on their sentences: NMEA 0183.
//
// A sentence is '$', two letters for the talker, three for the formatter, fields
// behind commas, '*' and two hexadecimal digits: the exclusive or of all
// characters between '$' and '*'. Read are GGA, GLL, GNS, RMC (position), GSA
// (how good it is), VTG (speed) and ZDA (time); all others are checked and passed
// over, as are sentences that begin with '!'.
//
// A sentence is published whole or not at all. It is thrown away, and counted
// with [serialbridge.Sink.Damaged], for one of these reasons:
//
//   - "checksum": it is wrong or missing; NMEA 0183 lets some sentences do
//     without, this package does not
//   - "syntax": a field that is needed is missing, or is not of its form
//   - "truncated": a new sentence began before this one ended
//   - "too long": no end within 128 characters (82 in the standard, which some
//     receivers exceed)
//
// What does not begin with '$', five letters or digits and a comma was no
// sentence and is not counted.
//
// # What is valid
//
// Position, altitude, speed, course and time are published only from sentences
// that say that they are valid, and only if they are measured: status A, and
// mode A, D, F, P or R where there is one; quality 1 to 5. Not estimated, entered
// by hand or simulated ones. Sentences that say nothing of the kind (ZDA, and
// VTG before NMEA 2.3) are believed as long as the last one that did was
// valid. When the fix is lost the last position stays what it was, and "fix"
// tells that it is no longer so; speed and course are not known any more.
//
// Latitude and longitude are besides one property, position, for the map; its accuracy
// is the horizontal dilution of precision times 5 m.
//
// The navigational status that RMC and GNS have since NMEA 4.1 is not looked at:
// receivers that are no licensed navigation equipment send V for "none".
//
// Years of two digits are 1980, when GPS began, to 2079.
//
// # Identity
//
// NMEA 0183 knows no serial numbers. Whatever satellites it listens to (talkers
// GP, GL, GA, GB, BD, GQ, QZ, GI and GN), the receiver is the device nmea_gnss;
// any other talker is a device of its own, such as nmea_ii for integrated
// instrumentation. All are anonymous: what tells their stick from others is added
// to the ID. Nothing is published of a device before its second sentence: a
// checksum of 8 bits lets some damage pass, and a device is for ever.
//
// # Sources
//
// The tables of sentences in Garmin's GPS 18 and GPS 19x technical specifications;
// NMEA Revealed, by the authors of gpsd, for GNS and for the modes.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one sentence of 128 characters and the last
// announcement of 64 devices.
package nmea
