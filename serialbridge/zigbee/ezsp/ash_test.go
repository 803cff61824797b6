package ezsp

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

// far is a port that keeps what is written.
type far struct {
	sinkPort
	said []byte
}

func (f *far) Write(b []byte) (int, error) { f.said = append(f.said, b...); return len(b), nil }

var _ serialbridge.Port = (*far)(nil)

// connected returns a link that has been reset, and its far end.
func connected(receive func([]byte)) (*link, *far) {
	port := &far{}
	l := newLink(port, receive)
	l.connected, l.ackTime = true, ackTimeInitial
	return l, port
}

func (f *far) takes(t *testing.T, want ...[]byte) {
	t.Helper()
	if all := bytes.Join(want, nil); !bytes.Equal(f.said, all) {
		t.Errorf("said %x, not %x", f.said, all)
	}
	f.said = nil
}

func TestRetransmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, port := connected(nil)
		data := []byte{1, 2, 3}
		begun := time.Now()
		if err := l.send(data); err != nil {
			t.Fatal(err)
		}
		port.takes(t, appendFrame(nil, 0x00, data))
		var at []time.Duration
		var err error
		for err == nil {
			<-l.timer.C
			at = append(at, time.Since(begun))
			if err = l.expired(); err == nil {
				port.takes(t, appendFrame(nil, 0x08, data)) // the bit says that it is sent again
			}
		}
		if len(at) != maxTimeouts || at[0] != ackTimeInitial || at[1] != ackTimeInitial+ackTimeMax || at[5] != ackTimeInitial+5*ackTimeMax {
			t.Errorf("it waited until %v", at)
		}
		if !strings.Contains(err.Error(), "does not answer") {
			t.Error(err)
		}
		if err := l.send(data); err == nil {
			t.Error("it sends after it has given up")
		}
	})
}

// TestAckTime: the time to wait follows how long acknowledgements take, and what was
// sent more than once tells nothing.
func TestAckTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := connected(nil)
		for i := range 20 {
			l.send([]byte{1, 2, 3})
			time.Sleep(10 * time.Millisecond)
			if err := l.take(appendFrame(nil, controlACK|uint8(i+1)&7, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if l.ackTime != ackTimeMin {
			t.Errorf("it waits %v for a stick that is fast", l.ackTime)
		}
		l.send([]byte{1, 2, 3})
		time.Sleep(ackTimeMin)
		l.expired()
		l.take(appendFrame(nil, controlACK|5, nil))
		if l.ackTime != 2*ackTimeMin || l.timeouts != 0 || l.waiting {
			t.Errorf("it waits %v after %d", l.ackTime, l.timeouts)
		}
	})
}

func TestReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		l, port := connected(func(data []byte) { heard = append(heard, string(data)) })
		// Number 1 before number 0: asked for once.
		l.take(appendFrame(nil, 0x10, []byte("one")))
		port.takes(t, appendFrame(nil, controlNAK, nil))
		l.take(appendFrame(nil, 0x20, []byte("two")))
		port.takes(t)
		// Number 0, then what is damaged.
		l.take(appendFrame(nil, 0x08, []byte("zero")))
		port.takes(t, appendFrame(nil, controlACK|1, nil))
		damaged := appendFrame(nil, 0x18, []byte("one"))
		damaged[2] ^= 1
		l.take(damaged)
		port.takes(t, appendFrame(nil, controlNAK|1, nil))
		l.take(appendFrame(nil, 0x18, []byte("one")))
		port.takes(t, appendFrame(nil, controlACK|2, nil))
		// Once more: it is acknowledged, and not heard again.
		l.take(appendFrame(nil, 0x18, []byte("one")))
		port.takes(t, appendFrame(nil, controlACK|2, nil))
		if len(heard) != 2 || heard[0] != "zero" || heard[1] != "one" {
			t.Errorf("heard %q", heard)
		}
		// A NAK of the stick.
		l.send([]byte("abc"))
		port.said = nil
		l.take(appendFrame(nil, controlNAK, nil))
		port.takes(t, appendFrame(nil, 0x0a, []byte("abc")))
		l.stopTimer()
	})
}

// TestWindow: no more than so many frames are on their way, and an acknowledgement of
// what was not sent is not believed.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, port := connected(nil)
		var want [][]byte
		for i := range byte(5) {
			data := []byte{i, i, i}
			l.send(data)
			if i < window {
				want = append(want, appendFrame(nil, i<<4, data))
			}
		}
		port.takes(t, want...)
		l.take(appendFrame(nil, controlACK|6, nil))
		port.takes(t)
		if l.counters.BadAcks != 1 {
			t.Errorf("counters: %+v", l.counters)
		}
		l.take(appendFrame(nil, controlACK|1, nil))
		port.takes(t, appendFrame(nil, 3<<4, []byte{3, 3, 3}))
		l.stopTimer()
	})
}
