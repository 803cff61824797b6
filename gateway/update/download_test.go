package update

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
