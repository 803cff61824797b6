package mdns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Service is one service instance of this host.
type Service struct {
	Instance string   // what people see, such as "Lintel A1B2C3"; at most 57 bytes of UTF-8
	Type     string   // such as "_mqtt._tcp"
	Port     int      // 1 to 65535
	Text     []string // TXT strings, key=value
}

// Options tell an Advertiser what to advertise and where.
type Options struct {
	Host     string // such as "lintel", without ".local"; letters, digits and hyphens
	Services []Service

	// Renamed is what OnRename was told the last time, perhaps by an Advertiser
	// that is long gone: of two boxes that have the same name, each is to keep
	// the one that it got over a power cut (RFC 6762 section 9). Of a name that
	// is not an option any more it means nothing.
	Renamed map[string]string

	// OnRename is called when the names are claimed that another host had not,
	// if they are others than in Renamed or the last time. It is told which
	// names are not those of the options, host name and "instance.type" alike.
	// Run's goroutine calls it; it must not block. It may be nil.
	OnRename func(renamed map[string]string)

	Logger *slog.Logger // nil: no logging

	interfaces func() ([]net.Interface, error) // nil: lanInterfaces; tests have others
}

// An Advertiser advertises one host and its services. Make it with New.
type Advertiser struct {
	opt  Options
	host atomic.Pointer[string]
}

// New returns an Advertiser that does nothing until Run.
func New(opt Options) *Advertiser {
	if opt.interfaces == nil {
		opt.interfaces = lanInterfaces
	}
	if opt.OnRename == nil {
		opt.OnRename = func(map[string]string) {}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Advertiser{opt: opt}
	host := newClaims(&opt).host.host()
	a.host.Store(&host)
	return a
}

// Host returns the host name in use, without ".local". It is the one from the
// options unless another host on the network has it: then it is "lintel-2", and
// so on.
func (a *Advertiser) Host() string { return *a.host.Load() }

// Run advertises until ctx is done, then says goodbye and returns nil. It
// returns an error when the options cannot be advertised, or when neither an
// IPv4 nor an IPv6 socket could be opened. Having no interface is no error: it
// waits for one. An Advertiser runs once.
func (a *Advertiser) Run(ctx context.Context) error {
	if err := a.opt.validate(); err != nil {
		return err
	}
	n, err := open(ctx, a.opt.interfaces, a.opt.Logger)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	keeper := newKeeper(a.opt.Logger)
	wg.Go(func() { keeper.run(ctx) })

	newResponder(a, n, keeper).run(ctx)

	n.close()
	wg.Wait()
	return nil
}

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,55}[A-Za-z0-9])?$`) // leaves room for "-99" in a label of 63
	// Others take more liberties with the names of types than RFC 6335 section 5.1.
	browsedType = regexp.MustCompile(`^_[A-Za-z0-9_-]{1,62}\._(tcp|udp)$`)
	serviceType = regexp.MustCompile(`^_[A-Za-z0-9]([A-Za-z0-9-]{0,17}[A-Za-z0-9])?\._(tcp|udp)$`)
)

func (o *Options) validate() error {
	if !hostName.MatchString(o.Host) {
		return fmt.Errorf("mdns: host name %q: use letters, digits and hyphens, at most 57, without .local", o.Host)
	}
	seen := make(map[string]bool)
	for _, s := range o.Services {
		if err := s.validate(); err != nil {
			return fmt.Errorf("mdns: service %q of type %q: %w", s.Instance, s.Type, err)
		}
		key := strings.ToLower(s.Instance + "." + s.Type)
		if seen[key] {
			return fmt.Errorf("mdns: service %q of type %q is listed twice", s.Instance, s.Type)
		}
		seen[key] = true
	}
	return nil
}

func (s *Service) validate() error {
	switch n := len(s.Instance); {
	case n == 0 || n > 57: // leaves room for " (99)" in a label of 63
		return errors.New("the instance name must have 1 to 57 bytes")
	case !utf8.ValidString(s.Instance) || strings.ContainsFunc(s.Instance, isControl):
		return errors.New("the instance name must be text (RFC 6763 section 4.1.1)")
	case strings.HasPrefix(s.Instance, ".") || strings.HasSuffix(s.Instance, "."):
		return errors.New("the instance name must not begin or end with a dot") // zeroconf trims dots, even escaped ones
	case !serviceType.MatchString(s.Type):
		return errors.New("the type must be like _mqtt._tcp")
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("port %d is not in 1 to 65535", s.Port)
	}
	total := 0
	for _, t := range s.Text {
		if len(t) > 255 {
			return fmt.Errorf("the text %.20q... is longer than 255 bytes", t)
		}
		total += 1 + len(t)
	}
	if total > 900 {
		return fmt.Errorf("the texts have %d bytes in all; 900 fit into one packet beside the rest", total)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
