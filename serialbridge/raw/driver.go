package raw

import (
	"context"
	"fmt"

	"lintel/serialbridge"
)

// device returns the device that the stick is.
func (o Options) device() serialbridge.Device {
	d := serialbridge.Device{
		ID: o.Name, Name: o.Name,
		WhenUsed: true, // nothing says how often it should speak
		Properties: []serialbridge.Property{
			{Key: keyReceived, Name: "Received", Kind: serialbridge.Raw},
			{Key: keySend, Name: "Send", Kind: serialbridge.Raw},
		},
	}
	if o.Name == "" {
		d.ID, d.Name, d.Anonymous = "raw", "Raw", true
	}
	return d
}

// Driver returns the driver for a port that the user wants bridged as it is. If
// the options are wrong its Run says so.
func Driver(o Options) serialbridge.Driver {
	wrong := o.Check()
	o = o.complete()
	d := serialbridge.Driver{
		Protocol: "raw",
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, o)
		},
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			if wrong != nil {
				return fmt.Errorf("raw: %w", wrong)
			}
			b := bridge{port: port, decoder: newDecoder(sink, o)}
			return b.run(ctx, commands)
		},
	}
	if line, err := serialbridge.ParseLine(o.Line); err == nil {
		d.Lines = []serialbridge.Line{line}
	}
	return d
}
