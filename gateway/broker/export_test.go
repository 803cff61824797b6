package broker

import (
	"context"
	"net"
)

// ServeConn serves one client, as Serve does with each that it accepts.
func (b *Broker) ServeConn(ctx context.Context, nc net.Conn) {
	if !b.begin() {
		nc.Close()
		return
	}
	defer b.running.Done()
	b.serveConn(ctx, nc, "")
}

// Permitted is Allow or Deny.
func Permitted(ok bool) Permit {
	if ok {
		return Allow
	}
	return Deny
}
