package access

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// It is renewed long before it expires, and not oftener than that takes.
func TestServerCertificateRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wall wallClock
		wall.show(in2026, true)
		a := newAuthority(t, t.TempDir(), func(o *AuthorityOptions) { o.Now, o.ClockKnown = wall.now, wall.isKnown })
		go a.Run(t.Context())
		issued, last := 0, ""
		for day := range 3 * 365 {
			wall.show(in2026.AddDate(0, 0, day), true)
			time.Sleep(lookAtNames + time.Second)
			pair, _ := a.GetCertificate(nil)
			c := pair.Leaf
			if s := serialText(c.SerialNumber); s != last {
				issued, last = issued+1, s
			}
			if now := wall.now(); now.Before(c.NotBefore.AddDate(0, 0, 29)) || now.After(c.NotAfter.AddDate(0, 0, -100)) {
				t.Fatalf("on %v: valid from %v to %v", now, c.NotBefore, c.NotAfter)
			}
		}
		if issued < 4 || issued > 6 {
			t.Errorf("issued %d times in three years", issued)
		}
		// The clock was wrong and goes back.
		wall.show(in2026.AddDate(-1, 0, 0), true)
		time.Sleep(lookAtNames + time.Second)
		if _, err := connectAt(t, a, "lintel", wall.now()); err != nil {
			t.Errorf("after the clock went back: %v", err)
		}
	})
}

// A new address is in the certificate of who connects then. Who is connected stays, and
// an address that goes is no reason for anything.
func TestNewNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names atomic.Pointer[Names]
		called := func(host string, addresses ...string) {
			n := houseNames(host, addresses...)()
			names.Store(&n)
		}
		called("lintel")
		a := newAuthority(t, t.TempDir(), func(o *AuthorityOptions) { o.Names = func() Names { return *names.Load() } })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()

		near, far := net.Pipe()
		server := tls.Server(near, &tls.Config{GetCertificate: a.GetCertificate})
		go io.Copy(server, server)
		early := tls.Client(far, &tls.Config{RootCAs: trusting(t, a), ServerName: "lintel.local"})
		echo := func() {
			t.Helper()
			b := make([]byte, 1)
			if _, err := early.Write([]byte{7}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(early, b); err != nil || b[0] != 7 {
				t.Fatalf("%d, %v", b, err)
			}
		}
		echo()
		if _, err := connectAt(t, a, "10.1.2.3", time.Now()); err == nil {
			t.Error("knows an address before the box has it")
		}
		called("lintel", "10.1.2.3", "0.0.0.0", "224.0.0.1", "10.1.2.3")
		time.Sleep(lookAtNames + time.Second)
		first, err := connectAt(t, a, "10.1.2.3", time.Now())
		if err != nil {
			t.Error(err)
		}
		if n := len(first.IPAddresses); n != 3 {
			t.Errorf("addresses %v", first.IPAddresses)
		}
		called("lintel")
		time.Sleep(lookAtNames + time.Second)
		if c, _ := connectAt(t, a, "lintel.local", time.Now()); !c.Equal(first) {
			t.Error("issued again because an address has gone")
		}
		// Another host name. The authority vouches for it below .local only.
		called("attic")
		time.Sleep(lookAtNames + time.Second)
		if _, err := connectAt(t, a, "attic.local", time.Now()); err != nil {
			t.Error(err)
		}
		echo()
		early.Close()
		near.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestServerNames(t *testing.T) {
	a := newAuthority(t, t.TempDir(), nil)
	var many []string
	for i := range 200 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}).String())
	}
	if _, addresses := a.serverNames(houseNames("x", many...)()); len(addresses) != maxServerAddresses {
		t.Errorf("%d addresses", len(addresses))
	}
	if _, addresses := a.serverNames(Names{Addresses: make([]netip.Addr, 3)}); len(addresses) != 2 {
		t.Errorf("of no address: %v", addresses)
	}
	for host, want := range map[string][]string{
		"lintel":                {"lintel.local", "lintel", "localhost"},
		"LINTEL.":               {"lintel.local", "lintel", "localhost"},
		"other":                 {"other.local", "localhost"},
		"box.home.arpa":         {"box.home.arpa", "localhost"},
		"www.example.com":       {"localhost"},
		"locallocal":            {"locallocal.local", "localhost"},
		"xlocal":                {"xlocal.local", "localhost"},
		"":                      {"localhost"},
		"a b":                   {"localhost"},
		"-x":                    {"localhost"},
		"a..b":                  {"localhost"},
		"*.local":               {"localhost"},
		"10.0.0.1":              {"localhost"},
		"ü":                     {"localhost"},
		"x\x00.local":           {"localhost"},
		strings.Repeat("a", 64): {"localhost"},
	} {
		if hosts, _ := a.serverNames(houseNames(host)()); !slices.Equal(hosts, want) {
			t.Errorf("%q: %q, want %q", host, hosts, want)
		}
	}
}

// A file is cut off anywhere, or was never renamed.
func TestServerCertificateCutOff(t *testing.T) {
	dir := t.TempDir()
	fingerprint, _, _ := usedAuthority(t, dir)
	name := filepath.Join(dir, serverFile)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 13 {
		overwrite(t, name, whole[:n])
		overwrite(t, name+".new", whole[:len(whole)-n])
		a := newAuthority(t, dir, nil)
		if _, f := a.Root(); f != fingerprint {
			t.Fatalf("cut off at %d: another authority", n)
		}
		if pair, _ := a.GetCertificate(nil); pair.Leaf.VerifyHostname("lintel.local") != nil {
			t.Fatalf("cut off at %d: no certificate", n)
		}
	}
}
