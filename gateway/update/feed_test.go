package update

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
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

// TestDownloadCut cuts the connection again and again, at every place: what came is not
// asked for a second time.
func TestDownloadCut(t *testing.T) {
	s := newFeedServer(t, 200_000)
	for _, n := range []int{1, 100, 70_000, 5, 65_536, 1000} {
		s.next = append(s.next, s.cutAfter(n))
	}
	name, err := s.feed().Download(t.Context(), &s.entry, t.TempDir(), nil)
	s.wantFile(t, name, err)
	asked := s.asked()
	if len(asked) != 7 {
		t.Fatalf("%d requests: %q", len(asked), asked)
	}
	want := []string{"", "bytes=1-", "bytes=101-", "bytes=70101-", "bytes=70106-", "bytes=135642-", "bytes=136642-"}
	for i := range want {
		if asked[i] != want[i] {
			t.Errorf("request %d asks for %q, want %q", i, asked[i], want[i])
		}
	}
}

// TestDownloadAcrossRestarts ends the program in the middle: the next one goes on.
func TestDownloadAcrossRestarts(t *testing.T) {
	s := newFeedServer(t, 500_000)
	dir := t.TempDir()
	var first int64
	for round := 0; ; round++ {
		ctx, cancel := context.WithCancel(t.Context())
		start := int64(-1)
		name, err := s.feed().Download(ctx, &s.entry, dir, func(done, total int64) {
			if start < 0 {
				start = done
			}
			if done-start >= 100_000 {
				cancel()
			}
		})
		cancel()
		if round == 1 {
			first = start
		}
		if err == nil {
			s.wantFile(t, name, nil)
			if round < 2 || first < 100_000 {
				t.Errorf("%d restarts, after the first it began at %d", round, first)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if round > 20 {
			t.Fatal("it never ends")
		}
	}
}

// TestDownloadOfServers meets the web servers that there are.
func TestDownloadOfServers(t *testing.T) {
	part := func(s *feedServer, from, to, total string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes "+from+"-"+to+"/"+total)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(s.bundle[:1000])
		}
	}
	for name, test := range map[string]struct {
		next   func(s *feedServer) []http.HandlerFunc
		reason Reason // empty: it gets there
	}{
		"without ranges": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{s.cutAfter(5000), func(w http.ResponseWriter, _ *http.Request) { w.Write(s.bundle) }}
		}},
		"without a length": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{s.cutAfter(5000), func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				w.Write(s.bundle)
			}}
		}},
		"with another part": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{s.cutAfter(5000), part(s, "4000", "4999", "50303")}
		}},
		"with nonsense as part": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{s.cutAfter(5000), part(s, "-1", "99999999999999999999", "*")}
		}},
		"with a part unasked": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{part(s, "10", "1009", "50303")}
		}},
		"file changed in between": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{
				func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("ETag", `"before"`)
					http.ServeContent(&cutter{ResponseWriter: w, left: 5000}, r, "", time.Time{}, bytes.NewReader(make([]byte, len(s.bundle))))
				},
			}
		}},
		"file changed unnoticed": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{
				func(w http.ResponseWriter, r *http.Request) {
					http.ServeContent(&cutter{ResponseWriter: w, left: 5000}, r, "", time.Time{}, bytes.NewReader(make([]byte, len(s.bundle))))
				},
				func(w http.ResponseWriter, r *http.Request) {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.bundle))
				},
			}
		}},
		"not satisfiable": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{s.cutAfter(5000), func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			}}
		}},
		"busy": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{
				func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
				func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
				func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			}
		}},
		"compresses": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(s.bundle)
			}}
		}},
		"has another file": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, len(s.bundle))) }}
		}, reason: Malformed},
		"has a page instead": {next: func(*feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>log in to this network") }}
		}, reason: Malformed},
		"never ends": {next: func(*feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
				for b := make([]byte, 10_000); r.Context().Err() == nil; {
					if _, err := w.Write(b); err != nil {
						return
					}
				}
			}}
		}, reason: Malformed},
		"redirects": {next: func(s *feedServer) []http.HandlerFunc {
			return []http.HandlerFunc{s.cutAfter(5000), func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "?mirror", http.StatusFound)
			}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFeedServer(t, 50_000)
			s.next = test.next(s)
			dir := t.TempDir()
			file, err := s.feed().Download(t.Context(), &s.entry, dir, nil)
			if test.reason == "" {
				s.wantFile(t, file, err)
				return
			}
			wantRefusal(t, err, test.reason)
			// Another day the server is right.
			s.mu.Lock()
			s.next = nil
			s.mu.Unlock()
			file, err = s.feed().Download(t.Context(), &s.entry, dir, nil)
			s.wantFile(t, file, err)
		})
	}
}

// TestDownloadGivesUp: a server that brings nothing is not asked for ever.
func TestDownloadGivesUp(t *testing.T) {
	s := newFeedServer(t, 5000)
	s.always = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotFound) }
	_, err := s.feed().Download(t.Context(), &s.entry, t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "is update.feed right?") || len(s.asked()) != downloadTries {
		t.Errorf("%d requests: %v", len(s.asked()), err)
	}
}

// TestDownloadStalls: a server that falls silent is asked again.
func TestDownloadStalls(t *testing.T) {
	s := newFeedServer(t, 50_000)
	gone := make(chan struct{})
	s.next = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		w.Write(s.bundle[:20_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}}
	f := s.feed()
	f.stall = 200 * time.Millisecond
	name, err := f.Download(t.Context(), &s.entry, t.TempDir(), nil)
	s.wantFile(t, name, err)
	<-gone
}

// TestDownloadRepairs: what a pulled plug left of a part does not matter.
func TestDownloadRepairs(t *testing.T) {
	s := newFeedServer(t, 50_000)
	for what, part := range map[string][]byte{
		"zeros at its end": append(bytes.Clone(s.bundle[:30_000]), make([]byte, 4096)...),
		"all, one wrong":   append(bytes.Clone(s.bundle[:len(s.bundle)-1]), ^s.bundle[len(s.bundle)-1]),
		"longer":           append(bytes.Clone(s.bundle), 1, 2, 3),
		"empty":            {},
		"all":              s.bundle,
	} {
		for _, state := range []string{`{"address":"` + s.URL + `/feed/files/1.2.3.lintel","validator":"\"one\""}`, `{"addr`, ""} {
			dir := t.TempDir()
			base := filepath.Join(dir, s.entry.Bundle.SHA256.String())
			if err := errors.Join(os.WriteFile(base+partSuffix, part, 0o600), os.WriteFile(base+stateSuffix, []byte(state), 0o600)); err != nil {
				t.Fatal(err)
			}
			name, err := s.feed().Download(t.Context(), &s.entry, dir, nil)
			if err != nil {
				t.Fatalf("%s, state %q: %v", what, state, err)
			}
			s.wantFile(t, name, nil)
		}
	}
}

func TestDownloadRemovesOthers(t *testing.T) {
	s := newFeedServer(t, 5000)
	dir := t.TempDir()
	other := strings.Repeat("ab", 32)
	for _, name := range []string{other + partSuffix, other + stateSuffix, other + bundleSuffix, "notes.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.feed().Download(t.Context(), &s.entry, dir, nil); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[1].Name() != "notes.json" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestDownloadWithoutRoom(t *testing.T) {
	s := newFeedServer(t, 5000)
	f := s.feed()
	f.room = func(string) (int64, error) { return spareRoom + 100, nil }
	_, err := f.Download(t.Context(), &s.entry, t.TempDir(), nil)
	wantRefusal(t, err, NoSpace)
	if len(s.asked()) != 0 {
		t.Error("the server was asked all the same")
	}
	if free, err := freeSpace(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("free space %d, %v", free, err)
	}
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
		client := NewFeedClient(pool)
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
	client := NewFeedClient(pool)
	t.Cleanup(client.CloseIdleConnections)
	for url, words := range map[string]string{up.URL: "", down.URL: "not encrypted", away.URL: "no web address", circle.URL: "redirects"} {
		_, err := (&Feed{URL: url, Keys: trust(testKey(1)), Client: client}).Index(t.Context())
		if words == "" && err != nil || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%q: %v", words, err)
		}
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
