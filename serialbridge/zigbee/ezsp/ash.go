package ezsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge"
)

// Control bytes of frames without data (UG101, section 3).
const (
	controlACK    = 0x80 // 100r nack: not ready, acknowledgement number
	controlNAK    = 0xa0
	controlRST    = 0xc0
	controlRSTACK = 0xc1
	controlERROR  = 0xc2

	controlRetransmitted = 0x08 // of a data frame

	ashVersion    = 2
	resetSoftware = 0x0b
)

const (
	// window is how many data frames may be on their way. The stick answers
	// one command after the other, so that more than one is rare.
	window = 3

	// The time to wait for an acknowledgement follows what it took so far
	// (UG101, section 5.6).
	ackTimeMin     = 400 * time.Millisecond
	ackTimeInitial = 1600 * time.Millisecond
	ackTimeMax     = 3200 * time.Millisecond
	maxTimeouts    = 6 // then the stick is given up

	resetTime     = 3 * time.Second // for RSTACK; a Cortex-M33 takes one, a slow bridge more
	resetAttempts = 3
)

// link is ASH over a port: it carries frames there and back, whole, in order and
// once. Its methods are called by one goroutine, that of [Coordinator.run].
type link struct {
	port     serialbridge.Port
	receive  func(data []byte) // takes the data of a frame; good until it returns
	counters LineCounters

	deframer  deframer
	out       []byte
	connected bool
	rejecting bool // a NAK was sent, and nothing has come since that it asked for
	ackDue    bool

	next     uint8 // number of the next frame to send
	oldest   uint8 // number of the oldest frame that is not acknowledged
	expected uint8 // number of the next frame to receive
	sent     [8]sentFrame
	queue    [][]byte // not sent yet

	ackTime  time.Duration
	timeouts int
	timer    *time.Timer
	waiting  bool // timer runs
}

type sentFrame struct {
	data  []byte
	at    time.Time
	again bool // it was sent more than once: what acknowledges it tells no time
}

func newLink(port serialbridge.Port, receive func([]byte)) *link {
	l := &link{port: port, receive: receive, timer: time.NewTimer(time.Hour)}
	l.timer.Stop()
	return l
}

// reset restarts the stick and begins a new connection. It returns what was read
// beyond the answer.
func (l *link) reset(ctx context.Context, heard <-chan serialbridge.Heard) (rest []byte, err error) {
	l.connected, l.waiting = false, false
	l.timer.Stop()
	l.queue = nil
	clear(l.sent[:])
	witness := &witness{}
	for range resetAttempts {
		// What the stick has received of an earlier frame is cancelled.
		l.out = append(l.out[:0], cancelByte)
		l.out = appendFrame(l.out, controlRST, nil)
		_, err := l.port.Write(l.out)
		l.out = l.out[:0]
		if err != nil {
			return nil, err
		}
		patience := time.NewTimer(resetTime)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				patience.Stop()
				return nil, context.Cause(ctx)
			case <-patience.C:
				waiting = false
			case h := <-heard:
				witness.hear(h.Data)
				rest, up, err := l.awaitReset(h.Data)
				if err == nil {
					err = h.Err
				}
				if up || err != nil {
					patience.Stop()
					return rest, err
				}
			}
		}
	}
	return nil, witness.verdict()
}

// awaitReset looks for RSTACK. What comes before it is of the time before.
func (l *link) awaitReset(data []byte) (rest []byte, up bool, err error) {
	for i, b := range data {
		frame, _ := l.deframer.push(b)
		if len(frame) != 3 || frame[0] != controlRSTACK {
			continue
		}
		if frame[1] != ashVersion {
			return nil, false, fmt.Errorf("ezsp: the stick speaks version %d of ASH, known is %d: flash EmberZNet 7.4 or later", frame[1], ashVersion)
		}
		if frame[2] != resetSoftware {
			continue // it has begun for another reason; RST is not answered yet
		}
		l.connected, l.rejecting, l.ackDue = true, false, false
		l.next, l.oldest, l.expected = 0, 0, 0
		l.ackTime, l.timeouts = ackTimeInitial, 0
		return data[i+1:], true, nil
	}
	return nil, false, nil
}

// send queues the data of a frame.
func (l *link) send(data []byte) error {
	if !l.connected {
		return errNotConnected
	}
	l.queue = append(l.queue, data)
	return l.flush(false)
}

var errNotConnected = errors.New("ezsp: the stick is not connected")

// take takes what was read.
func (l *link) take(data []byte) error {
	if !l.connected {
		return nil // of the time before
	}
	resend := false
	for _, b := range data {
		frame, damage := l.deframer.push(b)
		if damage != "" {
			l.damaged(damage)
			continue
		}
		if len(frame) == 0 {
			continue
		}
		again, err := l.frame(frame)
		if err != nil {
			return err
		}
		resend = resend || again
	}
	l.counters.Cancelled = l.deframer.canceled
	return l.flush(resend)
}

// damaged asks for a frame once more, if it can have been one with data.
func (l *link) damaged(reason string) {
	switch reason {
	case damagedCRC:
		l.counters.BadChecksums++
	case damagedLength:
		l.counters.BadLengths++
	case damagedLine:
		l.counters.LineErrors++
	default:
		l.counters.BadControls++
	}
	if control, ok := l.deframer.suspect(); !ok || control < 0x80 {
		l.reject()
	}
}

func (l *link) reject() {
	if l.connected && !l.rejecting {
		l.rejecting = true
		l.counters.RejectsSent++
		l.out = appendFrame(l.out, controlNAK|l.expected, nil)
	}
}

// frame takes a frame that is whole. It says whether frames are to be sent again.
func (l *link) frame(frame []byte) (resend bool, err error) {
	control := frame[0]
	switch {
	case control < 0x80:
		if n := len(frame) - 1; n < minData || n > maxData {
			l.damaged(damagedLength)
			return false, nil
		}
		if !l.acknowledged(control & 7) {
			l.reject()
			return false, nil
		}
		return false, l.data(control, frame[1:])
	case control&0xe0 == controlACK && len(frame) == 1:
		l.acknowledged(control & 7)
	case control&0xe0 == controlNAK && len(frame) == 1:
		l.counters.RejectsReceived++
		return l.acknowledged(control & 7), nil
	case control == controlRSTACK && len(frame) == 3:
		l.connected = false
		return false, fmt.Errorf("ezsp: the stick has restarted by itself (%s): it is started anew; if it happens often give it another port or a powered hub", resetCause(frame[2]))
	case control == controlERROR && len(frame) == 3:
		l.connected = false
		return false, fmt.Errorf("ezsp: the stick has given up the connection (%s): it is started anew; if it happens often check baud rate and flow control", resetCause(frame[2]))
	default:
		l.damaged(damagedControl)
	}
	return false, nil
}

// acknowledged takes the number of the frame that the stick waits for. It says
// false if that cannot be.
func (l *link) acknowledged(number uint8) bool {
	if (number-l.oldest)&7 > (l.next-l.oldest)&7 {
		l.counters.BadAcks++
		return false
	}
	for l.oldest != number {
		f := &l.sent[l.oldest]
		if !f.again {
			l.ackTime = min(max(l.ackTime*7/8+time.Since(f.at)/2, ackTimeMin), ackTimeMax)
		}
		*f = sentFrame{}
		l.oldest = (l.oldest + 1) & 7
		l.timeouts = 0
		l.stopTimer()
	}
	return true
}

// data takes a frame with data.
func (l *link) data(control byte, data []byte) error {
	if number := control >> 4 & 7; number != l.expected {
		if control&controlRetransmitted != 0 {
			l.counters.Duplicates++
			l.ackDue = true // what said that it is here was lost
		} else {
			l.counters.OutOfSequence++
			l.reject()
		}
		return nil
	}
	l.rejecting = false
	l.expected = (l.expected + 1) & 7
	l.ackDue = true
	l.counters.FramesReceived++
	randomise(data)
	l.receive(data)
	return nil
}

// flush sends what is to be sent.
func (l *link) flush(resend bool) error {
	if !l.connected {
		return nil
	}
	if resend {
		for n := l.oldest; n != l.next; n = (n + 1) & 7 {
			l.counters.Retransmitted++
			l.sent[n].again = true
			l.transmit(n, controlRetransmitted)
		}
	}
	for len(l.queue) > 0 && (l.next-l.oldest)&7 < window {
		l.sent[l.next] = sentFrame{data: l.queue[0], at: time.Now()}
		l.queue = l.queue[1:]
		l.counters.FramesSent++
		l.transmit(l.next, 0)
		l.next = (l.next + 1) & 7
	}
	if l.ackDue {
		l.ackDue = false
		l.out = appendFrame(l.out, controlACK|l.expected, nil)
	}
	if l.oldest != l.next && !l.waiting {
		l.waiting = true
		l.timer.Reset(l.ackTime)
	}
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.port.Write(l.out)
	l.out = l.out[:0]
	return err
}

func (l *link) transmit(number, flags uint8) {
	l.out = appendFrame(l.out, number<<4|flags|l.expected, l.sent[number].data)
	l.ackDue = false
}

// expired is called when the timer has run out.
func (l *link) expired() error {
	l.waiting = false
	if !l.connected || l.oldest == l.next {
		return nil
	}
	l.counters.Timeouts++
	l.timeouts++
	if l.timeouts >= maxTimeouts {
		l.connected = false
		return errors.New("ezsp: the stick does not answer any more: unplug it, wait a moment and plug it in again; if it happens often check its flow control")
	}
	l.ackTime = min(2*l.ackTime, ackTimeMax)
	return l.flush(true)
}

func (l *link) stopTimer() {
	l.waiting = false
	l.timer.Stop()
}

// resetCause is a reset or error code in words (UG101, section 3; the codes of
// EmberZNet's reset information).
func resetCause(code uint8) string {
	switch code {
	case 0x01:
		return "external reset"
	case 0x02:
		return "power came back"
	case 0x03:
		return "watchdog"
	case 0x06:
		return "assertion failed"
	case 0x09:
		return "boot loader"
	case resetSoftware:
		return "software"
	case 0x51:
		return "it waited in vain for acknowledgements"
	}
	return fmt.Sprintf("code 0x%02x", code)
}
