package lend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lintel/serialbridge"
)

const (
	// A client that does not answer is dead after about half a minute: asked
	// after keepAliveIdle, then every keepAliveInterval.
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
	deadClient        = keepAliveIdle + keepAliveCount*keepAliveInterval

	// sendBuffer bounds what the kernel holds for a client that reads slowly.
	sendBuffer = 64 << 10

	// maxPurge is how many pieces of what the stick said are dropped at most
	// when a client wants none of it: it goes on speaking.
	maxPurge = 8
)

// timing is every duration that a lender goes by.
type timing struct {
	publish  time.Duration // between two readings of one lease
	linger   time.Duration // that the stick has to answer one who has said all he had to say
	handOver time.Duration // that the next client waits for one that may just be leaving
	stall    time.Duration // that a client may take no data
	farewell time.Duration // for the last data when the stick is gone
}

func defaultTiming() timing {
	return timing{publish: 10 * time.Second, linger: 500 * time.Millisecond, handOver: 250 * time.Millisecond, stall: deadClient, farewell: time.Second}
}

// listen opens the address at which a port is lent.
func listen(ctx context.Context, address string) (net.Listener, error) {
	config := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
		// Nobody is asked whether he is alive while data are on the way to
		// him; without this they would be tried for a quarter of an hour.
		// Accepted connections inherit it.
		Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadClient.Milliseconds()))
			})
			return errors.Join(cerr, err)
		},
	}
	return config.Listen(ctx, "tcp", address)
}

// A lender owns a port and lends it.
type lender struct {
	port    serialbridge.Port
	sink    serialbridge.Sink
	line    serialbridge.Line // that each lease begins with
	telnet  bool
	idle    time.Duration // 0: none
	allowed []netip.Prefix
	t       timing

	lease    *lease // nil: nobody has the port
	client   string // its address
	data     []byte // from the stick, to be handed over
	answer   []byte // telnet commands, to be handed over before it
	binary   bool   // as the client wants data
	paused   bool   // it wants none now
	leaving  bool   // it says no more
	quiet    *time.Timer
	next     net.Conn // a client that waits for the one before to leave
	handOver *time.Timer

	counted *counters
	changed bool // since they were published
	tick    *time.Ticker
}

// counters are the bytes that went through a port in all leases. They outlast a
// Run, since what falls is no total; one Run may still be ending when the next
// one has begun.
type counters struct{ received, sent atomic.Int64 }

// serve lends the port to one client after the other until ctx ends or the port
// fails. It closes the listener.
func (l *lender) serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var accepting sync.WaitGroup
	defer accepting.Wait()
	defer listener.Close()
	defer cancel()
	accepted, failed := make(chan net.Conn), make(chan error, 1)
	accepting.Go(func() { failed <- accept(ctx, listener, accepted) })
	incoming := serialbridge.Hear(ctx, l.port)

	l.quiet, l.handOver = time.NewTimer(l.idle), time.NewTimer(0)
	defer l.quiet.Stop()
	defer l.handOver.Stop()
	l.tick = time.NewTicker(l.t.publish)
	defer l.tick.Stop()

	l.sink.Device(device())
	l.publishClient()
	defer l.close()
	for {
		stick, events, ended := incoming, (<-chan event)(nil), (<-chan struct{})(nil)
		outgoing, it := l.offer()
		if l.lease != nil {
			ended = l.lease.ended
			if l.data != nil {
				stick = nil // until the client has taken what came before
			}
			if l.answer == nil {
				events = l.lease.events // else it has to take the answer first
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return fmt.Errorf("lend: %w", err)
		case conn := <-accepted:
			l.arrive(conn)
		case <-l.handOver.C:
			l.refuseNext()
		case h := <-stick:
			if l.lease != nil {
				l.hear(h.Data)
			}
			if h.Err != nil {
				return h.Err
			}
		case outgoing <- it:
			if it.telnet {
				l.answer = nil
			} else {
				l.data = nil
			}
		case e := <-events:
			if err := l.handle(e, incoming); err != nil {
				return err
			}
		case <-l.quiet.C:
			if l.lease != nil && l.idle > 0 {
				l.lease.end()
			}
		case <-ended:
			if err := l.finish(); err != nil {
				return err
			}
		case <-l.tick.C:
			if l.changed {
				l.publish()
			}
		}
	}
}

// offer returns what is to be handed over next; to nil if there is nothing.
func (l *lender) offer() (to chan<- item, it item) {
	switch {
	case l.lease == nil:
		return nil, item{}
	case l.answer != nil:
		return l.lease.outgoing, item{data: l.answer, telnet: true}
	case l.data != nil && !l.paused:
		return l.lease.outgoing, item{data: l.data, binary: l.binary}
	}
	return nil, item{}
}

// accept takes connections until the listener fails or ctx ends.
func accept(ctx context.Context, listener net.Listener, accepted chan<- net.Conn) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		select {
		case accepted <- conn:
		case <-ctx.Done():
			conn.Close()
			return ctx.Err()
		}
	}
}

// arrive gives the port to a client, lets it wait, or refuses it.
func (l *lender) arrive(conn net.Conn) {
	from, ok := addressOf(conn)
	allowed := false
	for _, prefix := range l.allowed {
		allowed = allowed || ok && prefix.Contains(from.Addr())
	}
	switch {
	case !allowed:
		l.sink.Ignored(fmt.Sprintf("a client was refused: %s is not in an allowed network", from.Addr()))
		conn.Close()
	case l.lease == nil:
		l.begin(conn)
	case l.next == nil:
		// One who comes right after another may be heard before it.
		l.next = conn
		l.handOver.Reset(l.t.handOver)
		l.makeRoom()
	default:
		l.refuse(conn)
	}
}

// addressOf returns the address of a client without what tells interfaces and
// the two ways to write IPv4 apart.
func addressOf(conn net.Conn) (netip.AddrPort, bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	a := tcp.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()), true
}

// makeRoom does not let the next client wait for one who only listens for a last
// answer.
func (l *lender) makeRoom() {
	if l.leaving && l.next != nil {
		l.lease.end()
	}
}

func (l *lender) refuse(conn net.Conn) {
	holder, _ := addressOf(l.lease.conn)
	l.sink.Ignored(fmt.Sprintf("a second client was refused: %s has the port", holder.Addr()))
	conn.Close()
}

func (l *lender) refuseNext() {
	if l.next != nil {
		l.refuse(l.next)
		l.next = nil
	}
}

func (l *lender) begin(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetWriteBuffer(sendBuffer) // what the kernel thinks right does as well
	}
	from, _ := addressOf(conn)
	l.client = from.String()
	l.lease = begin(conn, l.port, l.line, l.telnet, l.t)
	if l.telnet {
		l.answer = offers()
	}
	if l.idle > 0 {
		l.quiet.Reset(l.idle)
	}
	l.publishClient()
}

// hear takes what the stick said during a lease.
func (l *lender) hear(data []byte) {
	if len(data) == 0 {
		return
	}
	l.data = data
	l.counted.received.Add(int64(len(data)))
	l.active()
}

// active notes that bytes went through.
func (l *lender) active() {
	l.changed = true
	if l.idle > 0 {
		l.quiet.Reset(l.idle)
	}
}

// handle takes what the client said.
func (l *lender) handle(e event, incoming <-chan serialbridge.Heard) error {
	if e.damaged != "" {
		l.sink.Damaged(e.damaged)
	}
	if e.sent > 0 {
		l.counted.sent.Add(int64(e.sent))
		l.active()
	}
	if e.leaving {
		l.leaving = true
		l.makeRoom()
		return nil
	}
	l.binary, l.paused = e.binary, e.suspended
	if e.answer != nil {
		l.answer = e.answer
	}
	if e.purge {
		return l.purge(incoming)
	}
	return nil
}

// purge drops what the stick said and the client has not got.
func (l *lender) purge(incoming <-chan serialbridge.Heard) error {
	l.data = nil
	for range maxPurge {
		select {
		case h := <-incoming:
			l.counted.received.Add(int64(len(h.Data)))
			if h.Err != nil {
				return h.Err
			}
		default:
			return nil
		}
	}
	return nil
}

// finish takes the port back from a client that is gone.
func (l *lender) finish() error {
	le := l.lease
	if le.stalled {
		holder, _ := addressOf(le.conn)
		l.sink.Ignored(fmt.Sprintf("a client was disconnected: %s took no data for %v", holder.Addr(), l.t.stall))
	}
	l.lease, l.client = nil, ""
	l.data, l.answer, l.binary, l.paused, l.leaving = nil, nil, false, false, false
	l.publishClient()
	if le.portErr != nil {
		return le.portErr
	}
	if le.line != l.line {
		if err := l.port.SetLine(l.line); err != nil {
			return err
		}
	}
	if l.next != nil {
		conn := l.next
		l.next = nil
		l.begin(conn)
	}
	return nil
}

// close disconnects the client when the stick or the house is gone. What the
// stick said last is still handed over.
func (l *lender) close() {
	if l.next != nil {
		l.next.Close()
	}
	if l.lease == nil {
		return
	}
	late := time.NewTimer(l.t.farewell)
	defer late.Stop()
	if l.data != nil && !l.paused {
		select {
		case l.lease.outgoing <- item{data: l.data, binary: l.binary}:
		case <-l.lease.ended:
		case <-late.C:
			l.lease.end()
		}
	}
	close(l.lease.outgoing)
	select {
	case <-l.lease.ended:
	case <-late.C:
		l.lease.end()
		<-l.lease.ended
	}
	l.client = ""
	l.publishClient()
}

// publishClient tells what went through the port up to now and who has it. The
// counters are by themselves: after a restart they are not believed at once.
func (l *lender) publishClient() {
	l.publish()
	l.sink.Reading(serialbridge.Reading{Device: deviceID, Time: time.Now(), Values: map[string]any{keyClient: l.client}})
}

// publish tells what went through the port.
func (l *lender) publish() {
	l.changed = false
	l.tick.Reset(l.t.publish)
	l.sink.Reading(serialbridge.Reading{Device: deviceID, Time: time.Now(), Values: map[string]any{
		keyReceived: l.counted.received.Load(), keySent: l.counted.sent.Load(),
	}})
}
