package broker

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller watches the descriptors of connections with an epoll set of its own. The
// set's descriptor is with Go's own poller, so that run waits
// without a thread.
type poller struct {
	log   *slog.Logger
	file  *os.File // the epoll set
	raw   syscall.RawConn
	setFD int

	mu          sync.Mutex
	connections []*connection // by descriptor

	// What follows belongs to run.
	events [128]unix.EpollEvent
	ready  []event
	later  []*connection // served, with more to read: after those that are new
	err    error
}

// event is what has happened to a connection.
type event struct {
	connection *connection
	bits       uint32
}

// pollers are made when the first connection needs one.
type pollers struct {
	once sync.Once
	all  []*poller
	mu   sync.Mutex
	next int
}

// maxPollers bounds how many there are; each connection belongs to one. A Pi has as
// many processors.
const maxPollers = 4

func (ps *pollers) pick(b *Broker) *poller {
	ps.once.Do(func() {
		for range min(runtime.GOMAXPROCS(0), maxPollers) {
			p, err := newPoller(b.log)
			if err != nil {
				b.log.Warn("no epoll set: each connection has a goroutine", "err", err)
				return
			}
			ps.all = append(ps.all, p)
			go p.run()
		}
	})
	if len(ps.all) == 0 {
		return nil
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.next++
	return ps.all[ps.next%len(ps.all)]
}

// close ends the pollers. Nobody is with them any more.
func (ps *pollers) close() {
	ps.once.Do(func() {})
	for _, p := range ps.all {
		p.file.Close()
	}
}

func newPoller(log *slog.Logger) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else Go's poller does not take it
		unix.Close(fd)
		return nil, err
	}
	p := &poller{log: log, file: os.NewFile(uintptr(fd), "epoll"), setFD: fd}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// park gives the descriptor of a connection to a poller. It reports false if that
// is not possible: then the connection stays what it is.
func (c *connection) park() bool {
	switch c.net.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false // TLS, WebSocket
	}
	p := c.broker.pollers.pick(c.broker)
	if p == nil {
		return false
	}
	raw, err := c.net.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	fd := -1
	if raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }) != nil || err != nil {
		return false
	}
	c.mu.Lock()
	nc := c.net
	c.net, c.fd, c.poller = nil, fd, p
	c.mu.Unlock()
	if err := p.add(c, fd); err != nil {
		c.broker.log.Warn("connection not polled", "err", err)
		c.mu.Lock()
		c.net, c.fd, c.poller = nc, -1, nil
		c.mu.Unlock()
		p.remove(fd)
		unix.Close(fd)
		return false
	}
	nc.Close() // the descriptor of its own; ours stays
	return true
}

func (p *poller) add(c *connection, fd int) error {
	p.mu.Lock()
	if fd >= len(p.connections) {
		p.connections = append(p.connections, make([]*connection, fd+1-len(p.connections))...)
	}
	p.connections[fd] = c
	p.mu.Unlock()
	e := unix.EpollEvent{Fd: int32(fd), Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET}
	if err := unix.EpollCtl(p.setFD, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// remove forgets a descriptor, which then may be closed.
func (p *poller) remove(fd int) {
	unix.EpollCtl(p.setFD, unix.EPOLL_CTL_DEL, fd, nil)
	p.mu.Lock()
	p.connections[fd] = nil
	p.mu.Unlock()
}

// run serves the connections of the poller until it is closed. It works within one
// call of Read: what happens while it works wakes it again, so that it need not look
// whether anything has before it waits.
func (p *poller) run() {
	p.raw.Read(func(uintptr) bool {
		for p.look() || len(p.later) > 0 {
		}
		return p.err != nil
	})
}

// look serves those connections that something has happened to, and then those that
// had more to read than one turn takes. It reports whether there may be more events:
// the set does not wake anybody for those that it has left over.
func (p *poller) look() (more bool) {
	n, err := epollFD(p.setFD, p.events[:])
	if err != nil && err != unix.EINTR {
		p.log.Error("poller failed: its clients hear nothing any more", "err", err)
		p.err = err
		p.later = nil
		return false
	}
	p.mu.Lock()
	for _, e := range p.events[:max(0, n)] {
		if c := p.connections[e.Fd]; c != nil {
			p.ready = append(p.ready, event{c, e.Events})
		}
	}
	p.mu.Unlock()
	later := len(p.later)
	for i, e := range p.ready {
		p.ready[i] = event{}
		c := e.connection
		if e.bits&unix.EPOLLOUT != 0 {
			c.writable()
		}
		if e.bits&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			c.hangup.Store(true)
		}
		if e.bits&^unix.EPOLLOUT != 0 && c.wake() && c.turn(true) {
			p.later = append(p.later, c)
		}
	}
	p.ready = p.ready[:0]
	for _, c := range p.later[:later] {
		if c.turn(true) {
			p.later = append(p.later, c)
		}
	}
	p.later = slices.Delete(p.later, 0, later)
	return n == len(p.events)
}
