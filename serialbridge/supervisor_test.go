package serialbridge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"

	"lintel/hardware"
)

func TestReplug(t *testing.T) {
	keepGarbage(t)
	so := newSocket(t)
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: so.path, Protocol: "lines"}},
	}, quick())
	h.status(so.path, "waiting", func(st StickStatus) bool { return st.State == Waiting && st.Err != "" })
	var files, goroutines int
	for i := range 11 {
		so.plug()
		h.status(so.path, "online", inState(Online))
		so.say(fmt.Sprintf("lines attic temperature=%d .", i))
		h.broker.awaitLast(t, "lintel/attic/state", fmt.Sprintf(`{"temperature":%d}`, i))
		h.broker.awaitLast(t, "lintel/attic/availability", "online")
		so.unplug()
		h.broker.awaitLast(t, "lintel/attic/availability", "offline")
		h.status(so.path, "waiting", inState(Waiting))
		if i == 0 {
			files, goroutines = openFiles(t), runtime.NumGoroutine()
		}
	}
	var said []string
	for _, m := range h.broker.all("lintel/attic/availability") {
		if m.QoS != 1 || !m.Retain {
			t.Errorf("availability is QoS %d, retain %v", m.QoS, m.Retain)
		}
		said = append(said, string(m.Payload))
	}
	if want := slices.Repeat([]string{"online", "offline"}, 11); !slices.Equal(said, want) {
		t.Errorf("availability was %v", said)
	}
	noLeak(t, files, goroutines)
}

// Neither a silent stick nor one that is not there costs processor time.
func TestIdleCostsNothing(t *testing.T) {
	silent, absent, gone := newSocket(t), newSocket(t), newSocket(t)
	silent.plug()
	gone.plug()
	h := startHouse(t, Options{
		Drivers: []Driver{linesDriver("lines")},
		Ports:   []NamedPort{{Path: silent.path, Protocol: "lines"}, {Path: absent.path, Protocol: "lines"}, {Path: gone.path, Protocol: "lines"}},
	}, defaultTiming())
	h.status(silent.path, "online", inState(Online))
	h.status(gone.path, "online", inState(Online))
	gone.unplug()
	h.status(gone.path, "waiting", inState(Waiting))
	h.status(absent.path, "waiting", inState(Waiting))
	before, start := cpu(t), time.Now()
	<-time.After(1500 * time.Millisecond)
	if used, idle := cpu(t)-before, time.Since(start); used > idle/20 {
		t.Errorf("used %v of processor time in %v", used, idle)
	}
}

// usbRoot is a file system root with one place for a USB stick.
type usbRoot struct {
	t    *testing.T
	root string
}

func (u usbRoot) plug(tty, serial string) (far *os.File) {
	u.t.Helper()
	dev := filepath.Join(u.root, "sys/devices/usb1/1-1")
	iface := filepath.Join(dev, "1-1:1.0")
	ttyDir := filepath.Join(iface, "tty", tty)
	must := func(err error) {
		u.t.Helper()
		if err != nil {
			u.t.Fatal(err)
		}
	}
	for _, d := range []string{ttyDir, filepath.Join(u.root, "sys/class/tty"), filepath.Join(u.root, "dev")} {
		must(os.MkdirAll(d, 0o755))
	}
	for name, content := range map[string]string{
		"idVendor": "0403", "idProduct": "6001", "serial": serial, "manufacturer": "Victron", "product": "VE Direct cable", "1-1:1.0/bInterfaceNumber": "00",
	} {
		must(os.WriteFile(filepath.Join(dev, name), []byte(content+"\n"), 0o644))
	}
	far, near, err := pty.Open()
	must(err)
	near.Close()
	u.t.Cleanup(func() { far.Close() })
	must(os.Symlink("../..", filepath.Join(ttyDir, "device")))
	must(os.Symlink(near.Name(), filepath.Join(u.root, "dev", tty)))
	must(os.Symlink(ttyDir, filepath.Join(u.root, "sys/class/tty", tty)))
	return far
}

func (u usbRoot) unplug(tty string, far *os.File) {
	os.Remove(filepath.Join(u.root, "sys/class/tty", tty))
	os.RemoveAll(filepath.Join(u.root, "sys/devices/usb1/1-1"))
	os.Remove(filepath.Join(u.root, "dev", tty))
	far.Close()
}

// A stick keeps its name when it comes back under another device node.
func TestUSBStick(t *testing.T) {
	u := usbRoot{t, t.TempDir()}
	mine := linesDriver("lines")
	mine.Match = func(p hardware.SerialPort) Confidence {
		if p.Product == "VE Direct cable" {
			return Sure
		}
		return No
	}
	h := startHouse(t, Options{Root: u.root, Drivers: []Driver{linesDriver("other"), mine}}, quick())
	const id = "0403:6001:VE123:00"
	for i, tty := range []string{"ttyUSB0", "ttyUSB1", "ttyUSB0"} {
		far := u.plug(tty, "VE123")
		st := h.status(id, "online", inState(Online))
		if want := filepath.Join(u.root, "dev", tty); st.Port != want || st.USB.Serial != "VE123" || st.Protocol != "lines" {
			t.Errorf("%d: %+v, want port %s", i, st, want)
		}
		if want := "USB says Victron VE Direct cable (0403:6001)"; st.Evidence != want {
			t.Errorf("evidence %q, want %q", st.Evidence, want)
		}
		far.WriteString("lines solar temperature=7 .\n")
		h.broker.awaitLast(t, "lintel/solar/availability", "online")
		u.unplug(tty, far)
		h.broker.awaitLast(t, "lintel/solar/availability", "offline")
		h.status(id, "waiting", inState(Waiting))
	}
	if n := len(h.Sticks()); n != 1 {
		t.Errorf("%d sticks, want 1", n)
	}
	far := u.plug("ttyUSB0", "OTHER")
	h.status("0403:6001:OTHER:00", "online", inState(Online))
	u.unplug("ttyUSB0", far)
}

func TestQuietDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Broker: newRecorder()})
		ctx, cancel := context.WithCancel(t.Context())
		st := s.remember(ctx, "x")
		k := &sink{st: st}
		st.current = k
		go s.sweep(ctx)
		for _, id := range []string{"fast", "slow", "once", "burst"} {
			k.Device(Device{ID: id, Properties: lineProperties})
		}
		k.Device(Device{ID: "never", Properties: []Property{{Key: "press", Kind: Button}}})
		say := func(id string) { k.Reading(Reading{Device: id, Values: map[string]any{"temperature": 1.0}}) }
		say("once")
		for range 61 {
			say("slow")
			for range 60 {
				say("fast")
				time.Sleep(time.Second)
			}
		}
		say("slow")
		say("fast")
		say("burst")
		time.Sleep(30 * time.Second)
		say("burst")
		for range 5 {
			say("burst") // nothing is known of it for an hour
		}
		online := func() (ids []string) {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			for id, d := range s.devices {
				if d.online {
					ids = append(ids, id)
				}
			}
			slices.Sort(ids)
			return ids
		}
		start := time.Now().Add(-30 * time.Second)
		for _, step := range []struct {
			at   time.Duration // since fast and slow spoke last
			want []string
		}{
			{59 * time.Second, []string{"burst", "fast", "never", "slow"}},
			{66 * time.Second, []string{"burst", "never", "slow"}}, // at least a minute
			{100 * time.Second, []string{"burst", "never", "slow"}},
			{299 * time.Second, []string{"burst", "never", "slow"}},
			{306 * time.Second, []string{"burst", "never"}}, // five times its minute
			{time.Hour + 40*time.Second, []string{"never"}},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			if got := online(); !slices.Equal(got, step.want) {
				t.Errorf("after %v: online are %v, want %v", step.at, got, step.want)
			}
		}
		say("fast")
		if got := online(); !slices.Equal(got, []string{"fast", "never"}) {
			t.Errorf("online are %v", got)
		}
		cancel()
		s.publishers.Wait()
	})
}

// The meter of two sticks belongs to the one that heard it last.
func TestDeviceBehindTwoSticks(t *testing.T) {
	a, b := newSocket(t), newSocket(t)
	a.plug()
	b.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: a.path, Protocol: "lines"}, {Path: b.path, Protocol: "lines"}}}, quick())
	h.status(a.path, "online", inState(Online))
	h.status(b.path, "online", inState(Online))
	a.say("lines m temperature=1 .")
	h.broker.awaitLast(t, "lintel/m/state", `{"temperature":1}`)
	b.say("lines m temperature=2 .")
	h.broker.awaitLast(t, "lintel/m/state", `{"temperature":2}`)
	a.unplug()
	h.status(a.path, "waiting", inState(Waiting))
	b.say("lines m temperature=3 .")
	h.broker.awaitLast(t, "lintel/m/state", `{"temperature":3}`)
	if got := h.broker.all("lintel/m/availability"); len(got) != 1 {
		t.Errorf("availability was said %d times", len(got))
	}
	b.unplug()
	h.broker.awaitLast(t, "lintel/m/availability", "offline")
}

func TestForget(t *testing.T) {
	a := newSocket(t)
	a.plug()
	h := startHouse(t, Options{Drivers: []Driver{linesDriver("lines")}, Ports: []NamedPort{{Path: a.path, Protocol: "lines"}}}, quick())
	id := h.status(a.path, "online", inState(Online)).Device
	if err := h.Forget(id); err == nil || !strings.Contains(err.Error(), "configuration") {
		t.Errorf("one that the configuration names: %v", err)
	}
	if err := h.Forget("stick_never_seen"); err != nil {
		t.Errorf("one that nobody knows: %v", err)
	}
	h.mu.Lock()
	st := h.remember(t.Context(), "0403:6015:VE1A2B3C:00")
	st.cancel = func() {}
	h.mu.Unlock()
	if err := h.Forget(st.deviceID()); err == nil || !strings.Contains(err.Error(), "unplug it") {
		t.Errorf("one that is plugged in: %v", err)
	}
	h.mu.Lock()
	st.cancel = nil
	h.mu.Unlock()
	if err := h.Forget(st.deviceID()); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
	if sticks := h.Sticks(); len(sticks) != 1 || sticks[0].ID != a.path {
		t.Errorf("left: %+v", sticks)
	}
}

func TestSticksAreForgotten(t *testing.T) {
	s := New(Options{Broker: newRecorder(), Root: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 3 * maxSticks {
		s.reconcile(ctx, ctx, []hardware.SerialPort{
			{Path: "/nowhere/ttyUSB0", VendorID: "dead", ProductID: "beef", Serial: fmt.Sprint("S", i)},
			{Path: "/nowhere/ttyUSB1", VendorID: "0403", ProductID: "6001", Serial: "same", PortPath: "1-1"},
			{Path: "/nowhere/ttyUSB2", VendorID: "0403", ProductID: "6001", Serial: "same", PortPath: "1-2"},
		})
	}
	sticks := s.Sticks()
	if len(sticks) != maxSticks || len(s.wanted) != maxSticks {
		t.Errorf("%d sticks are remembered", len(sticks))
	}
	ids := make(map[string]bool)
	for _, st := range sticks {
		ids[st.ID] = true
	}
	for _, id := range []string{fmt.Sprintf("dead:beef:S%d:", 3*maxSticks-1), "0403:6001:same:", "0403:6001:same:@1-2"} {
		if !ids[id] {
			t.Errorf("%s is forgotten", id)
		}
	}
	cancel()
	s.keepers.Wait()
	s.publishers.Wait()
}
