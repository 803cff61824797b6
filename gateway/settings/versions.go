package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"lintel/persist"
)

// # Earlier versions of the configuration file
//
// Beside lintel.toml is a folder lintel.toml.versions. Before the program writes the file it
// puts it there as it is, as 000001.toml and so on, behind a line that says until when it
// was in force, by the clock of the box, and who has changed it then:
//
//	# lintel: {"until":"2026-11-23T02:20:00Z","by":"admin"}
//
// An empty file stands for none: everything was as by default.

const (
	maxVersions   = 20
	versionHeader = "# lintel: "
	versionSuffix = ".toml"
)

// configVersion is an earlier version of a configuration file.
type configVersion struct {
	Number int       `json:"-"` // counts up
	Until  time.Time `json:"until"`
	By     string    `json:"by"` // who has changed it then
	Text   string    `json:"-"`
}

func versionsFolder(name string) string { return name + ".versions" }

func versionFile(name string, number int) string {
	return filepath.Join(versionsFolder(name), fmt.Sprintf("%06d%s", number, versionSuffix))
}

// versionNumbers returns the versions that there are, the newest first.
func versionNumbers(name string) ([]int, error) {
	entries, err := os.ReadDir(versionsFolder(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), versionSuffix)
		if n, err := strconv.Atoi(text); ok && err == nil && n > 0 && len(text) == 6 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	return numbers, nil
}

// keepVersion keeps what a configuration file was, and lets go of what is too old.
func keepVersion(name, text, by string) error {
	numbers, err := versionNumbers(name)
	if err != nil {
		return err
	}
	number := 1
	if len(numbers) > 0 {
		number = numbers[0] + 1
	}
	if err := os.MkdirAll(versionsFolder(name), 0o700); err != nil {
		return err
	}
	header, err := json.Marshal(configVersion{Until: time.Now().UTC().Truncate(time.Second), By: by})
	if err != nil {
		return err
	}
	whole := versionHeader + string(header) + "\n" + text
	if err := renameio.WriteFile(versionFile(name, number), []byte(whole), 0o600); err != nil { // there may be passwords in it
		return err
	}
	for _, old := range numbers[min(len(numbers), maxVersions-1):] {
		if err := os.Remove(versionFile(name, old)); err != nil {
			return err
		}
	}
	return persist.SyncFolder(versionsFolder(name))
}

// readVersion reads a version. There is none of a number that matches [fs.ErrNotExist].
func readVersion(name string, number int) (configVersion, error) {
	f, err := os.Open(versionFile(name, number))
	if err != nil {
		return configVersion{}, err
	}
	defer f.Close()
	whole, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1<<10))
	if err != nil {
		return configVersion{}, err
	}
	v := configVersion{Number: number, Text: string(whole)}
	if header, text, ok := bytes.Cut(whole, []byte("\n")); ok && bytes.HasPrefix(header, []byte(versionHeader)) &&
		json.Unmarshal(header[len(versionHeader):], &v) == nil {
		v.Text = string(text)
	}
	return v, nil
}

// readVersions reads all versions, the newest first.
func readVersions(name string) ([]configVersion, error) {
	numbers, err := versionNumbers(name)
	if err != nil {
		return nil, err
	}
	var all []configVersion
	for _, n := range numbers {
		v, err := readVersion(name, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
