//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/update"
)

// A playedBox says the statuses of an update one after the other, as a box that goes
// through it does. A status without a phase is silence: the connection breaks.
type playedBox struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []update.Status
	uploaded []byte
}

func playBox(t *testing.T, statuses ...update.Status) *playedBox {
	b := &playedBox{statuses: statuses}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if r.URL.Path == "/api/update/upload" {
			b.uploaded, _ = io.ReadAll(r.Body)
		}
		next := b.statuses[0]
		if len(b.statuses) > 1 {
			b.statuses = b.statuses[1:]
		}
		if next.Phase == "" {
			panic(http.ErrAbortHandler)
		}
		json.NewEncoder(w).Encode(next)
	}))
	t.Cleanup(b.Close)
	return b
}

func TestUpdateIsFollowed(t *testing.T) {
	idle := update.Status{Version: "1", Counter: 1, Phase: update.Idle, Percentage: -1, Failed: "an old story"}
	phase := func(p update.Phase, percentage float64) update.Status {
		return update.Status{Version: "1", Counter: 1, Phase: p, Percentage: percentage, Installing: "2"}
	}
	trial := update.Status{Version: "2", Counter: 2, Phase: update.OnTrial, Installing: "2"}
	kept := update.Status{Version: "2", Counter: 2, Phase: update.Idle}
	back := idle
	back.Failed, back.Returned = "", &update.Returned{Version: "2", Reason: "The broker did not answer."}
	failed := idle
	failed.Failed = "The card is full."
	silence := update.Status{}
	same := idle
	same.Failed = "" // it is not kept over a restart
	for name, test := range map[string]struct {
		statuses []update.Status
		says     string // by the error; empty: it is kept
	}{
		"kept":           {[]update.Status{idle, idle, phase(update.Downloading, 50), phase(update.Arming, 1), phase(update.Restarting, -1), silence, silence, trial, kept}, ""},
		"went back":      {[]update.Status{idle, phase(update.Arming, 1), silence, trial, silence, back}, "The broker did not answer."},
		"failed":         {[]update.Status{idle, phase(update.Arming, 1), failed}, "The card is full."},
		"failed at once": {[]update.Status{idle, failed}, "The card is full."},
		"as before":      {[]update.Status{idle, phase(update.Arming, 1), silence, same}, "as it was before"},
		"never begins":   {[]update.Status{idle}, "does not begin"},
		"never back":     {[]update.Status{idle, phase(update.Restarting, -1), silence}, "has not come back"},
	} {
		t.Run(name, func(t *testing.T) {
			played := playBox(t, test.statuses...)
			f := &following{box: &box{url: played.URL, token: "x"}, progress: newProgress(io.Discard), poll: time.Millisecond, silence: 200 * time.Millisecond, start: 200 * time.Millisecond}
			var status update.Status
			if err := f.box.call("GET", "/api/update", "", nil, &f.before); err != nil {
				t.Fatal(err)
			}
			if err := f.box.ask(t.Context(), "POST", "/api/update/install", "application/json", strings.NewReader("{}"), &status); err != nil {
				t.Fatal(err)
			}
			status, err := f.follow(t.Context(), status)
			if test.says == "" && (err != nil || status.Version != "2") || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%+v, %v", status, err)
			}
		})
	}
}

func TestUpdateUploads(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.lintel")
	if err := os.WriteFile(name, []byte("a bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	idle := update.Status{Version: "1", Counter: 1, Phase: update.Idle}
	written := update.Status{Version: "1", Counter: 1, Phase: update.Restarting, Installing: "2\x1b[2J"}
	played := playBox(t, idle, written)
	var out bytes.Buffer
	if err := run([]string{"update", "--box", played.URL, "--token", "x", "--no-wait", "upload", name}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	if string(played.uploaded) != "a bundle" || !strings.Contains(out.String(), "restarting: version 2") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("uploaded %q, says %q", played.uploaded, out.String())
	}
}

// TestUpdateOfABox asks a real one, which runs here and not in an image.
func TestUpdateOfABox(t *testing.T) {
	address, token := claimedBox(t, false)
	t.Setenv("LINTEL_BOX", address)
	t.Setenv("LINTEL_TOKEN", token)
	name := filepath.Join(t.TempDir(), "a.lintel")
	if err := os.WriteFile(name, []byte("no bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"update"}, "version test runs on a machine of its own"},
		{[]string{"update", "--json", "status"}, `"phase":"idle"`},
		{[]string{"update", "upload", name}, "a computer that is not its own"},
		{[]string{"update", "cancel"}, "no update"},
		{[]string{"update", "upload"}, "takes one file"},
		{[]string{"update", "install", "now"}, "takes one file"},
		{[]string{"update", "sideways"}, "no action"},
	} {
		var out bytes.Buffer
		err := run(test.args, nil, &out, &out)
		said := out.String()
		if err != nil {
			said += err.Error()
		}
		if !strings.Contains(said, test.says) {
			t.Errorf("%q says %q, want %q", test.args, said, test.says)
		}
	}
}
