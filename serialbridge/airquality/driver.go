package airquality

import "lintel/serialbridge"

// Driver returns the driver for sensors that talk without being asked: it has no
// Run, and its devices take no commands.
func Driver() serialbridge.Driver {
	forms := forms()
	return serialbridge.Driver{
		Protocol: "airquality",
		Match:    serialbridge.Converter, // the sensors are sold with such ones
		Lines: []serialbridge.Line{
			{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1},
		},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, forms)
		},
	}
}
