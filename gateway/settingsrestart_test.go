package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lintel/gateway/dashboard"
	"lintel/gateway/settings"
)

// TestSettingsOfTheHouse: what is changed on the page is in the file, and in force after the
// restart that the page offers.
func TestSettingsOfTheHouse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "lintel.toml")
	text := "# of this house\n[mqtt]\nlisten = [\"127.0.0.1:0\"]\nwebsocket = []\n[http]\nlisten = \"127.0.0.1:0\"\n[mdns]\nenabled = false\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() (Endpoints, context.CancelFunc, <-chan error) {
		c, err := settings.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ready, ended := make(chan Endpoints, 1), make(chan error, 1)
		go func() {
			ended <- Run(ctx, c, Options{Data: data, Version: "test", ConfigFile: file, Ready: func(e Endpoints) { ready <- e }})
		}()
		select {
		case e := <-ready:
			return e, stop, ended
		case err := <-ended:
			t.Fatal(err)
		}
		return Endpoints{}, stop, ended
	}
	e, _, ended := run()
	o := claim(t, e)
	var state dashboard.SettingsState
	o.get("/api/settings", &state)
	if state.Problem != "" || len(state.Waiting) != 0 {
		t.Fatalf("%+v", state)
	}
	var result dashboard.SettingsResult
	o.call("PATCH", "/api/settings", map[string]any{"base": state.Base, "settings": map[string]any{"serial.base_topic": "attic"}}, &result)
	if len(result.Waiting) != 1 || result.Waiting[0] != "serial.base_topic" {
		t.Errorf("%+v", result)
	}
	if status, text := o.try("PATCH", "/api/settings", map[string]any{"settings": map[string]any{"serial.base_topic": "a/#"}}); status != 400 || !strings.Contains(string(text), "wildcard") {
		t.Errorf("%d: %s", status, text)
	}
	o.call("POST", "/api/settings/restart", map[string]any{}, nil)
	select {
	case err := <-ended:
		if !errors.Is(err, ErrRestart) {
			t.Fatalf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no restart")
	}
	e, stop, ended := run()
	if e.State != "attic/+/state" {
		t.Errorf("after the restart states are at %s", e.State)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	changed, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(changed), text) {
		t.Errorf("%v\n%s", err, changed)
	}
}
