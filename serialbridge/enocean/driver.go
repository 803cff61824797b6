package enocean

import (
	"context"
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for EnOcean transceivers.
func Driver() serialbridge.Driver {
	known := profiles()
	return serialbridge.Driver{
		Protocol: "enocean",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 57600, DataBits: 8, Parity: 'N', StopBits: 1}, // ESP3 1.4
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, known, false)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return newTransceiver(port, sink, known).run(ctx, commands)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bEnOcean\b|\bTCM ?(310|515)\b`)

// match knows EnOcean's own sticks, which say "EnOcean GmbH" and "EnOcean USB
// 300 DB". A module on a converter can only be told by listening.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Manufacturer) || productName.MatchString(p.Product) {
		return serialbridge.Sure
	}
	switch p.VendorID + ":" + p.ProductID {
	case "0403:6001", // FTDI FT232R, which EnOcean's sticks are
		"0403:6015", // FTDI FT-X
		"1a86:7523", // WCH CH340
		"10c4:ea60": // Silicon Labs CP210x
		return serialbridge.Possible
	}
	return serialbridge.No
}
