package sml

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for optical heads on German meters. A meter that
// pushes SML only talks: the driver has no Run, and its devices take no
// commands.
func Driver() serialbridge.Driver {
	objects := definitions()
	return serialbridge.Driver{
		Protocol: "sml",
		Match:    match,
		Lines: []serialbridge.Line{
			{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, objects)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bSML\b|\bIR ?(read|write|head|schreib|lese)|volkszaehler|\bhichi\b`)

// match knows the converters that optical heads are made of. Most heads keep
// the converter's own strings, and a head that names itself may as well sit on
// a meter that speaks another protocol: only listening can tell.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) || productName.MatchString(p.Manufacturer) {
		return serialbridge.Possible
	}
	return serialbridge.Converter(p)
}
