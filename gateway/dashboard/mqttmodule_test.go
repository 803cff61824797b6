package dashboard

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lintel/persist"
)

// TestMQTTModule runs the MQTT client of the pages under Node.js against the real broker.
func TestMQTTModule(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("needs Node.js")
	}
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := runBroker(t, store)
	web := httptest.NewServer(b.WebSocket(t.Context(), "web"))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	test, err := os.ReadFile("testdata/mqtt.test.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"mqtt.js": modules()["mqtt.js"], "mqtt.test.mjs": test, "package.json": []byte(`{"type":"module"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), node, "--no-warnings", "--experimental-websocket", "--test", "mqtt.test.mjs")
	c.Dir, c.Env = dir, append(os.Environ(), "LINTEL_MQTT_URL=ws"+strings.TrimPrefix(web.URL, "http"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
