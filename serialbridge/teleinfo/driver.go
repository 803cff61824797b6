package teleinfo

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for French meters. The output only talks: the
// driver has no Run, and its devices take no commands.
func Driver() serialbridge.Driver {
	labels := definitions()
	return serialbridge.Driver{
		Protocol: "teleinfo",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 1200, DataBits: 7, Parity: 'E', StopBits: 1}, // historic mode, as Linky is delivered
			{Baud: 9600, DataBits: 7, Parity: 'E', StopBits: 1}, // standard mode
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, labels)
		},
	}
}

var (
	productName  = regexp.MustCompile(`(?i)\bt[eé]l[eé]-?info|\bTIC-DIN\b|\blinky\b`)
	serialNumber = regexp.MustCompile(`^TINFO-`)
)

// match knows the modems that say what they are: Micro Teleinfo keeps the
// converter's product name and has its own in the serial number, TINFO-1036.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) || productName.MatchString(p.Manufacturer) || serialNumber.MatchString(p.Serial) {
		return serialbridge.Sure
	}
	return serialbridge.Converter(p)
}
