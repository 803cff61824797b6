package gateway

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secureVisit is visit over TLS, with a browser that trusts the box.
func secureVisit(t *testing.T, e Endpoints, data string) *owner {
	t.Helper()
	root, err := os.ReadFile(filepath.Join(data, "tls", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	if !trust.AppendCertsFromPEM(root) {
		t.Fatal("no certificate in root.pem")
	}
	o := visit(t, e)
	o.url = fmt.Sprintf("https://%v", e.HTTPS)
	o.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: "lintel.local"}}
	t.Cleanup(o.http.CloseIdleConnections)
	return o
}

// TestPagesOverTLS: one house, claimed and used over TLS, and its plain page still there.
func TestPagesOverTLS(t *testing.T) {
	t.Parallel()
	c := closedConfig()
	c.HTTP.TLS = "127.0.0.1:0"
	data := t.TempDir()
	e, stop := startWith(t, c, data, false)
	defer stop()
	offer := fmt.Sprintf(`href="https://%v/"`, e.HTTPS)
	plain, o := visit(t, e), secureVisit(t, e, data)
	if _, page := plain.try("GET", "/claim", nil); !bytes.Contains(page, []byte(offer)) {
		t.Errorf("the plain claim page does not offer TLS:\n%s", page)
	}
	if _, page := o.try("GET", "/claim", nil); bytes.Contains(page, []byte("https://127.")) {
		t.Error("the claim page over TLS offers TLS")
	}

	answer, err := o.http.Post(o.url+"/api/claim", "application/json", strings.NewReader(`{"password": "`+ownerPassword+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated || len(answer.Cookies()) != 1 {
		t.Fatalf("claim: %s, %v", answer.Status, answer.Cookies())
	}
	cookie := answer.Cookies()[0]
	if cookie.Name != "__Host-lintel" || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" {
		t.Errorf("the cookie of a session over TLS is %v", cookie)
	}
	o.get("/api/users", nil)

	// The session is not one without TLS, where others could have read or made it.
	request, err := http.NewRequest("GET", plain.url+"/api/users", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	if answer, err = plain.http.Do(request); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the cookie of TLS on the plain page: %s", answer.Status)
	}
	plain.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	plain.get("/api/users", nil)
	for _, path := range []string{"/", "/users", "/access"} {
		if _, page := plain.try("GET", path, nil); !bytes.Contains(page, []byte(offer)) {
			t.Errorf("%s does not offer TLS", path)
		}
	}

	if answer, err = http.Get("http://" + e.HTTPS.String()); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS where TLS is spoken: %s", answer.Status)
	}
}

func TestPagesOverTLSAlone(t *testing.T) {
	t.Parallel()
	c := closedConfig()
	c.HTTP.Listen, c.HTTP.TLS = "", "127.0.0.1:0"
	data := t.TempDir()
	e, stop := startWith(t, c, data, false)
	defer stop()
	if e.HTTP != nil {
		t.Errorf("there is a plain page at %v", e.HTTP)
	}
	var state struct{ Claimed bool }
	secureVisit(t, e, data).get("/api/claim", &state)
	if state.Claimed {
		t.Error("the new box has been claimed")
	}
}
