package gateway

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"lintel/gateway/dashboard"
	"lintel/persist"
)

// backups are backups of the box for its page, while it runs.
type backups struct{ g *gateway }

func (b backups) Last() time.Time { return b.g.store.LastBackup() }

func (b backups) Write(ctx context.Context, w io.Writer, passphrase string, small bool) error {
	m := boxManifest(b.g.box, small)
	if passphrase == "" {
		return writeBox(ctx, w, b.g.o.Data, b.g.store, m)
	}
	sealed, err := persist.EncryptBackup(w, passphrase)
	if err != nil {
		return err
	}
	if err := writeBox(ctx, sealed, b.g.o.Data, b.g.store, m); err != nil {
		return err
	}
	return sealed.Close()
}

// Restore lays the backup down and asks for a restart, at which FinishRestore moves it
// into place.
func (b backups) Restore(ctx context.Context, r io.Reader, passphrase string) (string, error) {
	plain, err := persist.DecryptBackup(untilDone{ctx, r}, passphrase)
	if err != nil {
		return "", fmt.Errorf("%w: %s", dashboard.ErrBackupRefused, strings.TrimPrefix(err.Error(), "persist: "))
	}
	m, err := StageRestore(b.g.o.Data, plain)
	if err != nil {
		return "", fmt.Errorf("%w: %s", dashboard.ErrBackupRefused, strings.TrimPrefix(err.Error(), "restore: "))
	}
	b.g.restartSoon()
	return m.String(), nil
}

// untilDone is a reader that ends with its context: a restore in a box that stops is over.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(b)
}

// restartDelay is for the answer to reach the browser.
const restartDelay = time.Second

// restartSoon is restart when there was time to say so.
func (g *gateway) restartSoon() { time.AfterFunc(restartDelay, g.restart) }

// restart has Run end with ErrRestart.
func (g *gateway) restart() {
	select {
	case g.restarts <- struct{}{}:
	default: // it was asked for already
	}
}

// awaitRestart is the module that ends the house when somebody has asked for a restart.
func (g *gateway) awaitRestart(ctx context.Context) error {
	select {
	case <-g.restarts:
		return ErrRestart
	case <-ctx.Done():
		return nil
	}
}
