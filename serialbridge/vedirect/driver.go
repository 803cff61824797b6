package vedirect

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for VE.Direct. The text comes without being asked:
// the driver has no Run, and its devices take no commands.
func Driver() serialbridge.Driver {
	fields := definitions()
	return serialbridge.Driver{
		Protocol: "vedirect",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 19200, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, fields)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bVE[. ]?Direct\b`)

// match knows Victron's own cable, which says "VictronEnergy BV" and "VE Direct
// cable". Many people solder a nameless converter instead.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) {
		return serialbridge.Sure
	}
	switch p.VendorID + ":" + p.ProductID {
	case "0403:6001", // FTDI FT232R
		"0403:6015", // FTDI FT-X, which Victron's cable is
		"1a86:7523", // WCH CH340
		"10c4:ea60", // Silicon Labs CP210x
		"067b:2303": // Prolific PL2303
		return serialbridge.Possible
	}
	return serialbridge.No
}
