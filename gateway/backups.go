package gateway

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"lintel/gateway/backup"
	"lintel/gateway/dashboard"
	"lintel/gateway/homeassistant"
	"lintel/gateway/settings"
	"lintel/persist"
)

// backups are backups of the box for its page, while it runs.
type backups struct{ g *gateway }

func (b backups) Last() time.Time { return b.g.store.LastBackup() }

func (b backups) Write(ctx context.Context, w io.Writer, passphrase string, small bool) error {
	m := manifest(b.g.box, small)
	if passphrase == "" {
		return backup.Write(ctx, w, b.g.o.Data, b.g.store, m)
	}
	sealed, err := persist.EncryptBackup(w, passphrase)
	if err != nil {
		return err
	}
	if err := backup.Write(ctx, sealed, b.g.o.Data, b.g.store, m); err != nil {
		return err
	}
	return sealed.Close()
}

// Restore lays the backup down and asks for a restart, at which [backup.Finish] moves it
// into place.
func (b backups) Restore(ctx context.Context, r io.Reader, passphrase string) (string, error) {
	plain, err := persist.DecryptBackup(untilDone{ctx, r}, passphrase)
	if err != nil {
		return "", fmt.Errorf("%w: %s", dashboard.ErrBackupRefused, strings.TrimPrefix(err.Error(), "persist: "))
	}
	m, err := backup.Stage(b.g.o.Data, plain, settings.CheckFile)
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

// manifest says what a backup that is made now is to say of its box.
func manifest(box homeassistant.Box, small bool) backup.Manifest {
	return backup.Manifest{Box: box.ID, Name: box.Name, Model: box.Model, Version: box.Version, Time: time.Now(), Small: small}
}
