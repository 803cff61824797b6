package simulator

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lintel/serialbridge/dsmr"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// running is a meter that runs until the test ends.
type running struct {
	*Stick
	link  string
	ticks chan time.Time // a time for each telegram
	stop  func() error
}

// start runs a meter that is 10 s further in its day with each telegram.
func start(t *testing.T) *running {
	t.Helper()
	r := &running{link: filepath.Join(t.TempDir(), "p1"), ticks: make(chan time.Time)}
	ctx, cancel := context.WithCancel(t.Context())
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	r.Stick = New(Options{
		Link:     r.link,
		Device:   P1Meter(NewHousehold(0)),
		Interval: time.Millisecond,
		Now: func() time.Time {
			now = now.Add(10 * time.Second)
			select {
			case r.ticks <- now:
			default:
			}
			return now
		},
	})
	if err := r.Plug(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return errors.New("Run does not return")
		}
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// telegrams waits until the meter has made n telegrams.
func (r *running) telegrams(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-r.ticks:
		case <-time.After(patience):
			t.Fatal("the meter stands still")
		}
	}
}

// open opens the port as a reader.
func (r *running) open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(r.link, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// read feeds a decoder from f until enough says so.
func read(t *testing.T, f *os.File, enough func(*recorder) bool) *recorder {
	t.Helper()
	sink := &recorder{}
	decoder := dsmr.Driver(dsmr.Options{}).NewDecoder(sink)
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 300)
	for !enough(sink) {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("after %d readings, damaged %q: %v", len(sink.Readings), sink.Damage, err)
		}
		decoder.Decode(buf[:n], time.Now())
	}
	return sink
}

func readings(n int) func(*recorder) bool {
	return func(r *recorder) bool { return len(r.Readings) >= n }
}

func TestMeterOnAPty(t *testing.T) {
	m := start(t)
	f := m.open(t)
	sink := read(t, f, readings(40))
	if len(sink.Damage) > 0 {
		t.Fatalf("damaged: %q", sink.Damage)
	}
	for i := 0; i < 40; i += 2 {
		at, err := time.Parse(time.RFC3339, sink.Readings[i].Values["meter_time"].(string))
		if err != nil {
			t.Fatal(err)
		}
		meter, gas := values(NewHousehold(0).At(at), time.FixedZone("", 3600))
		if !maps.Equal(sink.Readings[i].Values, meter) || !maps.Equal(sink.Readings[i+1].Values, gas) {
			t.Fatalf("reading %d: %v", i, sink.Readings[i])
		}
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(m.link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link stays behind: %v", err)
	}
}

// Whoever opens the port first hears nothing that was sent before.
func TestNobodyReads(t *testing.T) {
	m := start(t)
	m.telegrams(t, 100) // some 90 KiB: more than a pty stores
	before := <-m.ticks
	sink := read(t, m.open(t), readings(2))
	at, err := time.Parse(time.RFC3339, sink.Readings[0].Values["meter_time"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if at.Before(before) {
		t.Errorf("telegram of %v was kept until %v", at, before)
	}
}

// A reader that falls asleep loses telegrams, but gets whole ones.
func TestSlowReader(t *testing.T) {
	m := start(t)
	f := m.open(t)
	read(t, f, readings(2))
	m.telegrams(t, 200)
	sink := read(t, f, readings(200))
	// The first read may have ended inside a telegram, of which this decoder
	// has not seen the beginning; what it did not see is not damage.
	if len(sink.Damage) > 0 {
		t.Errorf("damaged: %q", sink.Damage)
	}
}

// What is sent to the meter comes back neither as echo nor as a jam.
func TestWritingToTheMeter(t *testing.T) {
	m := start(t)
	f := m.open(t)
	if err := f.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := f.WriteString(strings.Repeat("/ABC5 hello\r\n", 80)); err != nil {
			t.Fatal(err)
		}
	}
	if sink := read(t, f, readings(20)); len(sink.Damage) > 0 {
		t.Errorf("damaged: %q", sink.Damage)
	}
}

func TestFaults(t *testing.T) {
	m := start(t)
	f := m.open(t)
	read(t, f, readings(2))

	m.Spoil(Flip)
	sink := read(t, f, func(r *recorder) bool { return len(r.Damage) > 0 && len(r.Readings) > 10 })
	if len(sink.Damage) != 1 {
		t.Errorf("corrupt: damaged %q", sink.Damage)
	}
	m.Spoil(Cut)
	sink = read(t, f, func(r *recorder) bool { return len(r.Damage) > 0 && len(r.Readings) > 10 })
	if len(sink.Damage) != 1 {
		t.Errorf("truncate: damaged %q", sink.Damage)
	}
	m.Spoil(Flip, Cut)
	sink = read(t, f, func(r *recorder) bool { return len(r.Damage) > 1 && len(r.Readings) > 10 })
	if len(sink.Damage) != 2 {
		t.Errorf("corrupt and truncate: damaged %q", sink.Damage)
	}
	for _, reading := range sink.Readings {
		if _, ok := sink.Devices[reading.Device]; !ok || !strings.HasPrefix(reading.Device, "dsmr_LINTEL") {
			t.Errorf("reading of %s", reading.Device)
		}
	}
}

func TestSilence(t *testing.T) {
	m := start(t)
	f := m.open(t)
	read(t, f, readings(2))
	m.SetFaults(Faults{Silent: true})
	// What was sent before is still on its way; nothing follows it.
	buf := make([]byte, 4096)
	for quiet := 0; quiet < 2; {
		m.telegrams(t, 20)
		if err := f.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := f.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			quiet++
		case err != nil:
			t.Fatal(err)
		case quiet > 0:
			t.Fatalf("%d bytes after it fell silent", n)
		}
	}
	m.SetFaults(Faults{})
	read(t, f, readings(2))
}

func TestUnplug(t *testing.T) {
	m := start(t)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc: ", err)
		}
		return len(entries)
	}
	before := 0
	for i := range 10 {
		f := m.open(t)
		read(t, f, readings(2))
		m.Unplug()
		if _, err := os.Lstat(m.link); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the link is still there: %v", err)
		}
		// The reader is hung up on.
		if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		for {
			_, err := f.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the reader does not notice")
			}
			if err != nil {
				break
			}
		}
		f.Close()
		m.Unplug()        // twice is no harm
		m.telegrams(t, 3) // the meter goes on meanwhile
		if err := m.Plug(); err != nil {
			t.Fatal(err)
		}
		if err := m.Plug(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before = descriptors()
		}
	}
	if after := descriptors(); after > before {
		t.Errorf("%d descriptors, %d after the first time", after, before)
	}
}

func TestLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "p1")
	if err := New(Options{}).Run(t.Context()); err == nil {
		t.Error("runs without a link")
	}
	if err := New(Options{Link: filepath.Join(dir, "absent", "p1")}).Run(t.Context()); err == nil {
		t.Error("runs without the link's folder")
	}
	if err := os.WriteFile(link, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Link: link}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), link) {
		t.Errorf("replaces a file: %v", err)
	}
	if data, err := os.ReadFile(link); err != nil || string(data) != "precious" {
		t.Errorf("the file holds %q, %v", data, err)
	}
	// The link of one that was killed is replaced.
	if err := errors.Join(os.Remove(link), os.Symlink("/dev/pts/nowhere", link)); err != nil {
		t.Fatal(err)
	}
	m := New(Options{Link: link})
	if err := m.Plug(); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target == "/dev/pts/nowhere" {
		t.Errorf("link to %q, %v", target, err)
	}
	m.Unplug()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// The port is raw whoever opens it: no byte is changed on the way.
func TestRaw(t *testing.T) {
	c, err := plug(filepath.Join(t.TempDir(), "p1"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.unplug()
	f, err := os.OpenFile(c.link, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	if n, open, err := c.write(every); n != len(every) || !open || err != nil {
		t.Fatalf("%d bytes, open %v: %v", n, open, err)
	}
	var got []byte
	buf := make([]byte, 512)
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for len(got) < len(every) {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
		got = append(got, buf[:n]...)
	}
	if !slices.Equal(got, every) {
		t.Errorf("read % x", got)
	}
}
