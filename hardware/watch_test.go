package hardware

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte("add@/devices/usb1/1-1/1-1.4/ttyUSB0/tty/ttyUSB0\x00ACTION=add\x00SUBSYSTEM=tty\x00MAJOR=188\x00DEVNAME=ttyUSB0\x00SEQNUM=4711\x00"))
	f.Add([]byte("libudev\x00\xfe\xed\xca\xfe"))
	f.Add([]byte("change@/devices/virtual/tty/tty1\x00"))
	f.Add([]byte("@\x00="))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parseUevent(b)
		if !ok {
			if e != (uevent{}) {
				t.Errorf("refused, but %+v", e)
			}
			return
		}
		if !strings.HasPrefix(string(b), e.action+"@/") || e.action == "" {
			t.Errorf("%q is no event with action %q", b, e.action)
		}
		if e.subsystem != "" && !strings.Contains(string(b), "SUBSYSTEM="+e.subsystem) {
			t.Errorf("subsystem %q is not in %q", e.subsystem, b)
		}
	})
}

func TestParseUevent(t *testing.T) {
	got, ok := parseUevent([]byte("remove@/devices/x\x00ACTION=remove\x00SUBSYSTEM=tty\x00DEVNAME=ttyUSB0\x00"))
	if want := (uevent{"remove", "tty", "ttyUSB0"}); !ok || got != want {
		t.Errorf("got %+v %v, want %+v", got, ok, want)
	}
	for _, bad := range []string{"", "add@/x", "add\x00SUBSYSTEM=tty\x00", "@/x\x00", "add@x\x00", "libudev\x00\xfe\xed"} {
		if e, ok := parseUevent([]byte(bad)); ok {
			t.Errorf("%q was taken for %+v", bad, e)
		}
	}
}

// watch runs WatchSerialPorts and returns what it says.
func watch(t *testing.T, o WatchOptions) <-chan []SerialPort {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan []SerialPort)
	done := make(chan error, 1)
	go func() {
		done <- WatchSerialPorts(ctx, func(p []SerialPort) {
			select {
			case said <- p:
			case <-ctx.Done():
			}
		}, o)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("WatchSerialPorts: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("WatchSerialPorts does not end")
		}
	})
	return said
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestWatchSeesPlugAndUnplug(t *testing.T) {
	tr := pi(t)
	said := watch(t, WatchOptions{Root: tr.root, Interval: 10 * time.Millisecond})
	if got := receive(t, said); len(got) != 3 {
		t.Fatalf("at first: %v", got)
	}
	if err := os.Remove(filepath.Join(tr.root, "sys/class/tty/ttyUSB0")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, said); len(got) != 2 {
		t.Errorf("unplugged: %v", got)
	}
	tr.link("../../../"+usbBus+"/1-1/1-1.4/1-1.4:1.0/ttyUSB0/tty/ttyUSB0", "sys/class/tty/ttyUSB0")
	if got := receive(t, said); len(got) != 3 {
		t.Errorf("plugged in: %v", got)
	}
}

func TestWatchStartsWithNothing(t *testing.T) {
	said := watch(t, WatchOptions{Root: t.TempDir()})
	if got := receive(t, said); len(got) != 0 {
		t.Errorf("an empty root has %v", got)
	}
}

// skip skips the test, or fails it where everything must be there.
func skip(t *testing.T, reason string, err error) {
	t.Helper()
	if os.Getenv("LINTEL_NEED_ALL") == "1" {
		t.Fatalf("%s: %v", reason, err)
	}
	t.Skipf("%s: %v", reason, err)
}

// provoke makes the kernel send an event for a tty that every Linux has.
func provoke(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/sys/class/tty/tty/uevent", []byte("change"), 0); err != nil {
		skip(t, "cannot provoke a uevent", err)
	}
}

// spoof sends what looks like an event to all who listen, as any root program may.
func spoof(t *testing.T, event string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte(event), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		skip(t, "cannot send to the uevent group", err)
	}
}

func TestKernelEvents(t *testing.T) {
	s, err := openUevents()
	if err != nil {
		skip(t, "no uevent socket", err)
	}
	defer s.close()
	got := make(chan uevent, 100)
	go func() {
		for {
			e, lost, err := s.next()
			if err != nil {
				close(got)
				return
			}
			if !lost {
				got <- e
			}
		}
	}()
	spoof(t, "change@/devices/virtual/tty/spoof\x00SUBSYSTEM=tty\x00DEVNAME=spoof\x00")
	provoke(t)
	for {
		e := receive(t, got)
		if e.name == "spoof" {
			t.Fatal("an event of another program was taken for the kernel's")
		}
		if e == (uevent{"change", "tty", "tty"}) {
			break
		}
		if e.action == "" {
			t.Fatal("the socket ended")
		}
	}
	s.close()
	for range got { // close unblocks next
	}
}

// The slow poll is far away here: it is the event that makes the watcher look.
func TestWatchLooksAfterAnEvent(t *testing.T) {
	s, err := openUevents()
	if err != nil {
		skip(t, "no uevent socket", err)
	}
	s.close()
	tr := pi(t)
	said := watch(t, WatchOptions{Root: tr.root, Interval: time.Hour})
	receive(t, said)
	if err := os.Remove(filepath.Join(tr.root, "sys/class/tty/ttyUSB0")); err != nil {
		t.Fatal(err)
	}
	provoke(t)
	if got := receive(t, said); len(got) != 2 {
		t.Errorf("after the event: %v", got)
	}
}
