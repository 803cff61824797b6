package broker

import (
	"io"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// fail gives up after a write error: who reads will see the end. Called with mu
// held.
func (c *conn) fail() {
	c.closed = true
	if c.fd < 0 {
		c.net.Close()
	} else {
		unix.Shutdown(c.fd, unix.SHUT_RDWR)
	}
}

// drain writes buf and all that comes after it, waiting for the socket. It writes
// piece by piece: what the client has read already must not count as pending.
func (c *conn) drain(buf []byte) {
	for {
		for piece := range slices.Chunk(buf, largeWriteSize) {
			n, err := c.net.Write(piece)
			c.mu.Lock()
			c.wrote(n)
			if err != nil {
				c.fail()
				c.endWriting()
				c.mu.Unlock()
				return
			}
			c.mu.Unlock()
		}
		recycle(buf)
		c.mu.Lock()
		if len(c.out) == 0 || c.closed {
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

// close sends what is on its way and the last packet, if any, and closes. Before a
// last packet the write side is closed first and what the client still sends is read
// for a while: closing a socket with unread input would make TCP throw the packet away.
func (c *conn) close(last []byte) {
	c.releaseBuffer()
	if c.fd >= 0 && !c.reclaim(len(last) > 0) {
		return
	}
	if len(last) > 0 {
		c.append(func(b []byte) []byte { return append(b, last...) })
	}
	c.net.SetDeadline(time.Now().Add(lingerTime))
	c.flush()
	c.mu.Lock()
	for c.writing { // not for ever: the deadline holds for the writer too
		c.written.Wait()
	}
	c.mu.Unlock()
	if len(last) > 0 {
		if half, ok := c.net.(interface{ CloseWrite() error }); ok { // over TCP, TLS and unix sockets
			half.CloseWrite()
			io.CopyN(io.Discard, c.net, 1<<20)
		}
	}
	c.mu.Lock()
	c.closed = true
	c.out = nil
	c.mu.Unlock()
	c.net.Close()
}

// reclaim takes the descriptor back from the poller, as an ordinary connection if
// there is still something to say, else to close it. It reports whether there is
// a connection now.
func (c *conn) reclaim(speak bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing && !c.stuck.Load() {
		c.written.Wait()
	}
	fd := c.fd
	c.fd = -1
	c.poller.remove(fd)
	if !speak || c.closed {
		c.closed = true
		c.out, c.sending = nil, nil
		c.stuck.Store(false)
		unix.Close(fd)
		return false
	}
	if c.stuck.Load() {
		c.out = append(c.sending[c.sent:len(c.sending):len(c.sending)], c.out...)
		c.sending = nil
		c.stuck.Store(false)
		c.writing = false
	}
	f := os.NewFile(uintptr(fd), "client")
	nc, err := net.FileConn(f)
	f.Close()
	if err != nil {
		c.closed = true
		return false
	}
	c.net = nc
	return true
}
