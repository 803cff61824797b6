package lend

import (
	"context"
	"fmt"

	"lintel/serialbridge"
)

// deviceID is that of every port that is lent; the supervisor adds which it is.
const deviceID = "lend"

// Keys of the properties.
const (
	keyClient   = "client"
	keyReceived = "bytes_received"
	keySent     = "bytes_sent"
)

// device returns the device that shows the lease.
func device() serialbridge.Device {
	counter := func(key, name string) serialbridge.Property {
		return serialbridge.Counted(key, name, "B", "data_size", 0).AsDiagnostic()
	}
	return serialbridge.Device{
		ID: deviceID, Name: "Lent port",
		Anonymous: true, // nothing is known of what is behind it
		WhenUsed:  true,
		Properties: []serialbridge.Property{
			{Key: keyClient, Name: "Client", Kind: serialbridge.State, Category: serialbridge.Diagnostic},
			counter(keyReceived, "Bytes received"),
			counter(keySent, "Bytes sent"),
		},
	}
}

// Driver returns the driver for a port that the user wants lent. If the options
// are wrong its Run says so. It has no decoder: what is said is not looked at.
func Driver(o Options) serialbridge.Driver {
	wrong := o.Check()
	allowed, _ := networks(o.Allow) // Check has said what is wrong
	if o.Line == "" {
		o.Line = defaultLine
	}
	counted := &counters{}
	line, lineErr := serialbridge.ParseLine(o.Line)
	d := serialbridge.Driver{
		Protocol: "lend",
		Run: func(ctx context.Context, port serialbridge.Port, sink serialbridge.Sink, _ <-chan serialbridge.Command) error {
			if wrong != nil {
				return fmt.Errorf("lend: %w", wrong)
			}
			listener, err := listen(ctx, o.Listen)
			if err != nil {
				return fmt.Errorf("lend the port at %s: %w (choose an address of this box that nobody uses)", o.Listen, err)
			}
			l := &lender{
				port: port, sink: sink,
				line: line, telnet: o.RFC2217, idle: o.Idle, allowed: allowed,
				t: defaultTiming(), counted: counted,
			}
			return l.serve(ctx, listener)
		},
	}
	if lineErr == nil {
		d.Lines = []serialbridge.Line{line}
	}
	return d
}
