package dashboard

import (
	"archive/zip"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// pocket is what a house adds to a support bundle.
type pocket struct {
	files   map[string]any
	secrets []string
}

func (p *pocket) Write(add func(name string, content any)) {
	for name, content := range p.files {
		add(name, content)
	}
}

func (p *pocket) Secrets() []string { return p.secrets }

// filesOf reads a support bundle.
func filesOf(t *testing.T, text string) map[string]string {
	t.Helper()
	z, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
	}
	return files
}

// TestSupportBundle: what is needed is in it, and nothing that is secret, wherever it got to.
func TestSupportBundle(t *testing.T) {
	g := newGate(t)
	admin, _ := g.o.Users.Get("admin")
	secrets := []string{"planted password", `planted"quoted\key`, "<planted&more>"}
	g.o.Support = &pocket{files: map[string]any{"configuration.toml": "a = 1\n", "more.json": map[string]string{"x": secrets[1], "y": secrets[2]}}, secrets: append(secrets, "abc", "")}
	g.o.Log = NewLog(slog.LevelDebug)
	log := slog.New(g.o.Log)
	key := "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"
	log.Info("a mistake of ours", "secret", secrets[0], "hash", admin.Hash, "key", key, "header", "Authorization: Bearer "+g.secrets["admin"], "url", "https://planted-user:planted-pass@example.com/x",
		"token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "crypt", "$6$salt$hashhash")
	g.url = listen(t, g.o)
	g.want(403, browse{path: "/api/support", as: "olga"})
	a := g.want(200, browse{path: "/api/support", as: "token admin"})
	files := filesOf(t, a.body)
	for _, name := range []string{"about.txt", "configuration.toml", "status.json", "metrics.txt", "log.txt", "zigbee.json", "update.json", "network.json", "time.json", "audit.json", "goroutines.txt"} {
		if files[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	for name, text := range files {
		for _, secret := range append(secrets, admin.Hash, g.secrets["admin"], g.secrets["viewer"], g.homeassistant, adminPassword, `planted\"quoted\\key`, "planted", "MHcCAQEE", "hashhash", "c2ln", "127.0.0.1\"") {
			if strings.Contains(text, secret) && !(name == "status.json" && secret == "127.0.0.1\"") {
				t.Errorf("%s tells %q:\n%s", name, secret, text)
			}
		}
	}
	if !strings.Contains(files["log.txt"], "a mistake of ours") || !strings.Contains(files["metrics.txt"], "lintel_uptime_seconds 93600") || !strings.Contains(files["goroutines.txt"], "goroutine profile") {
		t.Error("what is needed is not in it")
	}
	if strings.Contains(files["status.json"], "1.193") {
		t.Error("it tells what a meter measures")
	}
	g.want(200, browse{path: "/support", as: "admin"})
}
