package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway/mqtt"
)

// maxPending is how many bytes may wait for a socket before the peer counts as
// one that does not drain.
const maxPending = 256 << 10

// readSize is the size of the buffers for reading.
const readSize = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// writeSize and largeWriteSize are the sizes of the buffers that packets are
// gathered in: the first does for a few, the second for a batch. What does not
// fit either is made when it is needed and not kept.
const (
	writeSize      = 4 << 10
	largeWriteSize = 32 << 10
)

var (
	writeBuffers      = sync.Pool{New: func() any { return new([writeSize]byte) }}
	largeWriteBuffers = sync.Pool{New: func() any { return new([largeWriteSize]byte) }}
)

// conn is the bytes of one network connection. One goroutine reads; whoever
// has something to send appends to out and flushes. A flush writes without
// waiting; only if the socket is full a goroutine is started that waits for it.
// While nothing is on its way neither side holds a buffer.
type conn struct {
	broker *Broker
	net    net.Conn
	raw    syscall.RawConn // nil: plain calls (TLS, WebSocket, other systems)

	// Reading; only by the reader's goroutine.
	buf        []byte // buf[head:tail] is not handled yet
	head, tail int
	pooled     *[readSize]byte
	readFn     func(fd uintptr) bool
	readN      int
	readErr    error

	mu      sync.Mutex
	out     []byte    // waits for the socket
	writing bool      // somebody is writing
	written sync.Cond // writing became false
	closed  bool
	pending int    // bytes in out and being written
	packets uint64 // appended since they were counted
	full    bool   // somebody was told that there is no room
	drained func() // called when there is room again after that; locks the session

	dirty atomic.Bool // on somebody's flushList

	writeFn  func(fd uintptr) bool
	writeBuf []byte
	writeN   int
	writeErr error
}

func newConn(b *Broker, nc net.Conn) *conn {
	c := &conn{broker: b, net: nc}
	c.written.L = &c.mu
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetNoDelay(true)
	}
	switch nc := nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.raw, _ = nc.(syscall.Conn).SyscallConn()
	}
	// The closures are made once so that reading and writing allocate nothing.
	c.readFn = func(fd uintptr) bool {
		if c.buf == nil {
			c.pooled = readBuffers.Get().(*[readSize]byte)
			c.buf = c.pooled[:]
		}
		for {
			c.readN, c.readErr = readFD(fd, c.buf[c.tail:])
			if c.readErr != unix.EINTR {
				break
			}
		}
		if c.readErr == unix.EAGAIN {
			c.releaseBuffer()
			return false
		}
		return true
	}
	c.writeFn = func(fd uintptr) bool {
		for {
			c.writeN, c.writeErr = writeFD(fd, c.writeBuf)
			if c.writeErr != unix.EINTR {
				return true
			}
		}
	}
	return c
}

// releaseBuffer gives the read buffer back if nothing is left in it.
func (c *conn) releaseBuffer() {
	if c.head < c.tail {
		return
	}
	c.head, c.tail, c.buf = 0, 0, nil
	if c.pooled != nil {
		readBuffers.Put(c.pooled)
		c.pooled = nil
	}
}

// fill reads more into the buffer. It makes room first: the bytes that are left
// move to the front, and a buffer that is full grows, by doubling as data really
// comes and never because a packet says that it will be long.
func (c *conn) fill() error {
	if c.head == c.tail {
		c.head, c.tail = 0, 0
	} else if c.head > 0 {
		copy(c.buf, c.buf[c.head:c.tail])
		c.head, c.tail = 0, c.tail-c.head
	}
	if c.buf != nil && c.tail == len(c.buf) {
		grown := make([]byte, 2*len(c.buf))
		copy(grown, c.buf[:c.tail])
		if c.pooled != nil {
			readBuffers.Put(c.pooled)
			c.pooled = nil
		}
		c.buf = grown
	}
	n, err := c.read()
	c.broker.stats.bytesReceived.Add(uint64(n))
	c.tail += n
	return err
}

func (c *conn) read() (int, error) {
	if c.raw == nil {
		if c.buf == nil {
			c.buf = make([]byte, 4<<10)
		}
		return c.net.Read(c.buf[c.tail:])
	}
	if err := c.raw.Read(c.readFn); err != nil {
		return 0, err
	}
	switch {
	case c.readErr != nil:
		return 0, os.NewSyscallError("read", c.readErr)
	case c.readN == 0:
		return 0, io.EOF
	}
	return c.readN, nil
}

// next returns the next packet of version v that is whole, or ok == false if
// more has to be read.
func (c *conn) next(v mqtt.Version, maxSize int) (p mqtt.Packet, ok bool, err error) {
	p, n, err := mqtt.Parse(c.buf[c.head:c.tail], v, maxSize)
	if n == 0 || err != nil {
		if reason := (*mqtt.Error)(nil); errors.As(err, &reason) && reason.Code == mqtt.PacketTooLarge {
			c.broker.exceeded(LimitPacketSize)
		}
		return p, false, err
	}
	c.head += n
	return p, true, nil
}

// hasRoom reports whether the socket drains what it gets.
func (c *conn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending < maxPending {
		return true
	}
	c.full = true
	return false
}

// endWriting ends a turn of writing. Called with mu held.
func (c *conn) endWriting() {
	c.writing = false
	c.written.Broadcast()
	if c.full && !c.closed {
		// Who waits for room is told by a goroutine: whoever writes here
		// is not to be held up by what comes next.
		c.full = false
		go c.drained()
	}
}

// append lets encode add bytes to what goes out.
func (c *conn) append(encode func([]byte) []byte) {
	c.mu.Lock()
	c.appendLocked(encode)
	c.mu.Unlock()
}

func (c *conn) appendLocked(encode func([]byte) []byte) {
	if c.closed {
		return
	}
	if c.out == nil {
		c.out = writeBuffers.Get().(*[writeSize]byte)[:0]
	} else if cap(c.out) == writeSize && len(c.out) > writeSize/2 {
		large := append(largeWriteBuffers.Get().(*[largeWriteSize]byte)[:0], c.out...)
		recycle(c.out)
		c.out = large
	}
	c.packets++
	before := len(c.out)
	c.out = encode(c.out)
	c.pending += len(c.out) - before
}

// flush writes what waits, as far as the socket takes it at once.
func (c *conn) flush() {
	c.dirty.Store(false)
	c.mu.Lock()
	if c.writing || len(c.out) == 0 || c.closed {
		c.mu.Unlock()
		return
	}
	c.writing = true
	for len(c.out) > 0 && !c.closed {
		buf := c.out
		c.out = nil
		c.mu.Unlock()
		n, err := c.tryWrite(buf)
		c.mu.Lock()
		c.wrote(n)
		if err != nil {
			c.fail()
			break
		}
		if n < len(buf) {
			// The socket is full: somebody else waits for it.
			go c.drain(buf[n:])
			c.mu.Unlock()
			return
		}
		recycle(buf)
	}
	c.endWriting()
	c.mu.Unlock()
}

// recycle gives a buffer back, unless it grew.
func recycle(buf []byte) {
	switch cap(buf) {
	case writeSize:
		writeBuffers.Put((*[writeSize]byte)(buf[:writeSize]))
	case largeWriteSize:
		largeWriteBuffers.Put((*[largeWriteSize]byte)(buf[:largeWriteSize]))
	}
}

func (c *conn) wrote(n int) {
	c.pending -= n
	c.broker.stats.bytesSent.Add(uint64(n))
	if c.packets > 0 {
		c.broker.stats.packetsSent.Add(c.packets)
		c.packets = 0
	}
}

// fail closes the connection after a write error. Called with mu held.
func (c *conn) fail() {
	c.closed = true
	c.net.Close()
}

// tryWrite writes without waiting. Transports that cannot do that report 0.
func (c *conn) tryWrite(buf []byte) (int, error) {
	if c.raw == nil {
		return 0, nil
	}
	c.writeBuf = buf
	err := c.raw.Write(c.writeFn)
	c.writeBuf = nil
	switch {
	case err != nil:
		return 0, err
	case c.writeErr == unix.EAGAIN:
		return 0, nil
	case c.writeErr != nil:
		return 0, c.writeErr
	}
	return c.writeN, nil
}

// drain writes buf and all that comes after it, waiting for the socket.
func (c *conn) drain(buf []byte) {
	for {
		n, err := c.net.Write(buf)
		c.mu.Lock()
		c.wrote(n)
		if err != nil {
			c.fail()
		}
		if err != nil || len(c.out) == 0 || c.closed {
			c.endWriting()
			c.mu.Unlock()
			return
		}
		buf, c.out = c.out, nil
		c.mu.Unlock()
	}
}

// lingerTime bounds how long a connection is kept to let the last packet reach
// the client.
const lingerTime = time.Second

// close sends the last packet, if any, and closes. The write side is closed
// first and what the client still sends is read for a while: closing a socket
// with unread input would make TCP throw the packet away.
func (c *conn) close(last []byte) {
	if len(last) > 0 {
		c.append(func(b []byte) []byte { return append(b, last...) })
		c.net.SetDeadline(time.Now().Add(lingerTime))
		c.flush()
		c.mu.Lock()
		for c.writing { // not for ever: the deadline holds for the writer too
			c.written.Wait()
		}
		c.mu.Unlock()
		if t, ok := c.net.(*net.TCPConn); ok {
			t.CloseWrite()
			io.CopyN(io.Discard, c.net, 1<<20)
		}
	}
	c.mu.Lock()
	c.closed = true
	c.out = nil
	c.mu.Unlock()
	c.net.Close()
	c.releaseBuffer()
}

// flushList collects the connections that something was appended to, so that
// each is flushed once for a whole batch, and counts what was. It belongs to one
// goroutine.
type flushList struct {
	conns     []*conn
	sent      uint64 // PUBLISH packets, to clients in the process too
	sentBytes uint64 // their payloads
}

// add notes that something was appended to c. That must have been before.
func (f *flushList) add(c *conn) {
	if c.dirty.CompareAndSwap(false, true) {
		f.conns = append(f.conns, c)
	}
}

// flush sends what was appended to the connections of f, as far as their sockets
// take it at once.
func (b *Broker) flush(f *flushList) {
	for i, c := range f.conns {
		c.flush()
		f.conns[i] = nil
	}
	f.conns = f.conns[:0]
	if f.sent > 0 {
		b.stats.publishSent.Add(f.sent)
		b.stats.publishBytesSent.Add(f.sentBytes)
		f.sent, f.sentBytes = 0, 0
	}
}
