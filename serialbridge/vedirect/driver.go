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
	return serialbridge.Converter(p)
}
