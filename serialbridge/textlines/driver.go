package textlines

import (
	"cmp"
	"context"
	"slices"

	"lintel/serialbridge"
)

// Driver returns the driver for boards whose lines are as o says. It is for ports that
// a person chose: nothing tells such a board from others. It has a Run only if there
// is a property that can be commanded.
func Driver(o Options) serialbridge.Driver {
	l := newLayout(o)
	line, err := serialbridge.ParseLine(cmp.Or(o.Line, defaultLine))
	if err != nil { // Options.Check says so
		line = serialbridge.Line{Baud: 115200, DataBits: 8, Parity: 'N', StopBits: 1}
	}
	d := serialbridge.Driver{
		Protocol: "textlines",
		Lines:    []serialbridge.Line{line},
		NewDecoder: func(sink serialbridge.Sink) serialbridge.Decoder {
			return newDecoder(sink, l)
		},
	}
	if slices.ContainsFunc(l.devices, device.listens) {
		d.Run = func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, commands <-chan serialbridge.Command) error {
			return run(ctx, port, newDecoder(sink, l), commands)
		}
	}
	return d
}

const defaultLine = "115200 8N1"
