package mdns

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/grandcat/zeroconf"
)

const (
	// zeroconf's announcing goroutine outlives a server by 3.2 seconds; a new
	// server before that would announce against the old one's words.
	registerInterval = 5 * time.Second
	registerRetryMax = 5 * time.Minute
)

// A registration is what zeroconf is to advertise. It freezes the interfaces
// when a service is registered, so a change means to register anew.
type registration struct {
	zone   *zone
	ifaces []net.Interface
}

// A keeper holds one zeroconf server for each service. zeroconf's own defaults
// are avoided throughout: a nil address list makes it answer with the addresses
// of the link asked on, the explicit interfaces keep it off virtual ones, and
// its SetText and TTL race with its own goroutines.
type keeper struct {
	want chan registration
	log  *slog.Logger
}

func newKeeper(log *slog.Logger) *keeper {
	return &keeper{want: make(chan registration, 1), log: log}
}

// set replaces what is to be advertised, without waiting. Only one goroutine
// may call it.
func (k *keeper) set(r registration) {
	select {
	case <-k.want: // nobody has taken the older one yet
	default:
	}
	k.want <- r
}

// A server is a service that is registered, or whose registration failed.
type server struct {
	conf     *zeroconf.Server // nil: not registered
	host     string
	label    string
	indexes  []int // of the interfaces
	due      time.Time
	failures int
}

func (k *keeper) run(ctx context.Context) {
	var reg registration
	var servers []server
	for {
		var timer <-chan time.Time
		if next := k.apply(reg, servers, time.Now()); !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case reg = <-k.want:
			if servers == nil {
				servers = make([]server, len(reg.zone.services))
			}
		case <-timer:
		case <-ctx.Done():
			for i := range servers {
				servers[i].shutdown()
			}
			return
		}
	}
}

// apply registers the services anew that differ from what is wanted and whose
// time has come. It returns when the next one's time comes, or zero.
func (k *keeper) apply(reg registration, servers []server, now time.Time) time.Time {
	var next time.Time
	wait := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	var indexes []int
	for _, iface := range reg.ifaces {
		indexes = append(indexes, iface.Index)
	}
	for i := range servers {
		s, want := &servers[i], reg.zone.services[i]
		if s.is(reg.zone.host, want.label, indexes) {
			continue
		}
		if now.Before(s.due) {
			wait(s.due)
			continue
		}
		s.shutdown()
		s.due = now.Add(registerInterval)
		if len(indexes) == 0 {
			continue
		}
		conf, err := zeroconf.RegisterProxy(want.label, want.Type, domain, want.Port,
			strings.TrimSuffix(reg.zone.host, "."+domain), nil, escapeText(want.Text), reg.ifaces)
		if err != nil {
			s.failures++
			s.due = now.Add(min(registerInterval<<min(s.failures, 10), registerRetryMax))
			wait(s.due)
			k.log.Warn("service not advertised", "service", want.Instance, "type", want.Type, "err", err)
			continue
		}
		k.log.Info("service advertised", "service", want.Instance, "type", want.Type, "port", want.Port)
		s.conf, s.host, s.label, s.indexes, s.failures = conf, reg.zone.host, want.label, indexes, 0
	}
	return next
}

// is reports whether the server advertises just this.
func (s *server) is(host, label string, indexes []int) bool {
	if s.conf == nil {
		return len(indexes) == 0
	}
	return s.host == host && s.label == label && slices.Equal(s.indexes, indexes)
}

func (s *server) shutdown() {
	if s.conf != nil {
		s.conf.Shutdown() // says goodbye
		s.conf = nil
	}
}
