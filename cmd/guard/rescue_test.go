package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"lintel/gateway/update"
)

func get(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// TestRescue: lintel crashes; the page says so, takes a signed bundle and no other, and
// starts lintel again.
func TestRescue(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	release := update.Release{Version: "v1", Counter: 1, Board: "lintel", Kernel: "6.12", Keys: update.Keys{public}}
	s := newSupervised(t, "crash")
	h := guardHouse(t, s, fast, someMachine(t, s.data, 2, 2), release)
	var page string
	until(t, "the page", func() bool { page = get(t, h.page); return page != "" })
	for _, want := range []string{"Lintel was started 4 times in a short time", "version v1", "&lt;b&gt;the end&lt;/b&gt;", `action="/update"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
	if n := h.rebooted(); n != 0 {
		t.Errorf("%d restarts of the machine", n)
	}

	manifest := update.Manifest{Version: "v2", Counter: 2, Board: "lintel", Kernel: "6.12", Released: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	root := bytes.NewReader([]byte("hsqs" + strings.Repeat("root", 1<<16)))
	bundle := func(m update.Manifest, key ed25519.PrivateKey) []byte {
		var b bytes.Buffer
		if _, err := update.Write(&b, m, root, key); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	send := func(file []byte, header, value string) (int, string) {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, _ := form.CreateFormFile("bundle", "lintel.lintel")
		part.Write(file)
		form.Close()
		request, _ := http.NewRequest("POST", h.page+"/update", &body)
		request.Header.Set("Content-Type", form.FormDataContentType())
		if header != "" {
			request.Header.Set(header, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(text)
	}
	_, foreign, _ := ed25519.GenerateKey(nil)
	other := manifest
	other.Board = "lintel-vm-arm64"
	old := manifest
	old.Counter = 1
	good := bundle(manifest, private)
	spoiled := bytes.Clone(good)
	spoiled[len(spoiled)-1]++
	for name, test := range map[string]struct {
		file          []byte
		header, value string
		status        int
	}{
		"foreign key":  {bundle(manifest, foreign), "", "", 422},
		"other board":  {bundle(other, private), "", "", 422},
		"not newer":    {bundle(old, private), "", "", 422},
		"damaged":      {spoiled, "", "", 422},
		"cut":          {good[:len(good)-7], "", "", 422},
		"nothing":      {nil, "", "", 422},
		"foreign page": {good, "Sec-Fetch-Site", "cross-site", 403},
	} {
		if status, text := send(test.file, test.header, test.value); status != test.status {
			t.Errorf("%s: %d, %s", name, status, text)
		}
		if line := cmdline(t, s); strings.Contains(line, "try_boot") {
			t.Fatalf("%s: %q", name, line)
		}
	}
	starts, _, _ := s.state()
	response, err := http.Post(h.page+"/restart", "application/x-www-form-urlencoded", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	until(t, "lintel is started again", func() bool { n, _, _ := s.state(); return n > starts })
	// It crashes again.
	until(t, "the page again", func() bool { page = get(t, h.page); return page != "" })
	if status, text := send(good, "", ""); status != 200 {
		t.Fatalf("a good bundle: %d, %s", status, text)
	}
	until(t, "the machine is restarted", func() bool { return h.rebooted() == 1 })
	if line := cmdline(t, s); !strings.Contains(line, "gokrazy.try_boot_inactive=1   ") {
		t.Errorf("cmdline.txt: %q", line)
	}
}

// TestRecovery: lintel comes back by itself when the page was shown for a while.
func TestRecovery(t *testing.T) {
	s := newSupervised(t, "crash")
	p := fast
	p.rescue = 300 * time.Millisecond
	h := guardHouse(t, s, p, someMachine(t, s.data, 2, 2), update.Release{Version: "v1", Counter: 1})
	until(t, "lintel is stopped", func() bool { _, _, stopped := s.state(); return stopped })
	s.become("serve")
	until(t, "the broker answers", func() bool { return answers(s) })
	if text := get(t, h.page); text != "" {
		t.Errorf("the page is still there: %s", text)
	}
}

// TestLastAnswer: who has lintel started again is told so, though that ends the page. The
// answer waits for the rest of the request here, until nobody else is let in any more.
func TestLastAnswer(t *testing.T) {
	s := newSupervised(t, "crash")
	h := guardHouse(t, s, fast, someMachine(t, s.data, 2, 2), update.Release{Version: "v1", Counter: 1})
	until(t, "the page", func() bool { return get(t, h.page) != "" })
	address := strings.TrimPrefix(h.page, "http://")
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "POST /restart HTTP/1.1\r\nHost: box\r\nContent-Length: 3\r\n\r\na=")
	until(t, "the page ends", func() bool {
		other, err := net.Dial("tcp", address)
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	io.WriteString(nc, "1")
	response, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(text), "Lintel is started again.") {
		t.Errorf("%v: %s", err, text)
	}
}
