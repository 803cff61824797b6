package lend

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"lintel/serialbridge"
)

const (
	// fromClient is what is read of a client at once.
	fromClient = 4 << 10
	// piece is what is written to the port at once. A port gives up on a Write
	// after a few seconds; this much gets through in that time at 300 baud.
	piece = 128
)

// An event is something that a client said.
type event struct {
	sent    int // bytes, written to the stick
	damaged string
	leaving bool // nothing follows

	answer    []byte // to be sent to it
	binary    bool   // our data to it are eight bits wide
	suspended bool   // it wants no data now
	purge     bool   // what waits for it is to be dropped, before the answer
}

// An item is something that goes to a client: data from the stick, or telnet
// commands as they stand.
type item struct {
	data   []byte
	telnet bool
	binary bool // of data
}

// A lease is the time during which one client has the port. It owns two
// goroutines, one for each direction.
type lease struct {
	conn   net.Conn
	port   serialbridge.Port
	telnet bool
	t      timing

	events   chan event
	outgoing chan item     // closed when nothing follows: then the lease ends
	ended    chan struct{} // closed when neither goroutine uses the port or the client any more

	end func() // hangs up

	// Valid when ended is closed.
	portErr error // why the port took no data
	stalled bool  // the client took no data
	line    serialbridge.Line
}

// begin gives the port to a client.
func begin(conn net.Conn, port serialbridge.Port, line serialbridge.Line, telnet bool, t timing) *lease {
	ctx, cancel := context.WithCancel(context.Background())
	le := &lease{
		conn: conn, port: port, line: line, telnet: telnet, t: t,
		events: make(chan event), outgoing: make(chan item), ended: make(chan struct{}),
		end: cancel,
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	var both sync.WaitGroup
	both.Go(func() {
		defer cancel()
		le.read(ctx)
	})
	both.Go(func() {
		defer cancel()
		le.write(ctx)
	})
	go func() {
		both.Wait()
		conn.Close()
		close(le.ended)
	}()
	return le
}

// write sends to the client what is handed over.
func (le *lease) write(ctx context.Context) {
	var e escaper
	var buf []byte
	for {
		var it item
		var more bool
		select {
		case <-ctx.Done():
			return
		case it, more = <-le.outgoing:
			if !more {
				return
			}
		}
		data := it.data
		if le.telnet && !it.telnet {
			buf = e.escape(buf[:0], data, it.binary)
			data = buf
		}
		le.conn.SetWriteDeadline(time.Now().Add(le.t.stall))
		if _, err := le.conn.Write(data); err != nil {
			le.stalled = errors.Is(err, os.ErrDeadlineExceeded)
			return
		}
	}
}

// read takes what the client says until it hangs up.
func (le *lease) read(ctx context.Context) {
	var p parser
	agreed := newNegotiation()
	com := comPort{port: le.port, line: le.line}
	defer func() { le.line = com.line }()
	buf := make([]byte, fromClient)
	for {
		n, err := le.conn.Read(buf)
		for in := buf[:n]; len(in) > 0; {
			data, c := in, command{}
			if in = nil; le.telnet {
				p.binary = agreed.theirs[optionBinary] == on
				data, c, in = p.step(data)
			}
			if le.portErr = write(le.port, data); le.portErr != nil {
				return
			}
			e := event{sent: len(data), damaged: c.damaged}
			switch c.verb {
			case 0:
			case sb:
				r := com.serve(c.sub)
				e.answer, e.purge, e.damaged = r.answer, r.purge, r.damaged
			default:
				e.answer = agreed.answer(c)
			}
			e.binary, e.suspended = agreed.ours[optionBinary] == on, com.suspended
			if !le.tell(ctx, e) {
				return
			}
		}
		if errors.Is(err, io.EOF) && le.tell(ctx, event{leaving: true}) {
			// It may only have said all it had to say, and wait for the answer.
			rest := time.NewTimer(le.t.linger)
			defer rest.Stop()
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
		}
		if err != nil {
			return
		}
	}
}

// tell hands over an event, unless the lease ends first.
func (le *lease) tell(ctx context.Context, e event) bool {
	select {
	case le.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

func write(port serialbridge.Port, data []byte) error {
	for len(data) > 0 {
		n, err := port.Write(data[:min(len(data), piece)])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
