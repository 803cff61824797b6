package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/google/renameio/v2"

	"lintel/persist"
)

// Change has change change what the configuration file called name says, or would say
// if there were one. Tables that stay the same stay as they are in the file, with their
// comments; of the others the keys are written that are not as by default. What was there
// before is kept beside it, see keepVersion; by says who has changed it. What is wrong with the
// new configuration, or with the file, is an error, and nothing is written.
func Change(name, by string, change func(*Config)) error {
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read configuration: %w", err)
	}
	text, err := changedConfig(name, string(old), change)
	if err != nil || text == string(old) {
		return err
	}
	return writeConfig(name, string(old), text, by)
}

// writeConfig writes a configuration file, and keeps what it was before.
func writeConfig(name, old, text, by string) error {
	if err := keepVersion(name, old, by); err != nil {
		return fmt.Errorf("keep the configuration as it was: %w", err)
	}
	if err := renameio.WriteFile(name, []byte(text), 0o600); err != nil { // there may be passwords in it
		return fmt.Errorf("write configuration: %w", err)
	}
	return persist.SyncFolder(filepath.Dir(name))
}

// changedConfig returns the text of a configuration file with a change made.
func changedConfig(name, text string, change func(*Config)) (string, error) {
	before, err := Parse(name, text)
	if err != nil {
		return "", err
	}
	want, err := Parse(name, text) // of its own: change may write into lists and maps
	if err != nil {
		return "", err
	}
	change(&want)
	if err := want.Validate(); err != nil {
		return "", err
	}
	was, is, usual := tree(before), tree(want), tree(Default())
	for f := range reflect.TypeFor[Config]().Fields() {
		key := f.Tag.Get("toml")
		if reflect.DeepEqual(was[key], is[key]) {
			continue
		}
		text = withoutTable(text, key)
		rest := unusual(is[key], usual[key])
		if rest == nil {
			continue
		}
		if text = strings.TrimRight(text, "\n"); text != "" {
			text += "\n\n"
		}
		text += encodeTOML(map[string]any{key: rest})
	}
	// Lines are all that withoutTable understands: a file may be written in other ways.
	if got, err := Parse(name, text); err != nil || !reflect.DeepEqual(tree(got), is) || len(text) > maxConfigFile {
		return "", fmt.Errorf("%s is written in a way that only a person can change: change it there", name)
	}
	return text, nil
}

// withoutTable takes the lines of a table, and of those in it, out of a file.
func withoutTable(text, table string) string {
	var b strings.Builder
	within := false
	for line := range strings.Lines(text) {
		l := strings.TrimSpace(line)
		key, isKey := "", false
		if header, ok := strings.CutPrefix(l, "["); ok {
			name, _, _ := strings.Cut(strings.TrimPrefix(header, "["), "]")
			within = topOf(plainKey(name)) == table
		} else if name, _, ok := strings.Cut(l, "="); ok && !within {
			key = topOf(plainKey(name))
			isKey = b.Len() == 0 || !strings.Contains("\n"+b.String(), "\n[") // before the first table
		}
		if !within && !(isKey && key == table) {
			b.WriteString(line)
		}
	}
	return b.String()
}
