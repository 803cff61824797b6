package modbus

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/drivertest"
)

// rack is a bus whose far end is a test: slaves by their addresses.
type rack struct {
	*drivertest.Port
	t      *testing.T
	slaves map[byte]*slave
	sink   *drivertest.Locked // of the driver; guards what follows
	asked  []string           // all requests, in words
	at     []time.Time
	wire   []byte    // all that went over it, both ways
	last   time.Time // when that was
	echo   bool      // the converter hears itself
	fast   bool      // above 19200 baud
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

// hear is told what the master sends. It checks that the bus was silent before.
func (r *rack) hear(p []byte) {
	q, length, ok := parseRequest(p)
	if !ok || length != len(p) || !sealed(p) {
		r.t.Errorf("the master has sent %x", p)
		return
	}
	r.sink.Lock()
	defer r.sink.Unlock()
	now := time.Now()
	if gap := now.Sub(r.last); gap < 1750*time.Microsecond || gap < 3500*time.Microsecond && !r.fast {
		r.t.Errorf("%v is sent %v after what was heard last", q, gap)
	}
	r.asked, r.at, r.wire = append(r.asked, q.String()), append(r.at, now), append(r.wire, p...)
	r.last = now
	if r.echo {
		time.AfterFunc(time.Millisecond, func() { r.Say(p) })
	}
	s := r.slaves[q.unit]
	if s == nil || s.silent {
		return
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
		r.sink.Lock()
		r.last, r.wire = time.Now(), append(r.wire, answer...)
		r.sink.Unlock()
		r.Say(answer)
	})
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
	heard, commands = &recorder{}, make(chan serialbridge.Command, 16)
	r = &rack{Port: drivertest.NewPort(), t: t, slaves: slaves, sink: &drivertest.Locked{Sink: heard}, fast: strings.HasPrefix(o.Line, "115200")}
	r.OnWrite = r.hear
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	go func() { result <- Driver(o).Run(ctx, r, r.sink, commands) }()
	return r, heard, commands, func() error {
		cancel()
		r.Close()
		err := <-result
		if heard.Disorder != "" {
			t.Error(heard.Disorder)
		}
		return err
	}
}

// pass lets time pass in the bubble.
func (r *rack) pass(d time.Duration) {
	r.sink.Lock() // what the test has changed is seen by the driver,
	later := time.After(d)
	r.sink.Unlock()
	<-later
	synctest.Wait() // and what that has told, by the test
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
