package update

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeRoots is a machine without a disk. Its clock is that of the bubble.
type fakeRoots struct {
	situation Situation
	record    *Record
	born      time.Time

	mu      sync.Mutex
	done    []string
	written []byte
	reason  string
	fail    map[string]error // what does not work
}

func (f *fakeRoots) note(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, what)
	return f.fail[what]
}

func (f *fakeRoots) all() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.done, " ")
}

func (f *fakeRoots) Start(Release) (Situation, *Record, error) {
	return f.situation, f.record, f.note("start")
}
func (f *fakeRoots) Uptime() (float64, error) { return time.Since(f.born).Seconds(), nil }
func (f *fakeRoots) Room() (int64, error)     { return MaxRoot, nil }
func (f *fakeRoots) Root() (*os.File, error)  { return os.Open(os.DevNull) }
func (f *fakeRoots) Write(ctx context.Context, _ *Manifest, root io.Reader, progress func(int64)) error {
	if err := f.note("write"); err != nil {
		return err
	}
	b, err := io.ReadAll(root)
	progress(int64(len(b)))
	f.written = b
	return errors.Join(err, ctx.Err())
}
func (f *fakeRoots) Arm(context.Context, json.RawMessage, int, func(int64)) error {
	return f.note("arm")
}
func (f *fakeRoots) Abandon() error { return f.note("abandon") }
func (f *fakeRoots) Commit(context.Context, Release, func(int64)) error {
	return f.note("commit")
}
func (f *fakeRoots) Return(_ Release, reason string) error {
	f.reason = reason
	return f.note("return")
}
func (f *fakeRoots) Reboot(context.Context) error { return f.note("reboot") }

// fakeHouse is as healthy as the test says.
type fakeHouse struct {
	mu      sync.Mutex
	verdict Verdict
}

func (h *fakeHouse) Alive() json.RawMessage { return json.RawMessage(`{"sticks":1}`) }
func (h *fakeHouse) Judge(context.Context, json.RawMessage) Verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.verdict
}
func (h *fakeHouse) set(v Verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.verdict = v
}

// started runs an Updater in a bubble until the test ends.
func started(t *testing.T, roots *fakeRoots, house *fakeHouse, keys Keys) *Updater {
	roots.born = time.Now()
	u := New(Options{Release: Release{Version: "1", Counter: 1, Board: "lintel", Kernel: "k"}, Machine: roots, House: house, Keys: keys,
		Trial: 10 * time.Minute, Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return u
}

// A version is kept when the house has been healthy for a while, not at its first good moment.
func TestHealthyTrialIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roots := &fakeRoots{situation: TrialStart, record: &Record{Version: "1", Patience: 690}}
		house := &fakeHouse{verdict: Verdict{Missing: []string{"A stick."}}}
		u := started(t, roots, house, nil)
		time.Sleep(5 * time.Minute)
		if s := u.Status(); s.Phase != OnTrial || len(s.Trial.Missing) != 1 || s.Trial.SecondsLeft < 295 || s.Trial.SecondsLeft > 305 {
			t.Errorf("after five minutes: %+v %+v", s, s.Trial)
		}
		house.set(Verdict{})
		time.Sleep(settleTime / 2)
		house.set(Verdict{Missing: []string{"Again."}})
		time.Sleep(10 * time.Second)
		house.set(Verdict{})
		time.Sleep(settleTime - judgeEvery)
		if got := roots.all(); got != "start" {
			t.Errorf("too early: %s", got)
		}
		if err := u.Restart(); err == nil {
			t.Error("a restart in the midst of a trial")
		}
		time.Sleep(3 * judgeEvery)
		if s := u.Status(); roots.all() != "start commit" || s.Phase != Idle || !s.RestartFirst || s.Trial != nil {
			t.Errorf("%s, %+v", roots.all(), s)
		}
		if err := u.Upload(t.Context(), strings.NewReader("")); !refusedFor(err, RestartDue) {
			t.Errorf("an update before the restart: %v", err)
		}
	})
}

// What can be done without is waited for until the end, and then done without.
func TestBearableTrialIsKeptAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		roots := &fakeRoots{situation: TrialStart, record: &Record{Version: "1", Patience: 690}}
		started(t, roots, &fakeHouse{verdict: Verdict{Waiting: []string{"A lamp."}}}, nil)
		time.Sleep(599 * time.Second)
		if got := roots.all(); got != "start" {
			t.Errorf("without patience: %s", got)
		}
		time.Sleep(4 * time.Second)
		if got := roots.all(); got != "start commit" {
			t.Error(got)
		}
	})
}

func TestSickTrialIsLeft(t *testing.T) {
	for name, commit := range map[string]error{"a stick is away": nil, "the card cannot be written": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				roots := &fakeRoots{situation: TrialStart, record: &Record{Version: "1", Patience: 690}, fail: map[string]error{"commit": commit}}
				house := new(fakeHouse)
				if commit == nil {
					house.set(Verdict{Missing: []string{"The stick X was open before and is not now."}})
				}
				started(t, roots, house, nil)
				time.Sleep(603 * time.Second)
				got := roots.all()
				if !strings.HasSuffix(got, "return reboot") || strings.Contains(got, "commit") != (commit != nil) {
					t.Error(got)
				}
				if want := map[bool]string{true: "The stick X", false: "could not be made"}[commit == nil]; !strings.Contains(roots.reason, want) {
					t.Errorf("the reason is %q", roots.reason)
				}
			})
		})
	}
}

func TestStartsThatAreNoTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := started(t, &fakeRoots{situation: TrialReturned, record: &Record{State: StateReturned, Version: "2", Counter: 2, Reason: "Why."}}, new(fakeHouse), nil)
		if s := u.Status(); s.Returned == nil || s.Returned.Version != "2" || s.Returned.Reason != "Why." {
			t.Errorf("%+v", s.Returned)
		}
		roots := &fakeRoots{situation: ForeignTrial}
		started(t, roots, new(fakeHouse), nil)
		if got := roots.all(); got != "start reboot" {
			t.Errorf("a trial of somebody else: %s", got)
		}
		u = started(t, &fakeRoots{fail: map[string]error{"start": errors.New("no partition")}}, new(fakeHouse), nil)
		if err := u.Restart(); !refusedFor(err, Unable) || !strings.Contains(err.Error(), "no partition") {
			t.Errorf("a disk that cannot be understood: %v", err)
		}
	})
}

// testBundle returns a bundle of a root, and the keys that fit.
func testBundle(t *testing.T, change func(*Manifest)) (bundle []byte, root []byte, keys Keys) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root = append([]byte(squashfsMagic), make([]byte, 100_000)...)
	m := Manifest{Version: "2", Counter: 2, Board: "lintel", Kernel: "k", Released: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if change != nil {
		change(&m)
	}
	var b bytes.Buffer
	if _, err := Write(&b, m, bytes.NewReader(root), private); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), root, Keys{public}
}

func refusedFor(err error, reason Reason) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Reason == reason
}

func TestUploadIsInstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bundle, root, keys := testBundle(t, nil)
		roots := new(fakeRoots)
		u := started(t, roots, new(fakeHouse), keys)
		if err := u.Upload(t.Context(), bytes.NewReader(bundle)); err != nil {
			t.Fatal(err)
		}
		if s := u.Status(); s.Phase != Restarting || s.Installing != "2" || s.CanCancel {
			t.Errorf("%+v", s)
		}
		time.Sleep(answerTime + time.Second)
		if got := roots.all(); got != "start write arm reboot" || !bytes.Equal(roots.written, root) {
			t.Errorf("%s, %d bytes", got, len(roots.written))
		}
	})
}

// What is not right is refused in words, and nothing is armed.
func TestUploadIsRefused(t *testing.T) {
	good, _, keys := testBundle(t, nil)
	board, _, boardKeys := testBundle(t, func(m *Manifest) { m.Board = "lintel-vm-arm64" })
	old, _, oldKeys := testBundle(t, func(m *Manifest) { m.Counter = 1 })
	expired, _, expiredKeys := testBundle(t, func(m *Manifest) {
		m.Released, m.Expires = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(21, 0, 0), time.Date(2020, 2, 1, 0, 0, 0, 0, time.UTC)
	})
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	for name, x := range map[string]struct {
		bundle []byte
		keys   Keys
		reason Reason
	}{
		"nobody's":    {good, boardKeys, UnknownKey},
		"cut":         {good[:len(good)-1], keys, Malformed},
		"one bit":     {bad, keys, Malformed},
		"nothing":     {nil, keys, Malformed},
		"wrong board": {board, boardKeys, WrongBoard},
		"older":       {old, oldKeys, OlderVersion},
		"expired":     {expired, expiredKeys, Expired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				roots := new(fakeRoots)
				u := started(t, roots, new(fakeHouse), x.keys)
				u.o.Now = func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }
				err := u.Upload(t.Context(), bytes.NewReader(x.bundle))
				if !refusedFor(err, x.reason) {
					t.Errorf("%v, want %s", err, x.reason)
				}
				time.Sleep(time.Minute)
				if s := u.Status(); s.Phase != Idle || s.Failed == "" || strings.Contains(roots.all(), "arm") || strings.Contains(roots.all(), "reboot") {
					t.Errorf("%s, %+v", roots.all(), s)
				}
			})
		})
	}
}

// Only one at a time; it can be cancelled, and the next one goes.
func TestUploadIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bundle, _, keys := testBundle(t, nil)
		roots := new(fakeRoots)
		u := started(t, roots, new(fakeHouse), keys)
		if u.Cancel() {
			t.Error("nothing was cancelled")
		}
		r, w := io.Pipe()
		result := make(chan error, 1)
		go func() { result <- u.Upload(t.Context(), r) }()
		w.Write(bundle[:len(bundle)/2])
		synctest.Wait()
		if err := u.Upload(t.Context(), bytes.NewReader(bundle)); !refusedFor(err, Busy) {
			t.Errorf("a second one: %v", err)
		}
		if !u.Cancel() {
			t.Error("not cancelled")
		}
		w.Write(bundle[len(bundle)/2:])
		w.Close()
		if err := <-result; !refusedFor(err, Canceled) {
			t.Errorf("%v", err)
		}
		if got := roots.all(); got != "start write abandon" {
			t.Error(got)
		}
		synctest.Wait()
		if err := u.Upload(t.Context(), bytes.NewReader(bundle)); err != nil {
			t.Error(err)
		}
	})
}

func TestDaytime(t *testing.T) {
	var night, noon Daytime
	for text, d := range map[string]*Daytime{"22:30-05:00": &night, "11:00-13:00": &noon} {
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != text {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, bad := range []string{"", "3-5", "03:00", "03:00-25:00", "03:00-03:00", "x-y"} {
		if err := new(Daytime).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	at := func(hour, minute int) time.Time { return time.Date(2026, 3, 29, hour, minute, 0, 0, time.UTC) }
	for _, x := range []struct {
		d    Daytime
		at   time.Time
		want bool
	}{{night, at(22, 30), true}, {night, at(4, 59), true}, {night, at(5, 0), false}, {night, at(12, 0), false}, {noon, at(12, 59), true}, {noon, at(13, 0), false}, {noon, at(23, 0), false}} {
		if got := x.d.Holds(x.at); got != x.want {
			t.Errorf("%v at %v: %t", x.d, x.at, got)
		}
	}
}
