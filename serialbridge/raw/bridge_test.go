package raw

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// start runs the driver within a synctest bubble.
func start(t *testing.T, o Options, l *drivertest.Port) (r *drivertest.Recorder, commands chan serialbridge.Command, end func() error) {
	t.Helper()
	r = &drivertest.Recorder{}
	commands, end = run(t, o, l, r)
	return r, commands, end
}

func run(t *testing.T, o Options, l *drivertest.Port, sink serialbridge.Sink) (commands chan serialbridge.Command, end func() error) {
	t.Helper()
	commands = make(chan serialbridge.Command, 4)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Driver(o).Run(ctx, l, sink, commands) }()
	synctest.Wait()
	return commands, func() error {
		cancel()
		l.Close()
		return <-result
	}
}

func TestRunLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := drivertest.NewPort()
		r, commands, end := start(t, Options{Name: "boiler"}, l)
		if _, ok := r.Devices["boiler"]; !ok {
			t.Fatal("nothing to send to before something was received")
		}
		l.Say([]byte("one\r\ntw"))
		<-time.After(time.Hour) // of the bubble: no time ends a line
		l.Say([]byte("o\n"))
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
			if got := string(l.Sent()); got != test.want {
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
		l := drivertest.NewPort()
		r := &drivertest.Recorder{}
		sink := &drivertest.Locked{Sink: r}
		commands, end := run(t, Options{Mode: Frames, Gap: gap}, l, sink)
		began := time.Now()
		l.Say([]byte{1, 2})
		<-time.After(gap - 1)
		l.Say([]byte{3, '\n'})
		synctest.Wait()
		<-time.After(gap - 1)
		synctest.Wait()
		if got := messages(t, r); len(got) != 0 {
			t.Errorf("received %q before the gap", got)
		}
		sink.Lock()
		sink.Unlock() //lint:ignore SA2001 what the test has read is written after this
		<-time.After(1)
		synctest.Wait()
		if got := messages(t, r); !slices.Equal(got, []string{"\x01\x02\x03\n"}) {
			t.Errorf("received %q", got)
		}
		if at := r.Readings[0].Time; !at.Equal(began.Add(gap - 1)) {
			t.Errorf("of %v after the first byte", at.Sub(began))
		}
		// A gap to the nanosecond ends the frame, whichever is noticed first.
		l.Say([]byte{4})
		<-time.After(gap)
		l.Say([]byte{5})
		<-time.After(gap)
		synctest.Wait()
		if got := messages(t, r)[1:]; !slices.Equal(got, []string{"\x04", "\x05"}) {
			t.Errorf("received %q", got)
		}

		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte{1, 2, 3}}
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte{}}
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte("\n")}
		synctest.Wait()
		if got := string(l.Sent()); got != "\x01\x02\x03\n" {
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
		l := drivertest.NewPort()
		var taken []string
		taking := make(chan struct{})
		l.OnWrite = func(data []byte) {
			<-taking
			taken = append(taken, string(data))
		}
		r, commands, end := start(t, Options{Mode: Frames}, l)
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte(strings.Repeat("x", 2*piece))}
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte("next")}
		synctest.Wait()
		for range 2 {
			l.Say([]byte("frame"))
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
			taking <- struct{}{}
		}
		synctest.Wait()
		if !slices.Equal(taken, []string{strings.Repeat("x", piece), strings.Repeat("x", piece), "next"}) {
			t.Errorf("sent %q", taken)
		}
		end()
	})
}

func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mode := range []string{Lines, Frames} {
			l := drivertest.NewPort()
			r, _, end := start(t, Options{Mode: mode}, l)
			l.Say([]byte("half a messa"))
			l.Close()
			synctest.Wait()
			if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
				t.Errorf("%s: %v", mode, err)
			}
			if got := messages(t, r); len(got) != 0 {
				t.Errorf("%s: received %q", mode, got)
			}
		}
		l := drivertest.NewPort()
		l.Refuse(serialbridge.ErrUnplugged)
		_, commands, end := start(t, Options{}, l)
		commands <- serialbridge.Command{Device: "raw", Key: "send", Value: []byte("x")}
		synctest.Wait()
		if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Errorf("write: %v", err)
		}
	})
}
