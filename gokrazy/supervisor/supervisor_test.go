package supervisor

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serve answers at the socket of an init until the test ends.
func serve(t *testing.T, init Init, handler http.HandlerFunc) {
	t.Helper()
	l, err := net.Listen("unix", init.Socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

// at returns an init that is not there yet.
func at(t *testing.T) Init {
	t.Helper()
	dir, err := os.MkdirTemp("", "init") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Init{filepath.Join(dir, "s")}
}

// TestLog: init that says too much, nothing, or is not there.
func TestLog(t *testing.T) {
	init := at(t)
	if lines, err := init.Log(t.Context(), "/user/lintel"); err == nil {
		t.Errorf("nobody is there: %q", lines)
	}
	serve(t, init, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("path") == "/user/lintel" {
			for {
				if _, err := fmt.Fprintf(w, "%s\xff\n", strings.Repeat("x", 3000)); err != nil {
					return
				}
			}
		}
	})
	lines, err := init.Log(t.Context(), "/user/lintel")
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if err != nil || size < maxLog || size > maxLog+maxLogLine+10 {
		t.Errorf("%d bytes, %v", size, err)
	}
	if lines, err := init.Log(t.Context(), "/user/other"); err != nil || len(lines) != 0 {
		t.Errorf("%q, %v", lines, err)
	}
}

// TestRefused: what init does not want is told in its words.
func TestRefused(t *testing.T) {
	init := at(t)
	serve(t, init, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no such service", http.StatusNotFound) })
	_, running := init.Running(t.Context(), "/user/lintel")
	_, log := init.Log(t.Context(), "/user/lintel")
	for what, err := range map[string]error{
		"stop": init.Stop(t.Context(), "/user/lintel"), "restart": init.Restart(t.Context(), "/user/lintel"),
		"reboot": init.Reboot(t.Context(), 0), "running": running, "log": log,
	} {
		if err == nil || !strings.Contains(err.Error(), "no such service") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
