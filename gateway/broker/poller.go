package broker

import (
	"context"
	"errors"
	"time"

	"lintel/gateway/mqtt"
)

// A client that has connected needs no goroutine of its own: a poller watches its
// descriptor and serves each connection that has become readable, in turns of one
// read. That spares the stack of a waiting goroutine, and most of what the scheduler
// does for a message that finds the process idle.
//
// What may have to wait, say for the store, is not for the poller, which all its
// connections would wait for: such a turn goes on in a goroutine of its own. A
// connection is served by one goroutine at a time: state tells.

const (
	parked  = iota // nobody serves the connection
	serving        // somebody does
	again          // and is to look once more, as something has happened meanwhile
)

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
		c.mu.Lock()
		c.alive = time.AfterFunc(c.patience(), c.checkAlive)
		c.mu.Unlock()
	}
	c.turns()
}

// turns serves the connection until there is nothing more to do.
func (c *connection) turns() {
	for c.turn(false) {
	}
}

// turn handles what was read before, reads once, and handles that. It reports
// whether there is more to do; if not, the connection is no longer the caller's: it
// is parked, has ended, or goes on elsewhere because it may have to wait and
// the caller is the poller.
func (c *connection) turn(poller bool) (more bool) {
	c.onPoller = poller
	more, err := c.readOnce()
	switch {
	case err == errMayWait:
		go c.turns()
		return false
	case err != nil:
		go c.leave(err)
		return false
	case more:
		return true
	case c.state.CompareAndSwap(serving, parked):
		return false
	}
	c.state.Store(serving)
	return true
}

// errMayWait stops a poller's turn before something that may have to wait.
var errMayWait = errors.New("not on the poller")

// mayWait reports whether the next packet is one whose handling may have to wait.
func (c *connection) mayWait() bool {
	if c.head == c.tail {
		return false
	}
	switch mqtt.PacketType(c.buf[c.head] >> 4) {
	case mqtt.SUBSCRIBE, mqtt.UNSUBSCRIBE:
		return true
	}
	return false
}

func (c *connection) readOnce() (more bool, err error) {
	if err := c.kickedError(); err != nil {
		return false, err
	}
	if c.stores && c.broker.store.Full() {
		if c.onPoller {
			return false, errMayWait
		}
		c.broker.store.Wait(context.Background()) // if the store fails, all are kicked
	}
	if c.left || !c.onPoller {
		if err := c.handleParked(); err != nil || c.left {
			return c.left, err
		}
	}
	before := c.tail - c.head
	if err := c.fill(); err != nil {
		return false, err
	}
	if c.tail-c.head == before {
		return false, nil
	}
	more = c.tail == len(c.buf) || c.hangup.Load()
	err = c.handleParked()
	return more || c.left, err
}

// handleParked handles the packets that were read. The context would be for those
// who wait: a connection that is to end is kicked, and the store goes on until all
// have ended.
func (c *connection) handleParked() error {
	handled, err := c.handleAll(context.Background())
	if handled && c.alive != nil {
		c.seen()
	}
	c.releaseBuffer()
	return err
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
		c.mu.Lock()
		c.alive.Reset(left)
		c.mu.Unlock()
		return
	}
	c.kick(mqtt.KeepAliveTimeout)
}
