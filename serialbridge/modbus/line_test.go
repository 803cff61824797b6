package modbus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

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
		{"wrong CRC", func(a []byte) []byte { a[5] ^= 0x10; return a }, []string{serialbridge.DamagedChecksum}, nil},
		{"half", func(a []byte) []byte { return a[:len(a)-3] }, []string{damagedShort}, nil},
		{"lost", func([]byte) []byte { return nil }, []string{serialbridge.DamagedNoAnswer}, nil},
		{"noise before", func(a []byte) []byte { return slices.Concat([]byte{0, 0xFE}, a) }, []string{damagedNoise}, nil},
		{"noise that seems long", func(a []byte) []byte { return slices.Concat([]byte{1, 3, 0xFA}, a) }, []string{damagedNoise}, nil},
		{"noise behind", func(a []byte) []byte { return slices.Concat(a, []byte{0xFE, 0xFE}) }, []string{damagedNoise}, nil},
		{"noise only", func(a []byte) []byte { return []byte{0xFE, 0xFD, 0xFC} }, []string{damagedNoise}, nil},
		{"of another unit", func([]byte) []byte { return slices.Clone(foreign) }, []string{serialbridge.DamagedNoAnswer}, []string{"unit 9 answers without being asked"}},
		{"of another unit before", func(a []byte) []byte { return slices.Concat(foreign, a) }, nil, []string{"unit 9 answers without being asked"}},
		{"of another length", func([]byte) []byte { return reading(1, readInputRegisters, 1, 2, 3) }, []string{serialbridge.DamagedNoAnswer}, []string{"unit 1 answers without being asked"}},
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
		if want := []string{serialbridge.DamagedNoAnswer, damagedLate}; !slices.Equal(heard.Damage, want) {
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
					r.Say([]byte{0xAA})
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

// TestEcho has a converter that hears what it sends.
func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, heard, commands, end := poll(t, Options{Units: []Unit{{Address: 1, Map: "pzem004t"}}}, map[byte]*slave{1: pzem()})
		r.sink.Lock()
		r.echo = true
		r.sink.Unlock()
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
