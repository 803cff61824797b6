package rfxtrx

import (
	"context"
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for RFXtrx433 transceivers.
func Driver() serialbridge.Driver {
	return serialbridge.Driver{
		Protocol: "rfxtrx",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 38400, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, false)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return newTransceiver(port, sink).run(ctx, commands)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bRFXCOM\b|\bRFXtrx`)

// match knows the names that RFXCOM gives its products. A nameless converter is
// not listened to: without checksums nobody can tell.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Manufacturer) || productName.MatchString(p.Product) {
		return serialbridge.Sure
	}
	return serialbridge.No
}
