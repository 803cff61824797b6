package wmbus

import (
	"context"
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// The lines that receivers are at.
var (
	lineHCI   = serialbridge.Line{Baud: 57600, DataBits: 8, Parity: 'N', StopBits: 1}
	lineAmber = serialbridge.Line{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}
	lineCUL   = serialbridge.Line{Baud: 38400, DataBits: 8, Parity: 'N', StopBits: 1}
)

// Driver returns the driver for receivers of wireless M-Bus.
func Driver(o Options) serialbridge.Driver {
	return serialbridge.Driver{
		Protocol: "wmbus",
		Match:    match,
		Lines:    o.lines(),
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, o)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return newReceiver(port, sink, o).run(ctx, commands)
		},
	}
}

// lines are where the receiver may be.
func (o Options) lines() []serialbridge.Line {
	switch o.Receiver {
	case "im871a":
		return []serialbridge.Line{lineHCI}
	case "amber":
		return []serialbridge.Line{lineAmber}
	case "cul":
		return []serialbridge.Line{lineCUL}
	}
	// A CUL says nothing before it is asked.
	return []serialbridge.Line{lineHCI, lineAmber}
}

var productName = regexp.MustCompile(`(?i)\bCUL868\b|\bnanoCUL868\b|\biM871A|\bAMB8465`)

// match knows the CUL, which says CUL868, and the others where somebody gave the
// converter their name. Most are converters without a name: they can only be told by
// listening.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) {
		return serialbridge.Sure
	}
	switch p.VendorID + ":" + p.ProductID {
	case "10c4:ea60", // Silicon Labs CP210x, in the iM871A-USB
		"0403:6001", // FTDI FT232R, in the AMB8465 and in copies of the CUL
		"0403:6015", // FTDI FT-X
		"1a86:7523": // WCH CH340, in copies of the CUL
		return serialbridge.Possible
	}
	return serialbridge.No
}
