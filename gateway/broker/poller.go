package broker

import (
	"context"
	"time"

	"lintel/gateway/mqtt"
)

// A client that has connected needs no goroutine of its own: a poller watches its
// descriptor, and whoever leads the poller serves each connection that has become
// readable, in turns of one read. That spares the stack of a waiting goroutine and
// most of what the scheduler does for a message that finds the process idle.
//
// A turn that may have to wait, say for the store, gives the lead to a new
// goroutine first (mayBlock) and ends on its own. A connection is served by one
// goroutine at a time: state tells.

const (
	parked  = iota // nobody serves the connection
	serving        // somebody does
	again          // and is to look once more, as something has happened meanwhile
)

// lead is the right, and the duty, to run a poller.
type lead struct{ poller *poller }

// wake notes that something has happened to a parked connection. It reports whether
// the caller has to serve it now.
func (c *connection) wake() bool {
	for {
		switch s := c.state.Load(); s {
		case parked:
			if c.state.CompareAndSwap(parked, serving) {
				return true
			}
		case again:
			return false
		default:
			if c.state.CompareAndSwap(serving, again) {
				return false
			}
		}
	}
}

// serveParked begins to serve a connection whose descriptor a poller has. It is not
// parked yet: its client may have sent more than CONNECT already.
func (c *connection) serveParked() {
	c.broker.running.Add(1)
	if c.keepAlive > 0 {
		c.seen()
		c.alive = time.AfterFunc(c.patience(), c.checkAlive)
	}
	if _, err := c.handleAll(context.Background()); err != nil {
		c.leave(err)
		return
	}
	c.releaseBuffer()
	c.turns()
}

// turns serves the connection until there is nothing more to do.
func (c *connection) turns() {
	for c.turn() {
	}
}

// turn reads and handles what the client sent, once. It reports whether there is
// more to do; if not, the connection is parked or has ended and no longer the
// caller's.
func (c *connection) turn() (more bool) {
	more, err := c.readOnce()
	switch {
	case err != nil:
		c.lead = nil
		go c.leave(err)
		return false
	case more:
		return true
	}
	c.lead = nil
	if c.state.CompareAndSwap(serving, parked) {
		return false
	}
	c.state.Store(serving)
	return true
}

func (c *connection) readOnce() (more bool, err error) {
	if err := c.kickedError(); err != nil {
		return false, err
	}
	before := c.tail - c.head
	if err := c.fill(); err != nil {
		return false, err
	}
	if c.tail-c.head == before {
		return false, nil
	}
	more = c.tail == len(c.buf) || c.hangup.Load()
	// The context is for those who would wait for a connection to end: one that
	// is to end is kicked, and the store goes on until all have.
	handled, err := c.handleAll(context.Background())
	if err != nil {
		return false, err
	}
	if handled && c.alive != nil {
		c.seen()
	}
	c.releaseBuffer()
	if c.broker.store.Full() {
		c.mayBlock()
		c.broker.store.Wait(context.Background()) // if the store fails, all are kicked
	}
	return more, nil
}

// mayBlock is called before what may have to wait while the connection is served:
// nobody else is to wait with it.
func (c *connection) mayBlock() {
	if l := c.lead; l != nil {
		c.lead = nil
		p := l.poller
		l.poller = nil
		go p.run()
	}
}

// leave ends a connection that a poller had.
func (c *connection) leave(err error) {
	defer c.broker.running.Done()
	c.end(err)
}

// seen notes a sign of life.
func (c *connection) seen() { c.lastSeen.Store(int64(time.Since(c.broker.started))) }

// checkAlive ends the connection if the client has been silent for too long.
func (c *connection) checkAlive() {
	silent := time.Since(c.broker.started) - time.Duration(c.lastSeen.Load())
	if left := c.patience() - silent; left > 0 {
		c.alive.Reset(left)
		return
	}
	c.kick(mqtt.KeepAliveTimeout)
}
