package persist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refused opens a store that must not open and checks that it says why in one
// line that holds all words.
func refused(t *testing.T, dir string, words ...string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err == nil {
		s.Close()
		t.Fatal("opened")
	}
	for _, w := range append(words, dir) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}

func TestEmptyLogsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	commit(t, s, putRetained("r"))
	closeStore(t, s)
	empty := []string{"00000.mem", "00099.mem", "000099.vlog"}
	for _, name := range empty {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, Options{})
	if n := len(load(t, s).Retained); n != 1 {
		t.Errorf("%d retained messages", n)
	}
	for _, name := range empty[1:] {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

// Badger would delete the tables.
func TestTablesWithoutManifest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, Options{})
	commit(t, s, putRetained("r"))
	closeStore(t, s)
	if err := os.Remove(filepath.Join(dir, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	q := open(t, dir, Options{}).Report().Quarantine
	if q == nil || !strings.Contains(q.Reason, "no MANIFEST") {
		t.Fatalf("put aside: %+v", q)
	}
	if tables, _ := filepath.Glob(filepath.Join(q.Folder, "*.sst")); len(tables) == 0 {
		t.Error("the tables are gone")
	}
}

func TestDamagedManifest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	closeStore(t, open(t, dir, Options{}))
	if err := os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("not a manifest"), 0o600); err != nil {
		t.Fatal(err)
	}
	if q := open(t, dir, Options{}).Report().Quarantine; q == nil || !q.Now {
		t.Errorf("put aside: %+v", q)
	}
}

func TestOtherSchema(t *testing.T) {
	for _, c := range []struct {
		magic byte
		words []string
	}{
		{schema + 1, []string{"newer lintel", "format 2", "install"}},
		{schema - 1, []string{"does not hold a store of lintel"}},
	} {
		dir := t.TempDir()
		closeStore(t, open(t, dir, Options{}))
		name := filepath.Join(dir, "MANIFEST")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[5] = c.magic
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, c.words...)
	}

	// The meta record says it too.
	dir := t.TempDir()
	s := open(t, dir, Options{})
	key := []byte{prefixMeta}
	put(t, s, key, seal(key, appendMeta(nil, &meta{Schema: schema + 1})))
	closeStore(t, s)
	refused(t, dir, "newer lintel", "format 2")
}

func TestLockedFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	refused(t, dir, "is another lintel running on it?")
	commit(t, s, putRetained("r")) // and nothing happened to the first one
	closeStore(t, s)
	open(t, dir, Options{})
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, file, "cannot be created")
	refused(t, filepath.Join(file, "data"), "cannot be created")
}

func TestFolderIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	open(t, dir, Options{})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("others may read the folder: %v", mode)
	}
}
