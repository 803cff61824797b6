package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	queueLength  = 512
	maxAttribute = 16
	dialTime     = 10 * time.Second
	writeTime    = 10 * time.Second
	goodbye      = time.Second // for what waits at the end
	firstPause   = time.Second // before a second try
	longestPause = time.Minute
)

// Options are the options of [New].
type Options struct {
	URL   string // udp://HOST:PORT, tcp:// or tls://; see ParseURL
	CA    []byte // PEM: the authorities of the log server's certificate; nil: those of the system
	Host  string // name of the box
	App   string // name of the program
	Level slog.Leveler

	// ClockKnown reports whether the time is right: else messages have none. nil: it is.
	ClockKnown func() bool

	// Logger is told when the log server is gone and back; nil: nobody is. It may lead here.
	Logger *slog.Logger
}

// ParseURL checks the address of a log server. Its errors say what is right.
func ParseURL(text string) (network, address string, err error) {
	const right = "right is one such as udp://192.168.1.2:514, tcp://logs.local:601 or tls://logs.example.com:6514"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", "", fmt.Errorf("%.200q is not the address of a log server; %s", text, right)
	}
	port := map[string]string{"udp": "514", "tcp": "601", "tls": "6514"}[u.Scheme] // RFC 5426, 3.3; RFC 3195; RFC 5425, 4.1
	if port == "" {
		return "", "", fmt.Errorf("%.200q begins with none of udp, tcp, tls; %s", text, right)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%.200q has no port between 1 and 65535; %s", text, right)
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
}

// Stats count since New.
type Stats struct {
	Connected bool   // of UDP: the last message could be sent
	Sent      uint64 // messages; those over UDP may not have come
	Dropped   uint64 // messages
}

// Sender sends the log to a log server. It is a [slog.Handler].
type Sender struct {
	state *state
	group string // in front of the names of attributes, with its dot
	with  []attribute
}

// state is what the handlers of a sender share.
type state struct {
	o                Options
	network, address string
	header           header
	tls              *tls.Config
	queue            chan []byte

	connected     atomic.Bool
	sent, dropped atomic.Uint64
}

// New returns a sender that sends nothing before Run.
func New(o Options) (*Sender, error) {
	network, address, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &state{o: o, network: network, address: address, queue: make(chan []byte, queueLength),
		header: header{o.Host, o.App, strconv.Itoa(os.Getpid())}}
	if network == "tls" {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if len(o.CA) > 0 {
			s.tls.RootCAs = x509.NewCertPool()
			if !s.tls.RootCAs.AppendCertsFromPEM(o.CA) {
				return nil, errors.New("there is no certificate in the file of the authority; right is PEM")
			}
		}
	}
	if s.o.Logger == nil {
		s.o.Logger = slog.New(slog.DiscardHandler)
	}
	if s.o.Level == nil {
		s.o.Level = slog.LevelInfo
	}
	return &Sender{state: s}, nil
}

// Stats tells how it is going.
func (s *Sender) Stats() Stats {
	return Stats{s.state.connected.Load(), s.state.sent.Load(), s.state.dropped.Load()}
}

// Enabled implements [slog.Handler].
func (s *Sender) Enabled(_ context.Context, level slog.Level) bool {
	return level >= s.state.o.Level.Level()
}

// WithGroup implements [slog.Handler].
func (s *Sender) WithGroup(name string) slog.Handler {
	if name == "" {
		return s
	}
	c := *s
	c.group += name + "."
	return &c
}

// WithAttrs implements [slog.Handler].
func (s *Sender) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *s
	c.with = c.with[:len(c.with):len(c.with)]
	for _, a := range attrs {
		c.with = appendAttribute(c.with, c.group, a)
	}
	return &c
}

// Handle implements [slog.Handler].
func (s *Sender) Handle(_ context.Context, r slog.Record) error {
	attributes := s.with[:len(s.with):len(s.with)]
	r.Attrs(func(a slog.Attr) bool {
		attributes = appendAttribute(attributes, s.group, a)
		return len(attributes) < maxAttribute
	})
	at := r.Time
	if s.state.o.ClockKnown != nil && !s.state.o.ClockKnown() {
		at = time.Time{}
	}
	message := s.state.header.appendMessage(nil, at, r.Level, r.Message, attributes[:min(len(attributes), maxAttribute)])
	select {
	case s.state.queue <- message:
	default:
		s.state.dropped.Add(1)
	}
	return nil
}

// appendAttribute appends an attribute, or those of a group.
func appendAttribute(attributes []attribute, group string, a slog.Attr) []attribute {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			attributes = appendAttribute(attributes, group, inner)
		}
		return attributes
	}
	if a.Key == "" {
		return attributes
	}
	return append(attributes, attribute{group + a.Key, v.String()})
}

// Run sends what is logged until ctx ends, and then, for a second, what waits. It returns nil.
func (s *Sender) Run(ctx context.Context) error {
	st := s.state
	pause := firstPause
	var waiting []byte // a message that did not get through
	for ctx.Err() == nil {
		conn, err := st.dial(ctx)
		if err == nil {
			st.connected.Store(true)
			st.o.Logger.Info("log server reached", "address", st.address)
			began := time.Now()
			waiting, err = st.send(ctx, conn, waiting)
			conn.Close()
			st.connected.Store(false)
			if ctx.Err() != nil {
				return nil
			}
			if time.Since(began) > longestPause {
				pause = firstPause
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		st.o.Logger.Warn("log server not reached", "address", st.address, "err", err, "again", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

func (s *state) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if s.tls != nil {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.address)
	}
	return new(net.Dialer).DialContext(ctx, s.network, s.address)
}

// send sends until ctx or the connection ends; first the message that did not get through
// before. It returns the one that did not now.
func (s *state) send(ctx context.Context, conn net.Conn, first []byte) (waiting []byte, err error) {
	gone := make(chan struct{})
	if s.network != "udp" { // a log server says nothing, but that it is gone
		go func() {
			defer close(gone)
			io.Copy(io.Discard, conn)
			conn.Close()
		}()
	}
	for {
		message := first
		first = nil
		if message == nil {
			select {
			case message = <-s.queue:
			case <-gone:
				return nil, errors.New("the log server has closed the connection")
			case <-ctx.Done():
				s.flush(conn)
				return nil, nil
			}
		}
		if err := s.write(conn, message, writeTime); err != nil {
			if s.network == "udp" { // it may have been the one before
				s.dropped.Add(1)
				message = nil
			}
			return message, err
		}
	}
}

// flush sends what waits, as long as it is quick.
func (s *state) flush(conn net.Conn) {
	for end := time.Now().Add(goodbye); ; {
		select {
		case message := <-s.queue:
			if s.write(conn, message, time.Until(end)) != nil {
				return
			}
		default:
			return
		}
	}
}

func (s *state) write(conn net.Conn, message []byte, within time.Duration) error {
	if s.network != "udp" { // RFC 6587, 3.4.1, and RFC 5425, 4.3: MSG-LEN SP SYSLOG-MSG
		framed := strconv.AppendInt(make([]byte, 0, len(message)+5), int64(len(message)), 10)
		message = append(append(framed, ' '), message...)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := conn.Write(message); err != nil {
		return err
	}
	s.sent.Add(1)
	return nil
}
