package mdns

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/grandcat/zeroconf"
)

// TestChange has two neighbours on two links look on while an address of the box
// changes, a cable is pulled and put back, an adapter is pulled out, and at last the box
// is stopped, or killed without a goodbye.
func TestChange(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	for _, killed := range []bool{false, true} {
		t.Run(map[bool]string{false: "Stopped", true: "Killed"}[killed], func(t *testing.T) {
			if killed && os.Getenv("LINTEL_NEED_ALL") != "1" {
				t.Skip("takes as long as an address holds, two minutes: LINTEL_NEED_ALL=1 runs it")
			}
			t.Parallel()
			box, a, b := newNamespace(t, "box"), newNamespace(t, "a"), newNamespace(t, "b")
			connect(box, "lan0", a, "eth0")
			connect(box, "lan1", b, "eth0")
			box.address("lan0", "192.0.2.1/24", "fd00:a::1/64")
			box.address("lan1", "198.51.100.1/24", "fd00:b::1/64")
			a.address("eth0", "192.0.2.2/24", "fd00:a::2/64")
			b.address("eth0", "198.51.100.2/24", "fd00:b::2/64")
			onA, onB := a.startBrowsers("_lintel._tcp"), b.startBrowsers("_lintel._tcp")
			adv := box.startAdvertiser(Options{Host: "lintel", Services: house.Services[2:]})
			onA.show("lintel.local:80 192.0.2.1 fd00:a::1 ", "!198.51.100", "!fd00:b")
			onB.show("lintel.local:80 198.51.100.1 fd00:b::1 ", "!192.0.2", "!fd00:a")
			a.finds(t, "lintel.local.", "192.0.2.1")

			box.run("ip", "address", "del", "192.0.2.1/24", "dev", "lan0")
			box.address("lan0", "192.0.2.77/24")
			onA.show("lintel.local:80 192.0.2.77 fd00:a::1 ")
			a.finds(t, "lintel.local.", "192.0.2.77")

			// The cable between the box and b is pulled, which is seen at both
			// ends, and put back when the box has another address.
			box.run("ip", "link", "set", "lan1", "down")
			onB[:1].show("!lintel") // python-zeroconf does not look at its links
			box.run("ip", "address", "flush", "dev", "lan1")
			box.run("ip", "link", "set", "lan1", "up")
			box.address("lan1", "198.51.100.7/24", "fd00:b::7/64")
			onB.show("lintel.local:80 198.51.100.7 fd00:b::7 ")

			// An adapter is pulled out: the other link does not suffer.
			box.run("ip", "link", "del", "lan1")
			onB[:1].show("!lintel")
			a.finds(t, "lintel.local.", "192.0.2.77")

			if killed {
				adv.cmd.Process.Signal(syscall.SIGKILL)
			} else if err := adv.stop(); err != nil {
				t.Error(err)
			}
			onA.show("!lintel")
		})
	}
}

// finds looks for the service as Go programs do, with zeroconf's own resolver.
func (n *namespace) finds(t *testing.T, host string, addr string) {
	t.Helper()
	eventually(t, func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		entries := make(chan *zeroconf.ServiceEntry, 100)
		n.do(func() error {
			iface, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			r, err := zeroconf.NewResolver(zeroconf.SelectIfaces([]net.Interface{*iface}))
			if err != nil {
				return err
			}
			return r.Browse(ctx, "_lintel._tcp", "local.", entries)
		})
		var heard []string
		for e := range entries {
			heard = append(heard, fmt.Sprintf("%s %s:%d %v %q", e.Instance, e.HostName, e.Port, e.AddrIPv4, e.Text))
			if e.HostName == host && slices.ContainsFunc(e.AddrIPv4, net.ParseIP(addr).Equal) {
				cancel()
				for range entries { // until it has closed its sockets
				}
				return nil
			}
		}
		return fmt.Errorf("zeroconf's resolver found %q, want %s at %s", heard, host, addr)
	})
}

// TestSwitch pulls the cable of a box that is behind a switch, so that nobody else has a
// link that goes down: the box comes back with another address, and the one that it had
// is forgotten.
func TestSwitch(t *testing.T) {
	needNamespaces(t, "avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon")
	t.Parallel()
	hall, box, a := newSwitch(t, "hall"), newNamespace(t, "box"), newNamespace(t, "a")
	hall.plug("p1", box, "eth0")
	hall.plug("p2", a, "eth0")
	box.address("eth0", "192.0.2.1/24", "fd00:a::1/64")
	a.address("eth0", "192.0.2.2/24", "fd00:a::2/64")
	a.startAvahi("desk")
	views := a.startBrowsers("_lintel._tcp")
	box.startAdvertiser(house)
	views.show("lintel.local:80 192.0.2.1 fd00:a::1 ")
	a.sees("eth0", "lintel", "192.0.2.1", "fd00:a::1")

	hall.run("ip", "link", "set", "p1", "down")
	box.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
	hall.run("ip", "link", "set", "p1", "up")
	box.address("eth0", "192.0.2.50/24", "fd00:a::50/64")
	views.show("lintel.local:80 192.0.2.50 fd00:a::50 ", "!192.0.2.1 ", "!fd00:a::1 ")
	a.sees("eth0", "lintel", "192.0.2.50", "fd00:a::50")
}

// TestIPv6Only has no IPv4 on the link, and then nothing but link-local addresses.
func TestIPv6Only(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	for _, global := range []bool{true, false} {
		t.Run(map[bool]string{true: "Global", false: "LinkLocal"}[global], func(t *testing.T) {
			t.Parallel()
			box, a := newNamespace(t, "box"), newNamespace(t, "a")
			connect(box, "lan0", a, "eth0")
			want, zone := "lintel.local:80 fe80:", "%eth0 "
			if global {
				box.address("lan0", "fd00:a::1/64")
				a.address("eth0", "fd00:a::2/64")
				want, zone = "lintel.local:80 fd00:a::1 ", ""
			}
			views := a.startBrowsers("_lintel._tcp")
			adv := box.startAdvertiser(Options{Host: "lintel", Services: house.Services[2:]})
			views[:1].show(want, zone)
			views[1:].show(want)
			if err := adv.stop(); err != nil {
				t.Error(err)
			}
			views.show("!lintel")
		})
	}
}
