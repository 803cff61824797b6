package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
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
	last  time.Time // when the line was last in use
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
	r.asked, r.at = append(r.asked, q.String()), append(r.at, now)
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
		r.last = time.Now()
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

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 3, Map: "pzem004t", Name: "Boiler", SlowInterval: 20}}}, map[byte]*slave{3: pzem()})
		r.pass(22 * time.Second)
		want := maps.Clone(pzemValues)
		if got := last(heard, "modbus_pzem004t_3"); !reflect.DeepEqual(got, want) {
			t.Errorf("values %v, want %v", got, want)
		}
		d := heard.Devices["modbus_pzem004t_3"]
		if d.Name != "Boiler" || d.Vendor != "Peacefair" || !d.Anonymous || len(heard.Announcements) != 1 {
			t.Errorf("announced %d times: %+v", len(heard.Announcements), d)
		}
		// Fast ones at 0, 5, 10, 15 and 20 seconds, slow ones at 0 and 20.
		fast, slow := 0, 0
		for _, s := range r.asked {
			if s == "read input registers 0 to 9" {
				fast++
			} else if s == "read holding register 1" {
				slow++
			}
		}
		if fast != 1+5 || slow != 2 || len(r.asked) != fast+slow {
			t.Errorf("asked %q", r.asked)
		}
		for i, at := range r.at[1:] {
			if at.Sub(r.at[i]) < 20*time.Millisecond {
				t.Errorf("two questions at once")
			}
		}
		if err := end(); !errors.Is(err, context.Canceled) && !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if len(heard.Damage) > 0 || len(heard.Overheard) > 0 {
			t.Errorf("damaged %q, ignored %q", heard.Damage, heard.Overheard)
		}
	})
}

func TestIdentity(t *testing.T) {
	meter := func(serial ...uint16) *slave {
		s := &slave{registers: make(map[int]uint16)}
		for i := range 0x160 {
			s.registers[i] = 0
		}
		for i, w := range serial {
			s.registers[0xFC00+i] = w
		}
		return s
	}
	units := []Unit{{Address: 1, Map: "sdm120"}}
	for _, test := range []struct {
		name   string
		slave  *slave
		id     string
		serial string
	}{
		{"a serial number", meter(0x0102, 0x0304), "modbus_sdm120_16909060", "16909060"},
		{"none given", meter(0, 0), "modbus_sdm120_1", ""},
		{"none", meter(0xFFFF, 0xFFFF), "modbus_sdm120_1", ""},
		{"no such register", meter(), "modbus_sdm120_1", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, heard, _, end := poll(t, Options{Units: units}, map[byte]*slave{1: test.slave})
			r.pass(10 * time.Second)
			d, ok := heard.Devices[test.id]
			if !ok || len(heard.Devices) != 1 || d.SerialNumber != test.serial || d.Anonymous != (test.serial == "") {
				t.Errorf("%s: %+v", test.name, heard.Devices)
			}
			if len(heard.Readings) == 0 {
				t.Errorf("%s: no readings", test.name)
			}
			end()
		})
	}
	// One that leaves the question for its serial number without answer is
	// anonymous, but not at once.
	synctest.Test(t, func(t *testing.T) {
		s := meter()
		mute := func(answer []byte) []byte {
			if answer[1] == 0x83 {
				return nil
			}
			return answer
		}
		s.mangle = mute
		r, heard, _, end := poll(t, Options{Units: units}, map[byte]*slave{1: s})
		r.pass(10 * time.Second)
		if len(heard.Devices) != 0 {
			t.Errorf("announced %v after the first silence", heard.Devices)
		}
		r.pass(50 * time.Second)
		if _, ok := heard.Devices["modbus_sdm120_1"]; !ok || len(heard.Readings) == 0 {
			t.Errorf("announced %v", heard.Devices)
		}
		end()
	})
	// Another one in its place is another device.
	synctest.Test(t, func(t *testing.T) {
		slaves := map[byte]*slave{1: meter(0, 7)}
		r, heard, _, end := poll(t, Options{Units: units}, slaves)
		r.pass(10 * time.Second)
		slaves[1].silent = true
		r.pass(time.Minute)
		r.slaves[1] = meter(0, 8)
		n := len(heard.Readings)
		r.pass(2 * time.Minute)
		if _, ok := heard.Devices["modbus_sdm120_8"]; !ok || len(heard.Devices) != 2 || heard.Readings[n].Device != "modbus_sdm120_8" {
			t.Errorf("announced %v", slices.Collect(maps.Keys(heard.Devices)))
		}
		end()
	})
}

// TestSilence has a unit that goes quiet and comes back, beside one that does not.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slaves := map[byte]*slave{1: pzem(), 2: pzem(), 4: {silent: true}}
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}, {Address: 2, Map: "pzem004t"}, {Address: 4, Map: "pzem004t"}}}, slaves)
		r.pass(10 * time.Second)
		if count(heard, "modbus_pzem004t_1") == 0 || count(heard, "modbus_pzem004t_2") == 0 {
			t.Fatalf("readings %v", heard.Readings)
		}
		slaves[2].silent = true
		r.pass(20 * time.Second)
		quiet, going := count(heard, "modbus_pzem004t_2"), count(heard, "modbus_pzem004t_1")
		r.pass(10 * time.Minute)
		if count(heard, "modbus_pzem004t_2") != quiet {
			t.Error("readings of a silent unit")
		}
		// Every 5 s, and two units that are tried once a minute for 2 s each.
		if n := count(heard, "modbus_pzem004t_1") - going; n < 115 {
			t.Errorf("%d readings of the other in ten minutes", n)
		}
		before := len(r.asked)
		r.pass(time.Minute)
		tries := 0
		for i := before; i < len(r.asked); i++ {
			if r.at[i].After(r.at[i-1].Add(1900 * time.Millisecond)) {
				tries++
			}
		}
		if tries > 15 {
			t.Errorf("silent units are asked too often: %q", r.asked[before:])
		}
		slaves[2].silent = false
		r.pass(70 * time.Second)
		if n := count(heard, "modbus_pzem004t_2") - quiet; n < 1 {
			t.Error("it does not come back")
		}
		if _, ok := heard.Devices["modbus_pzem004t_4"]; ok {
			t.Error("one that never answered was announced")
		}
		for _, reason := range heard.Damage {
			if reason != damagedSilence {
				t.Errorf("damaged %q", reason)
			}
		}
		end()
	})
}

func TestDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "sdm120"}, {Address: 7, Map: "sdm120"}}}, nil)
		r.pass(7 * time.Minute)
		err := end()
		if err == nil || !strings.Contains(err.Error(), "nothing on the bus has answered for 5m0s") || !strings.Contains(err.Error(), "2400 8N1") || !strings.Contains(err.Error(), "1, 7") {
			t.Error(err)
		}
		if len(heard.Announcements) > 0 || len(heard.Readings) > 0 {
			t.Errorf("%+v", heard)
		}
	})
}

// TestBadLine has everything that happens to answers. Nothing that is wrong may be
// published, and what comes then is right again.
func TestBadLine(t *testing.T) {
	once := func(f func(answer []byte) []byte) func([]byte) []byte {
		n := 0
		return func(answer []byte) []byte {
			if n++; n == 4 {
				return f(slices.Clone(answer))
			}
			return answer
		}
	}
	foreign := reading(9, readInputRegisters, make([]uint16, 10)...)
	for _, test := range []struct {
		name    string
		mangle  func(answer []byte) []byte
		damage  []string
		ignored []string
	}{
		{"wrong CRC", func(a []byte) []byte { a[5] ^= 0x10; return a }, []string{damagedChecksum}, nil},
		{"half", func(a []byte) []byte { return a[:len(a)-3] }, []string{damagedShort}, nil},
		{"lost", func([]byte) []byte { return nil }, []string{damagedSilence}, nil},
		{"noise before", func(a []byte) []byte { return slices.Concat([]byte{0, 0xFE}, a) }, []string{damagedNoise}, nil},
		{"noise that seems long", func(a []byte) []byte { return slices.Concat([]byte{1, 3, 0xFA}, a) }, []string{damagedNoise}, nil},
		{"noise behind", func(a []byte) []byte { return slices.Concat(a, []byte{0xFE, 0xFE}) }, []string{damagedNoise}, nil},
		{"noise only", func(a []byte) []byte { return []byte{0xFE, 0xFD, 0xFC} }, []string{damagedNoise}, nil},
		{"of another unit", func([]byte) []byte { return slices.Clone(foreign) }, []string{damagedSilence}, []string{"unit 9 answers without being asked"}},
		{"of another unit before", func(a []byte) []byte { return slices.Concat(foreign, a) }, nil, []string{"unit 9 answers without being asked"}},
		{"of another length", func([]byte) []byte { return reading(1, readInputRegisters, 1, 2, 3) }, []string{damagedSilence}, []string{"unit 1 answers without being asked"}},
		{"busy", func([]byte) []byte { return seal([]byte{1, 0x84, 6}) }, nil, []string{"Power meter (unit 1) refuses to read input registers 0 to 9: it is busy"}},
		{"another master", func(a []byte) []byte { return slices.Concat(asks(5, 3, 0, 1), a) }, nil,
			[]string{"another master asks on this bus: only one may, so take it off or set listen"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := pzem()
			s.mangle = once(test.mangle)
			r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}}}, map[byte]*slave{1: s})
			r.pass(2 * time.Minute)
			end()
			if !slices.Equal(heard.Damage, test.damage) || !slices.Equal(heard.Overheard, test.ignored) {
				t.Errorf("%s: damaged %q, ignored %q", test.name, heard.Damage, heard.Overheard)
			}
			for _, reading := range heard.Readings {
				for key, value := range reading.Values {
					if value != pzemValues[key] {
						t.Errorf("%s: %s is %v", test.name, key, value)
					}
				}
			}
			if n := count(heard, "modbus_pzem004t_1"); n < 22 {
				t.Errorf("%s: %d readings", test.name, n)
			}
		})
	}
}

// TestSlow has a unit that answers later than it may: its answers must not be taken
// for those to later questions, although they are of the same length.
func TestSlow(t *testing.T) {
	own := Map{Name: "own", Function: "holding", Type: "u16", Registers: []Register{
		{Key: "a", Name: "A", Address: 1}, {Key: "b", Name: "B", Address: 9},
	}}
	synctest.Test(t, func(t *testing.T) {
		s := &slave{registers: map[int]uint16{1: 111, 9: 999}, delay: 1500 * time.Millisecond}
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own"}}, Maps: []Map{own}}, map[byte]*slave{1: s})
		r.pass(time.Minute)
		// It is given more time.
		if got := last(heard, "modbus_own_1"); got["a"] != int64(111) || got["b"] != int64(999) || len(heard.Readings) < 15 {
			t.Errorf("%d readings: %v", len(heard.Readings), got)
		}
		if want := []string{damagedSilence, damagedLate}; !slices.Equal(heard.Damage, want) {
			t.Errorf("damaged %q", heard.Damage)
		}
		end()
	})
	// Even if its answers come when the question is asked again.
	for delay := 1100 * time.Millisecond; delay < 10*time.Second; delay += 100 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			s := &slave{registers: map[int]uint16{1: 111, 9: 999}, delay: delay}
			r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own", Interval: 1}}, Maps: []Map{own}}, map[byte]*slave{1: s})
			r.pass(10 * time.Minute)
			for _, reading := range heard.Readings {
				a, b := reading.Values["a"], reading.Values["b"]
				if a != nil && a != int64(111) || b != nil && b != int64(999) {
					t.Errorf("after %v: %v", s.delay, reading.Values)
				}
			}
			if len(heard.Readings) < 50 {
				t.Errorf("after %v: %d readings, damaged %q", s.delay, len(heard.Readings), heard.Damage)
			}
			end()
		})
	}
	// With the right setting it is not slow.
	synctest.Test(t, func(t *testing.T) {
		s := &slave{registers: map[int]uint16{1: 111, 9: 999}, delay: 1500 * time.Millisecond}
		r, heard, _, end := poll(t, Options{Timeout: 3000, Units: []Unit{{Address: 1, Map: "own"}}, Maps: []Map{own}}, map[byte]*slave{1: s})
		r.pass(time.Minute)
		if len(heard.Readings) < 10 || len(heard.Damage) > 0 {
			t.Errorf("%d readings, damaged %q", len(heard.Readings), heard.Damage)
		}
		end()
	})
}

// TestRefused has a unit that lacks some registers of its map.
func TestRefused(t *testing.T) {
	m := Map{Name: "own", MaxGap: 10, Function: "holding", Type: "u16"}
	s := &slave{registers: make(map[int]uint16)}
	for i, key := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		m.Registers = append(m.Registers, Register{Key: key, Name: key, Address: 2 * i})
		s.registers[2*i], s.registers[2*i+1] = uint16(i), 0
	}
	delete(s.registers, 6)
	delete(s.registers, 7)
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own"}}, Maps: []Map{m}}, map[byte]*slave{1: s})
		r.pass(30 * time.Second)
		want := map[string]any{"a": int64(0), "b": int64(1), "c": int64(2), "e": int64(4), "f": int64(5), "g": int64(6)}
		if got := last(heard, "modbus_own_1"); !reflect.DeepEqual(got, want) {
			t.Errorf("values %v", got)
		}
		if want := []string{"own (unit 1) refuses to read holding register 6: it does not have them all"}; !slices.Equal(heard.Overheard, want) {
			t.Errorf("ignored %q", heard.Overheard)
		}
		if d := heard.Devices["modbus_own_1"]; len(d.Properties) != 6 {
			t.Errorf("%+v", d)
		}
		// After an update of its firmware it has it.
		s.registers[6] = 3
		r.pass(time.Hour)
		if got := last(heard, "modbus_own_1"); got["d"] != int64(3) || len(heard.Devices["modbus_own_1"].Properties) != 7 {
			t.Errorf("values %v", got)
		}
		if !slices.Contains(r.asked, "read holding registers 0 to 4") {
			t.Errorf("asked %q", r.asked[:10])
		}
		end()
	})
}

func TestCommands(t *testing.T) {
	own := Map{Name: "own", Title: "Relays", Function: "holding", Type: "u16", Registers: []Register{
		{Key: "pump", Name: "Pump", Function: "coil", Address: 3, Writable: true},
		{Key: "mode", Name: "Mode", Address: 4, Writable: true, Options: []Option{{0, "eco"}, {7, "party"}}, Poll: "slow"},
		{Key: "target", Name: "Target", Address: 5, Type: "i16", Scale: 0.1, Writable: true, Min: 5, Max: 30, Poll: "slow"},
		{Key: "limit", Name: "Limit", Address: 20, Type: "u32", Words: "little", Writable: true, Max: 1e6, Poll: "slow"},
		{Key: "none", Name: "None", Address: 30, Writable: true, Max: 9, Poll: "slow"},
		{Key: "fixed", Name: "Fixed", Address: 6, Poll: "slow"},
	}}
	for _, multiple := range []bool{false, true} {
		own.WriteMultiple = multiple
		synctest.Test(t, func(t *testing.T) {
			s := &slave{registers: map[int]uint16{4: 0, 5: 200, 6: 1, 20: 0, 21: 0}}
			r, heard, commands, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own", Interval: 3600, SlowInterval: 3600}}, Maps: []Map{own}}, map[byte]*slave{1: s})
			r.pass(10 * time.Second)
			for _, test := range []struct {
				key   string
				value any
				asked []string
				want  any
			}{
				{"pump", true, []string{"write coil 3", "read coil 3"}, true},
				{"pump", false, []string{"write coil 3", "read coil 3"}, false},
				{"mode", "party", []string{"write holding register 4", "read holding register 4"}, "party"},
				{"target", 21.5, []string{"write holding register 5", "read holding register 5"}, 21.5},
				{"limit", 70000.0, []string{"write holding registers 20 to 21", "read holding registers 20 to 21"}, int64(70000)},
				{"target", 31.0, nil, nil},
				{"fixed", 1.0, nil, nil},
				{"nothing", 1.0, nil, nil},
				{"none", 1.0, []string{"write holding register 30", "read holding register 30"}, nil},
			} {
				asked, n := len(r.asked), len(heard.Readings)
				commands <- serialbridge.Command{Device: "modbus_own_1", Key: test.key, Value: test.value}
				r.pass(time.Second)
				if !slices.Equal(r.asked[asked:], test.asked) {
					t.Errorf("%s %v: asked %q", test.key, test.value, r.asked[asked:])
				}
				var got any
				if len(heard.Readings) > n {
					got = heard.Readings[len(heard.Readings)-1].Values[test.key]
				}
				if got != test.want {
					t.Errorf("%s %v: then %v, want %v", test.key, test.value, got, test.want)
				}
			}
			if s.registers[5] != 215 || s.registers[20] != 70000&0xFFFF || s.registers[21] != 1 {
				t.Errorf("registers %v", s.registers)
			}
			if !slices.Contains(heard.Overheard, "Relays (unit 1) refuses to write holding register 30: it does not have them all") {
				t.Errorf("ignored %q", heard.Overheard)
			}
			asked := len(r.asked)
			commands <- serialbridge.Command{Device: "modbus_own_2", Key: "pump", Value: true}
			r.pass(time.Second)
			if len(r.asked) != asked {
				t.Error("a command for another device was done")
			}
			end()
		})
	}
}

// TestEcho has a converter that hears what it sends.
func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, heard, commands, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}}}, map[byte]*slave{1: pzem()})
		r.mu.Lock()
		r.echo = true
		r.mu.Unlock()
		r.pass(time.Minute)
		// The answer to this is the same as the echo: it is waited for.
		commands <- serialbridge.Command{Device: "modbus_pzem004t_1", Key: "alarm_threshold", Value: 600.0}
		r.pass(time.Second)
		if i := slices.Index(r.asked, "write holding register 1"); i < 0 || r.at[i+1].Sub(r.at[i]) < 20*time.Millisecond {
			t.Errorf("asked %q", r.asked)
		}
		end()
		if len(heard.Damage) > 0 || len(heard.Overheard) > 0 || len(heard.Readings) < 12 || last(heard, "modbus_pzem004t_1")["alarm_threshold"] != int64(600) {
			t.Errorf("%d readings, damaged %q, ignored %q", len(heard.Readings), heard.Damage, heard.Overheard)
		}
	})
}

func TestPause(t *testing.T) {
	own := Map{Name: "own", Pause: 850, Function: "holding", Type: "u16", Registers: []Register{{Key: "a", Name: "A", Address: 1}, {Key: "b", Name: "B", Address: 9}}}
	synctest.Test(t, func(t *testing.T) {
		s := &slave{registers: map[int]uint16{1: 111, 9: 999}}
		r, _, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "own", Interval: 1}}, Maps: []Map{own}}, map[byte]*slave{1: s})
		r.pass(time.Minute)
		for i, at := range r.at[1:] {
			if d := at.Sub(r.at[i]); d < 850*time.Millisecond {
				t.Errorf("the next question comes after %v", d)
			}
		}
		// A bus that is too slow for the interval serves both alike.
		a, b := 0, 0
		for _, s := range r.asked {
			if s == "read holding register 1" {
				a++
			} else {
				b++
			}
		}
		if a < 30 || b < 30 {
			t.Errorf("asked %d and %d times", a, b)
		}
		end()
	})
}

// TestNames has two devices of a kind, and one that is asked in pieces.
func TestNames(t *testing.T) {
	o := Options{Line: "115200 8O1", Units: []Unit{{Address: 1, Map: "pzem004t"}, {Address: 2, Map: "pzem004t"}, {Address: 3, Map: "pzem004t", Name: "Pump"}}}
	synctest.Test(t, func(t *testing.T) {
		r, heard, _, end := poll(t, o, map[byte]*slave{1: pzem(), 2: pzem(), 3: pzem()})
		r.pass(20 * time.Second)
		for id, name := range map[string]string{"modbus_pzem004t_1": "Power meter 1", "modbus_pzem004t_2": "Power meter 2", "modbus_pzem004t_3": "Pump"} {
			if got := heard.Devices[id].Name; got != name {
				t.Errorf("%s is called %q", id, got)
			}
			if values := last(heard, id); !reflect.DeepEqual(values, pzemValues) {
				t.Errorf("%s: %v", id, values)
			}
		}
		end()
	})
}

func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}}}, map[byte]*slave{1: pzem()})
		r.pass(time.Second)
		r.far.CloseWithError(serialbridge.ErrUnplugged)
		synctest.Wait()
		if err := end(); !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
	})
}

// TestBabble has a bus that is never silent.
func TestBabble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// At 300 baud 30 ms are less than 3.5 characters.
		r, heard, _, end := poll(t, Options{Line: "300 8N1", Units: []Unit{{Address: 1, Map: "pzem004t"}}}, nil)
		stop := make(chan bool)
		go func() {
			for {
				select {
				case <-time.After(30 * time.Millisecond):
					r.far.Write([]byte{0xAA})
				case <-stop:
					return
				}
			}
		}()
		r.pass(7 * time.Minute)
		close(stop)
		if err := end(); err == nil || !strings.Contains(err.Error(), "nothing on the bus has answered") {
			t.Error(err)
		}
		if len(heard.Readings) > 0 {
			t.Error("readings out of noise")
		}
	})
}

// TestFaults has buses on which anything happens to questions and answers. What is
// published is right all the same.
func TestFaults(t *testing.T) {
	own := Map{Name: "own", Function: "holding", Type: "u16"}
	registers := make(map[int]uint16)
	for i := range 12 {
		own.Registers = append(own.Registers, Register{Key: fmt.Sprint("r", i), Name: "R", Address: 3 * i})
		registers[3*i] = uint16(1000 + i)
	}
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			slaves := make(map[byte]*slave)
			o := Options{Maps: []Map{own}}
			for address := byte(1); address <= 3; address++ {
				s := &slave{registers: registers}
				s.mangle = func(answer []byte) []byte {
					// A device does one thing after the other, and is slow at times.
					s.delay = time.Duration(random.IntN(100)) * time.Millisecond
					if random.IntN(20) == 0 {
						s.delay = time.Duration(random.IntN(3000)) * time.Millisecond
					}
					answer = slices.Clone(answer)
					switch random.IntN(40) {
					case 0:
						return nil
					case 1:
						return answer[:random.IntN(len(answer))]
					case 2:
						answer[random.IntN(len(answer))] ^= byte(1 << random.IntN(8))
					case 3:
						noise := make([]byte, 1+random.IntN(20))
						for i := range noise {
							noise[i] = byte(random.Uint32())
						}
						return append(noise, answer...)
					case 4:
						return append(reading(byte(4+random.IntN(3)), readHoldingRegisters, 7), answer...)
					case 5:
						return append(answer, answer[:3]...)
					}
					return answer
				}
				slaves[address] = s
				o.Units = append(o.Units, Unit{Address: int(address), Map: "own", Interval: 2})
			}
			r, heard, _, end := poll(t, o, slaves)
			r.pass(time.Hour)
			end()
			for _, reading := range heard.Readings {
				for key, value := range reading.Values {
					var i int
					fmt.Sscanf(key, "r%d", &i)
					if value != int64(1000+i) {
						t.Fatalf("seed %d: %s is %v", seed, key, value)
					}
				}
			}
			if len(heard.Readings) < 500 || len(heard.Damage) < 50 {
				t.Errorf("seed %d: %d readings, %d times damage", seed, len(heard.Readings), len(heard.Damage))
			}
		})
	}
}
