package simulator

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel/serialbridge"
	"lintel/serialbridge/nmea"
	"lintel/serialbridge/sml"
)

// runStick runs a stick until the test ends.
func runStick(t *testing.T, o Options) *Stick {
	t.Helper()
	s := New(o)
	if err := s.Plug(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := within(done); err != nil {
			t.Error(err)
		}
	})
	return s
}

// whenever is a clock that goes a second each time it is asked.
func whenever() func() time.Time {
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// A stick of every protocol is pulled out and put back.
func TestReplug(t *testing.T) {
	dir := t.TempDir()
	o := serialbridge.Options{Root: t.TempDir()}
	var all []*Stick
	var heard []*ear
	for i := range protocols {
		p := &protocols[i]
		if p.asked > time.Second && os.Getenv(soakVariable) == "" {
			continue
		}
		device, err := NewDevice(p.kind, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		e := &ear{protocol: p}
		driver := e.tee(p.driver())
		driver.Protocol = p.kind
		link := filepath.Join(dir, p.kind)
		o.Drivers = append(o.Drivers, driver)
		o.Ports = append(o.Ports, serialbridge.NamedPort{Path: link, Protocol: p.kind})
		heard = append(heard, e)
		all = append(all, runStick(t, Options{Link: link, Device: device, Interval: 50 * time.Millisecond, Now: whenever()}))
	}
	h := startHouse(t, o)
	available := func(e *ear) string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return h.broker.get(e.device, "availability")
	}
	for range 2 {
		for _, e := range heard {
			n := e.heard()
			await(t, "what "+e.protocol.kind+" says", func() bool { return e.heard() > n && available(e) == "online" })
		}
		for _, s := range all {
			s.Unplug()
		}
		for _, e := range heard {
			await(t, e.protocol.kind+" to be offline", func() bool { return available(e) == "offline" })
		}
		for _, s := range all {
			if err := s.Plug(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, e := range heard {
		n := e.heard()
		await(t, "what "+e.protocol.kind+" says in the end", func() bool { return e.heard() > n && available(e) == "online" })
	}
}

// awaitProtocol waits until something of a protocol is heard at the only stick.
func awaitProtocol(t *testing.T, h *house, protocol string) {
	t.Helper()
	await(t, protocol, func() bool {
		sticks := h.Sticks()
		return len(sticks) == 1 && sticks[0].State == serialbridge.Online && sticks[0].Protocol == protocol
	})
}

// Another device is connected to a converter that USB tells of: the driver is
// found anew when the converter comes back.
func TestChangeOfProtocol(t *testing.T) {
	if os.Getenv(soakVariable) == "" {
		t.Skip("takes a minute: set " + soakVariable)
	}
	root := t.TempDir()
	link := filepath.Join(root, "dev", "ttyUSB0")
	usb := filepath.Join(root, "sys/devices/usb1/1-1")
	port := filepath.Join(usb, "1-1:1.0", "tty", "ttyUSB0")
	class := filepath.Join(root, "sys/class/tty")
	for _, dir := range []string{filepath.Dir(link), port, class} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"idVendor": "10c4", "idProduct": "ea60", "serial": "0001",
		"manufacturer": "Silicon Labs", "product": "CP2102", "1-1:1.0/bInterfaceNumber": "00"} {
		if err := os.WriteFile(filepath.Join(usb, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../..", filepath.Join(port, "device")); err != nil {
		t.Fatal(err)
	}
	entry := filepath.Join(class, "ttyUSB0")
	if err := os.Symlink(port, entry); err != nil {
		t.Fatal(err)
	}

	s := runStick(t, Options{Link: link, Device: smlMeter(1), Interval: 50 * time.Millisecond})
	h := startHouse(t, serialbridge.Options{Root: root, Drivers: []serialbridge.Driver{sml.Driver(), nmea.Driver()}})
	awaitProtocol(t, h, "sml")
	if err := os.Remove(entry); err != nil {
		t.Fatal(err)
	}
	s.Unplug()
	<-time.After(lookAgain)
	if state := h.Sticks()[0].State; state != serialbridge.Waiting {
		t.Errorf("the stick is %s when it is gone", state)
	}
	s.become(satelliteReceiver())
	if err := s.Plug(); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(port, entry); err != nil {
		t.Fatal(err)
	}
	<-time.After(lookAgain)
	awaitProtocol(t, h, "nmea")
	if h.broker.get("nmea_gnss", "availability") != "online" || !strings.HasPrefix(h.broker.get("sml_", "availability"), "off") {
		t.Error("the meter is there, or the receiver is not")
	}
}

// lookAgain is after which the supervisor has looked at USB again, when the
// kernel does not tell.
const lookAgain = 31 * time.Second

// The same without pulling the converter out: after two minutes without a frame
// the driver is doubted.
func TestChangeOfProtocolInPlace(t *testing.T) {
	if os.Getenv(soakVariable) == "" {
		t.Skip("takes two minutes: set " + soakVariable)
	}
	link := filepath.Join(t.TempDir(), "stick")
	s := runStick(t, Options{Link: link, Device: smlMeter(1), Interval: 200 * time.Millisecond})
	h := startHouse(t, serialbridge.Options{Root: t.TempDir(), Drivers: []serialbridge.Driver{sml.Driver(), nmea.Driver()},
		Ports: []serialbridge.NamedPort{{Path: link}}})
	awaitProtocol(t, h, "sml")
	s.become(satelliteReceiver())
	<-time.After(2 * time.Minute)
	awaitProtocol(t, h, "nmea")
}
