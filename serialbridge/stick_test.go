package serialbridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lintel/hardware"
)

func TestStickThatNobodyKnows(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	stranger := linesDriver("lines")
	stranger.Match = func(hardware.SerialPort) Confidence { return No }
	asks := linesDriver("modbus")
	asks.Lines = nil
	u.plug("ttyUSB0", "X")
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{stranger}}, quick())
	if st := h.status("0403:6001:X:00", "unknown", inState(Unknown)); !strings.Contains(st.Err, "set its protocol (lines)") {
		t.Errorf("Err is %q", st.Err)
	}
	h.stop()
	h = startHouse(t, Options{Root: u.root, Drivers: []Driver{stranger, asks}}, quick())
	if st := h.status("0403:6001:X:00", "unknown", inState(Unknown)); !strings.Contains(st.Err, "set its protocol (modbus)") {
		t.Errorf("Err is %q", st.Err)
	}
	h.stop()
	// The user says what it is, by the path: then it is not a stick of the inventory too.
	path := filepath.Join(u.root, "dev/ttyUSB0")
	h = startHouse(t, Options{Root: u.root, Drivers: []Driver{stranger}, Ports: []NamedPort{{Path: path, Protocol: "lines"}}}, quick())
	h.status(path, "online", inState(Online))
	if n := len(h.Sticks()); n != 1 {
		t.Errorf("%d sticks, want 1", n)
	}
	h.stop()
	h = startHouse(t, Options{Drivers: []Driver{stranger}, Ports: []NamedPort{{Path: path, Protocol: "linse"}}}, quick())
	if st := h.status(path, "unknown", inState(Unknown)); !strings.Contains(st.Err, `no protocol "linse"`) {
		t.Errorf("Err is %q", st.Err)
	}
}

func TestPanicStaysWithItsStick(t *testing.T) {
	bad, good := newSocket(t), newSocket(t)
	bad.plug()
	good.plug()
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: bad.path, Protocol: "lines"}, {Path: good.path, Protocol: "lines"}},
	}, quick())
	h.status(bad.path, "online", inState(Online))
	h.status(good.path, "online", inState(Online))
	bad.say("lines a temperature=1 .")
	good.say("lines b temperature=1 .")
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.broker.awaitLast(t, "lintel/b/availability", "online")
	for i := range 3 {
		bad.say("boom")
		h.broker.awaitLast(t, "lintel/a/availability", "offline")
		st := h.status(bad.path, "online again", func(st StickStatus) bool { return st.State == Online && st.Retries > 0 })
		if !strings.Contains(st.Err, "the driver has a fault (boom)") {
			t.Errorf("%+v", st)
		}
		bad.say(fmt.Sprintf("lines a temperature=%d .", i))
		h.broker.awaitLast(t, "lintel/a/availability", "online")
		h.status(bad.path, "good after a good frame", func(st StickStatus) bool { return st.Err == "" && st.Retries == 0 })
	}
	if got := h.broker.all("lintel/b/availability"); len(got) != 1 {
		t.Errorf("the other stick's device was said %d times to be there", len(got))
	}
}

// A driver that never ends is left behind, without its port and without a voice.
func TestStubbornDriver(t *testing.T) {
	so := newSocket(t)
	so.plug()
	tm := quick()
	tm.stop = 50 * time.Millisecond
	release := make(chan struct{})
	spoke := make(chan struct{})
	stubborn := Driver{Protocol: "stubborn", Run: func(ctx context.Context, port Port, sink Sink, _ <-chan Command) error {
		sink.Device(Device{ID: "a", Properties: lineProperties})
		<-release
		sink.Reading(Reading{Device: "a", Values: map[string]any{"temperature": 1.0}})
		close(spoke)
		return nil
	}}
	h := startHouse(t, Options{Drivers: []Driver{stubborn}, Ports: []NamedPort{{Path: so.path, Protocol: "stubborn"}}}, tm)
	h.broker.awaitLast(t, "lintel/a/availability", "online")
	h.stop()
	openPort(t, so.path, PortOptions{}) // it is free
	close(release)
	receive(t, spoke, "the driver to speak")
	if st := h.Sticks()[0]; st.Frames != 0 {
		t.Errorf("%+v", st)
	}
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "not-a-tty")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := New(Options{Broker: newRecorder(), Drivers: []Driver{linesDriver("lines")}})
		st := &stick{s: s, id: "x", pinned: NamedPort{Protocol: "lines"}, wake: make(chan struct{}, 1)}
		s.sticks["x"] = st
		ctx, cancel := context.WithCancel(t.Context())
		go st.keep(ctx, hardware.SerialPort{Path: file})
		start := time.Now()
		// Tries after 0, 1, 3, 7, 15, 31, 63 seconds, then every minute.
		for i, at := range []int{0, 1, 3, 7, 15, 31, 63, 123, 183} {
			time.Sleep(time.Until(start.Add(time.Duration(at)*time.Second - time.Millisecond)))
			synctest.Wait()
			if got := s.Sticks()[0].Retries; at > 0 && got != i {
				t.Errorf("before %d s: %d failures, want %d", at, got, i)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if got := s.Sticks()[0]; got.Retries != i+1 || got.State != Failed || !strings.Contains(got.Err, "is not a serial port; the next try is in") {
				t.Errorf("after %d s: %+v, want %d failures", at, got, i+1)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// After a good run the first failure is the first one again.
func TestBackOffIsReset(t *testing.T) {
	_, path := openPTY(t)
	synctest.Test(t, func(t *testing.T) {
		var runs []time.Duration // when each began
		var lasts atomic.Int64
		lasts.Store(int64(time.Second))
		start := time.Now()
		d := Driver{Protocol: "p", Run: func(ctx context.Context, port Port, sink Sink, _ <-chan Command) error {
			runs = append(runs, time.Since(start))
			sink.Device(Device{ID: "a", Properties: lineProperties})
			sink.Reading(Reading{Device: "a", Values: map[string]any{"temperature": 1.0}})
			rest(ctx, time.Duration(lasts.Load()))
			return errors.New("broken")
		}}
		s := New(Options{Broker: newRecorder(), Drivers: []Driver{d}})
		ctx, cancel := context.WithCancel(t.Context())
		st := s.remember(ctx, "x")
		st.pinned = NamedPort{Protocol: "p"}
		go st.keep(ctx, hardware.SerialPort{Path: path})
		time.Sleep(12 * time.Second) // runs at 0, 2, 5, 10
		lasts.Store(int64(2 * time.Minute))
		time.Sleep(150 * time.Second) // at 19 for two minutes, then at 140
		cancel()
		synctest.Wait()
		var seconds []int
		for _, r := range runs {
			seconds = append(seconds, int(r.Seconds()))
		}
		if want := []int{0, 2, 5, 10, 19, 140}; !slices.Equal(seconds, want) {
			t.Errorf("runs began at %v s, want %v", seconds, want)
		}
		s.publishers.Wait()
	})
}

// A stick has an availability of its own, which goes with it, and its devices know
// which one it is.
func TestStickSaysWhetherItIsThere(t *testing.T) {
	a, b := newSocket(t), newSocket(t)
	a.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: a.path, Protocol: "lines"}, {Path: b.path, Protocol: "lines"}}}, quick())
	id := func(path string) string {
		return h.status(path, "there", func(StickStatus) bool { return true }).Device
	}
	topic := "lintel/" + id(a.path) + "/availability"
	h.broker.awaitLast(t, topic, "online")
	h.broker.awaitLast(t, "lintel/"+id(b.path)+"/availability", "offline")
	a.say("lines m temperature=1 .")
	h.broker.awaitLast(t, "lintel/m/availability", "online")
	if got := h.Devices()[0].Stick; got != id(a.path) {
		t.Errorf("the stick of the device is %q, want %q", got, id(a.path))
	}
	a.unplug()
	h.broker.awaitLast(t, topic, "offline")
	h.broker.awaitLast(t, "lintel/m/availability", "offline")
	b.plug()
	h.status(b.path, "online", inState(Online))
	b.say("lines m temperature=2 .")
	h.broker.awaitLast(t, "lintel/m/availability", "online")
	if got := h.Devices()[0].Stick; got != id(b.path) {
		t.Errorf("the stick of the device is %q, want %q", got, id(b.path))
	}
	a.plug()
	h.broker.awaitLast(t, topic, "online")
	for _, m := range h.broker.all(topic) {
		if !m.Retain {
			t.Error("the availability of a stick is not retained")
		}
	}
}

// A stick that is known and not spoken with is not opened, and its owner is told
// what to do.
func TestAdvice(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	u.plug("ttyUSB0", "X")
	zwave := Driver{Protocol: "zwave", Match: func(hardware.SerialPort) Confidence { return Sure }, Advice: "use something else"}
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{linesDriver("lines"), zwave}}, quick())
	if st := h.status("0403:6001:X:00", "unknown", inState(Unknown)); !strings.Contains(st.Err, "use something else") {
		t.Errorf("%+v", st)
	}
}

// A stick whose protocol is set is known by its own id, wherever it is plugged in.
func TestPinnedStick(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	far := u.plug("ttyUSB0", "X")
	pinned := linesDriver("pinned")
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{linesDriver("lines")},
		Ports: []NamedPort{{Stick: "0403:6001:Y:00", Protocol: "lines"}, {Stick: "0403:6001:X:00", Driver: &pinned}}}, quick())
	st := h.status("0403:6001:X:00", "online", inState(Online))
	if st.Protocol != "pinned" || st.Evidence != byUser || st.USB.Serial != "X" {
		t.Errorf("%+v", st)
	}
	if _, err := far.WriteString("pinned a temperature=1 .\n"); err != nil {
		t.Fatal(err)
	}
	h.broker.awaitLast(t, "lintel/a/state", `{"temperature":1}`)
	if n := len(h.Sticks()); n != 1 {
		t.Errorf("%d sticks, want 1", n)
	}
}

// What any bytes would do for, or what has to be asked, is never taken for granted.
func TestDriverForWhoeverChoosesIt(t *testing.T) {
	so := newSocket(t)
	so.plug()
	chosen := linesDriver("lines")
	chosen.Match = nil
	h := startHouse(t, Options{Drivers: []Driver{chosen}, Ports: []NamedPort{{Path: so.path}}}, quick())
	if st := h.status(so.path, "unknown", inState(Unknown)); !strings.Contains(st.Err, "set its protocol (lines)") {
		t.Errorf("Err is %q", st.Err)
	}
	h.stop()
	h = startHouse(t, Options{Drivers: []Driver{chosen}, Ports: []NamedPort{{Path: so.path, Protocol: "lines"}}}, quick())
	h.status(so.path, "online", inState(Online))
}
