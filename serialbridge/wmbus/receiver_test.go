package wmbus

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

// newPort returns a port whose far end answers as a CUL does; nil: it does not.
func newPort(answer func(command string) string) *drivertest.Port {
	p := drivertest.NewPort()
	p.OnWrite = func(data []byte) {
		if answer == nil {
			return
		}
		if s := answer(strings.TrimSpace(string(data))); s != "" {
			p.Say([]byte(s + "\r\n"))
		}
	}
	return p
}

// sent returns the commands that were written since the last call.
func sent(p *drivertest.Port) []string { return strings.Fields(string(p.Sent())) }

// run runs a driver at l in the bubble of the test.
func run(t *testing.T, l *drivertest.Port, o Options) (*recorder, chan error) {
	sink := &recorder{}
	result := make(chan error, 1)
	go func() { result <- Driver(o).Run(t.Context(), l, sink, make(chan serialbridge.Command)) }()
	return sink, result
}

// culfw answers as the firmware does.
func culfw(modes string) func(string) string {
	return func(command string) string {
		switch {
		case command == "V":
			return "V 1.26.05 a-culfw Build: 311 (2018-12-09_19-12-53) CUL868 (F-Band: 868MHz)"
		case strings.HasPrefix(command, "br") && strings.Contains(modes, command[2:]):
			return strings.ToUpper(command[2:]) + "MODE"
		case strings.HasPrefix(command, "br"):
			return "OFF"
		}
		return ""
	}
}

func TestRunCUL(t *testing.T) {
	for _, test := range []struct {
		o     Options
		modes string
		want  []string
	}{
		{Options{}, "cts", []string{"V", "brc", "X21"}},
		{Options{Receiver: "cul"}, "ts", []string{"V", "brc", "brt", "X21"}}, // older firmware
		{Options{Mode: "s"}, "cts", []string{"V", "brs", "X21"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newPort(culfw(test.modes))
			sink, result := run(t, l, test.o)
			time.Sleep(5 * time.Second)
			if got := sent(l); !slices.Equal(got, test.want) || l.Setting().Baud != 38400 {
				t.Fatalf("sent %q at %d, want %q", got, l.Setting().Baud, test.want)
			}
			l.Say(culLine(inClear(1, volume...), false, true))
			synctest.Wait()
			if len(sink.Readings) != 1 || sink.Readings[0].Device != testMeter || sink.Readings[0].Values["signal_strength"] != int64(-99) {
				t.Errorf("%+v", sink.Readings)
			}
			// As long as it hears something it is left alone.
			time.Sleep(patience - time.Second)
			l.Say(culLine(inClear(2, volume...), false, true))
			time.Sleep(patience - time.Second)
			if got := sent(l); len(got) > 0 {
				t.Errorf("sent %q", got)
			}
			time.Sleep(time.Minute)
			if got := sent(l); !slices.Equal(got, test.want[1:]) {
				t.Errorf("after a long silence sent %q, want %q", got, test.want[1:])
			}
			l.Close()
			if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
				t.Error(err)
			}
		})
	}
}

func TestRunCULWithoutMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPort(culfw(""))
		_, result := run(t, l, Options{})
		if err := <-result; !errors.Is(err, errNoMode) {
			t.Error(err)
		}
		l.Close()
	})
}

func TestRunWithoutCUL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPort(nil)
		_, result := run(t, l, Options{Receiver: "cul"})
		if err := <-result; !errors.Is(err, errNoCUL) {
			t.Error(err)
		}
		if got := sent(l); !slices.Equal(got, []string{"V", "V", "V"}) {
			t.Errorf("sent %q", got)
		}
		l.Close()
	})
}

// TestRunListening finds the line of a receiver that only talks, and stays there.
func TestRunListening(t *testing.T) {
	for _, test := range []struct {
		o     Options
		frame func(access byte) []byte
		baud  int
		sent  []string
	}{
		{Options{}, func(a byte) []byte { return hciFrame(inClear(a, volume...), hciCRC) }, 57600, []string{"V", "V", "V"}},
		{Options{}, func(a byte) []byte { return amberFrame(inClear(a, volume...), true) }, 9600, []string{"V", "V", "V"}},
		{Options{Receiver: "im871a"}, func(a byte) []byte { return hciFrame(inClear(a, volume...), hciCRC) }, 57600, nil},
		{Options{Receiver: "amber"}, func(a byte) []byte { return amberFrame(inClear(a, volume...), true) }, 9600, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newPort(nil)
			sink, result := run(t, l, test.o)
			access := byte(0)
			say := func() {
				access++
				frame := test.frame(access)
				if l.Setting().Baud != test.baud {
					frame = []byte{0, 0xF8, 0x80} // what another speed makes of it
				}
				l.Say(frame)
				synctest.Wait()
			}
			for range 20 {
				time.Sleep(16 * time.Second)
				say()
			}
			if l.Setting().Baud != test.baud || len(sink.Readings) < 12 {
				t.Fatalf("at %d baud with %d readings", l.Setting().Baud, len(sink.Readings))
			}
			if got := sent(l); !slices.Equal(got, test.sent) {
				t.Errorf("sent %q, want %q", got, test.sent)
			}
			// A meter may be silent for long.
			before := len(sink.Readings)
			time.Sleep(patience - time.Minute)
			say()
			if len(sink.Readings) != before+1 {
				t.Error("lost its line")
			}
			if err := <-result; !errors.Is(err, errDeaf) {
				t.Error(err)
			}
			l.Close()
		})
	}
}

func TestRunEnds(t *testing.T) {
	for _, o := range []Options{{}, {Receiver: "im871a"}, {Receiver: "cul"}} {
		synctest.Test(t, func(t *testing.T) {
			l := newPort(culfw("ct"))
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- Driver(o).Run(ctx, l, &recorder{}, nil) }()
			time.Sleep(10 * time.Second)
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			l.Close()
		})
	}
}
