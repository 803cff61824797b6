package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"lintel/gateway/mqtt"
	"lintel/gateway/settings"
	"lintel/gateway/update"
)

// laptop is a machine without a disk of its own.
type laptop struct {
	situation update.Situation
	record    *update.Record
	done      chan string // what was done to it

	mu     sync.Mutex
	full   error // of Write
	uptime float64
	alive  json.RawMessage
	reason string
}

func newLaptop() *laptop { return &laptop{done: make(chan string, 100)} }

func (l *laptop) Start(update.Release) (update.Situation, *update.Record, error) {
	return l.situation, l.record, nil
}
func (l *laptop) Uptime() (float64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uptime, nil
}
func (l *laptop) Room() (int64, error)    { return update.MaxRoot, nil }
func (l *laptop) Root() (*os.File, error) { return os.Open(os.DevNull) }
func (l *laptop) Write(_ context.Context, _ *update.Manifest, root io.Reader, progress func(int64)) error {
	l.mu.Lock()
	full := l.full
	l.mu.Unlock()
	if full != nil {
		return full
	}
	n, err := io.Copy(io.Discard, root)
	progress(n)
	l.done <- "write"
	return err
}
func (l *laptop) Arm(_ context.Context, alive json.RawMessage, _ int, _ func(int64)) error {
	l.mu.Lock()
	l.alive = alive
	l.mu.Unlock()
	l.done <- "arm"
	return nil
}
func (l *laptop) Abandon() error { l.done <- "abandon"; return nil }
func (l *laptop) Commit(context.Context, update.Release, func(int64)) error {
	l.done <- "commit"
	return nil
}
func (l *laptop) Return(_ update.Release, reason string) error {
	l.mu.Lock()
	l.reason = reason
	l.mu.Unlock()
	l.done <- "return"
	return nil
}
func (l *laptop) Reboot(ctx context.Context) error {
	l.done <- "reboot"
	<-ctx.Done()
	return ctx.Err()
}

// timeIsUp has the trial end.
func (l *laptop) timeIsUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uptime = 4000
}

// expect waits until something is done.
func (l *laptop) expect(t *testing.T, what string) {
	t.Helper()
	select {
	case got := <-l.done:
		if got != what {
			t.Fatalf("%s was done, not %s", got, what)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s was not done", what)
	}
}

// at goes on with a house that was started again.
func (o *owner) at(e Endpoints) { o.url = "http://" + e.HTTP.String() }

// page returns a page.
func (o *owner) page(path string) string {
	o.t.Helper()
	res, err := o.http.Get(o.url + path)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// awaitUpdate polls the status until it is as wanted.
func awaitUpdate(t *testing.T, b *owner, what string, wanted func(update.Status) bool) {
	t.Helper()
	var s update.Status
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		s = update.Status{}
		b.get("/api/update", &s)
		if wanted(s) {
			return
		}
		poll := time.NewTimer(50 * time.Millisecond)
		<-poll.C
	}
	t.Fatalf("waited in vain for %s: %+v, trial %+v", what, s, s.Trial)
}

// signedBundle returns a bundle for a box called lintel, and the key that fits.
func signedBundle(t *testing.T) (bundle []byte, keys update.Keys) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return bundleBy(t, private), update.Keys{public}
}

func bundleBy(t *testing.T, private ed25519.PrivateKey) []byte {
	t.Helper()
	m := update.Manifest{Version: "1.1", Counter: 2, Board: "lintel", Kernel: "k", Released: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Notes: update.Notes{Summary: "Faster.", URL: "https://example.com/1.1"}}
	var b bytes.Buffer
	if _, err := update.Write(&b, m, strings.NewReader("hsqs"+strings.Repeat(" ", 300_000)), private); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// signedFeed returns the address of a feed with that bundle, and the key that fits.
func signedFeed(t *testing.T) (address string, keys update.Keys) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys = update.Keys{public}
	file := bundleBy(t, private)
	bundle, err := update.Open(bytes.NewReader(file), keys)
	if err != nil {
		t.Fatal(err)
	}
	x := update.Index{Format: update.Format, Updated: bundle.Manifest.Released, Entries: []update.Entry{{Channel: update.Stable, Percent: 100, File: "1.1.lintel",
		Bundle: update.Blob{Size: int64(len(file)), SHA256: sha256.Sum256(file)}, Manifest: bundle.Manifest}}}
	index, err := x.Encode(private)
	if err != nil {
		t.Fatal(err)
	}
	files := http.NewServeMux()
	for name, content := range map[string][]byte{"/index.json": index, "/1.1.lintel": file} {
		files.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		})
	}
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	return server.URL + "/", keys
}

// plugged is a house with a stick, whose far end is returned.
func plugged(t *testing.T) (c settings.Config, link, tty string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close(); near.Close() })
	link = filepath.Join(t.TempDir(), "stick")
	c = localConfig()
	c.Serial.Ports = []settings.PortConfig{{Path: link, Protocol: "jsonlines"}}
	c.Zigbee.Enabled = false
	return c, link, near.Name()
}

// TestTrialOfTheHouse goes all the way: a bundle is uploaded to a house with a stick and a
// client; the new version has to have both back, and is patient.
func TestTrialOfTheHouse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c, link, tty := plugged(t)
	if err := os.Symlink(tty, link); err != nil {
		t.Fatal(err)
	}
	bundle, keys := signedBundle(t)
	release := update.Release{Counter: 1, Board: "lintel", Kernel: "k", Keys: keys}
	before := newLaptop()
	o := Options{Data: data, Version: "1.0", Release: release, Machine: before, steadyTime: time.Nanosecond}
	e, stop := startOptions(t, c, o)
	b := claim(t, e)
	person := connect(t, e, "person", "", "")
	var status struct{ Sticks []struct{ State string } }
	for end := time.Now().Add(time.Minute); len(status.Sticks) == 0 || status.Sticks[0].State != "online"; {
		if time.Now().After(end) {
			t.Fatalf("the stick is not open: %+v", status)
		}
		b.get("/api/status", &status)
	}
	if err := update.Probe(t.Context(), data); err != nil {
		t.Fatalf("the broker does not answer guard: %v", err)
	}
	asking(t, data)
	upload := func(body []byte) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.url+"/api/update/upload", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/octet-stream")
		res, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	wrong := bytes.Clone(bundle)
	wrong[20] ^= 1
	if code, text := upload(wrong); code != 422 || !strings.Contains(text, `"detail"`) {
		t.Errorf("a bundle that was changed: %d %s", code, text)
	}
	before.expect(t, "abandon")
	if code, text := upload(bundle); code != 202 {
		t.Fatalf("%d %s", code, text)
	}
	for _, what := range []string{"write", "arm", "reboot"} {
		before.expect(t, what)
	}
	var a alive
	if err := json.Unmarshal(before.alive, &a); err != nil || len(a.Sticks) != 1 || len(a.Clients) != 1 || a.Clients[0].ID != "person" || !a.Clients[0].Steady {
		t.Fatalf("%v: what was alive is %s", err, before.alive)
	}
	person.Disconnect(0)
	stop()

	// The new version starts without the stick and without the client.
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	after := newLaptop()
	after.situation, after.record = update.TrialStart, &update.Record{Version: "1.1", Counter: 2, Patience: 690, Alive: before.alive}
	o.Version, o.Release.Counter, o.Machine = "1.1", 2, after
	e, stop = startOptions(t, c, o)
	b.at(e)
	says := func(missing []string, text string) bool { return strings.Contains(strings.Join(missing, " "), text) }
	awaitUpdate(t, b, "both missing", func(s update.Status) bool {
		return s.Phase == update.OnTrial && s.Trial != nil && says(s.Trial.Missing, "stick") && says(s.Trial.Missing, "person") && says(s.Trial.Back, "broker answers")
	})
	if page := b.page("/"); !strings.Contains(page, "is on trial") {
		t.Error("the first page does not tell of the trial")
	}
	if err := os.Symlink(tty, link); err != nil {
		t.Fatal(err)
	}
	awaitUpdate(t, b, "the stick", func(s update.Status) bool {
		return s.Trial != nil && !says(s.Trial.Missing, "stick") && says(s.Trial.Missing, "person")
	})
	connect(t, e, "person", "", "")
	awaitUpdate(t, b, "the client", func(s update.Status) bool { return s.Trial != nil && len(s.Trial.Missing) == 0 })
	after.timeIsUp()
	after.expect(t, "commit")
	awaitUpdate(t, b, "the end", func(s update.Status) bool { return s.Phase == update.Idle && s.RestartFirst })
	stop()

	// The same without the stick at the end.
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	lost := newLaptop()
	lost.situation, lost.record = after.situation, after.record
	o.Machine = lost
	e, stop = startOptions(t, c, o)
	connect(t, e, "person", "", "")
	lost.timeIsUp()
	lost.expect(t, "return")
	lost.expect(t, "reboot")
	if !strings.Contains(lost.reason, "stick") || strings.Contains(lost.reason, "person") {
		t.Errorf("the reason is %q", lost.reason)
	}
	stop()

	// And the old one tells why.
	back := newLaptop()
	back.situation, back.record = update.TrialReturned, &update.Record{State: update.StateReturned, Version: "1.1", Counter: 2, Reason: lost.reason}
	o.Version, o.Release.Counter, o.Machine = "1.0", 1, back
	e, stop = startOptions(t, c, o)
	defer stop()
	b.at(e)
	awaitUpdate(t, b, "why it came back", func(s update.Status) bool { return s.Returned != nil && s.Returned.Reason == lost.reason })
	if page := b.page("/"); !strings.Contains(page, "was tried and did not hold") || !strings.Contains(page, "stick") {
		t.Error("the first page does not say why")
	}
}

// asking has somebody ask the broker, as guard does, who is slow about it.
func asking(t *testing.T, data string) {
	t.Helper()
	nc, err := net.Dial("unix", filepath.Join(data, update.ProbeSocket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	connect := mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: 60, ClientID: update.ProbeClient + "slow"}
	if _, err := nc.Write(connect.Append(nil)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(nc, answer); err != nil || answer[0]>>4 != byte(mqtt.CONNACK) || answer[3] != 0 {
		t.Fatalf("%x, %v", answer, err)
	}
}

// A box whose disk is not as it should be says so, and nothing of computers of other kinds.
func TestBoxWithoutMachine(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		err  error
		want string
	}{
		"box":      {fmt.Errorf("%w: its disk has no partition 3", update.ErrNoMachine), "its disk has no partition 3"},
		"computer": {nil, "a computer that is not its own"},
	} {
		e, stop := startOptions(t, localConfig(), Options{Data: t.TempDir(), NoMachine: x.err})
		b := claim(t, e)
		var s update.Status
		b.get("/api/update", &s)
		if !strings.Contains(s.Unable, x.want) || strings.Contains(s.Unable, "computer") != (x.err == nil) {
			t.Errorf("%s: %q", name, s.Unable)
		}
		if !strings.Contains(b.page("/update"), x.want) {
			t.Errorf("%s: the page does not say why", name)
		}
		stop()
	}
}

// Nobody but who asks at the socket gets what is said there, and who does may do nothing else.
func TestProbeIsAlone(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	e, stop := startOptions(t, localConfig(), Options{Data: data})
	defer stop()
	messages := listenTo(t, e, "#")
	if err := update.Probe(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	person := connect(t, e, "person", "", "")
	finish(t, person.Publish("end", 1, false, "x"))
	for {
		m := <-messages
		if m.Topic() == update.ProbeTopic {
			t.Errorf("others hear of it: %s", m.Payload())
		}
		if m.Topic() == "end" {
			break
		}
	}
	info, err := os.Stat(filepath.Join(data, update.ProbeSocket))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	for of, want := range map[int]int{0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 8: 6, 100: 75} {
		if got := needed(of); got != want {
			t.Errorf("of %d %d, want %d", of, got, want)
		}
	}
}

// Who speaks each hour is not asked to have spoken, and who is away of many does not matter.
func TestTally(t *testing.T) {
	t.Parallel()
	var v update.Verdict
	var sleepy tally
	sleepy.count("meter", true, true)
	sleepy.count("hourly", false, false)
	if sleepy.tell(&v, "devices", "h", "n"); len(v.Missing)+len(v.Waiting) > 0 {
		t.Errorf("%+v", v)
	}
	var many tally
	for _, present := range []bool{true, true, true, false} {
		many.count("lamp", true, present)
	}
	if many.tell(&v, "devices", "h", "n"); len(v.Missing) > 0 || len(v.Waiting) != 1 {
		t.Errorf("one of four: %+v", v)
	}
	many.count("lamp", true, false)
	if many.tell(&v, "devices", "h", "n"); len(v.Missing) != 1 {
		t.Errorf("two of five: %+v", v)
	}
	now := time.Now()
	h := heartbeat{since: now.Add(-time.Hour), last: now.Add(-time.Minute), pauses: [2]time.Duration{time.Minute, 50 * time.Minute}}
	if got := h.silence(now); got != 50*time.Minute {
		t.Errorf("silent for %v", got)
	}
}
