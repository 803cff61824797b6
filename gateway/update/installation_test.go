package update

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A releaseServer is a web server with signed releases that a test changes. It stands outside of
// the bubble: while somebody waits for it no time passes there.
type releaseServer struct {
	url string

	mu      sync.Mutex
	index   []byte
	bundles map[string][]byte
	broken  string // what of a path that is not served now
}

func newReleaseServer(t *testing.T) *releaseServer {
	s := &releaseServer{bundles: make(map[string][]byte)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		name := strings.TrimPrefix(r.URL.Path, "/feed/")
		switch {
		case s.broken != "" && strings.HasSuffix(name, s.broken):
			w.WriteHeader(http.StatusServiceUnavailable)
		case name == "index.json":
			w.Write(s.index)
		case s.bundles[name] != nil:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.bundles[name]))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/feed/"
	return s
}

func (s *releaseServer) breaks(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = what
}

// release has the feed offer a version, and nothing else, to so many of all boxes. It returns the root.
func (s *releaseServer) release(t *testing.T, version string, counter int64, percent float64) []byte {
	t.Helper()
	key := testKey(1)
	m := testManifest(counter)
	m.Version, m.Kernel = version, "k"
	root := append([]byte(squashfsMagic), testRoot(50_000, byte(counter))...)
	b := writeBundle(t, m, root, key)
	e := entryOf(t, b, trust(key), Stable, percent)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index, s.bundles[e.File] = testIndex(t, key, e), b
	return root
}

// asking notes when each request is sent.
type asking struct {
	next http.RoundTripper

	mu    sync.Mutex
	times map[string][]time.Time // by the last part of the path
}

func (a *asking) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	name := filepath.Base(r.URL.Path)
	a.times[name] = append(a.times[name], time.Now())
	a.mu.Unlock()
	return a.next.RoundTrip(r)
}

// after returns for each request for a file how many minutes after the start it was.
func (a *asking) after(name string, start time.Time) (minutes []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.times[name] {
		minutes = append(minutes, int(at.Sub(start)/time.Minute))
	}
	return minutes
}

// follower is a box in a bubble, where it is midnight, that follows a feed. It installs by itself from three to five.
type follower struct {
	*Updater
	roots *fakeRoots
	asked *asking
	start time.Time
}

func follows(t *testing.T, s *releaseServer, roots *fakeRoots, change func(*Options)) *follower {
	t.Helper()
	roots.born = time.Now()
	// A connection that is kept waits for the network: no time would pass.
	f := &follower{roots: roots, start: time.Now(), asked: &asking{next: &http.Transport{DisableKeepAlives: true}, times: make(map[string][]time.Time)}}
	o := Options{Release: Release{Version: "1", Counter: 1, Board: "lintel", Kernel: "k"}, Machine: roots, House: new(fakeHouse), Keys: trust(testKey(1)),
		Feed: s.url, Channel: Stable, Box: "box", Folder: filepath.Join(t.TempDir(), "download"), client: &http.Client{Transport: f.asked},
		Automatic: true, Hours: Daytime{3 * time.Hour, 5 * time.Hour}, Trial: 10 * time.Minute, Now: func() time.Time { return time.Now().UTC() }}
	if change != nil {
		change(&o)
	}
	f.Updater = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return f
}

// until lets time pass until so long after the start, and what is due then be done.
func (f *follower) until(d time.Duration) {
	time.Sleep(time.Until(f.start.Add(d)))
	synctest.Wait()
}

// did fails the test unless that, and no more, was done to the machine.
func (f *follower) did(t *testing.T, when, want string) {
	t.Helper()
	if got := f.roots.all(); got != want {
		t.Errorf("%s: %s; want %s. %+v", when, got, want, f.Status())
	}
}

// A person asks, sees what there is and installs it, at any hour.
func TestFeedIsAskedAndInstalled(t *testing.T) {
	s := newReleaseServer(t)
	root := s.release(t, "2", 2, 0) // held back from all who do not ask
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, new(fakeRoots), nil)
		if err := f.Start(); !refusedFor(err, Nothing) {
			t.Errorf("before anybody has looked: %v", err)
		}
		if err := f.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := f.Status().Available
		if a == nil || a.Version != "2" || a.Counter != 2 || a.Summary != "It does more." || a.Size <= int64(len(root)) || !f.Status().Checked.Equal(time.Now()) {
			t.Fatalf("%+v", a)
		}
		if err := f.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := f.Status(); st.Phase != Restarting || st.Installing != "2" || !bytes.Equal(f.roots.written, root) {
			t.Errorf("%+v, %d bytes were written", st, len(f.roots.written))
		}
		if _, err := os.Stat(f.o.Folder); err == nil {
			t.Error("the download is left")
		}
		time.Sleep(answerTime + time.Second)
		f.did(t, "installed", "start write arm reboot")
	})
}

// A feed that nobody has signed whom the box trusts is not believed, and nothing is offered.
func TestFeedOfAStranger(t *testing.T) {
	s := newReleaseServer(t)
	s.release(t, "2", 2, 100)
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, new(fakeRoots), func(o *Options) { o.Keys = trust(testKey(2)) })
		if err := f.Check(t.Context()); !refusedFor(err, UnknownKey) {
			t.Error(err)
		}
		f.until(6 * time.Hour)
		if st := f.Status(); st.Available != nil || st.CheckErr == "" {
			t.Errorf("%+v", st)
		}
		f.did(t, "after the night", "start")
	})
}

func TestAutomaticWithinItsHours(t *testing.T) {
	s := newReleaseServer(t)
	root := s.release(t, "2", 2, 100)
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, new(fakeRoots), nil)
		f.until(3*time.Minute - time.Second)
		if st := f.Status(); st.Available == nil || st.Available.Version != "2" {
			t.Errorf("nobody has looked: %+v", st)
		}
		f.until(3*time.Hour - time.Second)
		f.did(t, "before three", "start")
		f.until(3*time.Hour + 90*time.Second)
		if !strings.HasPrefix(f.roots.all(), "start write arm reboot") || !bytes.Equal(f.roots.written, root) {
			t.Errorf("at three: %s, %d bytes", f.roots.all(), len(f.roots.written))
		}
	})
	for name, change := range map[string]func(*Options){
		"not automatic":    func(o *Options) { o.Automatic = false },
		"without a clock":  func(o *Options) { o.Now = func() time.Time { return time.Time{} } },
		"at other hours":   func(o *Options) { o.Hours = Daytime{22 * time.Hour, 23 * time.Hour} },
		"another board":    func(o *Options) { o.Release.Board = "lintel-vm-arm64" },
		"the same already": func(o *Options) { o.Release.Counter = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := follows(t, s, new(fakeRoots), change)
				f.until(6 * time.Hour)
				f.did(t, "after the night", "start")
			})
		})
	}
}

// An automatic update that fails is tried again in an hour, while it is night.
func TestAutomaticFails(t *testing.T) {
	s := newReleaseServer(t)
	s.release(t, "2", 2, 100)
	s.breaks(".lintel")
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, new(fakeRoots), nil)
		f.until(3*time.Hour + 45*time.Minute)
		if st := f.Status(); st.Phase != Idle || !strings.Contains(st.Failed, "503") {
			t.Errorf("%+v", st)
		}
		f.did(t, "the first time", "start abandon")
		f.until(20 * time.Hour)
		f.did(t, "after the night", "start abandon abandon")
		s.breaks("")
		f.until(27*time.Hour + 90*time.Second)
		if got := f.roots.all(); !strings.HasPrefix(got, "start abandon abandon write arm reboot") {
			t.Errorf("the next night: %s", got)
		}
	})
}

// A version that was tried and came back is for a person to try again; the next one is not.
func TestReturnedIsNotTriedAgain(t *testing.T) {
	for name, situation := range map[string]Situation{"came back just now": TrialReturned, "came back once": NormalStart, "and another was interrupted": WriteInterrupted} {
		t.Run(name, func(t *testing.T) {
			s := newReleaseServer(t)
			s.release(t, "2", 2, 100)
			returned := func() *fakeRoots {
				return &fakeRoots{situation: situation, record: &Record{State: StateReturned, Version: "2", Counter: 2, Reason: "Why."}}
			}
			synctest.Test(t, func(t *testing.T) {
				f := follows(t, s, returned(), nil)
				f.until(54 * time.Hour)
				f.did(t, "after two nights", "start")
				if st := f.Status(); st.Available == nil || st.Returned == nil || st.Returned.Reason != "Why." {
					t.Errorf("%+v", st)
				}
				// What was begun and cancelled does not make it forgotten.
				r, cancel := context.WithCancel(t.Context())
				cancel()
				if err := f.Upload(r, strings.NewReader("")); err == nil || refusedFor(err, Busy) {
					t.Error(err)
				}
				synctest.Wait()
				f.until(78 * time.Hour)
				f.did(t, "after three nights", "start abandon")
				if err := f.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(answerTime + time.Second)
				f.did(t, "by a person", "start abandon write arm reboot")
			})
			s.release(t, "3", 3, 100)
			synctest.Test(t, func(t *testing.T) {
				f := follows(t, s, returned(), nil)
				f.until(6 * time.Hour)
				if !strings.HasPrefix(f.roots.all(), "start write arm reboot") {
					t.Errorf("the next version: %s", f.roots.all())
				}
			})
		})
	}
}

// A release that goes to some boxes comes to the others when it goes to more.
func TestStagedRollOut(t *testing.T) {
	s := newReleaseServer(t)
	share := Share("box", "2")
	s.release(t, "2", 2, share) // up to this box, and not to it
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, new(fakeRoots), nil)
		f.until(6 * time.Hour)
		f.did(t, "at a percentage that is too low", "start")
		if st := f.Status(); st.Available != nil || st.Checked.IsZero() {
			t.Errorf("%+v", st)
		}
		s.release(t, "2", 2, share+0.001)
		f.until(54 * time.Hour) // it asks each 18 to 30 hours
		if !strings.HasPrefix(f.roots.all(), "start write arm reboot") {
			t.Errorf("after it goes to more: %s", f.roots.all())
		}
	})
}

// A feed that does not answer is asked more and more seldom, and then daily again.
func TestFeedIsAskedSeldom(t *testing.T) {
	s := newReleaseServer(t)
	s.release(t, "2", 2, 100)
	s.breaks("index.json")
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, new(fakeRoots), func(o *Options) { o.Automatic = false })
		f.until(20 * time.Hour)
		// After 15 minutes, twice that each time, and 6 hours at most.
		if got, want := f.asked.after("index.json", f.start), []int{2, 17, 47, 107, 227, 467, 827, 1187}; !slices.Equal(got, want) {
			t.Errorf("minutes after the start: %v, want %v", got, want)
		}
		if st := f.Status(); !strings.Contains(st.CheckErr, "503") || !st.Checked.IsZero() || st.Phase != Idle {
			t.Errorf("%+v", st)
		}
		s.breaks("")
		f.until(5 * 24 * time.Hour)
		if st := f.Status(); st.CheckErr != "" || st.Available == nil {
			t.Errorf("%+v", st)
		}
		got := f.asked.after("index.json", f.start)[8:]
		for i := 1; i < len(got); i++ {
			if pause := got[i] - got[i-1]; pause < 18*60 || pause > 30*60+1 {
				t.Errorf("asked again after %d minutes: %v", pause, got)
			}
		}
		if len(got) < 4 || got[0] != 1547 {
			t.Errorf("after it answers: %v", got)
		}
		s.breaks("index.json") // a failure after a success begins with the short rest
		f.until(7 * 24 * time.Hour)
		got = f.asked.after("index.json", f.start)[8+len(got):]
		if len(got) < 3 || got[1]-got[0] != 15 || got[2]-got[1] != 30 {
			t.Errorf("when it fails again: %v", got)
		}
	})
}

// What was kept and not restarted since is restarted before the next update, at night.
func TestAutomaticRestartsFirst(t *testing.T) {
	s := newReleaseServer(t)
	s.release(t, "2", 2, 100)
	synctest.Test(t, func(t *testing.T) {
		f := follows(t, s, &fakeRoots{situation: CommittedStart}, nil)
		f.until(3*time.Hour - time.Second)
		f.did(t, "before three", "start")
		f.until(3*time.Hour + 30*time.Second)
		f.did(t, "at three", "start reboot")
	})
}
