package gateway

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lintel/gateway/backup"
)

// A backup that breaks off is not taken for a whole one.
func TestBackupThatIsCut(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := os.Mkdir(backup.StoreFolder(data), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(data, controlSocket))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("small") == "true" {
			http.NotFound(w, r)
			return
		}
		w.Write(make([]byte, 100_000))
		panic(http.ErrAbortHandler)
	}))
	var file bytes.Buffer
	err = Backup(t.Context(), data, "1.0", &file, false, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "the backup is cut") {
		t.Errorf("%d bytes came: %v", file.Len(), err)
	}
	err = Backup(t.Context(), data, "1.0", &file, true, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("from another program: %v", err)
	}
}

// A gateway that was killed leaves its socket, and the next one takes it over.
// Where there can be none the house works all the same.
func TestControlSocketInTheWay(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(data, controlSocket)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	check := func(data string) {
		t.Helper()
		_, stop := startWith(t, localConfig(), data, false)
		defer stop()
		var file bytes.Buffer
		if err := Backup(t.Context(), data, "1.0", &file, true, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if box, m, err := backup.Verify(&file, ""); err != nil || !m.Small || !box.Small {
			t.Errorf("%+v %+v %v", box, m, err)
		}
	}
	check(data)

	long := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	_, stop := startWith(t, localConfig(), long, false)
	err = Backup(t.Context(), long, "1.0", new(bytes.Buffer), true, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a backup without a socket of a gateway that runs: %v", err)
	}
	stop()
	if err := Backup(t.Context(), long, "1.0", new(bytes.Buffer), true, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("after it has stopped: %v", err)
	}
}
