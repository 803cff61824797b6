package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel/persist"
)

// makeBox fills a data folder: files, an id, and a store that knows a word.
func makeBox(t testing.TB, data, word string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(data, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, words := openWords(t, data)
	if err := words.Put(t.Context(), "word", word); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func openWords(t testing.TB, data string) (*persist.Store, *persist.Bucket[string]) {
	t.Helper()
	store, err := persist.Open(StoreFolder(data), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	words, err := persist.NewBucket[string](store, "words")
	if err != nil {
		t.Fatal(err)
	}
	return store, words
}

// boxOf returns what a restored box consists of: its files, and the word of its store.
func boxOf(t testing.TB, data string) map[string]string {
	t.Helper()
	store, words := openWords(t, data)
	word, _ := words.Get("word")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	box := map[string]string{"the word of the store": word}
	names, err := fileNames(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, IDFile) {
		text, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		box[name] = string(text)
	}
	return box
}

var (
	oldBox = map[string]string{"lintel.toml": "[log]\nlevel = \"info\"\n", "roles.toml": "# all roles", "tls/ca.pem": "authority", IDFile: "oldbox\n"}
	newBox = map[string]string{"lintel.toml": "[log]\nlevel = \"warn\"\n", "mine.toml": "other", "tls/other.pem": "x", IDFile: "newbox\n"}
)

// backupOfBox returns a backup of a box that is made for it.
func backupOfBox(t testing.TB) []byte {
	t.Helper()
	data := t.TempDir()
	makeBox(t, data, "old", oldBox)
	return written(t, data, Manifest{Box: "oldbox", Version: "1.0"})
}

// written returns a backup of the box that is in a data folder.
func written(t testing.TB, data string, m Manifest) []byte {
	t.Helper()
	store, _ := openWords(t, data)
	var file bytes.Buffer
	if err := errors.Join(Write(t.Context(), &file, data, store, m), store.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// anyFile finds nothing wrong.
func anyFile(string, []byte) error { return nil }

// Another box goes on in the place of the first, with its identity, and what it was
// before is kept.
func TestBoxOntoAnother(t *testing.T) {
	t.Parallel()
	file := backupOfBox(t)
	box, m, err := Verify(bytes.NewReader(file), "")
	if err != nil || box.Box != "oldbox" || box.Version != "1.0" || len(box.Files) != 3 || m.Small {
		t.Fatalf("%+v %+v %v", box, m, err)
	}
	data := t.TempDir()
	makeBox(t, data, "new", newBox)
	if _, before, err := Restore(data, bytes.NewReader(file), anyFile); err != nil || before != filepath.Join(data, Before) {
		t.Fatalf("%s %v", before, err)
	}
	want := maps.Clone(oldBox)
	want["the word of the store"] = "old"
	if got := boxOf(t, data); !maps.Equal(got, want) {
		t.Errorf("the box is %q, want %q", got, want)
	}
	want = maps.Clone(newBox)
	want["the word of the store"] = "new"
	if got := boxOf(t, filepath.Join(data, Before)); !maps.Equal(got, want) {
		t.Errorf("kept is %q, want %q", got, want)
	}
}

// errCut is how a power cut looks to Finish.
var errCut = errors.New("the power was cut")

// A restore that is stopped after any step goes on at the next start, and ends as if
// nothing had happened; also if it is stopped again and again.
func TestRestoreIsStopped(t *testing.T) {
	t.Parallel()
	file := backupOfBox(t)
	oldWant, newWant := maps.Clone(oldBox), maps.Clone(newBox)
	oldWant["the word of the store"], newWant["the word of the store"] = "old", "new"
	whole := t.TempDir()
	makeBox(t, whole, "new", newBox)
	if _, err := Stage(whole, bytes.NewReader(file), anyFile); err != nil {
		t.Fatal(err)
	}
	steps := 0
	for cut := 1; ; cut++ {
		data := filepath.Join(t.TempDir(), "data")
		if out, err := exec.Command("cp", "-r", "--sparse=always", whole, data).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		n := 0
		m := moving{reached: func(string) error {
			if n++; n == cut {
				return errCut
			}
			return nil
		}}
		_, err := m.run(data)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatalf("cut %d: %v", cut, err)
		}
		if _, again := Finish(data); again != nil {
			t.Fatalf("cut %d: the next start: %v", cut, again)
		}
		if _, again := Finish(data); again != nil {
			t.Fatalf("cut %d: one more start: %v", cut, again)
		}
		for folder, want := range map[string]map[string]string{data: oldWant, filepath.Join(data, Before): newWant} {
			if got := boxOf(t, folder); !maps.Equal(got, want) {
				t.Errorf("cut %d: %s is %q, want %q", cut, filepath.Base(folder), got, want)
			}
		}
		if err == nil {
			steps = n
			break
		}
	}
	if steps < 8 {
		t.Errorf("a restore has %d steps only", steps)
	}
}

// What is damaged or cut is refused whole, and the box stays as it is.
func TestDamagedBox(t *testing.T) {
	t.Parallel()
	file := backupOfBox(t)
	data := t.TempDir()
	makeBox(t, data, "new", newBox)
	want := boxOf(t, data)
	refused := func(what string, file []byte) {
		t.Helper()
		_, err := Stage(data, bytes.NewReader(file), anyFile)
		if err == nil {
			t.Errorf("%s is taken", what)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
		if exists(filepath.Join(data, restored)) || exists(filepath.Join(data, restoring)) {
			t.Fatalf("%s has left something", what)
		}
	}
	// tar fills up with zeros, and what it says of owners and times does not matter.
	end := bytes.LastIndex(file, []byte("pieces"))
	for at := 0; at < end; at += max(1, end/97) {
		refused("a part of it", file[:at])
	}
	for at := range end {
		if at%61 != 0 || inTarHeader(file, at) {
			continue
		}
		bad := slices.Clone(file)
		bad[at] ^= 0x10
		if bad[at-at%512] == 0 || tarPadding(file, at) {
			continue
		}
		refused("a damaged one", bad)
	}
	refused("a text", []byte("hello"))
	refused("a backup of a store", []byte("lintel backup\n"))
	refused("two in a row", append(slices.Clone(file[:end]), file...))
	if got := boxOf(t, data); !maps.Equal(got, want) {
		t.Errorf("the box is %q, want %q", got, want)
	}
}

// inTarHeader reports whether a byte is one of a header: those have checksums of tar's own.
func inTarHeader(file []byte, at int) bool {
	block := file[at-at%512:]
	return len(block) >= 262 && string(block[257:262]) == "ustar"
}

// tarPadding reports whether the rest of the block is zeros.
func tarPadding(file []byte, at int) bool {
	block := file[at : at-at%512+512]
	return len(bytes.Trim(block, "\x00")) == 0
}

// Names in a backup lead nowhere but into the data folder, and not to what is the box's own.
func TestNamesInABox(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"lintel.toml": true, "tls/a/b/c.pem": true, "roles.toml": true,
		"": false, ".": false, "../x": false, "/etc/passwd": false, "a/../../x": false, "a//b": false, "a\\b": false,
		"store": false, "store/x": false, "store-before-restore/x": false, "restored/x": false, "restoring": false,
		"before-restore/x": false, IDFile: false, "control.sock": false, "update/record": false, ".x": false,
		"a/b/c/d/e": false, "lintel-reset": false, "lintel-preseed.toml": false, strings.Repeat("n", 256): false,
	} {
		if goodName(name) != good {
			t.Errorf("%q: %v", name, !good)
		}
	}
}

// A file that this version would not start with is found before the box is changed.
func TestConfigurationInABox(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	makeBox(t, data, "old", map[string]string{"lintel.toml": "[future]\nkey = 1\n"})
	file := written(t, data, Manifest{Box: "oldbox", Version: "9.0", Small: true})
	fresh := t.TempDir()
	_, _, err := Restore(fresh, bytes.NewReader(file), func(name string, content []byte) error {
		return fmt.Errorf("%s:1: %s", name, content)
	})
	if err == nil || !strings.Contains(err.Error(), "lintel.toml:1: [future]") || !strings.Contains(err.Error(), "9.0") {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(fresh); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// The box's own hourly backups hold the store alone.
func TestRestoreStore(t *testing.T) {
	t.Parallel()
	data, fresh := t.TempDir(), t.TempDir()
	makeBox(t, data, "old", oldBox)
	makeBox(t, fresh, "new", newBox)
	store, _ := openWords(t, data)
	var file bytes.Buffer
	if _, err := store.Backup(t.Context(), &file, false); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, before, err := RestoreStore(fresh, &file); err != nil || before == "" {
		t.Fatal(before, err)
	}
	want := maps.Clone(newBox)
	want["the word of the store"] = "old"
	if got := boxOf(t, fresh); !maps.Equal(got, want) {
		t.Errorf("the box is %q, want %q", got, want)
	}
}

func FuzzBox(f *testing.F) {
	f.Add(backupOfBox(f))
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, _, err := Verify(bytes.NewReader(file), "")
		if err == nil && (m.Box == "" || slices.ContainsFunc(m.Files, func(b File) bool { return !fs.ValidPath(b.Name) })) {
			t.Errorf("%+v", m)
		}
	})
}
