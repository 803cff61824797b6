package access

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	in1970 = time.Date(1970, 1, 1, 0, 0, 7, 0, time.UTC)
	in2026 = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
)

// houseNames are the names of a box: a host and addresses.
func houseNames(host string, addresses ...string) func() Names {
	n := Names{Hosts: []string{host}}
	for _, a := range addresses {
		n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
	}
	return func() Names { return n }
}

// wallClock is the wall clock of a box in a bubble.
type wallClock struct {
	mu    sync.Mutex
	set   time.Time
	at    time.Time
	known bool
}

func (w *wallClock) show(t time.Time, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set, w.at, w.known = t, time.Now(), known
}

func (w *wallClock) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set.Add(time.Since(w.at))
}

func (w *wallClock) isKnown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

// connectAt connects as a client whose clock shows that time, and returns the
// certificate that it is served and what it says to it.
func connectAt(t *testing.T, a *Authority, name string, clock time.Time) (*x509.Certificate, error) {
	t.Helper()
	served, err := a.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = greet(&tls.Config{GetCertificate: a.GetCertificate}, &tls.Config{
		RootCAs: trusting(t, a), ServerName: name, Time: func() time.Time { return clock },
	})
	return served.Leaf, err
}

// A box that starts in 1970 makes certificates that hold whatever the time is; when it
// knows the time it has one that browsers take, from the same authority.
func TestAuthorityOf1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wall wallClock
		wall.show(in1970, false)
		dir := t.TempDir()
		options := func(o *AuthorityOptions) {
			o.Names = houseNames("Lintel", "192.168.1.2", "fe80::1%eth0", "2001:db8::5")
			o.Now, o.ClockKnown = wall.now, wall.isKnown
		}
		a := newAuthority(t, dir, options)
		names := []string{"lintel", "lintel.local", "localhost", "192.168.1.2", "fe80::1", "2001:db8::5", "127.0.0.1", "::1"}
		for _, clock := range []time.Time{in1970, in2026, in2026.AddDate(3, 0, 0), time.Date(2049, 12, 1, 0, 0, 0, 0, time.UTC)} {
			for _, name := range names {
				if _, err := connectAt(t, a, name, clock); err != nil {
					t.Errorf("%s in %d: %v", name, clock.Year(), err)
				}
			}
		}
		for _, name := range []string{"example.com", "notlintel", "evil.lintel.local", "192.168.1.3"} {
			if _, err := connectAt(t, a, name, in2026); err == nil {
				t.Errorf("served as %s", name)
			}
		}
		_, before := a.Root()

		go a.Run(t.Context())
		time.Sleep(time.Minute)
		wall.show(in2026, true)
		time.Sleep(time.Minute)
		if _, after := a.Root(); after != before {
			t.Error("another authority since the time is known")
		}
		for _, days := range []int{-29, 0, 100, 366} {
			for _, name := range names {
				if _, err := connectAt(t, a, name, in2026.AddDate(0, 0, days)); err != nil {
					t.Errorf("%s %d days from now: %v", name, days, err)
				}
			}
		}
		c, err := connectAt(t, a, "lintel", in2026.AddDate(0, 0, 368))
		if err == nil {
			t.Error("no end")
		}
		if life := c.NotAfter.Add(time.Second).Sub(c.NotBefore); life > 397*24*time.Hour {
			t.Errorf("valid for %v", life)
		}

		// The next start is in 1970 again, and the addresses come late. What the
		// clients know of stays; then the box gives up on the time.
		wall.show(in1970, false)
		a = newAuthority(t, dir, func(o *AuthorityOptions) {
			options(o)
			o.Names = houseNames("lintel")
		})
		if again, _ := connectAt(t, a, "lintel", in2026); !again.Equal(c) {
			t.Errorf("another certificate after a start, until %v", again.NotAfter)
		}
		a = newAuthority(t, dir, func(o *AuthorityOptions) {
			options(o)
			o.Names = houseNames("lintel", "10.0.0.9")
		})
		moved, err := connectAt(t, a, "10.0.0.9", in2026)
		if err != nil || !moved.NotAfter.Equal(c.NotAfter) {
			t.Errorf("with a new address: until %v, %v; want %v", moved.NotAfter, err, c.NotAfter)
		}
		go a.Run(t.Context())
		time.Sleep(clockPatience + time.Minute)
		if _, err := connectAt(t, a, "10.0.0.9", in2026.AddDate(2, 0, 0)); err != nil {
			t.Errorf("a box that is never told the time, two years later: %v", err)
		}
	})
}

// The folder of an authority that was used: all its files, and who is in them.
func usedAuthority(t *testing.T, dir string) (fingerprint string, good, bad tls.Certificate) {
	t.Helper()
	a := newAuthority(t, dir, nil)
	good, bad = issueClient(t, a, "good"), issueClient(t, a, "bad")
	if err := a.Revoke(serialText(bad.Leaf.SerialNumber)); err != nil {
		t.Fatal(err)
	}
	_, fingerprint = a.Root()
	return fingerprint, good, bad
}

func TestAuthorityFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	fingerprint, good, bad := usedAuthority(t, dir)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	want := []string{"ca.pem", "ca.pem.copy", "issued.json", "revoked.pem", "revoked.pem.copy", "root.pem", "server.pem"}
	if !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	if root, err := os.ReadFile(filepath.Join(dir, "root.pem")); err != nil || strings.Contains(string(root), "KEY") {
		t.Errorf("root.pem: %q, %v", root, err)
	}

	// The next start finds it all as it was.
	before, err := os.ReadFile(filepath.Join(dir, serverFile))
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, dir, nil)
	root, again := a.Root()
	if again != fingerprint || len(fingerprint) != 32*3-1 {
		t.Errorf("fingerprint %s, was %s", again, fingerprint)
	}
	if after, err := os.ReadFile(filepath.Join(dir, serverFile)); err != nil || string(after) != string(before) {
		t.Errorf("another server certificate after a start; %v", err)
	}
	if a.Revoked(good.Leaf) || !a.Revoked(bad.Leaf) {
		t.Error("forgot who was revoked")
	}
	issued := a.Issued()
	if len(issued) != 2 || issued[0].Name != "good" || issued[0].Revoked || issued[1].Name != "bad" || !issued[1].Revoked {
		t.Errorf("issued %+v", issued)
	}
	root[0] ^= 1
	if again, _ := a.Root(); again[0] == root[0] {
		t.Error("the root can be changed from outside")
	}
}

// Whatever a power cut or a bad block leaves, the box starts, with a certificate that
// clients accept, and nobody is let in by it.
func TestDamagedAuthority(t *testing.T) {
	garbage := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	half := func(b []byte) []byte { return b[:len(b)/2] }
	none := func([]byte) []byte { return nil }
	flip := func(b []byte) []byte { b[len(b)/3] ^= 4; return b }
	tests := []struct {
		name                 string
		damage               map[string]func([]byte) []byte
		newRoot, forgets     bool // another authority; who was revoked
		forgetsIssued, other bool
	}{
		{name: "server half", damage: map[string]func([]byte) []byte{"server.pem": half}},
		{name: "server empty", damage: map[string]func([]byte) []byte{"server.pem": none}},
		{name: "server flipped", damage: map[string]func([]byte) []byte{"server.pem": flip}},
		{name: "server garbage", damage: map[string]func([]byte) []byte{"server.pem": func([]byte) []byte { return garbage }}},
		{name: "CA half", damage: map[string]func([]byte) []byte{"ca.pem": half}},
		{name: "CA flipped", damage: map[string]func([]byte) []byte{"ca.pem": flip}},
		{name: "copy of CA empty", damage: map[string]func([]byte) []byte{"ca.pem.copy": none}},
		{name: "CA and copy", damage: map[string]func([]byte) []byte{"ca.pem": half, "ca.pem.copy": none}, newRoot: true},
		{name: "CRL flipped", damage: map[string]func([]byte) []byte{"revoked.pem": flip}},
		{name: "copy of CRL empty", damage: map[string]func([]byte) []byte{"revoked.pem.copy": none}},
		{name: "CRL and copy", damage: map[string]func([]byte) []byte{"revoked.pem": none, "revoked.pem.copy": none}, forgets: true},
		{name: "list of issued", damage: map[string]func([]byte) []byte{"issued.json": half}, forgetsIssued: true},
		{name: "root", damage: map[string]func([]byte) []byte{"root.pem": none}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fingerprint, good, bad := usedAuthority(t, dir)
			for name, change := range tt.damage {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				overwrite(t, filepath.Join(dir, name), change(b))
			}
			a := newAuthority(t, dir, nil)
			if _, err := connectAt(t, a, "lintel.local", time.Now()); err != nil {
				t.Errorf("client: %v", err)
			}
			if _, f := a.Root(); (f != fingerprint) != tt.newRoot {
				t.Errorf("fingerprint %s, was %s", f, fingerprint)
			}
			if tt.newRoot {
				c, err := NewClientCertificates(ClientCertificateOptions{Authority: a, ClockKnown: always})
				if err != nil || c.check([]*x509.Certificate{good.Leaf}) == nil || c.check([]*x509.Certificate{bad.Leaf}) == nil {
					t.Errorf("a new authority takes the certificates of the old one; %v", err)
				}
				if n := len(a.Issued()); n != 0 {
					t.Errorf("lists %d certificates", n)
				}
				return
			}
			if a.Revoked(good.Leaf) || a.Revoked(bad.Leaf) == tt.forgets {
				t.Errorf("revoked: good %t, bad %t", a.Revoked(good.Leaf), a.Revoked(bad.Leaf))
			}
			if n := len(a.Issued()); n != 2 != tt.forgetsIssued {
				t.Errorf("lists %d certificates", n)
			}
			// It is whole again: one more bad block does not matter.
			overwrite(t, filepath.Join(dir, "ca.pem.copy"), garbage)
			overwrite(t, filepath.Join(dir, "revoked.pem.copy"), garbage)
			a = newAuthority(t, dir, nil)
			if _, f := a.Root(); f != fingerprint || a.Revoked(bad.Leaf) == tt.forgets {
				t.Error("the file was not put right")
			}
		})
	}
}

// What is revoked at the newer of the two files is revoked, though the power was cut
// between them.
func TestRevocationHalfWritten(t *testing.T) {
	for _, left := range []string{revokedFile, revokedFile + ".copy"} {
		dir := t.TempDir()
		a := newAuthority(t, dir, nil)
		bad := issueClient(t, a, "bad")
		old, err := os.ReadFile(filepath.Join(dir, revokedFile))
		if err == nil {
			t.Fatalf("a list before anything was revoked: %s", old)
		}
		a.Revoke("ab")
		if old, err = os.ReadFile(filepath.Join(dir, revokedFile)); err != nil {
			t.Fatal(err)
		}
		if err := a.Revoke(serialText(bad.Leaf.SerialNumber)); err != nil {
			t.Fatal(err)
		}
		overwrite(t, filepath.Join(dir, left), old)
		if a = newAuthority(t, dir, nil); !a.Revoked(bad.Leaf) {
			t.Errorf("%s is old: not revoked", left)
		}
		if err := os.Remove(filepath.Join(dir, left)); err != nil {
			t.Fatal(err)
		}
		if a = newAuthority(t, dir, nil); !a.Revoked(bad.Leaf) {
			t.Errorf("%s is gone: not revoked", left)
		}
	}
}

// A folder that cannot be written to is an error that names it.
func TestAuthorityWithoutFolder(t *testing.T) {
	file := fileWith(t, []byte("x"))
	_, err := NewAuthority(filepath.Join(file, "tls"), AuthorityOptions{Names: houseNames("lintel"), ClockKnown: always})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

// The authority is trusted on phones: it can vouch for nothing outside of the house.
func TestAuthorityVouchesForTheHouseAlone(t *testing.T) {
	a := newAuthority(t, t.TempDir(), nil)
	thief := &foreignAuthority{a.root, a.key}
	for name, want := range map[string]bool{"lintel.local": true, "any.local": true, "bank.example": false, "www.com": false} {
		stolen := thief.client(t, name, func(c *x509.Certificate) {
			c.DNSNames, c.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})
		_, _, err := greet(&tls.Config{Certificates: []tls.Certificate{stolen}}, &tls.Config{RootCAs: trusting(t, a), ServerName: name})
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		if out, err := openssl(t, a, stolen.Certificate[0], "-purpose", "sslserver", "-verify_hostname", name); (err == nil) != want {
			t.Errorf("openssl: %s: %v %s", name, err, out)
		}
	}
	// Nor make another authority, sign mail or programs.
	sub := newIssuer(t, "sub", thief)
	leaf := sub.client(t, "lamp", nil)
	if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: trusting(t, a), Intermediates: poolOf(sub), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
		t.Error("an authority of the authority")
	}
	mail := thief.client(t, "mail", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })
	if _, err := mail.Leaf.Verify(x509.VerifyOptions{Roots: trusting(t, a), KeyUsages: mail.Leaf.ExtKeyUsage}); err == nil {
		t.Error("signs mail")
	}
}

func poolOf(issuers ...*foreignAuthority) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, i := range issuers {
		pool.AddCert(i.cert)
	}
	return pool
}

// openssl verifies a certificate as programs that are not Go's do.
func openssl(t *testing.T, a *Authority, der []byte, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	root, _ := a.Root()
	args = append([]string{"verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", fileWith(t, root)}, args...)
	out, err := exec.Command(program, append(args, fileWith(t, certificatePEM(der)))...).CombinedOutput()
	return string(out), err
}

// OpenSSL accepts what a box made in 1970, then, now and later.
func TestOpenSSLVerifies(t *testing.T) {
	a := newAuthority(t, t.TempDir(), func(o *AuthorityOptions) {
		o.Now, o.ClockKnown = func() time.Time { return in1970 }, never
	})
	pair, _ := a.GetCertificate(nil)
	client := issueClient(t, a, "kitchen lamp")
	for _, at := range []time.Time{in1970, in2026, in2026.AddDate(20, 0, 0)} {
		when := []string{"-attime", strconv.FormatInt(at.Unix(), 10)}
		for _, args := range [][]string{{"-purpose", "sslserver", "-verify_hostname", "lintel.local"}, {"-purpose", "sslserver", "-verify_ip", "192.168.1.2"}} {
			if out, err := openssl(t, a, pair.Certificate[0], append(args, when...)...); err != nil {
				t.Errorf("server in %d: %v %s", at.Year(), err, out)
			}
		}
		if out, err := openssl(t, a, client.Certificate[0], append(when, "-purpose", "sslclient")...); err != nil {
			t.Errorf("client in %d: %v %s", at.Year(), err, out)
		}
		if out, err := openssl(t, a, client.Certificate[0], append(when, "-purpose", "sslserver")...); err == nil {
			t.Errorf("client as a server in %d: %s", at.Year(), out)
		}
	}
}
