package update

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A feedServer is a web server with an index and one bundle. Handlers of the bundle that a
// test pushes answer first, one request each.
type feedServer struct {
	*httptest.Server
	bundle []byte
	entry  Entry
	tag    string

	mu     sync.Mutex
	next   []http.HandlerFunc
	always http.HandlerFunc // nil: as a good server does
	ranges []string         // the Range of each request for the bundle
}

func newFeedServer(t *testing.T, size int) *feedServer {
	t.Helper()
	key := testKey(1)
	s := &feedServer{tag: `"one"`}
	s.bundle = writeBundle(t, testManifest(10), testRoot(size, 1), key)
	s.entry = entryOf(t, s.bundle, trust(key), Stable, 100)
	s.entry.File = "files/1.2.3.lintel"
	index := testIndex(t, key, s.entry)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /feed/index.json", func(w http.ResponseWriter, _ *http.Request) { w.Write(index) })
	mux.HandleFunc("GET /feed/files/1.2.3.lintel", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		answer := s.always
		if len(s.next) > 0 {
			answer, s.next = s.next[0], s.next[1:]
		}
		s.mu.Unlock()
		if answer == nil {
			answer = s.good
		}
		answer(w, r)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// good answers as a file server does, ranges and all.
func (s *feedServer) good(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", s.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.bundle))
}

// cutAfter answers as a good server whose connection breaks after n bytes of the body.
func (s *feedServer) cutAfter(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.good(&cutter{ResponseWriter: w, left: n}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 && err == nil {
		if f, ok := c.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (s *feedServer) feed() *Feed {
	return &Feed{
		URL: s.URL + "/feed/index.json", Keys: trust(testKey(1)), Client: s.Client(),
		rest:  func(int) time.Duration { return time.Microsecond },
		stall: 20 * time.Second,
		room:  func(string) (int64, error) { return 1 << 40, nil },
	}
}

func (s *feedServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ranges...)
}

// wantFile fails the test unless the file is the bundle and nothing else is beside it.
func (s *feedServer) wantFile(t *testing.T, name string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, s.bundle) {
		t.Fatalf("%s has %d bytes, not the %d of the bundle (%v)", name, len(got), len(s.bundle), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("beside the bundle: %v, %v", entries, err)
	}
}

func TestFeed(t *testing.T) {
	s := newFeedServer(t, 300_000)
	f := s.feed()
	f.URL = s.URL + "/feed/" // the folder does as well
	x, err := f.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	offer := x.Offer(Release{Board: "lintel", Kernel: "6.12.47-v8", Counter: 9}, Stable, "box", false, time.Time{}, 0)
	if offer.Entry == nil {
		t.Fatal("no offer")
	}
	dir := t.TempDir()
	var last int64
	name, err := f.Download(t.Context(), offer.Entry, dir, func(done, total int64) {
		if done < last || done > total || total != int64(len(s.bundle)) {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	})
	s.wantFile(t, name, err)
	if last != int64(len(s.bundle)) {
		t.Errorf("progress ended at %d", last)
	}
	// It is there now: the server may be gone.
	s.Close()
	name, err = f.Download(t.Context(), offer.Entry, dir, nil)
	s.wantFile(t, name, err)
}

// TestFeedTLS: what a client believes, and what it says otherwise.
func TestFeedTLS(t *testing.T) {
	plain := newFeedServer(t, 5000)
	pool := x509.NewCertPool()
	serve := func(name string, until time.Time, known bool) string {
		certificate := testCertificate(t, name, until)
		if known {
			pool.AddCert(certificate.Leaf)
		}
		s := httptest.NewUnstartedServer(plain.Config.Handler)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL + "/feed/index.json"
	}
	later := time.Now().Add(time.Hour)
	for name, test := range map[string]struct{ url, words string }{
		"good":      {serve("127.0.0.1", later, true), ""},
		"stranger":  {serve("127.0.0.1", later, false), "nobody whom this box knows"},
		"expired":   {serve("127.0.0.1", time.Now().Add(-time.Minute), true), "is its clock right"},
		"elsewhere": {serve("192.0.2.1", later, true), "is for another name"},
		"no server": {"http://127.0.0.1:1/index.json", "does not answer"},
		"not web":   {"file:///etc/passwd", "no http or https address"},
	} {
		client := newClient(pool)
		_, err := (&Feed{URL: test.url, Keys: trust(testKey(1)), Client: client}).Index(t.Context())
		client.CloseIdleConnections()
		if test.words == "" && err != nil || test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFeedRedirects follows to https, never from https to http, and not round in circles.
func TestFeedRedirects(t *testing.T) {
	plain := newFeedServer(t, 5000)
	to := func(s *httptest.Server, address func() string) *httptest.Server {
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, address(), http.StatusMovedPermanently)
		})
		return s
	}
	certificate := testCertificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	secure := func(s *httptest.Server) *httptest.Server {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	open := func(s *httptest.Server) *httptest.Server {
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	good := secure(httptest.NewUnstartedServer(plain.Config.Handler))
	up := open(to(httptest.NewUnstartedServer(nil), func() string { return good.URL + "/feed/index.json" }))
	down := secure(to(httptest.NewUnstartedServer(nil), func() string { return plain.URL + "/feed/index.json" }))
	away := open(to(httptest.NewUnstartedServer(nil), func() string { return "ftp://127.0.0.1/" }))
	circle := open(to(httptest.NewUnstartedServer(nil), func() string { return "/" }))
	client := newClient(pool)
	t.Cleanup(client.CloseIdleConnections)
	for url, words := range map[string]string{up.URL: "", down.URL: "not encrypted", away.URL: "no web address", circle.URL: "redirects"} {
		_, err := (&Feed{URL: url, Keys: trust(testKey(1)), Client: client}).Index(t.Context())
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%q: %v", words, err)
		}
	}
	// So does a box that nobody gives a client.
	u := New(Options{Machine: &fakeRoots{born: time.Now()}, Feed: away.URL, Now: time.Now})
	go u.Run(t.Context())
	if err := u.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "no web address") {
		t.Errorf("a box: %v", err)
	}
}

// testCertificate returns a certificate that vouches for itself.
func testCertificate(t *testing.T, address string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(until.UnixNano()), Subject: pkix.Name{CommonName: address + until.String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP(address)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}
