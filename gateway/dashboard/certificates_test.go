package dashboard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// signingRequest returns a certificate signing request with its key.
func signingRequest(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func TestCertificates(t *testing.T) {
	g := newGate(t)
	a := g.want(201, browse{path: "/api/certificates", as: "token admin", json: `{"name": "lamp"}`})
	var made issued
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(made.Certificate), []byte(made.Key))
	if err != nil {
		t.Fatal(err)
	}
	if pair.Leaf.Subject.CommonName != "lamp" || !strings.Contains(made.Authority, "BEGIN CERTIFICATE") {
		t.Errorf("issued for %s, by %q", pair.Leaf.Subject, made.Authority)
	}

	// With a key of its own nobody sends one around.
	body, err := json.Marshal(map[string]string{"name": "own", "csr": signingRequest(t)})
	if err != nil {
		t.Fatal(err)
	}
	if a := g.want(201, browse{path: "/api/certificates", as: "token admin", json: string(body)}); strings.Contains(a.body, "PRIVATE KEY") {
		t.Errorf("a key for a signing request: %s", a.body)
	}

	list := func() []Certificate {
		t.Helper()
		var in struct{ Certificates []Certificate }
		a := g.want(200, browse{path: "/api/certificates", as: "admin"})
		if strings.Contains(a.body, "PRIVATE") || json.Unmarshal([]byte(a.body), &in) != nil {
			t.Fatal(a.body)
		}
		return in.Certificates
	}
	all := list()
	if len(all) != 2 || all[0].Name != "lamp" || all[0].Serial != made.Serial || all[0].Revoked || !all[0].Until.Equal(pair.Leaf.NotAfter) {
		t.Fatalf("%+v", all)
	}
	revoke := browse{method: "DELETE", path: "/api/certificates/" + made.Serial, as: "token admin"}
	if a := g.want(200, revoke); !strings.Contains(a.body, `"revoked": true`) || !strings.Contains(a.body, `"lamp"`) {
		t.Error(a.body)
	}
	g.want(200, revoke) // it is what was wanted
	if all = list(); !all[0].Revoked || all[1].Revoked {
		t.Errorf("%+v", all)
	}
	if log := g.kinds(); !strings.Contains(log, "certificate issued lamp") || !strings.Contains(log, "certificate revoked lamp") {
		t.Error(log)
	}

	for _, wrong := range []string{`{}`, `{"name": "a/b"}`, `{"name": "+"}`, `{"name": " lamp"}`, `{"name": "x", "csr": "no PEM"}`,
		`{"name": "x", "key": "mine"}`, fmt.Sprintf(`{"name": %q}`, strings.Repeat("x", 65))} {
		g.want(400, browse{path: "/api/certificates", as: "token admin", json: wrong})
	}
	for _, serial := range []string{"xyz", "-1", "0", strings.Repeat("f", 42)} {
		g.want(400, browse{method: "DELETE", path: "/api/certificates/" + serial, as: "token admin"})
	}
	if all := list(); len(all) != 2 {
		t.Errorf("mistakes have left %+v", all)
	}
}

func TestCertificatesOnThePage(t *testing.T) {
	g := newGate(t)
	issue := func(code int, name, csr string) string {
		t.Helper()
		return g.want(code, browse{path: "/tokens/certificates/issue", as: "admin", form: url.Values{"name": {name}, "csr": {csr}}}).body
	}
	page := issue(200, "lamp", "")
	if !strings.Contains(page, "BEGIN CERTIFICATE") || !strings.Contains(page, "BEGIN PRIVATE KEY") || !strings.Contains(page, "There is no user of this name") {
		t.Errorf("the page does not show what was issued:\n%s", page)
	}
	if page := issue(200, "vera", signingRequest(t)); strings.Contains(page, "PRIVATE KEY") || strings.Contains(page, "There is no user of this name") {
		t.Errorf("for a user with a key of their own:\n%s", page)
	}
	if page := issue(400, "<b>", "no request"); !strings.Contains(page, `id="error-csr"`) || !strings.Contains(page, "&lt;b&gt;") || !strings.Contains(page, ">no request<") {
		t.Errorf("the mistake is not shown beside what was typed:\n%s", page)
	}
	if page := issue(400, "a/b", ""); !strings.Contains(page, `id="error-name"`) {
		t.Errorf("the mistake is not shown beside the name:\n%s", page)
	}
	serial := g.o.Certificates()[0].Serial
	page = g.want(200, browse{path: "/tokens", as: "admin"}).body
	if !strings.Contains(page, serial) || strings.Contains(page, "PRIVATE KEY") || strings.Contains(page, "BEGIN CERTIFICATE-") {
		t.Errorf("the page later:\n%s", page)
	}
	revoke := browse{path: "/tokens/certificates/revoke", as: "admin", form: url.Values{"serial": {serial}}}
	if a := g.want(303, revoke); a.location() != "/tokens#certificates" {
		t.Error(a.location())
	}
	if page := g.want(200, browse{path: "/tokens", as: "admin"}).body; strings.Count(page, ">revoked<") != 1 {
		t.Errorf("after one was revoked:\n%s", page)
	}
}

// TestCertificatesOfOthers: what would let nobody in is not issued.
func TestCertificatesOfOthers(t *testing.T) {
	g := newGate(t)
	g.o.Issue = nil
	server := httptest.NewServer(New(g.o).Handler())
	t.Cleanup(server.Close)
	g.url = server.URL
	g.want(409, browse{path: "/api/certificates", as: "token admin", json: `{"name": "lamp"}`})
	if a := g.want(200, browse{path: "/tokens", as: "admin"}); strings.Contains(a.body, "Issue a certificate") {
		t.Error("the page offers it")
	}
}
