package mdns

import (
	"context"
	"net"
	"syscall"
	"testing"
)

// TestBrowse has python-zeroconf advertise as Home Assistant does: it is found,
// goes with its goodbye, comes back, and is gone when it was killed and its records
// have run out.
func TestBrowse(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	box, a := newNamespace(t, "box"), newNamespace(t, "a")
	connect(box, "lan0", a, "eth0")
	box.address("lan0", "192.0.2.1/24", "fd00:a::1/64")
	a.address("eth0", "192.0.2.2/24", "fd00:a::2/64")

	start := func() *process {
		p := a.startPython("register.py", "Küche (1)", "_home-assistant._tcp", "home", "8123", "6", "192.0.2.2", "fd00:a::2", "version=2026.2")
		p.line("registered")
		return p
	}
	const card = `"Küche (1)._home-assistant._tcp":"home.local:8123 192.0.2.2 fd00:a::2 version=2026.2"`
	browsers := box.startBrowsers("_home-assistant._tcp", "_lintel._tcp")
	first := start()
	browsers.show(card)
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	browsers.show("!Küche")
	second := start()
	browsers.show(card)
	second.cmd.Process.Signal(syscall.SIGKILL)
	browsers.show("!Küche")
}

func TestTypesRefused(t *testing.T) {
	for kind, want := range map[string]bool{"mqtt": false, "_mqtt": false, "_mqtt._tcp.local": false, "_a.b._tcp": false, "_zigstar_gw._tcp": true} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := NewBrowser(BrowserOptions{Types: []string{kind}, interfaces: func() ([]net.Interface, error) { return nil, nil }}).Run(ctx)
		if (err == nil) != want {
			t.Errorf("%q: %v", kind, err)
		}
	}
}
