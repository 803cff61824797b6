package enocean

import (
	"context"
	"errors"
	"io"
	"slices"
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

func newLine() *line {
	r, w := io.Pipe()
	return &line{toDriver: r, far: w}
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

// sent returns the packets that were written since the last call.
func (l *line) sent(t *testing.T) []packet {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var ps []packet
	f := deframer{damaged: func(reason string) { t.Errorf("sent %s", reason) }}
	f.take = func(p packet) { ps = append(ps, packet{p.kind, slices.Clone(p.data), slices.Clone(p.optional)}) }
	for _, b := range l.written {
		f.next(b, received)
	}
	l.written = nil
	return ps
}

const testBase senderID = 0xFF9A0000

var idBase = packet{response, []byte{returnOK, 0xFF, 0x9A, 0, 0}, []byte{10}}.bytes()

// start runs the driver within a synctest bubble.
func start(t *testing.T) (l *line, r *recorder, commands chan serialbridge.Command, end func() error) {
	t.Helper()
	l, r, commands = newLine(), &recorder{}, make(chan serialbridge.Command)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- Driver().Run(ctx, l, r, commands) }()
	return l, r, commands, func() error {
		cancel()
		l.Close()
		return <-result
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, commands, end := start(t)
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 1 || ps[0].kind != commonCommand || !slices.Equal(ps[0].data, []byte{readIDBase}) {
			t.Fatalf("sent %v, want CO_RD_IDBASE", ps)
		}
		l.far.Write(idBase)
		synctest.Wait()
		gateway, ok := r.Devices["enocean_FF9A0000"]
		if !ok || len(gateway.Properties) != 1+4*rockers {
			t.Fatalf("devices %+v", r.Devices)
		}

		// Not taught: an actuator is not answered.
		query := telegram{rorg: ute, payload: []byte{0xA0, 0xFF, 0x3E, 0, 1, 1, 0xD2}, sender: testSender}.packet(broadcast).bytes()
		l.far.Write(query)
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 0 {
			t.Fatalf("answered %v", ps)
		}
		commands <- serialbridge.Command{Device: gateway.ID, Key: "teach_in", Value: true}
		l.far.Write(query)
		synctest.Wait()
		ps := l.sent(t)
		if len(ps) != 2 {
			t.Fatalf("sent %v", ps)
		}
		answer, ok := parseTelegram(ps[0])
		if !ok || answer.sender != testBase || answer.rorg != ute || !slices.Equal(answer.payload, []byte{0x91, 0xFF, 0x3E, 0, 1, 1, 0xD2}) ||
			!slices.Equal(ps[0].optional, []byte{3, 1, 2, 3, 4, 0xFF, 0}) {
			t.Errorf("answer %+v", ps[0])
		}
		if status, _ := parseTelegram(ps[1]); !slices.Equal(status.payload, []byte{3, 0x1E}) {
			t.Errorf("query %+v", ps[1])
		}
		<-time.After(teachTime) // of the bubble
		l.far.Write(query)
		synctest.Wait()
		if ps := l.sent(t); len(ps) != 0 {
			t.Errorf("answered later: %v", ps)
		}

		commands <- serialbridge.Command{Device: "enocean_01020304", Key: "output", Value: true}
		commands <- serialbridge.Command{Device: "enocean_01020304", Key: "nothing", Value: true}
		commands <- serialbridge.Command{Device: "enocean_05060708", Key: "output", Value: true}
		commands <- serialbridge.Command{Device: gateway.ID, Key: "rocker_2_bo", Value: true}
		synctest.Wait()
		ps = l.sent(t)
		var got []telegram
		for _, p := range ps {
			tg, ok := parseTelegram(p)
			if !ok {
				t.Fatalf("sent %+v", p)
			}
			got = append(got, tg)
		}
		want := []telegram{
			{rorg: vld, payload: []byte{1, 0, 100}, sender: testBase},
			{rorg: rps, payload: []byte{0x70}, sender: testBase + 2, status: 0x30},
			{rorg: rps, payload: []byte{0x00}, sender: testBase + 2, status: 0x20},
		}
		if !slices.EqualFunc(got, want, func(a, b telegram) bool {
			return a.rorg == b.rorg && slices.Equal(a.payload, b.payload) && a.sender == b.sender && a.status == b.status
		}) {
			t.Errorf("sent %+v, want %+v", got, want)
		}
		if err := end(); !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

func TestRunMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r, _, end := start(t)
		// A base ID that no transceiver has is none.
		l.far.Write(packet{response, []byte{returnOK, 1, 2, 3, 4}, []byte{10}}.bytes())
		<-time.After(answerTime*attempts + time.Second) // of the bubble
		synctest.Wait()
		if ps := l.sent(t); len(ps) != attempts {
			t.Errorf("asked %d times", len(ps))
		}
		if err := end(); !errors.Is(err, errMute) {
			t.Error(err)
		}
		if len(r.Devices) > 0 {
			t.Errorf("devices %v", r.Devices)
		}
	})
}

func TestRunUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _, end := start(t)
		l.far.Write(idBase)
		l.far.CloseWithError(serialbridge.ErrUnplugged)
		synctest.Wait()
		if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		port hardware.SerialPort
		want serialbridge.Confidence
	}{
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Manufacturer: "EnOcean GmbH", Product: "EnOcean USB 300 DB"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "TCM310"}, serialbridge.Sure},
		{hardware.SerialPort{VendorID: "0403", ProductID: "6001", Product: "FT232R USB UART"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "1a86", ProductID: "7523"}, serialbridge.Possible},
		{hardware.SerialPort{VendorID: "0451", ProductID: "16a8"}, serialbridge.No},
		{hardware.SerialPort{}, serialbridge.No},
	} {
		if got := Driver().Match(test.port); got != test.want {
			t.Errorf("%+v: %d, want %d", test.port, got, test.want)
		}
	}
}
