package modbus

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

// rack is a bus whose far end is a test: slaves by their addresses.
type rack struct {
	t      *testing.T
	near   *io.PipeReader
	far    *io.PipeWriter
	slaves map[byte]*slave

	mu    sync.Mutex
	asked []string // all requests, in words
	at    []time.Time
	wire  []byte    // all that went over it, both ways
	last  time.Time // when that was
	echo  bool      // the converter hears itself
	fast  bool      // above 19200 baud
}

// slave is a device at the far end.
type slave struct {
	registers map[int]uint16 // input and holding alike, by address; coils are 10000 further
	silent    bool
	delay     time.Duration
	mangle    func(answer []byte) []byte // what becomes of an answer on the line
	exception byte                       // to everything
	busy      time.Time                  // with former questions
}

func (r *rack) Read(p []byte) (int, error)      { return r.near.Read(p) }
func (r *rack) Close() error                    { return r.near.CloseWithError(serialbridge.ErrUnplugged) }
func (r *rack) SetLine(serialbridge.Line) error { return nil }

// Write is the master's. It checks that the bus was silent before.
func (r *rack) Write(p []byte) (int, error) {
	q, length, ok := parseRequest(p)
	if !ok || length != len(p) || !sealed(p) {
		r.t.Errorf("the master has sent %x", p)
		return len(p), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if gap := now.Sub(r.last); gap < 1750*time.Microsecond || gap < 3500*time.Microsecond && !r.fast {
		r.t.Errorf("%v is sent %v after what was heard last", q, gap)
	}
	q.data = slices.Clone(q.data)
	r.asked, r.at, r.wire = append(r.asked, q.String()), append(r.at, now), append(r.wire, p...)
	r.last = now
	if r.echo {
		echo := slices.Clone(p)
		time.AfterFunc(time.Millisecond, func() { r.far.Write(echo) })
	}
	s := r.slaves[q.unit]
	if s == nil || s.silent {
		return len(p), nil
	}
	answer := seal(s.answer(q))
	if s.mangle != nil {
		answer = s.mangle(answer)
	}
	if s.busy.Before(now) {
		s.busy = now
	}
	s.busy = s.busy.Add(max(s.delay, 20*time.Millisecond))
	time.AfterFunc(s.busy.Sub(now), func() {
		r.mu.Lock()
		r.last, r.wire = time.Now(), append(r.wire, answer...)
		r.mu.Unlock()
		r.far.Write(answer)
	})
	return len(p), nil
}

func (s *slave) answer(q request) []byte {
	refuse := func(code byte) []byte { return []byte{q.unit, q.function | exceptionFlag, code} }
	if s.exception != 0 {
		return refuse(s.exception)
	}
	if !q.reads() {
		if q.bits() {
			s.registers[10000+int(q.address)] = uint16(q.data[0] & 1)
		} else {
			for i := range q.count {
				if _, ok := s.registers[int(q.address)+i]; !ok {
					return refuse(2)
				}
				s.registers[int(q.address)+i] = uint16(q.data[2*i])<<8 | uint16(q.data[2*i+1])
			}
		}
		return q.bytes()[:6]
	}
	if q.bits() {
		return []byte{q.unit, q.function, 1, byte(s.registers[10000+int(q.address)])}
	}
	b := []byte{q.unit, q.function, byte(2 * q.count)}
	for i := range q.count {
		v, ok := s.registers[int(q.address)+i]
		if !ok {
			return refuse(2)
		}
		b = append(b, byte(v>>8), byte(v))
	}
	return b
}

// pzem is a PZEM-004T at 230.1 V.
func pzem() *slave {
	return &slave{registers: map[int]uint16{0: 2301, 1: 500, 2: 0, 3: 1150, 4: 0, 5: 1234, 6: 0, 7: 500, 8: 99, 9: 0}}
}

var pzemValues = map[string]any{
	"voltage": 230.1, "current": 0.5, "power": 115.0, "energy": 1.234, "frequency": 50.0, "power_factor": 0.99, "alarm": false, "alarm_threshold": int64(500),
}

// poll runs the driver on a rack within a bubble.
func poll(t *testing.T, o Options, slaves map[byte]*slave) (r *rack, heard *recorder, commands chan serialbridge.Command, end func() error) {
	t.Helper()
	r = &rack{t: t, slaves: slaves, fast: strings.HasPrefix(o.Line, "115200")}
	r.near, r.far = io.Pipe()
	heard, commands = &recorder{}, make(chan serialbridge.Command, 16)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	go func() { result <- Driver(o).Run(ctx, r, sink{heard, &r.mu}, commands) }()
	return r, heard, commands, func() error {
		cancel()
		r.Close()
		r.far.Close()
		err := <-result
		if heard.Disorder != "" {
			t.Error(heard.Disorder)
		}
		return err
	}
}

// pass lets time pass in the bubble.
func (r *rack) pass(d time.Duration) {
	r.mu.Lock() // what the test has changed is seen by the driver,
	later := time.After(d)
	r.mu.Unlock()
	<-later
	synctest.Wait() // and what that has told, by the test
}

// sink is the recorder of a driver that runs meanwhile.
type sink struct {
	*recorder
	mu *sync.Mutex
}

func (s sink) Device(d serialbridge.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.Device(d)
}

func (s sink) Reading(r serialbridge.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.Reading(r)
}

func (s sink) Damaged(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.Damaged(reason)
}

func (s sink) Ignored(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorder.Ignored(reason)
}

// last are the last values of a device.
func last(r *recorder, device string) map[string]any {
	values := make(map[string]any)
	for _, reading := range r.Readings {
		if reading.Device == device {
			maps.Copy(values, reading.Values)
		}
	}
	return values
}

func count(r *recorder, device string) (n int) {
	for _, reading := range r.Readings {
		if reading.Device == device {
			n++
		}
	}
	return n
}
