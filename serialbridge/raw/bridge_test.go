package raw

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// line is a port whose far end is a test.
type line struct {
	toDriver *io.PipeReader
	far      *io.PipeWriter

	mu      sync.Mutex
	written []string
	taking  chan struct{} // nil: takes all at once
	err     error         // of Write
}

func newLine() *line {
	r, w := io.Pipe()
	return &line{toDriver: r, far: w}
}

func (l *line) Read(p []byte) (int, error) { return l.toDriver.Read(p) }

func (l *line) Write(p []byte) (int, error) {
	if l.taking != nil {
		<-l.taking
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	l.written = append(l.written, string(p))
	return len(p), nil
}

func (l *line) Close() error                    { return l.toDriver.CloseWithError(serialbridge.ErrUnplugged) }
func (l *line) SetLine(serialbridge.Line) error { return nil }

// sent returns what was written since the last call.
func (l *line) sent() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.Join(l.written, "")
	l.written = nil
	return s
}

// start runs the driver within a synctest bubble.
func start(t *testing.T, o Options, l *line) (r *drivertest.Recorder, commands chan serialbridge.Command, end func() error) {
	t.Helper()
	r, commands = &drivertest.Recorder{}, make(chan serialbridge.Command, 4)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Driver(o).Run(ctx, l, r, commands) }()
	synctest.Wait()
	return r, commands, func() error {
		cancel()
		l.Close()
		return <-result
	}
}

func TestRunLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		r, commands, end := start(t, Options{Name: "boiler"}, l)
		if _, ok := r.Devices["boiler"]; !ok {
			t.Fatal("nothing to send to before something was received")
		}
		io.WriteString(l.far, "one\r\ntw")
		<-time.After(time.Hour) // of the bubble: no time ends a line
		io.WriteString(l.far, "o\n")
		synctest.Wait()
		if got := messages(t, r); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("received %q", got)
		}
		for _, test := range []struct {
			c    serialbridge.Command
			want string
		}{
			{serialbridge.Command{Device: "boiler", Key: "send", Value: []byte("on")}, "on\n"},
			{serialbridge.Command{Device: "boiler", Key: "send", Value: []byte("on\n")}, "on\n"},
			{serialbridge.Command{Device: "boiler", Key: "send", Value: []byte("on\r\n")}, "on\r\n"},
			{serialbridge.Command{Device: "boiler", Key: "send", Value: []byte("a\nb\x00\xff")}, "a\nb\x00\xff\n"},
			{serialbridge.Command{Device: "boiler", Key: "send", Value: []byte{}}, "\n"},
			{serialbridge.Command{Device: "boiler", Key: "send", Value: "text"}, ""},
			{serialbridge.Command{Device: "boiler", Key: "received", Value: []byte("x")}, ""},
			{serialbridge.Command{Device: "other", Key: "send", Value: []byte("x")}, ""},
			{serialbridge.Command{Device: "boiler", Key: "send", Value: []byte(strings.Repeat("x", 16384))}, strings.Repeat("x", 16384) + "\n"},
		} {
			commands <- test.c
			synctest.Wait()
			if got := l.sent(); got != test.want {
				t.Errorf("%s %s %v: sent %q, want %q", test.c.Device, test.c.Key, test.c.Value, got, test.want)
			}
		}
		if err := end(); !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

func TestRunFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gap = 10 * time.Millisecond
		l := newLine()
		r, commands, end := start(t, Options{Mode: Frames, Gap: gap}, l)
		began := time.Now()
		l.far.Write([]byte{1, 2})
		<-time.After(gap - 1)
		l.far.Write([]byte{3, '\n'})
		synctest.Wait()
		<-time.After(gap - 1)
		synctest.Wait()
		if got := messages(t, r); len(got) != 0 {
			t.Errorf("received %q before the gap", got)
		}
		<-time.After(1)
		synctest.Wait()
		if got := messages(t, r); !slices.Equal(got, []string{"\x01\x02\x03\n"}) {
			t.Errorf("received %q", got)
		}
		if at := r.Readings[0].Time; !at.Equal(began.Add(gap - 1)) {
			t.Errorf("of %v after the first byte", at.Sub(began))
		}
		// A gap to the nanosecond ends the frame, whichever is noticed first.
		l.far.Write([]byte{4})
		<-time.After(gap)
		l.far.Write([]byte{5})
		<-time.After(gap)
		synctest.Wait()
		if got := messages(t, r)[1:]; !slices.Equal(got, []string{"\x04", "\x05"}) {
			t.Errorf("received %q", got)
		}

		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte{1, 2, 3}}
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte{}}
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte("\n")}
		synctest.Wait()
		if got := l.sent(); got != "\x01\x02\x03\n" {
			t.Errorf("sent %q", got)
		}
		if err := end(); !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if len(r.Readings) != 3 {
			t.Errorf("%d readings", len(r.Readings))
		}
	})
}

// A message that takes long to send does not keep frames from being told apart.
func TestRunSlowWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.taking = make(chan struct{})
		r, commands, end := start(t, Options{Mode: Frames}, l)
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte(strings.Repeat("x", 2*piece))}
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte("next")}
		synctest.Wait()
		for range 2 {
			l.far.Write([]byte("frame"))
			<-time.After(defaultGap)
		}
		synctest.Wait()
		if got := messages(t, r); !slices.Equal(got, []string{"frame", "frame"}) {
			t.Errorf("received %q", got)
		}
		if len(commands) != 1 {
			t.Error("took a command that it cannot send yet")
		}
		for range 3 {
			l.taking <- struct{}{}
		}
		synctest.Wait()
		if !slices.Equal(l.written, []string{strings.Repeat("x", piece), strings.Repeat("x", piece), "next"}) {
			t.Errorf("sent %q", l.written)
		}
		end()
	})
}

func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mode := range []string{Lines, Frames} {
			l := newLine()
			r, _, end := start(t, Options{Mode: mode}, l)
			io.WriteString(l.far, "half a messa")
			l.far.CloseWithError(serialbridge.ErrUnplugged)
			synctest.Wait()
			if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
				t.Errorf("%s: %v", mode, err)
			}
			if got := messages(t, r); len(got) != 0 {
				t.Errorf("%s: received %q", mode, got)
			}
		}
		l := newLine()
		l.err = serialbridge.ErrUnplugged
		_, commands, end := start(t, Options{}, l)
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte("x")}
		synctest.Wait()
		if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Errorf("write: %v", err)
		}
	})
}
