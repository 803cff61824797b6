package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// limit counts how often guard has restarted the machine, on the card: it is not to do
// that for ever. Not by the clock, which may be wrong: by how long the machine ran in between.
type limit struct {
	file string
	most int
}

func newLimit(data string, most int) limit {
	return limit{filepath.Join(data, "update", "restarts-by-guard"), most}
}

// count returns how often it was. What cannot be read is as often as may be.
func (l limit) count() int {
	text, err := os.ReadFile(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	n, nerr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || nerr != nil || n < 0 {
		return l.most
	}
	return n
}

// take counts one more restart, before it is done. Where that cannot be kept, none may be.
func (l limit) take() error {
	n := l.count()
	if n >= l.most {
		return errors.New("the machine was restarted often enough")
	}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
		return err
	}
	f, err := os.Create(l.file)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(n + 1))
	return errors.Join(err, f.Sync(), f.Close())
}

// forget starts counting anew.
func (l limit) forget() {
	if _, err := os.Stat(l.file); err == nil {
		os.Remove(l.file)
	}
}
