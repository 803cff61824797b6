package mdns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Without an interface there is nothing to do, and that is no error. Nothing is
// left behind but what zeroconf leaves, which was not used here.
func TestRunWithoutInterfaces(t *testing.T) {
	for _, test := range []struct {
		name       string
		interfaces func() ([]net.Interface, error)
	}{
		{"none", func() ([]net.Interface, error) { return nil, nil }},
		{"error", func() ([]net.Interface, error) { return nil, errors.New("no such thing") }},
		{"no address", func() ([]net.Interface, error) { return []net.Interface{{Index: 4711, Flags: net.FlagUp}}, nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := make(chan struct{}, 10)
			opt := house
			opt.interfaces = func() ([]net.Interface, error) {
				asked <- struct{}{}
				return test.interfaces()
			}
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			a := New(opt)
			go func() { done <- a.Run(ctx) }()
			<-asked
			<-asked // the change that the subscription to changes counts as
			if a.Host() != "lintel" {
				t.Errorf("host %q", a.Host())
			}
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("does not stop")
			}
			eventually(t, func() error {
				if runtime.NumGoroutine() > before {
					return errors.New("goroutines are left")
				}
				return nil
			})
		})
	}
}

func TestOptionsRefused(t *testing.T) {
	good := Service{Instance: "Lintel", Type: "_http._tcp", Port: 80}
	with := func(change func(*Service)) Options {
		s := good
		change(&s)
		return Options{Host: "lintel", Services: []Service{s}}
	}
	for _, test := range []struct {
		opt  Options
		want string // in the error
	}{
		{Options{Host: ""}, "host name"},
		{Options{Host: "lintel.local"}, "without .local"},
		{Options{Host: "-lintel"}, "host name"},
		{Options{Host: strings.Repeat("x", 58)}, "at most 57"},
		{Options{Host: "lintel", Services: []Service{good, good}}, "listed twice"},
		{with(func(s *Service) { s.Instance = "" }), "instance name"},
		{with(func(s *Service) { s.Instance = strings.Repeat("x", 58) }), "57 bytes"},
		{with(func(s *Service) { s.Instance = "a\nb" }), "must be text"},
		{with(func(s *Service) { s.Instance = "\xff" }), "must be text"},
		{with(func(s *Service) { s.Instance = "Lintel." }), "dot"},
		{with(func(s *Service) { s.Type = "http" }), "_mqtt._tcp"},
		{with(func(s *Service) { s.Type = "_http._tcp,_sub" }), "_mqtt._tcp"},
		{with(func(s *Service) { s.Port = 0 }), "port 0"},
		{with(func(s *Service) { s.Port = 65536 }), "port 65536"},
		{with(func(s *Service) { s.Text = []string{strings.Repeat("x", 256)} }), "255 bytes"},
		{with(func(s *Service) {
			s.Text = []string{strings.Repeat("x", 255), strings.Repeat("x", 255), strings.Repeat("x", 255), strings.Repeat("x", 255)}
		}), "1024 bytes"},
	} {
		err := New(test.opt).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want one with %q", test.opt, err, test.want)
		}
	}
}

// A response is believed from port 5353 of a neighbour alone: others have no say about
// the names of this host.
func TestStrangersTakeNoName(t *testing.T) {
	taken, err := response(&dns.A{Hdr: header("lintel.local.", dns.TypeA, dns.ClassINET, hostTTL), A: net.IPv4(192, 0, 2, 9)}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]event{
		"192.0.2.9:5353":    conflicted,
		"192.0.2.9:5354":    elapsed,
		"198.51.100.9:5353": elapsed,
	} {
		r := newResponder(New(house), &network{links: []link{*testLink("192.0.2.1/24")}, log: slog.New(slog.DiscardHandler)}, nil)
		r.state = probing
		if got := r.receive(packet{data: taken, index: houseInterface.Index, src: netip.MustParseAddrPort(src)}); got != want {
			t.Errorf("a response from %s: event %d, want %d", src, got, want)
		}
	}
}

func TestRateLimits(t *testing.T) {
	r := newResponder(New(house), new(network), nil)
	l := testLink("192.0.2.1/24")
	due := func(interval time.Duration) int { return len(r.due(2, false, r.zone.addresses(l), interval)) }
	if due(multicastInterval) != 1 || due(multicastInterval) != 0 || due(defendInterval) != 0 {
		t.Error("the same record twice at once")
	}
	if len(r.due(3, false, r.zone.addresses(l), multicastInterval)) != 1 || len(r.due(2, true, r.zone.addresses(l), multicastInterval)) != 1 {
		t.Error("links and families are limited together")
	}
	for key := range r.sent {
		r.sent[key] = time.Now().Add(-defendInterval)
	}
	if due(multicastInterval) != 0 || due(defendInterval) != 1 {
		t.Error("a name is defended four times a second")
	}
	n := 0
	for range 3 * unicastPerSecond {
		if r.unicastDue() {
			n++
		}
	}
	if n < unicastPerSecond || n > 2*unicastPerSecond { // twice when the second ends meanwhile
		t.Errorf("%d unicast answers", n)
	}
}
