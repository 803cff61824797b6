package airquality

import (
	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for sensors that talk without being asked: it has no
// Run, and its devices take no commands.
func Driver() serialbridge.Driver {
	forms := forms()
	return serialbridge.Driver{
		Protocol: "airquality",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, forms)
		},
	}
}

// match knows the converters that are sold with the sensors, which keep their
// own strings: only listening can tell what is behind.
func match(p hardware.SerialPort) serialbridge.Confidence {
	switch p.VendorID + ":" + p.ProductID {
	case "0403:6001", // FTDI FT232R
		"0403:6015", // FTDI FT-X
		"1a86:7523", // WCH CH340, which the SDS011 comes with
		"10c4:ea60", // Silicon Labs CP210x
		"067b:2303": // Prolific PL2303
		return serialbridge.Possible
	}
	return serialbridge.No
}
