package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// VerifyBackup reads a backup from its first byte to its last and tells what is
// in it. passphrase may be empty. The error names the first record that is bad.
func VerifyBackup(r io.Reader, passphrase string) (Manifest, error) {
	b, err := openBackup(r, passphrase)
	if err != nil {
		return Manifest{}, fmt.Errorf("persist: %w", err)
	}
	for {
		if _, _, err := b.next(); errors.Is(err, io.EOF) {
			return b.manifest, nil
		} else if err != nil {
			return Manifest{}, fmt.Errorf("persist: %w", err)
		}
	}
}

// Restore makes a backup the store in the folder dir. The store that was there is
// kept beside it, as DIR-before-restore, in place of one that was kept so before.
// passphrase may be empty. Its errors are single lines that say what to do.
//
// The backup is read whole, checked, and written to the disk as DIR-restoring
// before anything else happens: a backup that is refused, or a power cut, leaves
// what was there. Then the folders change their names in one step.
//
// # What it means
//
// Sessions, subscriptions, retained messages and queues are those of the time of
// the backup. So messages come again that were delivered after it, also those of
// QoS 2, and messages are missing that came after it. Incoming QoS 2 packet ids
// are not restored: a client that has used such an id again since would have its
// new message taken for the old one and lose it. Rather, a message that was half
// handed over at the time of the backup may come twice.
func Restore(r io.Reader, dir, passphrase string) (Manifest, error) {
	return new(restoration).run(r, filepath.Clean(dir), passphrase)
}

// restoration is one Restore.
type restoration struct {
	reached func(step string) // for tests: called after each step; may be nil
}

func (r *restoration) step(name string) {
	if r.reached != nil {
		r.reached(name)
	}
}

func (r *restoration) run(from io.Reader, dir, passphrase string) (Manifest, error) {
	var none Manifest
	_, err := os.Stat(dir)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return none, fmt.Errorf("persist: data folder %s: %w", dir, cause(err))
	}
	if exists {
		lock, err := lockFolder(dir)
		if err != nil {
			return none, err
		}
		defer lock.Close()
	}
	// The backup may be foreign, or have no passphrase: look before anything is made.
	b, err := openBackup(from, passphrase)
	if err != nil {
		return none, fmt.Errorf("persist: %w", err)
	}
	fresh := dir + "-restoring"
	lock, err := lockFolder(fresh)
	if err != nil {
		return none, err
	}
	defer lock.Close()
	if err := r.load(b, fresh); err != nil {
		os.RemoveAll(fresh)
		return none, fmt.Errorf("persist: %w", err)
	}
	r.step("written")
	if err := r.swap(fresh, dir, exists); err != nil {
		return none, fmt.Errorf("persist: data folder %s: %w", dir, err)
	}
	return b.manifest, nil
}

// load writes the records of a backup into an empty folder, onto the disk.
func (r *restoration) load(b *backupReader, dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*")) // of a restore that was interrupted
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	r.step("cleared")
	// Nothing relies on single transactions here: all is synced at the end.
	db, err := badger.Open(badgerOptions(dir, defaultMemTableSize).WithSyncWrites(false).WithLogger(nil))
	if err != nil {
		return errors.New(oneLine(err))
	}
	if err := r.copyRecords(b, db); err != nil {
		db.Close()
		return err
	}
	if err := db.Close(); err != nil {
		return errors.New(oneLine(err))
	}
	r.step("closed")
	if err := firstAnchor(dir); err != nil {
		return err
	}
	return syncFiles(dir)
}

func (r *restoration) copyRecords(b *backupReader, db *badger.DB) error {
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	for {
		key, value, err := b.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if key[0] == prefixIncoming {
			continue // see Restore
		}
		if err := batch.Set(append([]byte(nil), key...), append([]byte(nil), value...)); err != nil {
			return errors.New(oneLine(err))
		}
		r.step("record")
	}
	if err := batch.Flush(); err != nil {
		return errors.New(oneLine(err))
	}
	return nil
}

// syncFiles makes sure that all files of a folder are on the disk.
func syncFiles(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := os.Open(filepath.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
	}
	return SyncFolder(dir)
}

// swap puts the fresh folder in the place of dir. After each step either the one
// or the other stands there whole.
func (r *restoration) swap(fresh, dir string, exists bool) error {
	parent := filepath.Dir(dir)
	if !exists {
		if err := os.Rename(fresh, dir); err != nil {
			return err
		}
		r.step("renamed")
		return SyncFolder(parent)
	}
	before := dir + "-before-restore"
	if err := os.RemoveAll(before); err != nil {
		return err
	}
	r.step("earlier one removed")
	if err := exchange(fresh, dir); err != nil {
		return fmt.Errorf("%w: the backup cannot take the place of what is there in one step: move the folder away and restore again", err)
	}
	r.step("exchanged")
	if err := SyncFolder(parent); err != nil {
		return err
	}
	r.step("exchange on disk")
	if err := os.Rename(fresh, before); err != nil {
		return fmt.Errorf("the backup is restored, but what was there is now in %s: %w", fresh, err)
	}
	r.step("kept")
	return SyncFolder(parent)
}
