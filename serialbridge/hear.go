package serialbridge

import "context"

// Heard is what was read at once: data, an error, or both.
type Heard struct {
	Data []byte
	Err  error
}

// Hear reads from a port until ctx ends or a read fails, for a Run that waits for
// commands and answers at the same time. After an error nothing follows. The caller
// ends ctx, and whoever opened the port closes it: that ends a Read under way.
func Hear(ctx context.Context, port Port) <-chan Heard {
	incoming := make(chan Heard)
	go func() {
		for {
			buf := make([]byte, 1024)
			n, err := port.Read(buf)
			select {
			case incoming <- Heard{buf[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return incoming
}
