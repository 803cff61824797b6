package syslog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// parsed is a message of RFC 5424.
type parsed struct {
	priority                        int
	time                            time.Time
	host, app, process, id, element string
	attributes                      []attribute
	text                            string
}

// parse reads a message strictly by the grammar of RFC 5424, 6.
func parse(text string) (m parsed, err error) {
	fail := func(what string) (parsed, error) { return m, fmt.Errorf("%s in %q", what, text) }
	rest, ok := strings.CutPrefix(text, "<")
	number, rest, ok2 := strings.Cut(rest, ">")
	if m.priority, err = strconv.Atoi(number); !ok || !ok2 || err != nil || m.priority > 191 || number != strconv.Itoa(m.priority) {
		return fail("PRI")
	}
	if rest, ok = strings.CutPrefix(rest, "1 "); !ok {
		return fail("VERSION")
	}
	stamp, rest, _ := strings.Cut(rest, " ")
	if stamp != "-" {
		if m.time, err = time.Parse("2006-01-02T15:04:05.999999Z07:00", stamp); err != nil || len(stamp) > 32 {
			return fail("TIMESTAMP")
		}
	}
	for _, field := range []struct {
		into *string
		most int
	}{{&m.host, 255}, {&m.app, 48}, {&m.process, 128}, {&m.id, 32}} {
		if *field.into, rest, ok = strings.Cut(rest, " "); !ok || *field.into == "" || len(*field.into) > field.most || !printASCII(*field.into, "") {
			return fail("header")
		}
	}
	if after, ok := strings.CutPrefix(rest, "-"); ok {
		rest = after
	} else if rest, ok = strings.CutPrefix(rest, "["); ok {
		end := strings.IndexAny(rest, " ]")
		if end < 0 {
			return fail("SD-ID")
		}
		m.element, rest = rest[:end], rest[end:]
		for strings.HasPrefix(rest, " ") {
			name, after, ok := strings.Cut(rest[1:], `="`)
			if !ok || name == "" || len(name) > 32 || !printASCII(name, `="]`) {
				return fail("PARAM-NAME")
			}
			var value strings.Builder
			i := 0
			for ; i < len(after) && after[i] != '"'; i++ {
				switch after[i] {
				case ']':
					return fail("PARAM-VALUE")
				case '\\':
					if i++; i == len(after) || !strings.ContainsRune(`"\]`, rune(after[i])) {
						return fail("escape")
					}
				}
				value.WriteByte(after[i])
			}
			if i == len(after) || !utf8.ValidString(value.String()) {
				return fail("PARAM-VALUE")
			}
			m.attributes = append(m.attributes, attribute{name, value.String()})
			rest = after[i+1:]
		}
		if rest, ok = strings.CutPrefix(rest, "]"); !ok || !printASCII(m.element, `="]`) || len(m.element) > 32 {
			return fail("SD-ELEMENT")
		}
	} else {
		return fail("STRUCTURED-DATA")
	}
	if rest == "" {
		return m, nil
	}
	if m.text, ok = strings.CutPrefix(rest, " "); !ok {
		return fail("MSG")
	}
	if after, ok := strings.CutPrefix(m.text, bom); ok {
		m.text = after
	} else if !isASCII(m.text) {
		return fail("MSG without BOM")
	}
	if !utf8.ValidString(m.text) {
		return fail("UTF-8")
	}
	return m, nil
}

func printASCII(s, but string) bool {
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 || strings.IndexByte(but, s[i]) >= 0 {
			return false
		}
	}
	return true
}

const hostile = "a\"b\\c]d\n<13>1 - - - - - -\xff\x00 ü\u2028"

func TestMessage(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 3, 4, 567891234, time.UTC)
	h := header{"lintel kitchen", "lintel", "42"}
	m, err := parse(string(h.appendMessage(nil, at, slog.LevelWarn, "größer "+hostile, []attribute{{"client", hostile}, {"bad name=\"]", "x"}, {"", ""}})))
	if err != nil {
		t.Fatal(err)
	}
	if m.priority != 3*8+4 || m.host != "lintel_kitchen" || m.app != "lintel" || m.process != "42" || m.id != "-" || m.element != element {
		t.Errorf("%+v", m)
	}
	if want := at.Truncate(time.Microsecond); !m.time.Equal(want) {
		t.Errorf("%v, want %v", m.time, want)
	}
	clean := "a\"b\\c]d <13>1 - - - - - -\uFFFD  ü "
	if m.text != "größer "+clean || len(m.attributes) != 3 || m.attributes[0] != (attribute{"client", clean}) || m.attributes[1].name != "bad_name___" {
		t.Errorf("%q, %q", m.text, m.attributes)
	}
	if m, err = parse(string(h.appendMessage(nil, time.Time{}, slog.LevelError, "plain", nil))); err != nil || m.text != "plain" || !m.time.IsZero() || m.priority != 27 {
		t.Errorf("%+v, %v", m, err)
	}
	// What is too much is left out, and what is there is whole.
	var many []attribute
	for range 100 {
		many = append(many, attribute{strings.Repeat("n", 100), strings.Repeat(`"`, 1000)})
	}
	long := string(h.appendMessage(nil, at, slog.LevelInfo, strings.Repeat("ü", 3000), many))
	if m, err = parse(long); err != nil || len(long) > maxMessage || len(m.attributes) == 0 || len(m.text) != maxText {
		t.Errorf("%d bytes, %d attributes, %v", len(long), len(m.attributes), err)
	}
}

// FuzzMessage: whatever is logged, a receiver that is strict reads one message with that text.
func FuzzMessage(f *testing.F) {
	f.Add("text", "client", "phone", "lintel", int64(0))
	f.Add(hostile, hostile, hostile, hostile, int64(1e18))
	f.Add("", "", "", "", int64(-1))
	f.Fuzz(func(t *testing.T, text, name, value, host string, nanos int64) {
		b := header{host, host, "1"}.appendMessage(nil, time.Unix(0, nanos), slog.LevelInfo, text, []attribute{{name, value}, {name, text}})
		if len(b) > maxMessage {
			t.Errorf("%d bytes", len(b))
		}
		m, err := parse(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if m.text != clean(text, maxText) || len(m.attributes) != 2 || m.attributes[0].value != clean(value, maxValue) {
			t.Errorf("%q became %+v", text, m)
		}
		if strings.ContainsAny(string(b), "\n\r\x00") {
			t.Errorf("%q ends a line", b)
		}
	})
}

// run runs a sender until the test ends.
func run(t *testing.T, o Options) (*Sender, *slog.Logger, func()) {
	t.Helper()
	o.Host, o.App, o.Level = "box", "lintel", slog.LevelDebug
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return s, slog.New(s), stop
}

func TestUDP(t *testing.T) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	_, log, stop := run(t, Options{URL: "udp://" + receiver.LocalAddr().String(), ClockKnown: func() bool { return false }})
	log.With("component", "broker").WithGroup("g").Info("client connected", "client", "phone", slog.Group("in", "n", 1))
	b := make([]byte, 4096)
	receiver.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := receiver.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(string(b[:n]))
	if err != nil || m.text != "client connected" || !m.time.IsZero() || fmt.Sprint(m.attributes) != "[{component broker} {g.client phone} {g.in.n 1}]" {
		t.Errorf("%+v, %v", m, err)
	}
	stop()
}

// readFramed reads messages with octet counting.
func readFramed(r *bufio.Reader) (parsed, error) {
	length, err := r.ReadString(' ')
	if err != nil {
		return parsed{}, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
	if err != nil || n > maxMessage {
		return parsed{}, fmt.Errorf("MSG-LEN %q", length)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return parsed{}, err
	}
	return parse(string(b))
}

// TestTCP: a log server that goes and comes back gets what was logged meanwhile, and at the
// end what waits.
func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, log, stop := run(t, Options{URL: "tcp://" + l.Addr().String()})
	log.Info("one")
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if m, err := readFramed(r); err != nil || m.text != "one" {
		t.Fatalf("%+v, %v", m, err)
	}
	conn.Close()
	if conn, err = l.Accept(); err != nil { // it comes back by itself
		t.Fatal(err)
	}
	defer conn.Close()
	log.Warn("two\nlines")
	r = bufio.NewReader(conn)
	if m, err := readFramed(r); err != nil || m.text != "two lines" || m.priority != 28 {
		t.Fatalf("%+v, %v", m, err)
	}
	for i := range 100 {
		log.Info(fmt.Sprint("last ", i))
	}
	stop()
	for i := range 100 {
		if m, err := readFramed(r); err != nil || m.text != fmt.Sprint("last ", i) {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	if _, err := readFramed(r); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if st := s.Stats(); st.Sent != 102 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

// Whoever logs waits for nobody: what is too much is dropped and counted.
func TestNobodyWaits(t *testing.T) {
	s, err := New(Options{URL: "tcp://127.0.0.1:1", Level: slog.LevelInfo})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(s)
	for range queueLength + 100 { // nothing takes them
		log.Info("x")
		log.Debug("y")
	}
	if st := s.Stats(); st.Dropped != 100 || st.Sent != 0 {
		t.Errorf("%+v", st)
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"udp://192.168.1.2": "udp 192.168.1.2:514", "tcp://logs.local": "tcp logs.local:601", "tls://[::1]:7000": "tls [::1]:7000", "tls://x": "tls x:6514",
		"": "", "udp://": "", "http://x": "", "udp://x:0": "", "udp://x:70000": "", "udp://u@x": "", "udp://x/y": "", "192.168.1.2:514": "",
	} {
		network, address, err := ParseURL(text)
		if got := network + " " + address; got != want && !(want == "" && err != nil && strings.Contains(err.Error(), "right is")) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
