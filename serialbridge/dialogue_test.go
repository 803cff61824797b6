package serialbridge_test

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

// lines counts lines: each is a valid frame.
type lines struct{ n uint64 }

func (l *lines) Decode(data []byte, _ time.Time) {
	l.n += uint64(strings.Count(string(data), "\n"))
}

// talk runs f in a bubble with a dialogue over a device.
func talk(t *testing.T, f func(ctx context.Context, device *drivertest.Port, d *serialbridge.Dialogue, l *lines, r *drivertest.Recorder)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		device, l, r := drivertest.NewPort(), &lines{}, &drivertest.Recorder{}
		defer device.Close()
		f(ctx, device, &serialbridge.Dialogue{
			Port: device, Sink: r, Decoder: l, Incoming: serialbridge.Hear(ctx, device),
			Valid: func() uint64 { return l.n }, Mute: "the device is mute: plug it in",
		}, l, r)
	})
}

func TestDialogue(t *testing.T) {
	talk(t, func(ctx context.Context, device *drivertest.Port, d *serialbridge.Dialogue, l *lines, r *drivertest.Recorder) {
		answered := func(n uint64) func() bool { return func() bool { return l.n >= n } }

		// In pieces, and in time.
		device.OnWrite = func(request []byte) {
			if string(request) != "how?" {
				t.Errorf("asked %q", request)
			}
			device.Say([]byte("we"))
			time.AfterFunc(time.Second, func() { device.Say([]byte("ll\n")) })
		}
		start := time.Now()
		if ok, err := d.Ask(ctx, []byte("how?"), 2*time.Second, answered(1)); !ok || err != nil || time.Since(start) != time.Second {
			t.Errorf("%v %v after %v", ok, err, time.Since(start))
		}

		// Too late: counted, and heard while resting.
		device.OnWrite = func([]byte) { time.AfterFunc(3*time.Second, func() { device.Say([]byte("well\n")) }) }
		start = time.Now()
		if ok, err := d.Ask(ctx, []byte("how?"), 2*time.Second, answered(2)); ok || err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("%v %v after %v", ok, err, time.Since(start))
		}
		if c, err := d.Rest(ctx, start.Add(10*time.Second), nil); c != nil || err != nil || time.Since(start) != 10*time.Second || l.n != 2 {
			t.Errorf("%v %v after %v, %d lines", c, err, time.Since(start), l.n)
		}
		if !slices.Equal(r.Damage, []string{"no answer"}) {
			t.Errorf("damaged %q", r.Damage)
		}

		// A command ends the rest, a time that is over too.
		commands := make(chan serialbridge.Command, 1)
		commands <- serialbridge.Command{Key: "go"}
		if c, err := d.Rest(ctx, time.Now().Add(time.Hour), commands); c == nil || c.Key != "go" || err != nil {
			t.Errorf("%v %v", c, err)
		}
		if c, err := d.Rest(ctx, start, commands); c != nil || err != nil {
			t.Errorf("%v %v", c, err)
		}
	})
}

func TestDialogueEnds(t *testing.T) {
	never := func() bool { return false }

	// Noise is no sign of life; a valid frame is, whatever it answers.
	talk(t, func(ctx context.Context, device *drivertest.Port, d *serialbridge.Dialogue, l *lines, r *drivertest.Recorder) {
		start := time.Now()
		device.OnWrite = func([]byte) {
			if time.Since(start) < 30*time.Second {
				device.Say([]byte("what?\n"))
				return
			}
			device.Say([]byte("\x00noise"))
		}
		for {
			if _, err := d.Ask(ctx, []byte("how?"), time.Second, never); err != nil {
				if err.Error() != d.Mute || time.Since(start) != 89*time.Second || len(r.Damage) != 89 {
					t.Errorf("%v after %v, damaged %d", err, time.Since(start), len(r.Damage))
				}
				return
			}
		}
	})

	talk(t, func(ctx context.Context, device *drivertest.Port, d *serialbridge.Dialogue, l *lines, r *drivertest.Recorder) {
		device.OnWrite = func([]byte) { device.Close() }
		if _, err := d.Ask(ctx, []byte("how?"), time.Second, never); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if err := d.Tell([]byte("go")); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})

	talk(t, func(ctx context.Context, device *drivertest.Port, d *serialbridge.Dialogue, l *lines, r *drivertest.Recorder) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := d.Ask(ctx, []byte("how?"), time.Hour, never); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := d.Rest(ctx, time.Now().Add(time.Hour), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
