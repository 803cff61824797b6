package persist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	ownBackupInterval = time.Hour

	// firstOwnBackup is when the first one after a start is made: a box that is
	// switched off every evening gets its backup, one that crashes all the time
	// does not wear its card with them.
	firstOwnBackup = 5 * time.Minute

	// ownBackupSpare is how much of the disk a backup leaves free.
	ownBackupSpare = 64 << 20
)

// ownBackups returns the names of a store's own backups, which take turns, and
// the number of the newer one. What is not there, or not readable, is the older.
func ownBackups(dir string) (newer, older string, number uint64) {
	dir = filepath.Clean(dir)
	a, b := dir+"-backup-a", dir+"-backup-b"
	numberA, numberB := numberOf(a), numberOf(b)
	if numberA > numberB {
		return a, b, numberA
	}
	return b, a, numberB
}

func numberOf(name string) uint64 { return beginningOf(name).Number }

// beginningOf reads the beginning of a backup.
func beginningOf(name string) Manifest {
	f, err := os.Open(name)
	if err != nil {
		return Manifest{}
	}
	defer f.Close()
	b, err := openBackup(f, "")
	if err != nil {
		return Manifest{}
	}
	return b.manifest
}

// KeepBackups makes a small backup every hour, if anything has changed, until ctx
// ends; it then returns nil. The backups are DIR-backup-a and DIR-backup-b beside
// the folder, in turn, so that one of them is sound whenever the power fails. A
// backup that cannot be made is logged and tried again an hour later.
func (s *Store) KeepBackups(ctx context.Context) error {
	s.keepBackups(ctx, s.BackUpNow)
	return nil
}

func (s *Store) keepBackups(ctx context.Context, make func(context.Context) error) {
	timer := time.NewTimer(firstOwnBackup) // monotonic: a clock that jumps changes nothing
	defer timer.Stop()
	var groups uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if now := s.Stats().Groups; now != groups {
			if err := make(ctx); err == nil {
				groups = now
			} else if ctx.Err() == nil {
				s.log.Warn("own backup not made", "err", err)
			}
		}
		timer.Reset(ownBackupInterval)
	}
}

// BackUpNow makes a backup as KeepBackups does, which goes on doing so. It waits for one
// that is being made.
func (s *Store) BackUpNow(ctx context.Context) error {
	s.ownBackups.Lock()
	defer s.ownBackups.Unlock()
	_, older, number := ownBackups(s.dir.Name())
	fresh := filepath.Clean(s.dir.Name()) + "-backup-new"
	n, err := s.writeOwnBackup(ctx, fresh, number+1)
	s.mu.Lock()
	s.stats.BackupBytes += uint64(n)
	s.mu.Unlock()
	if err == nil {
		err = os.Rename(fresh, older)
	}
	if err != nil {
		os.Remove(fresh)
		return err
	}
	return SyncFolder(filepath.Dir(older))
}

// LastBackup returns when the newer one of the own backups was made, by the clock of that
// time; zero: there is none. It reads the beginnings of the files.
func (s *Store) LastBackup() time.Time {
	newer, _, _ := ownBackups(s.dir.Name())
	return beginningOf(newer).Time
}

// writeOwnBackup writes a small backup to the disk and tells how many bytes.
func (s *Store) writeOwnBackup(ctx context.Context, name string, number uint64) (int64, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := &spareWriter{f: f}
	if _, err := s.backup(ctx, w, true, number); err != nil {
		return w.written, err
	}
	return w.written, f.Sync()
}

// spareWriter writes to a file as long as enough of the disk is free for the
// store: a full disk would be the end of that.
type spareWriter struct {
	f       *os.File
	written int64
	checked int64 // what was written when the room was looked at
}

func (w *spareWriter) Write(p []byte) (int, error) {
	if w.written == 0 || w.written-w.checked >= 1<<20 {
		w.checked = w.written
		var disk syscall.Statfs_t
		if err := syscall.Fstatfs(int(w.f.Fd()), &disk); err != nil {
			return 0, err
		}
		if free := uint64(disk.Bavail) * uint64(disk.Bsize); free < ownBackupSpare {
			return 0, fmt.Errorf("only %d MB of the disk are free: make room", free/1_000_000)
		}
	}
	n, err := w.f.Write(p)
	w.written += int64(n)
	return n, err
}

// RestoreNewest restores the newer one of the own backups of the store in the
// folder dir into the folder into, or the other one if that is not sound, and says
// which. Without any it says nothing. See Restore for what it means.
func RestoreNewest(dir, into string) (what string, err error) {
	newer, older, _ := ownBackups(dir)
	var refused []error
	for _, name := range []string{newer, older} {
		f, err := os.Open(name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				refused = append(refused, err)
			}
			continue
		}
		m, err := Restore(f, into, "")
		f.Close()
		if err == nil {
			return fmt.Sprintf("%s of %s with %v", name, m.Time.Format(time.RFC3339), m), nil
		}
		refused = append(refused, fmt.Errorf("%s: %w", name, err))
	}
	if refused == nil {
		return "", nil
	}
	return "", errors.New(oneLine(errors.Join(refused...)))
}
