package mysensors

import (
	"context"
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for MySensors gateways.
func Driver() serialbridge.Driver {
	known := variables()
	return serialbridge.Driver{
		Protocol:  "mysensors",
		OwnMemory: true, // node numbers are those of one gateway
		Match:     match,
		Lines: []serialbridge.Line{
			{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1},
			{Baud: 38400, DataBits: 8, Parity: 'N', StopBits: 1}, // boards with 8 MHz
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, known, false)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return newGateway(port, sink, known).run(ctx, commands)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bMySensors\b`)

// match knows the boards and converters that gateways are made of. None says
// that it is one, so it can only be told by listening.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) || productName.MatchString(p.Manufacturer) {
		return serialbridge.Sure
	}
	switch p.VendorID + ":" + p.ProductID {
	case "2341:0043", // Arduino Uno R3
		"2341:0001", // Arduino Uno
		"2341:8036", // Arduino Leonardo
		"2341:0042", // Arduino Mega 2560 R3
		"1a86:7523", // WCH CH340
		"10c4:ea60", // Silicon Labs CP210x
		"0403:6001", // FTDI FT232R
		"067b:2303": // Prolific PL2303
		return serialbridge.Possible
	}
	return serialbridge.No
}
