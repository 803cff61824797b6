//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway/mqtt"
)

const (
	benchReadSize  = 32 << 10         // read from a connection in one turn
	benchEvents    = 64               // connections in one turn
	benchMaxPacket = 16 << 20         // strangers' retained messages reach a subscriber to #
	benchPatience  = 10 * time.Second // the broker may be silent so long before a row gives up
)

// loop is the event loop of the load generator: one goroutine, one epoll set,
// one buffer to read into. A turn reads up to benchEvents connections, lets the
// publishers send what their windows allow and then writes once to each
// connection that has something to say. Nothing is allocated for a message. So
// the generator needs a fraction of what a broker needs.
type loop struct {
	address netip.AddrPort
	run     uint64 // marks the messages of this row
	start   time.Time
	epoll   int
	timer   int
	events  [benchEvents]unix.EpollEvent

	conns      []*conn
	ready      int // connections that got what they asked for at the start
	dirty      []*conn
	publishers []*publisher // send as fast as their windows allow
	paced      []*pacer
	slow       *conn // reads one turn's worth every slowTurn
	slowNext   time.Duration

	buf, wire []byte
	heard     time.Duration // when the last bytes came
	err       error

	woke    time.Duration // when this turn began
	longest time.Duration // turn since the measurement began

	unexpected uint64 // acknowledgements of nothing
	strangers  uint64 // messages of others
}

// slowTurn makes a slow reader of 6 MB/s at best.
const slowTurn = 5 * time.Millisecond

// timerToken stands for the timer in the epoll set, where connections have
// their place in conns.
const timerToken = -1

func newLoop(address netip.AddrPort, run uint64) (*loop, error) {
	l := &loop{address: address, run: run, start: time.Now(), buf: make([]byte, 2*benchReadSize), wire: make([]byte, benchReadSize)}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		unix.Close(l.epoll)
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: timerToken})
	if err != nil {
		l.close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// close leaves the broker in order, as far as the sockets take it at once.
func (l *loop) close() {
	for _, c := range l.conns {
		l.disconnect(c)
	}
	unix.Close(l.timer)
	unix.Close(l.epoll)
}

func (l *loop) disconnect(c *conn) {
	if c.fd < 0 {
		return
	}
	c.send((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, mqtt.V311))
	l.flush(c)
	unix.Close(c.fd)
	c.fd = -1
}

// now is the clock of the row.
func (l *loop) now() time.Duration { return time.Since(l.start) }

// conn is one connection.
type conn struct {
	loop  *loop
	id    string
	fd    int
	place int32 // in loop.conns
	layer layer // nil: MQTT right on TCP

	rest  []byte // start of a packet whose end has not come
	out   []byte // waits for the layer or the socket
	wire  []byte // waits for the socket, if there is a layer
	dirty bool
	armed uint32 // what epoll watches

	filter    string // subscribed after CONNECT unless there is a session
	qos       mqtt.QoS
	present   bool // the broker had a session
	publisher *publisher
	receiver  *receiver
}

// connect opens a connection and says CONNECT.
func (l *loop) connect(c *conn, transport string, clean bool) error {
	if err := l.dial(c, transport); err != nil {
		return err
	}
	return l.begin(c, clean)
}

// dial opens a connection, the handshake of its transport included. It may run
// for several connections at a time.
func (l *loop) dial(c *conn, transport string) error {
	c.loop, c.fd = l, -1
	if err := c.dial(transport); err != nil {
		if c.fd >= 0 {
			unix.Close(c.fd)
			c.fd = -1
		}
		return fmt.Errorf("connect to %v: %w", l.address, err)
	}
	return nil
}

// begin says CONNECT. The rest of the beginning happens in the loop.
func (l *loop) begin(c *conn, clean bool) error {
	c.place = int32(len(l.conns))
	c.armed = unix.EPOLLIN
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: c.armed, Fd: c.place}); err != nil {
		unix.Close(c.fd)
		c.fd = -1
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.conns = append(l.conns, c)
	c.send((&mqtt.Connect{Version: mqtt.V311, CleanStart: clean, KeepAlive: 600, ClientID: c.id}).Append(nil))
	return nil
}

func (c *conn) dial(transport string) error {
	var to unix.Sockaddr
	family := unix.AF_INET
	if a := c.loop.address.Addr(); a.Is4() {
		to = &unix.SockaddrInet4{Port: int(c.loop.address.Port()), Addr: a.As4()}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(c.loop.address.Port()), Addr: a.As16()}
	}
	var err error
	if c.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if c.loop.slow == c {
		// Else the kernel would read for it.
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, benchReadSize)
	}
	patience := unix.NsecToTimeval(int64(benchPatience))
	unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
	unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience)
	for {
		if err = unix.Connect(c.fd, to); err != unix.EINTR {
			break
		}
	}
	if err != nil && err != unix.EISCONN {
		return os.NewSyscallError("connect", err)
	}
	unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	switch transport {
	case "tls":
		l, err := newTLS(c.fd)
		if err != nil {
			return err
		}
		c.layer = l
	case "websocket":
		l, err := newWebSocket(c.fd, c.loop.address.String())
		if err != nil {
			return err
		}
		c.layer = l
	}
	return os.NewSyscallError("fcntl", unix.SetNonblock(c.fd, true))
}

// send adds to what goes out.
func (c *conn) send(data []byte) {
	c.out = append(c.out, data...)
	c.touch()
}

// touch has the connection flushed at the end of the turn.
func (c *conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

func (l *loop) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// flush writes what waits, as far as the socket takes it.
func (l *loop) flush(c *conn) {
	c.dirty = false
	if c.fd < 0 {
		return
	}
	waiting := &c.out
	if c.layer != nil {
		var err error
		if c.wire, err = c.layer.seal(c.wire, c.out); err != nil {
			l.fail(fmt.Errorf("client %s: %w", c.id, err))
			return
		}
		c.out, waiting = c.out[:0], &c.wire
	}
	watch := uint32(unix.EPOLLIN)
	for len(*waiting) > 0 {
		n, err := unix.Write(c.fd, *waiting)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			watch |= unix.EPOLLOUT
			break
		}
		if err != nil {
			l.fail(fmt.Errorf("client %s: %w", c.id, os.NewSyscallError("write", err)))
			return
		}
		*waiting = (*waiting)[:copy(*waiting, (*waiting)[n:])]
	}
	if c == l.slow {
		watch &^= unix.EPOLLIN
	}
	l.watch(c, watch)
}

func (l *loop) watch(c *conn, events uint32) {
	if events == c.armed {
		return
	}
	c.armed = events
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: c.place}); err != nil {
		l.fail(os.NewSyscallError("epoll_ctl", err))
	}
}

// read reads once and handles every packet that is whole.
func (l *loop) read(c *conn) {
	have := copy(l.buf, c.rest)
	into := l.buf[have : have+benchReadSize]
	if c.layer != nil {
		into = l.wire
	}
	n, err := unix.Read(c.fd, into)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err == nil && n == 0:
		err = io.EOF
	}
	now := l.now()
	data := l.buf[:have+max(n, 0)]
	if c.layer != nil && err == nil {
		data, err = c.layer.open(l.buf[:have], l.wire[:n])
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			err = errors.New("the broker closed the connection")
		}
		l.fail(fmt.Errorf("client %s: %w", c.id, err))
		return
	}
	l.heard = now
	for l.err == nil {
		p, size, err := mqtt.Parse(data, mqtt.V311, benchMaxPacket)
		if err == nil && size > 0 {
			err = c.handle(p, now)
		}
		if err != nil {
			l.fail(fmt.Errorf("client %s: %w", c.id, err))
			return
		}
		if size == 0 {
			break
		}
		data = data[size:]
	}
	c.rest = append(c.rest[:0], data...)
	if need := len(c.rest) + benchReadSize; need > len(l.buf) {
		l.buf = make([]byte, 2*need)
	}
}

// until turns the loop until done says so. It returns false if limit is over
// or the broker has been silent for benchPatience.
func (l *loop) until(limit time.Duration, done func() bool) (bool, error) {
	end := l.now() + limit
	l.heard = l.now()
	l.woke = l.heard
	for {
		now := l.now()
		for _, p := range l.publishers {
			p.pump(now)
		}
		next := end
		for _, p := range l.paced {
			next = min(next, p.pump(now))
		}
		if l.slow != nil && l.slow.fd >= 0 {
			if now >= l.slowNext {
				l.slowNext = now + slowTurn
				l.read(l.slow)
			}
			next = min(next, l.slowNext)
		}
		for _, c := range l.dirty {
			l.flush(c)
		}
		l.dirty = l.dirty[:0]
		switch {
		case l.err != nil:
			return false, l.err
		case done():
			return true, nil
		case now >= end || now-l.heard >= benchPatience:
			return false, nil
		}
		l.longest = max(l.longest, l.now()-l.woke)
		if err := l.wait(min(next, l.heard+benchPatience) - now); err != nil {
			return false, err
		}
	}
}

// wait waits for events, for d at most, and handles them. The timeout of
// epoll_wait is in milliseconds, hence the timer.
func (l *loop) wait(d time.Duration) error {
	setting := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(l.timer, 0, &setting, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], -1)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("epoll_wait", err)
	}
	l.woke = l.now()
	for _, e := range l.events[:max(n, 0)] {
		if e.Fd == timerToken {
			continue // setting it anew clears it
		}
		c := l.conns[e.Fd]
		if c.fd >= 0 && e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			l.read(c)
		}
		if e.Events&unix.EPOLLOUT != 0 {
			c.touch()
		}
	}
	return nil
}
