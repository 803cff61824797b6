package nmea

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for NMEA 0183. A talker only talks: the driver has no
// Run, and its devices take no commands.
func Driver() serialbridge.Driver {
	return serialbridge.Driver{
		Protocol: "nmea",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},   // most receivers
			{Baud: 4800, DataBits: 8, Parity: 'N', StopBits: 1},   // the standard
			{Baud: 38400, DataBits: 8, Parity: 'N', StopBits: 1},  // NMEA 0183-HS, u-blox since series 9
			{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}, // receivers of ten fixes a second
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder { return newDecoder(sink) },
	}
}

var productName = regexp.MustCompile(`(?i)\b(GPS|GNSS|NMEA)\b`)

// match knows receivers by what they call themselves, u-blox's also by their
// numbers: u-blox makes modems too. Many others hide behind a PL2303.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) {
		return serialbridge.Sure
	}
	switch p.VendorID + ":" + p.ProductID {
	case "1546:01a4", // u-blox 4
		"1546:01a5", // u-blox 5
		"1546:01a6", // u-blox 6
		"1546:01a7", // u-blox 7
		"1546:01a8", // u-blox 8
		"1546:01a9": // u-blox 9
		return serialbridge.Sure
	}
	return serialbridge.Converter(p)
}
