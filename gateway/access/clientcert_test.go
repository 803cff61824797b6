package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// server is a TLS server that asks for client certificates.
func newServer(t *testing.T, a *Authority, c *ClientCertificates, require bool) *tls.Config {
	t.Helper()
	config := &tls.Config{GetCertificate: a.GetCertificate, MinVersion: tls.VersionTLS12}
	c.Ask(config, require)
	return config
}

// show connects with a certificate (none, if it has no key) over a version of TLS, and
// returns whom the server takes the client for.
func show(t *testing.T, a *Authority, c *ClientCertificates, server *tls.Config, cert tls.Certificate, version uint16) (string, error) {
	t.Helper()
	client := &tls.Config{RootCAs: trusting(t, a), ServerName: "lintel.local", MinVersion: version, MaxVersion: version}
	if cert.PrivateKey != nil {
		// Also one that the server has not asked for.
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	state, served, connected := greet(server, client)
	if (served == nil) != (connected == nil) {
		t.Errorf("the server says %v, the client %v", served, connected)
	}
	if served != nil || len(state.PeerCertificates) == 0 {
		return "", served
	}
	return c.Name(state.PeerCertificates[0]), nil
}

func newClientCertificates(t *testing.T, o ClientCertificateOptions) *ClientCertificates {
	t.Helper()
	if o.ClockKnown == nil {
		o.ClockKnown = always
	}
	c, err := NewClientCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientCertificates(t *testing.T) {
	a := newAuthority(t, t.TempDir(), nil)
	other := newAuthority(t, t.TempDir(), nil)
	own := &foreignAuthority{a.root, a.key}
	foreign := newIssuer(t, "Lintel CA", nil)
	impostor := newIssuer(t, a.root.Subject.CommonName, nil)
	subjectOf := func(names ...any) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.Subject = pkix.Name{}
			for _, n := range names {
				c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oidCommonName, Value: n})
			}
		}
	}
	revoked := issueClient(t, a, "revoked")
	if err := a.Revoke(serialText(revoked.Leaf.SerialNumber)); err != nil {
		t.Fatal(err)
	}
	server, _ := a.GetCertificate(nil)
	long := strings.Repeat("a", maxCertificateName)
	tests := []struct {
		name string
		cert tls.Certificate
		want string // empty: refused
	}{
		{"good", issueClient(t, a, "lamp"), "lamp"},
		{"spaces within, not ASCII", issueClient(t, a, "Küche 2"), "Küche 2"},
		{"of another box", issueClient(t, other, "lamp"), ""},
		{"of a foreign CA", foreign.client(t, "lamp", nil), ""},
		{"of a foreign CA, which comes along", foreign.client(t, "lamp", nil, foreign), ""},
		{"of a CA with the same name", impostor.client(t, "lamp", nil, impostor), ""},
		{"self-signed", (*foreignAuthority)(nil).client(t, "lamp", nil), ""},
		{"self-signed authority", (*foreignAuthority)(nil).client(t, "lamp", func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		}), ""},
		{"revoked", revoked, ""},
		{"expired", own.client(t, "lamp", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ""},
		{"not yet valid", own.client(t, "lamp", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), ""},
		{"for servers only", own.client(t, "lamp", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ""},
		{"for nothing said", own.client(t, "lamp", func(c *x509.Certificate) { c.ExtKeyUsage = nil }), ""},
		{"that of the server", *server, ""},
		{"issued by a client", (&foreignAuthority{revoked.Leaf, revoked.PrivateKey.(*ecdsa.PrivateKey)}).client(t, "lamp", nil, &foreignAuthority{cert: revoked.Leaf}), ""},
		{"two names", own.client(t, "", subjectOf("lamp", "admin")), ""},
		{"two names, the same", own.client(t, "", subjectOf("lamp", "lamp")), ""},
		{"alternative name alone", own.client(t, "", func(c *x509.Certificate) { c.DNSNames = []string{"lamp.local"} }), ""},
		{"empty", own.client(t, "", nil), ""},
		{"NUL", own.client(t, "admin\x00.evil", nil), ""},
		{"wildcard +", own.client(t, "+", nil), ""},
		{"wildcard #", own.client(t, "a#", nil), ""},
		{"level", own.client(t, "lamp/admin", nil), ""},
		{"system", own.client(t, "$SYS", nil), ""},
		{"space", own.client(t, " ", nil), ""},
		{"space after", own.client(t, "admin ", nil), ""},
		{"newline", own.client(t, "admin\n", nil), ""},
		{"not seen", own.client(t, "ad\u200bmin", nil), ""},
		{"backwards", own.client(t, "\u202enimda", nil), ""},
		{"Latin-1", own.client(t, "", subjectOf(asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte("a\xff")})), "aÿ"},
		{"longest", own.client(t, long, nil), long},
		{"overlong", own.client(t, long+"a", nil), ""},
	}
	var refusals int
	c := newClientCertificates(t, ClientCertificateOptions{Authority: a, Refused: func(*x509.Certificate, error) { refusals++ }})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, require := range []bool{false, true} {
			server := newServer(t, a, c, require)
			for _, tt := range tests {
				refusals = 0
				got, err := show(t, a, c, server, tt.cert, version)
				if got != tt.want || (err == nil) != (tt.want != "") {
					t.Errorf("%s, %s: %q, %v; want %q", tt.name, tls.VersionName(version), got, err, tt.want)
				}
				if refused := tt.want == ""; refusals != map[bool]int{true: 1}[refused] {
					t.Errorf("%s: told of %d refusals", tt.name, refusals)
				}
			}
			if _, err := show(t, a, c, server, tls.Certificate{}, version); (err == nil) == require {
				t.Errorf("without a certificate, required %t: %v", require, err)
			}
			// The certificate of somebody else without its key.
			stolen := issueClient(t, a, "lamp")
			stolen.PrivateKey, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if got, err := show(t, a, c, server, stolen, version); err == nil {
				t.Errorf("%q without the key", got)
			}
		}
	}
	if _, err := NewClientCertificates(ClientCertificateOptions{}); err == nil {
		t.Error("there is nobody to trust")
	}
}

func TestNameFields(t *testing.T) {
	lamp, _ := url.Parse("urn:dev:mac:0024befffe804ff1")
	path, _ := url.Parse("spiffe://house/lamp")
	tests := []struct {
		field  NameField
		change func(*x509.Certificate)
		want   string
	}{
		{DNSName, func(c *x509.Certificate) { c.DNSNames = []string{"lamp.local"} }, "lamp.local"},
		{DNSName, func(c *x509.Certificate) { c.DNSNames = []string{"lamp.local", "admin.local"} }, ""},
		{DNSName, func(c *x509.Certificate) { c.EmailAddresses = []string{"lamp@local"} }, ""},
		{DNSName, nil, ""},
		{Email, func(c *x509.Certificate) { c.EmailAddresses = []string{"lamp@house.local"} }, "lamp@house.local"},
		{Email, func(c *x509.Certificate) { c.EmailAddresses = []string{"lamp+1@house.local"} }, ""},
		{Email, nil, ""},
		{URI, func(c *x509.Certificate) { c.URIs = []*url.URL{lamp} }, "urn:dev:mac:0024befffe804ff1"},
		{URI, func(c *x509.Certificate) { c.URIs = []*url.URL{path} }, ""},
		{URI, nil, ""},
		{CommonName, func(c *x509.Certificate) { c.DNSNames = []string{"lamp.local"} }, "cn"},
	}
	ca := newIssuer(t, "house", nil)
	a := newAuthority(t, t.TempDir(), nil)
	file := fileWith(t, certificatePEM(ca.cert.Raw))
	for _, tt := range tests {
		c := newClientCertificates(t, ClientCertificateOptions{CA: file, Field: tt.field})
		got, err := show(t, a, c, newServer(t, a, c, true), ca.client(t, "cn", tt.change), tls.VersionTLS13)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.field, got, err, tt.want)
		}
	}
	var f NameField
	if f.UnmarshalText([]byte("uri")) != nil || f != URI || f.UnmarshalText([]byte("subject")) == nil {
		t.Errorf("reads %q", f)
	}
}

// Authorities between the one that is trusted and the client, and what they revoke.
func TestIntermediateAuthorities(t *testing.T) {
	a := newAuthority(t, t.TempDir(), nil)
	root := newIssuer(t, "root", nil)
	floor := newIssuer(t, "floor", root)
	room := newIssuer(t, "room", floor)
	lamp := room.client(t, "lamp", nil, room, floor)
	fan := room.client(t, "fan", nil, room, floor)
	servers := newIssuer(t, "servers", root, x509.ExtKeyUsageServerAuth)
	rootFile := fileWith(t, certificatePEM(root.cert.Raw))
	other := newIssuer(t, "room", nil) // the same name, another key
	tests := []struct {
		name string
		ca   string
		crls []string
		cert tls.Certificate
		good bool
	}{
		{"chain", rootFile, nil, lamp, true},
		{"chain in any order", rootFile, nil, tls.Certificate{Certificate: [][]byte{lamp.Certificate[0], lamp.Certificate[2], lamp.Certificate[1]}, PrivateKey: lamp.PrivateKey}, true},
		{"chain incomplete", rootFile, nil, tls.Certificate{Certificate: lamp.Certificate[:2], PrivateKey: lamp.PrivateKey}, false},
		{"intermediate trusted", fileWith(t, certificatePEM(room.cert.Raw)), nil, tls.Certificate{Certificate: lamp.Certificate[:1], PrivateKey: lamp.PrivateKey}, true},
		{"chain too long", rootFile, nil, tls.Certificate{Certificate: [][]byte{lamp.Certificate[0], lamp.Certificate[1], lamp.Certificate[2], lamp.Certificate[1], lamp.Certificate[2], lamp.Certificate[1]}, PrivateKey: lamp.PrivateKey}, false},
		{"intermediate for servers", rootFile, nil, servers.client(t, "lamp", nil, servers), false},
		{"list of the intermediate", rootFile, []string{fileWith(t, crlPEM(room.crl(t, nil, fan)))}, lamp, true},
		{"revoked by the intermediate", rootFile, []string{fileWith(t, crlPEM(room.crl(t, nil, fan)))}, fan, false},
		{"revoked by the intermediate, DER", rootFile, []string{fileWith(t, room.crl(t, nil, fan))}, fan, false},
		{"intermediate revoked", rootFile, []string{fileWith(t, crlPEM(root.crl(t, nil, tls.Certificate{Leaf: floor.cert})))}, fan, false},
		{"two lists in a file", rootFile, []string{fileWith(t, crlPEM(root.crl(t, nil)), crlPEM(room.crl(t, nil, fan)))}, fan, false},
		{"revoked by somebody of that name", rootFile, []string{fileWith(t, crlPEM(other.crl(t, nil, fan)))}, fan, true},
		{"revoked by another authority", rootFile, []string{fileWith(t, crlPEM(floor.crl(t, nil, fan)))}, fan, true},
		{"list expired", rootFile, []string{fileWith(t, crlPEM(room.crl(t, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }, fan)))}, fan, false},
		{"list expired, not on it", rootFile, []string{fileWith(t, crlPEM(room.crl(t, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }, fan)))}, lamp, true},
	}
	for _, tt := range tests {
		c := newClientCertificates(t, ClientCertificateOptions{CA: tt.ca, CRLs: tt.crls})
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if _, err := show(t, a, c, newServer(t, a, c, true), tt.cert, version); (err == nil) != tt.good {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
	}
}

// In 1970 no certificate has expired for sure; what is wrong otherwise is wrong.
func TestClientCertificatesIn1970(t *testing.T) {
	a := newAuthority(t, t.TempDir(), func(o *AuthorityOptions) {
		o.Now, o.ClockKnown = func() time.Time { return in1970 }, never
	})
	root := newIssuer(t, "root", nil)
	room := newIssuer(t, "room", root)
	known := false
	now := in1970
	clock := ClientCertificateOptions{Authority: a, CA: fileWith(t, certificatePEM(root.cert.Raw), certificatePEM(a.root.Raw)),
		ClockKnown: func() bool { return known }, Now: func() time.Time { return now }}
	c := newClientCertificates(t, clock)
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
	}
	future := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(30*time.Minute), time.Now().Add(40*time.Minute)
	}
	never := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-100*time.Hour), time.Now().Add(-90*time.Hour)
	}
	revoked := issueClient(t, a, "revoked")
	if err := a.Revoke(serialText(revoked.Leaf.SerialNumber)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		cert        tls.Certificate
		then, later bool // by a clock that is not known, and by one that is
	}{
		{"issued by the box in 1970", issueClient(t, a, "lamp"), true, true},
		{"good", room.client(t, "lamp", nil, room), true, true},
		{"expired", room.client(t, "lamp", expired, room), true, false},
		{"of the future", room.client(t, "lamp", future, room), true, false},
		{"expired before its authority began", room.client(t, "lamp", never, room), false, false},
		{"foreign", newIssuer(t, "root", nil).client(t, "lamp", nil), false, false},
		{"revoked", revoked, false, false},
	}
	for _, tt := range tests {
		known, now = false, in1970
		if _, err := show(t, a, c, newServer(t, a, c, true), tt.cert, tls.VersionTLS13); (err == nil) != tt.then {
			t.Errorf("%s, in 1970: %v", tt.name, err)
		}
		known, now = true, time.Now()
		if _, err := show(t, a, c, newServer(t, a, c, true), tt.cert, tls.VersionTLS13); (err == nil) != tt.later {
			t.Errorf("%s, now: %v", tt.name, err)
		}
	}
}

// Who was revoked cannot go on with a TLS session of before.
func TestRevokedResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		a := newAuthority(t, t.TempDir(), nil)
		c := newClientCertificates(t, ClientCertificateOptions{Authority: a})
		server := newServer(t, a, c, false)
		lamp := issueClient(t, a, "lamp")
		client := &tls.Config{RootCAs: trusting(t, a), ServerName: "lintel.local", MinVersion: version, MaxVersion: version,
			Certificates: []tls.Certificate{lamp}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for i, resumed := range []bool{false, true, true} {
			state, served, connected := greet(server, client)
			if served != nil || connected != nil || state.DidResume != resumed {
				t.Fatalf("%s, connection %d: resumed %t, %v, %v", tls.VersionName(version), i, state.DidResume, served, connected)
			}
			if name := c.Name(state.PeerCertificates[0]); name != "lamp" {
				t.Errorf("resumed as %q", name)
			}
		}
		if err := a.Revoke(serialText(lamp.Leaf.SerialNumber)); err != nil {
			t.Fatal(err)
		}
		if state, served, connected := greet(server, client); served == nil || connected == nil {
			t.Errorf("%s: resumed %t after the certificate was revoked", tls.VersionName(version), state.DidResume)
		}
		// A new certificate is good at once.
		client.Certificates = []tls.Certificate{issueClient(t, a, "lamp")}
		client.ClientSessionCache = nil
		if _, served, _ := greet(server, client); served != nil {
			t.Errorf("with a new certificate: %v", served)
		}
	}
}

// Files are read again when they change; what cannot be used changes nothing.
func TestClientCertificateFiles(t *testing.T) {
	a := newAuthority(t, t.TempDir(), nil)
	first, second := newIssuer(t, "first", nil), newIssuer(t, "second", nil)
	one, two := first.client(t, "one", nil), second.client(t, "two", nil)
	caFile, crlFile := fileWith(t, certificatePEM(first.cert.Raw)), filepath.Join(t.TempDir(), "crl")
	c := newClientCertificates(t, ClientCertificateOptions{Authority: a, CA: caFile, CRLs: []string{crlFile}})
	server := newServer(t, a, c, false)
	try := func(cert tls.Certificate) error {
		_, err := show(t, a, c, server, cert, tls.VersionTLS13)
		return err
	}
	// until waits for the next look at the files.
	until := func(what string, cond func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for !cond() {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("waited in vain until %s", what)
			}
		}
	}
	looked := func() { // as if the time for it had come
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
		c.current()
	}
	if err := try(one); err == nil || !strings.Contains(err.Error(), crlFile) {
		t.Errorf("without its CRL: %v", err)
	}
	if err := try(tls.Certificate{}); err != nil {
		t.Errorf("who shows no certificate is refused for the CRL: %v", err)
	}
	overwrite(t, crlFile, crlPEM(first.crl(t, nil)))
	until("the CRL is read", func() bool { return try(one) == nil })
	overwrite(t, crlFile, crlPEM(first.crl(t, nil, one)))
	if looked(); try(one) == nil {
		t.Error("not revoked")
	}

	// None of these is taken for a list without entries.
	forged := newIssuer(t, "first", nil)
	for name, text := range map[string][]byte{
		"empty":                 {},
		"garbage":               []byte("no list"),
		"PEM of something else": certificatePEM(first.cert.Raw),
		"half":                  crlPEM(first.crl(t, nil))[:200],
		"forged":                crlPEM(forged.crl(t, nil)),
		"delta": crlPEM(first.crl(t, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		})),
		"too large": make([]byte, maxTLSFile+1),
	} {
		overwrite(t, crlFile, text)
		looked()
		if try(one) == nil {
			t.Errorf("%s CRL: the one before does not hold", name)
		}
		c.mu.Lock()
		if c.failed == nil {
			t.Errorf("%s CRL: nothing is wrong with it", name)
		}
		c.mu.Unlock()
	}
	overwrite(t, crlFile, crlPEM(first.crl(t, nil)))
	looked()
	if err := try(one); err != nil {
		t.Errorf("the list is empty: %v", err)
	}

	overwrite(t, caFile, []byte("no authority"))
	looked()
	if err := try(one); err != nil {
		t.Errorf("authorities damaged: %v", err)
	}
	overwrite(t, caFile, certificatePEM(second.cert.Raw))
	looked()
	if err := try(two); err != nil {
		t.Errorf("another authority: %v", err)
	}
	if try(one) == nil {
		t.Error("the authority before is trusted still")
	}
}

// FuzzCRL: no panic, and no list without a signature says anything.
func FuzzCRL(f *testing.F) {
	f.Add([]byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		lists, err := parseCRLs("x", b)
		if (err == nil) != (len(lists) > 0) {
			t.Errorf("%d lists, %v", len(lists), err)
		}
		parseCertificates(b)
		requestKey(b)
	})
}
