package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A store that cannot be used any more is put aside, and another one takes its
// place. These folders lie beside that of the store:
//
//	NAME-quarantine-TIME  what was put aside; the file "why" in it says when, why and what came instead
//	NAME-recovery         empty; locked by who makes the new store
//	NAME-restored         the new store while it is made
//
// The power may fail at any step: until the old folder has its new name nothing
// has happened, and from then on, until the new one has its name, there is no
// folder NAME beside a quarantine, which the next start takes as the order to make
// the new one.
const (
	quarantineSuffix = "-quarantine-"
	recoverySuffix   = "-recovery"
	restoredSuffix   = "-restored"
	whyName          = "why"
	maxWhy           = 4 << 10
)

// damage is an error that quarantine is the answer to.
type damage struct{ reason string }

func (d *damage) Error() string { return d.reason }

// quarantines returns the folders that were put aside for the store in dir.
func quarantines(dir string) []string {
	dir = filepath.Clean(dir)
	entries, _ := os.ReadDir(filepath.Dir(dir)) // if that is not there, nor is a quarantine
	var folders []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), filepath.Base(dir)+quarantineSuffix) {
			folders = append(folders, filepath.Join(filepath.Dir(dir), e.Name()))
		}
	}
	slices.Sort(folders)
	return folders
}

// newestQuarantine returns an empty text if there is none.
func newestQuarantine(dir string) string {
	folders := quarantines(dir)
	if len(folders) == 0 {
		return ""
	}
	return folders[len(folders)-1]
}

// putAside gives the folder of the store another name. Of earlier quarantines none
// is kept: a card has room for one.
func putAside(dir, reason string, now time.Time) error {
	dir = filepath.Clean(dir)
	for _, folder := range quarantines(dir) {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	// A card that does not take this does not keep us from going on.
	writeWhy(dir, &Quarantine{Time: now, Reason: reason})
	if err := os.Rename(dir, dir+quarantineSuffix+now.UTC().Format("20060102T150405Z")); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(dir))
}

// replace makes the new store, if that was begun and did not come to its end: there
// is none, but a quarantine. It returns nil if there is nothing to do.
func replace(dir string, o *Options) (*Quarantine, error) {
	dir = filepath.Clean(dir)
	begun := func() string {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		return newestQuarantine(dir)
	}
	folder := begun()
	if folder == "" {
		return nil, nil
	}
	lock, err := lockFolder(dir + recoverySuffix)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	defer os.Remove(dir + recoverySuffix)
	if begun() != folder {
		return nil, nil // somebody else was faster
	}
	q := readWhy(folder)
	restored := dir + restoredSuffix
	if err := os.RemoveAll(restored); err != nil {
		return nil, err
	}
	if o.Restore != nil {
		q.Restored, err = o.Restore(restored)
		if err != nil {
			o.Logger.Error("backup not restored", "err", err)
			q.Restored = ""
			if err := os.RemoveAll(restored); err != nil {
				return nil, err
			}
		}
	}
	if err := os.MkdirAll(restored, 0o700); err != nil {
		return nil, err
	}
	if err := firstAnchor(restored); err != nil {
		return nil, err
	}
	if err := SyncFolder(restored); err != nil {
		return nil, err
	}
	writeWhy(folder, q)
	if err := os.Rename(restored, dir); err != nil {
		return nil, err
	}
	q.Now = true
	return q, SyncFolder(filepath.Dir(dir))
}

// writeWhy writes down what the report of a quarantine says, one line each.
func writeWhy(folder string, q *Quarantine) error {
	f, err := os.Create(filepath.Join(folder, whyName))
	if err != nil {
		return err
	}
	defer f.Close()
	line := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if _, err := fmt.Fprintf(f, "%s\n%s\n%s\n", q.Time.UTC().Format(time.RFC3339), line(q.Reason), line(q.Restored)); err != nil {
		return err
	}
	return f.Sync()
}

// readWhy never fails: what is not there is not known.
func readWhy(folder string) *Quarantine {
	q := &Quarantine{Folder: folder, Reason: "for an unknown reason"}
	f, err := os.Open(filepath.Join(folder, whyName))
	if err != nil {
		return q
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxWhy))
	lines := append(strings.Split(string(text), "\n"), "", "", "")
	q.Time, _ = time.Parse(time.RFC3339, lines[0])
	if lines[1] != "" {
		q.Reason = lines[1]
	}
	q.Restored = lines[2]
	return q
}
