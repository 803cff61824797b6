package gateway

import (
	"html"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lintel/gateway/settings"
)

func fail(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(folder, name, text string) error {
	return os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)
}

func isThere(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

const seed = "[claim]\npassword = \"correct horse\"\nname = \"Attic\"\n[homeassistant]\npassword = \"battery staple\"\n"

// TestHouseObeysTheCard: the same with a whole house, and a folder of boot files.
func TestHouseObeysTheCard(t *testing.T) {
	t.Parallel()
	boot, data := t.TempDir(), t.TempDir()
	asked := 0
	run := func() (Endpoints, func()) {
		t.Helper()
		card := settings.ReadCard(settings.CardOptions{Data: data, Config: filepath.Join(data, settings.DefaultFile), BootFiles: func(use func(string, func() error) error) error {
			return use(boot, func() error { asked++; return nil })
		}})
		return startOptions(t, closedConfig(), Options{Data: data, Version: "test", Card: card})
	}
	fail(t, os.WriteFile(filepath.Join(boot, settings.PreseedFile), []byte(seed), 0o600))
	e, stop := run()
	if e.Unclaimed || asked != 1 {
		t.Errorf("unclaimed %t, asked %d times to write", e.Unclaimed, asked)
	}
	if out, err := mosquitto(t, e, "mosquitto_pub", "-u", "homeassistant", "-P", "battery staple", "-t", "a", "-m", "x", "-q", "1"); err != nil {
		t.Errorf("login of the file: %v: %s", err, out)
	}
	o := visit(t, e)
	o.call("POST", "/api/login", map[string]string{"user": "admin", "password": "correct horse"}, nil)
	var status struct{ Name string }
	if o.get("/api/status", &status); status.Name != "Attic" {
		t.Errorf("the box is called %q", status.Name)
	}
	stop()
	if e, stop = run(); e.Unclaimed || asked != 1 {
		t.Errorf("without files: unclaimed %t, asked %d times to write", e.Unclaimed, asked)
	}
	stop()
	fail(t, os.WriteFile(filepath.Join(data, settings.ResetFile), nil, 0o600))
	e, stop = run()
	defer stop()
	if !e.Unclaimed {
		t.Error("not reset")
	}
	if out, err := mosquitto(t, e, "mosquitto_pub", "-V", "5", "-u", "homeassistant", "-P", "battery staple", "-t", "a", "-m", "x"); err == nil || !strings.Contains(out, "Server unavailable") {
		t.Errorf("unclaimed: %v: %s", err, out)
	}
}

// TestMistakesAreOnTheClaimPage: a box whose files have mistakes starts, can be claimed, and
// says what is right; nothing secret is anywhere.
func TestMistakesAreOnTheClaimPage(t *testing.T) {
	t.Parallel()
	boot, data := t.TempDir(), t.TempDir()
	fail(t, writeFile(boot, settings.PreseedFile, "[claim]\npassword = \"correct horse\"\nnmae = \"x\"\n[network.wifi]\nssid = \"net\"\npassword = \"battery staple\"\n[time]\nzone = \"Mars\"\n"))
	fail(t, writeFile(boot, "user-data", "#cloud-config\nhostname: attic\nusers:\n- name: anna\n  passwd: $1$secretsalt$secretkey\nssh_pwauth: true\n"))
	var log strings.Builder
	var mu sync.Mutex
	files := settings.CardOptions{Data: data, Config: filepath.Join(data, settings.DefaultFile), BootFiles: func(use func(string, func() error) error) error {
		return use(boot, func() error { return nil })
	}}
	card := settings.ReadCard(files)
	config, err := settings.Load(filepath.Join(data, settings.DefaultFile))
	fail(t, err)
	if config.MDNS.Host != "attic" || config.Network.WiFi.Password != "battery staple" || config.Time.Zone != "" {
		t.Errorf("what is right does not count: %+v", config)
	}
	e, stop := startOptions(t, closedConfig(), Options{Data: data, Version: "test", Card: card,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if !e.Unclaimed {
		t.Error("the box is claimed")
	}
	answer, err := http.Get("http://" + e.HTTP.String() + "/claim")
	fail(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fail(t, err)
	page := html.UnescapeString(string(body))
	for _, want := range []string{
		`lintel-preseed.toml:3: unknown key "claim.nmae"; did you mean "claim.name"?`,
		`lintel-preseed.toml:8: time.zone: "Mars" is no time zone; right is a name such as "Europe/Berlin"`,
		`user-data:5: claim.password_hash: is no hash of a kind that is known`,
		`user-data asks for SSH`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s:\n%s", want, page)
		}
	}
	o := visit(t, e)
	o.call("POST", "/api/claim", map[string]string{"password": "another horse", "name": ""}, nil)
	stop()
	mu.Lock()
	defer mu.Unlock()
	for _, secret := range []string{"correct horse", "battery staple", "secretsalt", "secretkey"} {
		if strings.Contains(page, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("%q is in\n%s\n%s", secret, page, log.String())
		}
	}
	// A person mends the one, and nobody the other.
	card = settings.ReadCard(files)
	e, stop = startOptions(t, closedConfig(), Options{Data: data, Version: "test", Card: card})
	defer stop()
	if e.Unclaimed || isThere(filepath.Join(boot, "user-data")) || !isThere(filepath.Join(boot, settings.PreseedFile)) {
		t.Errorf("unclaimed %t, of Imager's file is there %t, of the person's %t", e.Unclaimed, isThere(filepath.Join(boot, "user-data")), isThere(filepath.Join(boot, settings.PreseedFile)))
	}
}

// lockedWriter is written to by everything that logs.
type lockedWriter struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
