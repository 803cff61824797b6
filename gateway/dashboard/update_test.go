package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/update"
)

// updater is one without a box.
type updater struct {
	mu       sync.Mutex
	status   update.Status
	err      error // of what is asked next
	uploaded []byte
	asked    []string
	read     int64 // bytes of an upload that are read before err; 0: all
}

func newUpdater() *updater {
	return &updater{status: update.Status{Version: "1.0", Board: "lintel", Kernel: "6.12.47-v8", Phase: update.Idle, Percentage: -1,
		Feed: "https://example.com/lintel/index.json", Channel: "stable"}}
}

func (u *updater) set(change func(*update.Status)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change(&u.status)
}

func (u *updater) Status() update.Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status
}

func (u *updater) do(what string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = append(u.asked, what)
	return u.err
}

func (u *updater) Check(context.Context) error { return u.do("check") }
func (u *updater) Start() error                { return u.do("install") }
func (u *updater) Restart() error              { return u.do("restart") }
func (u *updater) Cancel() bool                { return u.do("cancel") == nil }

func (u *updater) Upload(_ context.Context, r io.Reader) error {
	if u.read > 0 {
		io.CopyN(io.Discard, r, u.read)
		return u.do("upload")
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	u.uploaded = b
	return u.do("upload")
}

// form returns the body of a form with a file in it.
func fileForm(t *testing.T, field, name string, content []byte) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func TestUpdatePage(t *testing.T) {
	g := newGate(t)
	u := g.o.Updater.(*updater)
	page := func(wanted ...string) string {
		t.Helper()
		body := g.want(200, browse{path: "/update", as: "admin"}).body
		for _, text := range wanted {
			if !strings.Contains(body, text) {
				t.Errorf("the page does not say %q:\n%s", text, body)
			}
		}
		return body
	}
	page("Version 1.0", "Nobody has looked for new versions yet", `action="/update/check"`, `action="/update/upload"`, `action="/update/restart"`)

	u.set(func(s *update.Status) {
		s.Available = &update.Available{Version: "1.1", Size: 21_000_000, Summary: hostile, URL: "javascript:alert(1)", Released: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}
		s.Returned = &update.Returned{Version: "1.1", Reason: "The stick " + hostile + " was open before and is not now."}
	})
	if body := page("Version 1.1", "21.0 MB", `action="/update/install"`, "was tried and did not hold", "is not now."); strings.Contains(body, "javascript:alert") {
		t.Error("a link of a stranger leads to a script")
	}
	u.set(func(s *update.Status) {
		s.Phase, s.Percentage, s.Installing, s.CanCancel = update.Writing, 42, "1.1", true
	})
	if body := page("writing, 42 %", `<progress max="100" value="42"`, `action="/update/cancel"`, `http-equiv="refresh"`); strings.Contains(body, `action="/update/install"`) {
		t.Error("a second update is offered while one is installed")
	}
	u.set(func(s *update.Status) { s.Phase, s.Percentage, s.CanCancel = update.Restarting, -1, false })
	if body := page("The box restarts now"); strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("the page of a box that restarts asks again, and finds nobody")
	}
	u.set(func(s *update.Status) {
		s.Phase, s.Trial = update.OnTrial, &update.Trial{SecondsLeft: 300, Missing: []string{"The stick A is away."}, Waiting: []string{"One lamp."}, Back: []string{"3 of 4 clients"}}
	})
	page("on trial", "The stick A is away.", "One lamp.", "There again: 3 of 4 clients.", "in 5 minutes at the latest")
	u.set(func(s *update.Status) {
		*s = update.Status{Version: "1.0", Phase: update.Idle, Percentage: -1, Unable: "Put the new program in its place."}
	})
	if body := page("Put the new program in its place."); strings.Contains(body, `type="file"`) {
		t.Error("a machine that cannot update itself offers an upload")
	}
}

func TestUpdateIsAsked(t *testing.T) {
	g := newGate(t)
	u := g.o.Updater.(*updater)
	nothing := url.Values{"a": {""}}
	for _, what := range []string{"check", "install", "cancel", "restart"} {
		g.want(303, browse{path: "/update/" + what, as: "admin", form: nothing})
		code := 202
		if what == "check" {
			code = 200
		}
		a := g.want(code, browse{path: "/api/update/" + what, as: "token admin", json: "{}"})
		var s update.Status
		if err := json.Unmarshal([]byte(a.body), &s); err != nil || s.Version != "1.0" {
			t.Errorf("%s answers %s (%v)", what, a.body, err)
		}
		g.want(400, browse{path: "/api/update/" + what, as: "token admin", json: `{"x":1}`})
	}
	if got := fmt.Sprint(u.asked); got != "[check check install install cancel cancel restart restart]" {
		t.Error(got)
	}
	for reason, code := range map[update.Reason]int{update.Busy: 409, update.Nothing: 409, update.NoSpace: 507, update.WrongBoard: 422} {
		u.err = &update.Refusal{Reason: reason, Text: "So it is <not>."}
		a := g.want(code, browse{path: "/api/update/install", as: "token admin", json: "{}"})
		if !strings.Contains(a.body, "So it is") {
			t.Error(a.body)
		}
		a = g.want(code, browse{path: "/update/install", as: "admin", form: nothing})
		if !strings.Contains(a.body, `role="alert">So it is &lt;not&gt;.`) {
			t.Errorf("the page after a refusal:\n%s", a.body)
		}
	}
	u.err = errors.New("the feed is away")
	if a := g.want(502, browse{path: "/api/update/check", as: "token admin", json: "{}"}); !strings.Contains(a.body, "the feed is away") {
		t.Error(a.body)
	}
	g.want(409, browse{path: "/api/update/cancel", as: "token admin", json: "{}"})
}

func TestUpload(t *testing.T) {
	g := newGate(t)
	u := g.o.Updater.(*updater)
	bundle := bytes.Repeat([]byte("squashfs"), 200_000) // more than any other body
	octets := http.Header{"Content-Type": {uploadType}}
	g.want(202, browse{path: "/api/update/upload", as: "token admin", header: octets, body: string(bundle)})
	if !bytes.Equal(u.uploaded, bundle) {
		t.Errorf("%d bytes came, not %d", len(u.uploaded), len(bundle))
	}
	u.uploaded = nil
	body, kind := fileForm(t, "bundle", "x.lintel", bundle)
	form := http.Header{"Content-Type": {kind}}
	g.want(303, browse{path: "/update/upload", as: "admin", header: form, body: body})
	if !bytes.Equal(u.uploaded, bundle) {
		t.Errorf("%d bytes came of a form, not %d", len(u.uploaded), len(bundle))
	}
	for _, without := range [][2]string{{"bundle", ""}, {"other", "x.lintel"}} {
		body, kind := fileForm(t, without[0], without[1], nil)
		a := g.want(400, browse{path: "/update/upload", as: "admin", header: http.Header{"Content-Type": {kind}}, body: body})
		if !strings.Contains(a.body, "Choose the file") {
			t.Error(a.body)
		}
	}
	// Who sends a bundle that is refused at its beginning reads why all the same.
	u.read, u.err = 100, &update.Refusal{Reason: update.BadSignature, Text: "Nobody here knows who signed it."}
	for _, b := range []browse{
		{path: "/api/update/upload", as: "token admin", header: octets, body: string(bundle)},
		{path: "/update/upload", as: "admin", header: form, body: body},
	} {
		if a := g.want(422, b); !strings.Contains(a.body, "Nobody here knows") {
			t.Error(a.body)
		}
	}
	if log := g.kinds(); !strings.Contains(log, "update asked for") {
		t.Errorf("the audit log does not tell of it: %s", log)
	}
}
