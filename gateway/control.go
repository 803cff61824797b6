package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lintel/gateway/backup"
	"lintel/persist"
)

// controlSocket, in the data folder, is how commands reach the gateway that runs
// there: HTTP for this user and root alone.
//
//	GET /backup              a backup of the box
//	GET /backup?small=true   the same without queued messages
const controlSocket = "control.sock"

// openStore opens the store of a data folder. check is persist.Options.Check.
func openStore(data string, check []string, clocks func() persist.Reading, log *slog.Logger) (*persist.Store, error) {
	dir := backup.StoreFolder(data)
	return persist.Open(dir, persist.Options{
		Ballast: ballast,
		Check:   check,
		Clock:   clocks,
		Restore: func(into string) (string, error) { return persist.RestoreNewest(dir, into) },
		Logger:  log,
	})
}

// listenControl opens the socket for commands. The house works without it, where
// the file system has no sockets or the path is too long for one.
func (g *gateway) listenControl() {
	l, err := g.listenPrivate(controlSocket)
	if err != nil {
		g.log.Warn("no control socket: backups need lintel to be stopped", "err", err)
		return
	}
	g.control = l
}

// serveControl answers commands until ctx ends.
func (g *gateway) serveControl(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, r *http.Request) {
		if err := backup.Write(r.Context(), w, g.o.Data, g.store, manifest(g.box, r.FormValue("small") == "true")); err != nil {
			g.log.Warn("backup not made", "err", err)
			panic(http.ErrAbortHandler) // who reads it notices that it is cut
		}
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(g.control); ctx.Err() == nil {
		return err
	}
	return nil
}

// Backup writes a backup of the box to w whose data folder this is, whether a gateway runs
// there or not. small leaves queued messages out. version is that of this program.
func Backup(ctx context.Context, data, version string, w io.Writer, small bool, log *slog.Logger) error {
	if _, err := os.Stat(backup.StoreFolder(data)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store in %s: say with --data where it is", data)
	}
	path := filepath.Join(data, controlSocket)
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://lintel/backup?small=%t", small), nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL) {
		return backupStopped(ctx, data, version, w, small, log) // nothing runs there, or without a socket
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s is not for this user: run this command as the user that runs lintel, or as root", path)
	}
	if err != nil {
		return fmt.Errorf("the running lintel made no backup: %w: see its log", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the running lintel made no backup: %s: is it of another version than this command?", response.Status)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("the backup is cut: %w: see the log of the running lintel, and whether the disk is full", err)
	}
	return nil
}

// backupStopped writes a backup of a box that does not run.
func backupStopped(ctx context.Context, data, version string, w io.Writer, small bool, log *slog.Logger) error {
	box, err := identify(Options{Data: data, Version: version})
	if err != nil {
		return err
	}
	store, err := openStore(data, nil, nil, log)
	if err != nil {
		return err
	}
	return errors.Join(backup.Write(ctx, w, data, store, manifest(box, small)), store.Close())
}
