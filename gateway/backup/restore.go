package backup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lintel/persist"
)

// A restore has two halves. The first makes a folder of all that is in the backup and
// touches nothing else: it may fail, be cut off, or be done while lintel runs. When the
// folder is whole and on the disk it gets the name restored, and from then on the restore
// will happen. The second half, before the next start, moves what is there to
// before-restore and what is in restored into its place; it goes on where a power cut has
// stopped it, since what is still in restored is what has not been moved yet.
const (
	restoring = "restoring"      // being filled
	restored  = "restored"       // whole: takes the place of what is there at the next start
	Before    = "before-restore" // what was there

	// movedAway, in restored, says that what was there is in before-restore.
	movedAway = "moved-away"
)

// Restore puts a backup of a box, which [persist.DecryptBackup] has decrypted, in the
// place of what is in a data folder in which no gateway runs. before is where that is now;
// empty: there was nothing. check is that of [Stage].
func Restore(data string, plain io.Reader, check func(name string, content []byte) error) (m Manifest, before string, err error) {
	if err := persist.CheckFree(StoreFolder(data)); err != nil {
		return m, "", err
	}
	if m, err = Stage(data, plain, check); err != nil {
		return m, "", err
	}
	before, err = Finish(data)
	return m, before, err
}

// Stage reads a backup of a box, which [persist.DecryptBackup] has decrypted, checks
// it whole, and lays it down in the data folder for [Finish]. What the box has
// stays as it is. check says why the box would not start with a file. Errors say what to do.
func Stage(data string, plain io.Reader, check func(name string, content []byte) error) (Manifest, error) {
	m, err := stage(data, plain, check)
	if err != nil {
		return Manifest{}, fmt.Errorf("restore: %w", err)
	}
	return m, nil
}

func stage(data string, plain io.Reader, check func(string, []byte) error) (Manifest, error) {
	b, err := open(plain)
	if err != nil {
		return Manifest{}, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return Manifest{}, err
	}
	fresh := filepath.Join(data, restoring)
	if err := os.RemoveAll(fresh); err != nil {
		return Manifest{}, err
	}
	if err := b.unpack(fresh, check); err != nil {
		os.RemoveAll(fresh)
		return Manifest{}, err
	}
	// One that waited already is replaced, unless it is half done.
	whole := filepath.Join(data, restored)
	if exists(filepath.Join(whole, movedAway)) {
		os.RemoveAll(fresh)
		return Manifest{}, errors.New("another restore is half done: start lintel, which will end it, and restore again")
	}
	if err := os.RemoveAll(whole); err != nil {
		return Manifest{}, err
	}
	if err := os.Rename(fresh, whole); err != nil {
		return Manifest{}, err
	}
	return b.manifest, persist.SyncFolder(data)
}

// unpack writes what is in the backup into a new folder, onto the disk.
func (b *reader) unpack(folder string, check func(string, []byte) error) error {
	files := filepath.Join(folder, "files")
	if err := os.MkdirAll(files, 0o700); err != nil {
		return err
	}
	for _, f := range b.manifest.Files {
		content, err := b.file(f)
		if err != nil {
			return err
		}
		if err := check(f.Name, content); err != nil {
			return fmt.Errorf("this lintel would not start with what is in the backup: %w: update lintel to the version %s first", err, b.manifest.Version)
		}
		if err := writeSynced(filepath.Join(files, filepath.FromSlash(f.Name)), content); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(files, IDFile), []byte(b.manifest.Box+"\n")); err != nil {
		return err
	}
	store := b.store()
	if _, err := persist.Restore(store, filepath.Join(folder, "store"), ""); err != nil {
		return err
	}
	// The store's backup knows where it ends. The archive has to end there too.
	if n, err := io.Copy(io.Discard, store); err != nil {
		return err
	} else if n > 0 {
		return damaged("%d bytes follow the store's end", n)
	}
	return syncTree(folder)
}

// Verify reads a backup of a box whole and says what is in it.
func Verify(r io.Reader, passphrase string) (Manifest, persist.Manifest, error) {
	plain, err := persist.DecryptBackup(r, passphrase)
	if err != nil {
		return Manifest{}, persist.Manifest{}, err
	}
	b, err := open(plain)
	if err != nil {
		return Manifest{}, persist.Manifest{}, err
	}
	for _, f := range b.manifest.Files {
		if _, err := b.file(f); err != nil {
			return Manifest{}, persist.Manifest{}, err
		}
	}
	store := b.store()
	m, err := persist.VerifyBackup(store, "")
	if err == nil {
		_, err = io.Copy(io.Discard, store)
	}
	return b.manifest, m, err
}

// Finish moves what [Stage] has laid down into its place. It is called
// before the configuration is read, and does nothing where no restore waits. before is
// where that is now which was there; empty: nothing was done.
func Finish(data string) (before string, err error) {
	return new(moving).run(data)
}

// moving is one Finish.
type moving struct {
	reached func(step string) error // for tests: called after each step; may be nil
}

func (m *moving) step(name string) error {
	if m.reached != nil {
		return m.reached(name)
	}
	return nil
}

func (m *moving) run(data string) (string, error) {
	whole := filepath.Join(data, restored)
	if !exists(whole) {
		return "", nil
	}
	if err := persist.CheckFree(StoreFolder(data)); err != nil {
		return "", err
	}
	before := filepath.Join(data, Before)
	if err := m.move(data, whole, before); err != nil {
		return "", fmt.Errorf("restore: %w: start lintel again, it goes on with the restore then", err)
	}
	if os.Remove(before) == nil { // it is empty: nothing was there
		before = ""
	}
	return before, nil
}

func (m *moving) move(data, whole, before string) error {
	marker := filepath.Join(whole, movedAway)
	if !exists(marker) {
		if err := m.away(data, before); err != nil {
			return err
		}
		if err := writeSynced(marker, nil); err != nil {
			return err
		}
		if err := m.step("marked"); err != nil {
			return err
		}
	}
	if store := filepath.Join(whole, "store"); exists(store) {
		if err := os.Rename(store, StoreFolder(data)); err != nil {
			return err
		}
	}
	if err := m.step("store"); err != nil {
		return err
	}
	files := filepath.Join(whole, "files")
	entries, err := os.ReadDir(files)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(files, e.Name()), filepath.Join(data, e.Name())); err != nil {
			return err
		}
		if err := m.step(e.Name()); err != nil {
			return err
		}
	}
	if err := persist.SyncFolder(data); err != nil {
		return err
	}
	if err := os.RemoveAll(files); err != nil {
		return err
	}
	if err := m.step("files"); err != nil {
		return err
	}
	// The marker goes last, with the folder: without it what is in place now would be
	// taken for what was there before.
	if err := os.Rename(whole, filepath.Join(data, restoring)); err != nil {
		return err
	}
	if err := persist.SyncFolder(data); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(data, restoring))
}

// away moves what is there to before. A second call goes on where the first was stopped:
// nothing of the backup is in place yet.
func (m *moving) away(data, before string) error {
	begun := filepath.Join(data, restored, "begun")
	if !exists(begun) {
		if err := os.RemoveAll(before); err != nil {
			return err
		}
		if err := writeSynced(begun, nil); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(before, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if own(name) && name != IDFile && name != "store" && !strings.HasPrefix(name, "store-") {
			continue
		}
		if !e.IsDir() && !e.Type().IsRegular() {
			continue
		}
		if err := os.Rename(filepath.Join(data, name), filepath.Join(before, name)); err != nil {
			return err
		}
		if err := m.step("away " + name); err != nil {
			return err
		}
	}
	if err := persist.SyncFolder(before); err != nil {
		return err
	}
	return persist.SyncFolder(data)
}

// RestoreStore puts a backup of a store alone, as the box makes them hourly, in the place
// of the store of a data folder, in which no gateway may run. It returns what is in it, and where the store is now that was
// there before; empty: there was none.
func RestoreStore(data string, backup io.Reader) (m persist.Manifest, before string, err error) {
	folder := StoreFolder(data)
	_, err = os.Stat(folder)
	if err == nil {
		before = folder + "-before-restore"
	}
	m, err = persist.Restore(backup, folder, "")
	return m, before, err
}

// IsBox reports whether a decrypted backup is of a box, and not of a store alone.
func IsBox(r *bufio.Reader) bool {
	first, _ := r.Peek(len(manifestName) + 1)
	return string(first) == manifestName+"\x00"
}

// writeSynced writes a file and its folders onto the disk.
func writeSynced(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close(), persist.SyncFolder(filepath.Dir(name)))
}

// syncTree makes sure that the names of all files below a folder are on the disk.
func syncTree(folder string) error {
	return filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return persist.SyncFolder(name)
	})
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
