package dsmr

import (
	"regexp"

	"lintel/hardware"
	"lintel/serialbridge"
)

// Driver returns the driver for P1 ports, with options that have passed Check. A
// P1 port only talks: the driver has no Run, and its devices take no commands.
func Driver(o Options) serialbridge.Driver {
	objects := definitions()
	keys := o.keyring()
	lines := []serialbridge.Line{
		{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}, // DSMR 4 and later
		{Baud: 9600, DataBits: 7, Parity: 'E', StopBits: 1},   // DSMR 2.2 and 3
	}
	if len(keys) > 0 {
		// Encryption came after DSMR 4. Seven bits would garble it, and
		// there is nothing to find out: a key that does not fit is told at
		// once.
		lines = lines[:1]
	}
	return serialbridge.Driver{
		Protocol: "dsmr",
		Match:    match,
		Lines:    lines,
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, objects, keys)
		},
	}
}

var productName = regexp.MustCompile(`(?i)\bP1\b|\bDSMR\b|smart ?meter`)

// match knows the converters that P1 cables are made of. Most such cables keep
// the converter's own strings, so they can only be told by listening.
func match(p hardware.SerialPort) serialbridge.Confidence {
	if productName.MatchString(p.Product) || productName.MatchString(p.Manufacturer) {
		return serialbridge.Sure
	}
	return serialbridge.Converter(p)
}
