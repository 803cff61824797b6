package rflink

import (
	"context"
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for RFLink gateways.
func Driver() serialbridge.Driver {
	labels := definitions()
	return serialbridge.Driver{
		Protocol: "rflink",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 57600, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, labels, false)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return newGateway(port, sink, labels).run(ctx, commands)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bRFLink\b`)

// match knows the boards that the firmware is made for. None says that it is a
// gateway, so it can only be told by listening.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) || productName.MatchString(p.Manufacturer) {
		return serialbridge.Sure
	}
	switch p.VendorID + ":" + p.ProductID {
	case "2341:0010", // Arduino Mega 2560
		"2341:0042", // the same, R3
		"2a03:0010", // those of the other Arduino
		"2a03:0042",
		"1a86:7523", // WCH CH340, in copies of the Mega
		"10c4:ea60", // Silicon Labs CP210x, in boards with an ESP32
		"0403:6001": // FTDI FT232R
		return serialbridge.Possible
	}
	return serialbridge.No
}
