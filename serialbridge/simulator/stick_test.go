package simulator

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// ticker is a device of which each frame is a number in brackets.
func ticker() Device {
	n := int64(0)
	return Device{Protocol: "ticker", Interval: 2 * time.Millisecond, Talk: func(time.Time) []Frame {
		n++
		b := fmt.Appendf(nil, "[%06d", n)
		return one(append(b, ']', '\n'), n, len(b))
	}}
}

// report collects what a stick tells of its frames.
type report chan Sent

// until returns what is told up to the first that ok wants, and that one.
func (r report) until(t *testing.T, ok func(Sent) bool) []Sent {
	t.Helper()
	late := time.After(patience)
	var all []Sent
	for {
		select {
		case s := <-r:
			all = append(all, s)
			if ok(s) {
				return all
			}
		case <-late:
			t.Fatal("waited in vain for a frame")
		}
	}
}

func TestWhatFaultsDo(t *testing.T) {
	frames := func() []Frame { return ticker().Talk(time.Time{}) }
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		f := frames()[0]
		original := slices.Clone(f.Data)
		for _, fault := range []Fault{Whole, Cut, Flip, Sum} {
			data, done := damaged(f, fault, random.IntN)
			if done != fault || !bytes.Equal(f.Data, original) {
				t.Fatalf("%q was %q, the frame %q", fault, done, f.Data)
			}
			differ := 0
			for i := range min(len(data), len(original)) {
				if data[i] != original[i] {
					differ++
					if (fault == Flip) != (i < f.Sum) {
						t.Fatalf("%s changes byte %d of %q", fault, i, original)
					}
				}
			}
			switch {
			case fault == Whole && !bytes.Equal(data, original),
				fault == Cut && (!bytes.HasPrefix(original[:f.Sum], data) || len(data) == 0 || len(data) == f.Sum),
				(fault == Flip || fault == Sum) && (differ != 1 || len(data) != len(original)):
				t.Fatalf("%q makes %q of %q", fault, data, original)
			}
		}
	}
	// What has no checksum cannot have a wrong one.
	if _, done := damaged(Frame{Data: []byte("hello")}, Sum, middle); done != Whole {
		t.Errorf("a frame without checksum has %q", done)
	}
	// Shares are shares.
	f, n := Faults{Noise: 0.5, Cut: 0.1, Flip: 0.2, Sum: 0.3}, make(map[Fault]int)
	noisy := 0
	for range 10_000 {
		n[f.choose(random)]++
		if b := f.noise(random); len(b) > 0 {
			noisy++
			if len(b) > maxNoise {
				t.Fatalf("%d bytes of noise", len(b))
			}
		}
	}
	for fault, want := range map[Fault]int{Whole: 4000, Cut: 1000, Flip: 2000, Sum: 3000} {
		if n[fault] < want-300 || n[fault] > want+300 {
			t.Errorf("%q is %d of 10000, want %d", fault, n[fault], want)
		}
	}
	if noisy < 4700 || noisy > 5300 {
		t.Errorf("noise is before %d of 10000", noisy)
	}
}

// A stick tells what became of each frame.
func TestSent(t *testing.T) {
	m := &running{link: t.TempDir() + "/stick"}
	told := make(report, 10_000)
	m.Stick = runStick(t, Options{Link: m.link, Device: ticker(), Sent: func(s Sent) { told <- s }})
	last, seen := int64(0), make(map[int64]bool)
	check := func(all []Sent) {
		t.Helper()
		for _, s := range all {
			// While a frame goes out slowly the next ones are lost.
			if seen[s.Frame.Count] {
				t.Fatalf("told of frame %d twice", s.Frame.Count)
			}
			seen[s.Frame.Count] = true
			last = max(last, s.Frame.Count)
		}
	}
	// Nobody listens.
	check(told.until(t, func(s Sent) bool { return s.Frame.Count == 5 && s.Lost }))
	f := m.open(t)
	all := told.until(t, func(s Sent) bool { return !s.Lost })
	check(all)
	first := all[len(all)-1]
	if first.Opened.IsZero() {
		t.Error("it is not known when the port was opened")
	}
	read := make(chan []byte)
	buf := make([]byte, 4096)
	n, err := f.Read(buf) // here: once the stick is pulled out nothing can be read any more
	if err != nil {
		t.Fatal(err)
	}
	go func() { // all that comes, until then
		all := slices.Clone(buf[:n])
		for {
			n, err := f.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				read <- all
				return
			}
		}
	}()
	whole := func(s Sent) bool { return !s.Lost && s.Fault == Whole && s.Noise == 0 }
	m.Spoil(Cut, Flip, Sum)
	all = told.until(t, func(s Sent) bool { return s.Fault == Sum })
	check(all)
	if n := len(all); n < 3 || all[n-3].Fault != Cut || all[n-2].Fault != Flip {
		t.Errorf("told %v", all)
	}
	check(told.until(t, whole))
	m.SetFaults(Faults{Noise: 1})
	check(told.until(t, func(s Sent) bool { return s.Noise > 0 && !s.Lost }))
	m.SetFaults(Faults{Silent: true})
	check(told.until(t, func(s Sent) bool { return s.Lost }))
	m.SetFaults(Faults{Slow: time.Microsecond, Double: true})
	check(told.until(t, whole))
	m.SetFaults(Faults{})
	check(told.until(t, whole))
	m.Unplug()
	check(told.until(t, func(s Sent) bool { return s.Lost && s.Frame.Count > last+5 }))
	for n := range last - 1 {
		if !seen[n+1] {
			t.Errorf("nothing was told of frame %d of %d", n+1, last)
		}
	}
	heard := <-read
	if want := fmt.Sprintf("[%06d]\n", first.Frame.Count); !bytes.HasPrefix(heard, []byte(want)) {
		t.Errorf("heard first %.20q, told was %s", heard, want)
	}
}

// A frame that comes byte by byte is slow, and what comes meanwhile is lost.
func TestSlow(t *testing.T) {
	m := &running{link: t.TempDir() + "/stick"}
	told := make(report, 10_000)
	m.Stick = runStick(t, Options{Link: m.link, Device: ticker(), Sent: func(s Sent) { told <- s }})
	m.open(t)
	told.until(t, func(s Sent) bool { return !s.Lost })
	m.SetFaults(Faults{Slow: 2 * time.Millisecond})
	told.until(t, func(s Sent) bool { return s.Lost })
	all := told.until(t, func(s Sent) bool { return !s.Lost })
	if len(all) < 2 {
		t.Errorf("told %v", all)
	}
}

// A device is asked, and answers, whatever comes first.
func TestAnswers(t *testing.T) {
	m := &running{link: t.TempDir() + "/stick"}
	m.Stick = runStick(t, Options{Link: m.link, Device: mhz19()})
	f := m.open(t)
	if err := f.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	ask := func(want byte) {
		t.Helper()
		if _, err := f.Write([]byte("noise\xFF\x01\x86\x00\x00\x00\x00\x00\x79")); err != nil {
			t.Fatal(err)
		}
		var got []byte
		buf := make([]byte, 64)
		for len(got) < 9 {
			n, err := f.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
		if len(got) != 9 || got[1] != 0x86 || got[3] != want {
			t.Errorf("answers % x", got)
		}
	}
	ask(0x90) // 400
	ask(0x91)
	m.become(mhz19())
	ask(0x90)
}
