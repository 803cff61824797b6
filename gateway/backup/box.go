package backup

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	format       = 1
	manifestName = "lintel-box.json"
	endName      = "end.json"
	filesFolder  = "files/"
	storeFolder  = "store/"

	pieceSize     = 1 << 20
	maxManifest   = 1 << 20
	maxFile       = 4 << 20  // bytes of one file
	maxFilesBytes = 32 << 20 // of all files
	maxFiles      = 1000
	maxDepth      = 4 // folders and name

	// IDFile, in the data folder, holds the id of the box if that is not the serial number of its board.
	IDFile = "box-id"
)

// StoreFolder is where the store of a data folder is.
func StoreFolder(data string) string { return filepath.Join(data, "store") }

// Manifest tells what is in a backup of a box.
type Manifest struct {
	Format  int       `json:"format"`
	Box     string    `json:"box"` // its id
	Name    string    `json:"name"`
	Model   string    `json:"model"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"`
	Small   bool      `json:"small"` // without queued messages
	Files   []File    `json:"files"`
}

// File is a file of the data folder.
type File struct {
	Name   string `json:"name"` // relative to the data folder, with slashes
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// String says which box it is and of when.
func (m Manifest) String() string {
	return fmt.Sprintf("%s, %s, version %s, of %s, %d files", m.Name, m.Model, m.Version, m.Time.UTC().Format("2006-01-02 15:04:05"), len(m.Files))
}

type ending struct {
	Manifest string `json:"manifest"` // SHA-256 of it
	Pieces   int    `json:"pieces"`
	Store    string `json:"store"` // SHA-256 of all pieces
}

// own reports whether an entry at the top of the data folder is no file of a person's
// or of the box's identity: stores, what works on them, sockets, what is made anew.
func own(name string) bool {
	for _, prefix := range []string{"store-", "simulated-", "lintel-preseed", "lintel-reset", "."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"store", "update", restoring, restored, Before, "control.sock", IDFile}, name)
}

// fileNames lists the files of a data folder that belong into a backup, sorted.
func fileNames(data string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(data, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(data, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case !strings.Contains(rel, "/") && own(rel):
		case e.IsDir() && strings.Count(rel, "/")+1 < maxDepth:
			return nil
		case e.Type().IsRegular():
			names = append(names, rel)
			if len(names) > maxFiles {
				return fmt.Errorf("there are more than %d files in %s: move out what is not lintel's", maxFiles, data)
			}
			return nil
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return names, err
}
