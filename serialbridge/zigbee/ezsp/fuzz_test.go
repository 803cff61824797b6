package ezsp

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"lintel/serialbridge"
)

var silent = slog.New(slog.DiscardHandler)

// sinkPort is a port whose stick takes everything and says nothing.
type sinkPort struct{ written int }

func (p *sinkPort) Read([]byte) (int, error)        { return 0, io.EOF }
func (p *sinkPort) Write(b []byte) (int, error)     { p.written += len(b); return len(b), nil }
func (p *sinkPort) Close() error                    { return nil }
func (p *sinkPort) SetLine(serialbridge.Line) error { return nil }

// FuzzASH: whatever a stick sends, frames come out whole and in bounds, the numbers
// stay within the window, and what is answered is bounded by what was heard.
func FuzzASH(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(unhex(f, c.ASH))
	}
	f.Add(append(appendFrame(nil, 0x00, []byte{1, 2, 3}), appendFrame(nil, 0x10, []byte{4, 5, 6})...))
	f.Add(append(appendFrame(nil, 0x30, []byte{1, 2, 3}), appendFrame(nil, 0xa1, nil)...))
	f.Fuzz(func(t *testing.T, line []byte) {
		port := &sinkPort{}
		heard := 0
		l := newLink(port, func(data []byte) {
			heard++
			if len(data) < minData || len(data) > maxData {
				t.Errorf("a frame has %d bytes", len(data))
			}
		})
		defer l.stopTimer()
		l.connected, l.ackTime = true, ackTimeInitial
		for range window + 2 {
			if err := l.send([]byte{1, 2, 3, 4}); err != nil {
				t.Fatal(err)
			}
		}
		l.take(line)
		if (l.next-l.oldest)&7 > window {
			t.Errorf("%d frames are on their way", (l.next-l.oldest)&7)
		}
		if l.ackTime < ackTimeMin || l.ackTime > ackTimeMax {
			t.Errorf("it waits %v", l.ackTime)
		}
		if heard > bytes.Count(line, []byte{flagByte}) || port.written > 200+40*len(line) {
			t.Errorf("of %d bytes came %d frames, %d were written", len(line), heard, port.written)
		}
	})
}

// FuzzEZSP: no frame of a stick makes the driver stumble, and none is told that
// does not end where it says.
func FuzzEZSP(f *testing.F) {
	for _, c := range captures(f) {
		if c.From == "ncp" && c.OK {
			f.Add(uint8(1), unhex(f, c.Payload))
		}
	}
	for _, id := range []frameID{cbStackStatus, cbMessageSent, cbIncomingMessage, cbTrustCenterJoin, cbIncomingNetworkStatus,
		cbIncomingRouteError, cbIncomingRouteRecord, cbEnergyScanResult, cbScanComplete, cbIncomingGreenPower} {
		frame := append([]byte{0, 0x90, 1, byte(id), byte(id >> 8)}, make([]byte, 40)...)
		f.Add(uint8(0), frame)
		f.Add(uint8(3), frame)
	}
	f.Fuzz(func(t *testing.T, version uint8, data []byte) {
		c, events := deaf(13 + version%7)
		c.messages[1] = &message{sent: make(chan status, 1)}
		c.questions[1] = &question{cluster: 0x8002, answered: make(chan struct{})}
		c.scan = &scan{energy: make(map[uint8]uint8), done: make(chan status, 1)}
		c.current, c.asked = &command{id: cmdGetEUI64, answer: make(chan answer, 1)}, 1
		for range 3 {
			c.frame(data)
		}
		if len(*events) > 3 || len(c.addresses) > 3 || len(c.scan.energy) > 16 {
			t.Errorf("a frame tells %+v", *events)
		}
	})
}
