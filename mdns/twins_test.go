package mdns

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// newSwitch makes a namespace that is a switch for those that are connected to it.
func newSwitch(t *testing.T, name string) *namespace {
	t.Helper()
	n := newNamespace(t, name)
	n.run("ip", "link", "add", "switch", "type", "bridge")
	n.run("sh", "-c", "echo 0 >/sys/class/net/switch/bridge/multicast_snooping") // nobody asks here who listens
	n.run("ip", "link", "set", "switch", "up")
	return n
}

// plug lays a cable from a switch.
func (n *namespace) plug(port string, o *namespace, iface string) {
	n.t.Helper()
	connect(n, port, o, iface)
	n.run("ip", "link", "set", port, "master", "switch")
}

// TestMeet lets two boxes of the same name, on two halves of a network that know
// nothing of each other, meet when the halves are joined. Whoever has the worse claim
// is renamed, and nothing is lost to those who look on.
func TestMeet(t *testing.T) {
	needNamespaces(t, "avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon")
	t.Parallel()
	hall, attic := newSwitch(t, "hall"), newSwitch(t, "attic")
	first, second, desk := newNamespace(t, "first"), newNamespace(t, "second"), newNamespace(t, "desk")
	hall.plug("p1", first, "eth0")
	attic.plug("p1", second, "eth0")
	hall.plug("p2", desk, "eth0")
	hall.plug("p3", attic, "p3")
	attic.run("ip", "link", "set", "p3", "master", "switch")
	attic.run("ip", "link", "set", "p3", "down")
	first.address("eth0", "192.0.2.1/24")
	second.address("eth0", "192.0.2.2/24")
	desk.address("eth0", "192.0.2.9/24")
	desk.startAvahi("desk")
	views := desk.startBrowsers("_lintel._tcp")

	box := Options{Host: "lintel", Services: house.Services[2:]}
	one, two := first.startAdvertiser(box), second.startAdvertiser(box)
	views.show("lintel.local:80 192.0.2.1")
	two.line("lintel")

	attic.run("ip", "link", "set", "p3", "up")
	// If both look into it at once the greater address has the better claim; who does while
	// the other still answers gives way.
	var kept, renamed string
	eventually(t, func() error {
		out := desk.output("avahi-resolve", "-4", "-n", "lintel.local", "lintel-2.local")
		addresses := make(map[string]string)
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) == 2 {
				addresses[f[0]] = f[1]
			}
		}
		kept, renamed = addresses["lintel.local"], addresses["lintel-2.local"]
		if kept == "" || renamed == "" || kept == renamed {
			return fmt.Errorf("avahi-resolve: %q", out)
		}
		return nil
	})
	seen := false
	views[0].until("who keeps the name all the while", func(line string) bool {
		if there := strings.Contains(line, kept); seen && !there {
			t.Errorf("%s is gone when the other box gives its names up: %s", kept, line)
		}
		seen = seen || strings.Contains(line, kept)
		return strings.Contains(line, "lintel-2.local:80 "+renamed)
	})
	views[1:].show(`"Lintel A1B2C3._lintel._tcp":"`, `"Lintel A1B2C3 (2)._lintel._tcp":"`,
		"lintel.local:80 "+kept, "lintel-2.local:80 "+renamed)
	leaving := one
	if renamed == "192.0.2.2" {
		leaving = two
	}
	if err := leaving.stop(); err != nil {
		t.Error(err)
	}
	views.show("!"+renamed, "lintel.local:80 "+kept)
}

// TestNamesAreKept has the second of two boxes of one name take another, and both get
// power at the same moment again: each keeps what it had.
func TestNamesAreKept(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	a, b := newNamespace(t, "a"), newNamespace(t, "b")
	connect(a, "eth0", b, "eth0")
	a.address("eth0", "192.0.2.1/24")
	b.address("eth0", "192.0.2.2/24")

	box := Options{Host: "lintel", Services: house.Services[:2]}
	first := a.startAdvertiser(box)
	views := b.startBrowsers("_mqtt._tcp", "_http._tcp")
	views.show("lintel.local:1883", "lintel.local:80")
	second := b.startAdvertiser(box)
	const renamed = `{"Lintel A1B2C3._http._tcp":"Lintel A1B2C3 (2)","Lintel A1B2C3._mqtt._tcp":"Lintel A1B2C3 (2)","lintel":"lintel-2"}`
	second.line(renamed)
	both := []string{
		`"Lintel A1B2C3._http._tcp":"lintel.local:80 192.0.2.1`, `"Lintel A1B2C3 (2)._http._tcp":"lintel-2.local:80 192.0.2.2`,
		`"Lintel A1B2C3._mqtt._tcp":"lintel.local:1883 192.0.2.1`, `"Lintel A1B2C3 (2)._mqtt._tcp":"lintel-2.local:1883 192.0.2.2`,
	}
	views.show(both...)

	for range 3 {
		for _, p := range []*process{first, second} {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		}
		views.show("!192.0.2.1", "!192.0.2.2") // the goodbyes count at once
		again := box
		if err := json.Unmarshal([]byte(renamed), &again.Renamed); err != nil {
			t.Fatal(err)
		}
		second, first = b.startAdvertiser(again), a.startAdvertiser(box)
		views.show(both...)
	}
}
