package raw

import (
	"bytes"
	"context"
	"io"
	"time"

	"lintel/serialbridge"
)

// piece is what is written at once. A port gives up on a Write after a few
// seconds; this much gets through in that time at 300 baud.
const piece = 128

// A bridge is a stick that is listened to and written to.
type bridge struct {
	port    serialbridge.Port
	decoder *decoder
}

// run carries messages both ways until ctx ends or the port fails.
func (b *bridge) run(ctx context.Context, commands <-chan serialbridge.Command) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Something may be sent before anything was received.
	b.decoder.announce()
	incoming := serialbridge.Hear(ctx, b.port)
	gap := time.NewTimer(b.decoder.o.Gap)
	defer gap.Stop()
	// Writing is beside the reading: the end of a frame is a matter of
	// milliseconds, a slow line takes seconds for a long message.
	written := make(chan error, 1)
	writing := false
	for {
		wanted := commands
		if writing {
			wanted = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-incoming:
			b.decoder.Decode(h.Data, time.Now())
			if h.Err != nil {
				return h.Err // what has not ended may have lost its end
			}
			gap.Reset(b.decoder.o.Gap)
		case <-gap.C:
			if b.decoder.o.Mode == Frames {
				b.decoder.endFrame()
			}
		case c := <-wanted:
			if data := b.wire(c); len(data) > 0 {
				writing = true
				go func() { written <- write(b.port, data) }()
			}
		case err := <-written:
			if err != nil {
				return err
			}
			writing = false
		}
	}
}

// wire returns the bytes that a command becomes; none if it is not for us.
func (b *bridge) wire(c serialbridge.Command) []byte {
	message, ok := c.Value.([]byte)
	if !ok || c.Device != b.decoder.device.ID || c.Key != keySend {
		return nil
	}
	if b.decoder.o.Mode == Lines && !bytes.HasSuffix(message, b.decoder.delimiter) {
		message = append(bytes.Clone(message), b.decoder.delimiter...)
	}
	return message
}

func write(w io.Writer, data []byte) error {
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), piece)])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
