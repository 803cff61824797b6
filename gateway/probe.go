package gateway

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lintel/gateway/broker"
	"lintel/gateway/update"
)

// probeTime is what the broker and the store have to answer in when they are asked whether
// they work.
const probeTime = 5 * time.Second

// probeListener is the name of the listener for those who ask: no address in a
// configuration is like it.
const probeListener = "probe"

// prober is the identity of who came through that listener.
type prober struct{}

// permit is what it may do.
func (prober) permit(action broker.Action, topic string) broker.Permit {
	if topic == update.ProbeTopic {
		return broker.Allow
	}
	return broker.Deny
}

// listenPrivate opens a socket in the data folder for this user and root alone.
func (g *gateway) listenPrivate(name string) (net.Listener, error) {
	path := filepath.Join(g.o.Data, name)
	removeStale(path)
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Linux creates the socket with the mode of its descriptor, so that there
		// is no moment at which others may use it.
		return c.Control(func(fd uintptr) { unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err == nil {
		if err = os.Chmod(path, 0o600); err != nil { // for systems that do not
			l.Close()
		}
	}
	return l, err
}

// answerStarting has whoever asks whether the broker works told that it is starting, until
// listenProbe: after a power cut the store may take minutes to open.
func (g *gateway) answerStarting() {
	l, err := g.listenPrivate(update.ProbeSocket)
	if err != nil {
		return // listenProbe says so
	}
	g.probe = l
	go update.AnswerStarting(l)
}

// listenProbe opens the socket at which the broker is asked whether it works. Only an
// appliance has somebody who asks.
func (g *gateway) listenProbe() {
	if g.probe != nil {
		g.probe.Close()
	}
	l, err := g.listenPrivate(update.ProbeSocket)
	if err != nil {
		g.log.Warn("nobody can ask whether the broker works", "err", err)
	}
	g.probe = l
}

// ask asks the broker whether it works, as guard does.
func (h *houseHealth) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return update.Probe(ctx, h.g.o.Data)
}
