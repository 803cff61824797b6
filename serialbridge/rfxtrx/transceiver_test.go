package rfxtrx

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/hardware"
	"lintel/serialbridge"
)

// line is a port whose far end is a test.
type line struct {
	toDriver *io.PipeReader
	far      *io.PipeWriter

	mu      sync.Mutex
	written []byte
}

func (l *line) Read(p []byte) (int, error) { return l.toDriver.Read(p) }

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, p...)
	return len(p), nil
}

func (l *line) Close() error                    { return l.toDriver.CloseWithError(serialbridge.ErrUnplugged) }
func (l *line) SetLine(serialbridge.Line) error { return nil }

// sent returns in hex what was written since the last call.
func (l *line) sent() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := hex.EncodeToString(l.written)
	l.written = nil
	return s
}

func start(t *testing.T) (l *line, r *recorder, commands chan serialbridge.Command, result chan error) {
	reader, writer := io.Pipe()
	l = &line{toDriver: reader, far: writer}
	r, commands, result = &recorder{}, make(chan serialbridge.Command), make(chan error, 1)
	go func() { result <- Driver().Run(t.Context(), l, r, commands) }()
	return l, r, commands, result
}

const status = "0d01000102530200000c2f010100"

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, result := start(t)
		hear := func(s string) {
			l.far.Write(unhex(t, s))
			synctest.Wait()
		}
		synctest.Wait()
		if s := l.sent(); s != "0d00000000000000000000000000" {
			t.Errorf("reset: sent %s", s)
		}
		hear("0710002a4505") // the rest of something: not listened to
		<-time.After(resetTime)
		synctest.Wait()
		if s := l.sent(); s != "0d00000102000000000000000000"+"0d00000207000000000000000000" {
			t.Errorf("start: sent %s", s)
		}
		hear(status)
		<-time.After(statusTime)
		for _, v := range readVectors(t) {
			hear(v.Hex)
		}
		hear("0b1100000123456703020770")
		for _, test := range []struct {
			device, key string
			value       any
			packet      string
			answer      string
			then        map[string]any
		}{
			{"rfxtrx_10_00_E", "switch_5", false, "07100003" + "45050000", "0402010300", map[string]any{"switch_5": false}},
			{"rfxtrx_11_00_01234567", "switch_3", true, "0b110004" + "0123456703010f00", "0402010401", map[string]any{"switch_3": true}},
			{"rfxtrx_11_00_01234567", "level_3", 3.0, "0b110005" + "0123456703020300", "0402010500", map[string]any{"switch_3": true, "level_3": int64(3)}},
			{"rfxtrx_11_00_01234567", "level_3", 0.0, "0b110006" + "0123456703000000", "0402010600", map[string]any{"switch_3": false, "level_3": int64(0)}},
			{"rfxtrx_14_00_f394ab", "switch_1", true, "0a140007" + "f394ab01011f00", "0402010700", map[string]any{"switch_1": true}},
			{"rfxtrx_19_00_009ba8", "blind_1", "STOP", "09190008" + "009ba8010200", "0402010800", map[string]any{"blind_1": "STOP"}},
			{"rfxtrx_10_00_E", "switch_5", true, "07100009" + "45050100", "0402010902", nil},      // not sent
			{"rfxtrx_10_00_E", "switch_5", true, "0710000a" + "45050100", "04020100" + "00", nil}, // of another one
			{"rfxtrx_10_00_E", "switch_6", true, "", status, nil},
			{"rfxtrx_11_00_01234567", "level_3", 16.0, "", status, nil},
			{"rfxtrx_11_00_01234567", "level_3", true, "", status, nil},
			{"rfxtrx_19_00_009ba8", "blind_1", true, "", status, nil},
			{"rfxtrx_19_00_009ba8", "blind_1", "SIDE", "", status, nil},
			{"rfxtrx_10_00_A", "switch_1", true, "", status, nil},
		} {
			before := len(r.Readings)
			commands <- serialbridge.Command{Device: test.device, Key: test.key, Value: test.value}
			synctest.Wait()
			if s := l.sent(); s != test.packet {
				t.Errorf("%s %s %v: sent %s, want %s", test.device, test.key, test.value, s, test.packet)
			}
			if len(r.Readings) != before {
				t.Errorf("%s: reading before it was confirmed", test.device)
			}
			hear(test.answer)
			var got map[string]any
			if len(r.Readings) > before {
				got = r.Readings[before].Values
			}
			if !maps.Equal(got, test.then) {
				t.Errorf("%s %v: then %v, want %v", test.device, test.value, got, test.then)
			}
		}
		if len(r.Damage) != 1 || r.Damage[0] != damagedRefused || r.Disorder != "" {
			t.Errorf("damaged %q %s", r.Damage, r.Disorder)
		}
		l.far.CloseWithError(serialbridge.ErrUnplugged)
		if err := <-result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

func TestRunMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _, result := start(t)
		if err := <-result; !errors.Is(err, errMute) {
			t.Error(err)
		}
		l.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		l := &line{toDriver: reader, far: writer}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Driver().Run(ctx, l, &recorder{}, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		l.Close()
	})
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		port hardware.SerialPort
		want serialbridge.Confidence
	}{
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Manufacturer: "RFXCOM", Product: "RFXtrx433"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6015", Product: "RFXtrx433XL"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := Driver().Match(test.port); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
}
