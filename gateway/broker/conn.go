package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"lintel/gateway/mqtt"
	"lintel/persist"
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

// conn is the bytes of one network connection. One goroutine at a time reads;
// whoever has something to send appends to out and flushes. While nothing is on
// its way neither side holds a buffer.
//
// A connection is an ordinary net.Conn, or its descriptor is with a poller. With a
// poller a flush writes what the socket takes at once, and the poller goes on when
// the socket has drained. Otherwise a goroutine is started for each turn of writing.
type conn struct {
	broker *Broker
	client *connection // whose it is, for those who trace

	// Reading; only by who reads.
	buf        []byte // buf[head:tail] is not handled yet
	head, tail int
	pooled     *[readSize]byte

	mu      sync.Mutex
	net     net.Conn // nil while a poller has the descriptor
	fd      int      // -1 unless a poller has it; changes only while nobody writes
	poller  *poller
	out     []byte    // waits for the socket
	writing bool      // somebody is writing, or the rest of a write waits
	written sync.Cond // writing became false, or stuck true
	closed  bool
	pending int    // bytes in out and being written
	packets uint64 // appended since they were counted
	carries uint64 // number of the message that is being appended, see mqtt.Message.Trace
	full    bool   // somebody was told that there is no room
	drained func() // called when there is room again after that; locks the session

	// stuck is true while sending[sent:] waits for the socket. It is set before
	// the last attempt to write, so that the poller cannot miss that there is
	// room again.
	stuck   atomic.Bool
	sending []byte
	sent    int

	dirty atomic.Bool // on somebody's flushList
}

func newConn(b *Broker, nc net.Conn) *conn {
	c := &conn{broker: b, net: nc, fd: -1}
	c.written.L = &c.mu
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetNoDelay(true)
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

// read reads what there is. From a descriptor it reads nothing, and releases the
// buffer, if there is nothing now.
func (c *conn) read() (int, error) {
	if c.fd < 0 {
		if c.buf == nil {
			c.buf = make([]byte, 4<<10)
		}
		return c.net.Read(c.buf[c.tail:])
	}
	if c.buf == nil {
		c.pooled = readBuffers.Get().(*[readSize]byte)
		c.buf = c.pooled[:]
	}
	for {
		n, err := readFD(c.fd, c.buf[c.tail:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			c.releaseBuffer()
			return 0, nil
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
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
	room := c.pending < maxPending
	if !room {
		c.full = true
	}
	c.mu.Unlock()
	return room
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
	if c.broker.traces.on() && c.client != nil {
		c.client.traceSent(c.out[before:])
	}
}

// flush writes what waits, as far as the socket takes it at once.
func (c *conn) flush() {
	c.dirty.Store(false)
	c.mu.Lock()
	if !c.writing {
		c.write()
	}
	c.mu.Unlock()
}

// write writes what waits. Called with mu held, which it gives up while it
// writes, and with nobody writing.
func (c *conn) write() {
	c.writing = true
	for len(c.out) > 0 && !c.closed {
		buf := c.out
		c.out = nil
		if c.fd < 0 {
			go c.drain(buf)
			return
		}
		if !c.send(buf, 0) {
			return
		}
	}
	c.endWriting()
}

// send writes buf[n:] to the descriptor. It reports false if the socket is full:
// then writable goes on. Called like write, by who is writing.
func (c *conn) send(buf []byte, n int) bool {
	for n < len(buf) {
		c.mu.Unlock()
		m, err := writeFD(c.fd, buf[n:])
		c.mu.Lock()
		if err == unix.EAGAIN {
			c.stuck.Store(true)
			if m, err = writeFD(c.fd, buf[n:]); err == unix.EAGAIN {
				c.sending, c.sent = buf, n
				c.written.Broadcast()
				return false
			}
			c.stuck.Store(false)
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			c.fail()
			return true
		}
		n += m
		c.wrote(m)
	}
	recycle(buf)
	return true
}

// writable goes on writing after the socket was full. The poller calls it.
func (c *conn) writable() {
	if !c.stuck.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stuck.Load() || c.closed {
		return
	}
	c.stuck.Store(false)
	buf := c.sending
	c.sending = nil
	if c.send(buf, c.sent) {
		c.write()
	}
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

// flushList collects the connections that something was appended to, so that
// each is flushed once for a whole batch, and counts what was. It belongs to one
// goroutine.
type flushList struct {
	conns     []*conn
	sent      uint64        // PUBLISH packets, to clients in the process too
	sentBytes uint64        // their payloads
	gone      persist.Batch // what the store is to forget: acknowledged messages
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
	if f.gone.Len() > 0 {
		gone := f.gone
		f.gone = persist.Batch{}
		b.store.AppendLazy(&gone)
	}
}
