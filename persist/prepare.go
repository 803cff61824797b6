package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// lockFolder takes the lock of the store for this process, creating the folder
// if need be. Badger would lock the same folder in the same way, but later than
// prepareFolder needs it, in many lines, and with a file that a full disk has no
// room for.
func lockFolder(dir string) (*os.File, error) {
	_, err := os.Stat(dir)
	created := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); errors.Is(err, syscall.EROFS) {
		return nil, notWritable(dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("persist: data folder %s cannot be created: %w: choose another folder or give this user the right to write there", dir, cause(err))
	}
	if created {
		// Without this a power cut may take the whole folder back.
		if err := SyncFolder(filepath.Dir(filepath.Clean(dir))); err != nil {
			return nil, fmt.Errorf("persist: data folder %s: %w", dir, err)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("persist: data folder %s cannot be read: %w: choose another folder or give this user the right to it", dir, cause(err))
	}
	// A lock outlives its owner for a moment where a child process was started
	// that has not got to its exec yet, or where the owner is just ending.
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for try := 0; errors.Is(err, syscall.EWOULDBLOCK) && try < 20; try++ {
		time.Sleep(50 * time.Millisecond)
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("persist: data folder %s is in use: is another lintel running on it? Stop that one or choose another folder", dir)
		}
		return nil, fmt.Errorf("persist: data folder %s cannot be locked: %w", dir, err)
	}
	// It may have been put aside, or replaced, while we waited for the lock.
	if ours, err := d.Stat(); err == nil {
		if now, err := os.Stat(dir); err != nil || !os.SameFile(ours, now) {
			d.Close()
			return nil, fmt.Errorf("persist: data folder %s was renamed just now: start again", dir)
		}
	}
	return d, nil
}

// notWritable is the error of a folder that no file can be written to.
func notWritable(dir string, err error) error {
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("persist: data folder %s cannot be written: its file system is read-only: if it was not mounted so, the card or disk is worn out or damaged: replace it", dir)
	}
	return fmt.Errorf("persist: data folder %s cannot be written: %w: choose another folder or give this user the right to write there", dir, cause(err))
}

// cause leaves out the path that is said already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// SyncFolder makes sure that the names of the files in a folder are on the disk.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// prepareFolder puts right what would keep Badger from opening and refuses what
// Badger would answer by deleting data. It reports whether there is a store.
func prepareFolder(dir string) (used bool, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("persist: data folder %s: %w", dir, err)
	}
	// Nothing is encrypted: this file says nothing, but a damaged one would keep
	// Badger from opening. It makes a new one.
	if err := os.Remove(filepath.Join(dir, badger.KeyRegistryFileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("persist: data folder %s: %w", dir, cause(err))
	}
	tables := 0
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".sst" {
			tables++
		}
	}
	logs, err := removeEmptyLogs(dir)
	if err != nil {
		return false, err
	}

	manifest, err := os.Open(filepath.Join(dir, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		if tables > 0 {
			return true, &damage{fmt.Sprintf("%d tables but no MANIFEST, and opening would delete them", tables)}
		}
		return logs > 0, nil
	}
	if err != nil {
		return false, fmt.Errorf("persist: data folder %s: %w", dir, err)
	}
	defer manifest.Close()
	// "Bdgr", external magic, Badger's own version. Whatever else is wrong with
	// the file is for Badger to say.
	var head [8]byte
	if _, err := io.ReadFull(manifest, head[:]); err == nil && string(head[:4]) == "Bdgr" {
		return true, checkSchema(dir, uint64(binary.BigEndian.Uint16(head[4:6])))
	}
	return true, nil
}

// removeEmptyLogs removes logs of no length and returns how many others there are. A power
// cut, or the end of a process, between creating or truncating a log and the next step
// leaves it empty. Badger does not open then (issue 2207), and nothing that was acknowledged
// is ever in it.
func removeEmptyLogs(dir string) (logs int, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("persist: data folder %s: %w", dir, err)
	}
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := f.Info()
		if err != nil {
			return 0, fmt.Errorf("persist: data folder %s: %w", dir, err)
		}
		if !info.Mode().IsRegular() || info.Size() > 0 {
			logs++
		} else if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return 0, fmt.Errorf("persist: removing an empty log: %w", err)
		}
	}
	return logs, nil
}

func checkSchema(dir string, found uint64) error {
	switch {
	case found > schema:
		return fmt.Errorf("persist: data folder %s was written by a newer lintel (store format %d, this one knows %d): install the newer version again or choose another folder", dir, found, schema)
	case found < schema:
		return fmt.Errorf("persist: data folder %s does not hold a store of lintel (store format %d, this one knows %d): choose another folder", dir, found, schema)
	}
	return nil
}

// CheckFree says who is in the way of somebody who wants to replace the folder of a store:
// an error if it is open, nil also if there is none.
func CheckFree(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	return lock.Close()
}
