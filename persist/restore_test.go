package persist

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// topics opens the store in a folder and lists its retained messages.
func topics(t testing.TB, dir string) string {
	t.Helper()
	s := open(t, dir, Options{})
	defer closeStore(t, s)
	state := load(t, s)
	if len(state.Damaged) > 0 {
		t.Errorf("damaged: %q", state.Damaged)
	}
	var all []string
	for _, m := range state.Retained {
		all = append(all, m.Topic)
	}
	return strings.Join(all, " ")
}

// storeOf makes a store with these retained messages and returns its backup.
func storeOf(t testing.TB, dir string, retained ...string) []byte {
	t.Helper()
	s := open(t, dir, Options{})
	for _, topic := range retained {
		commit(t, s, putRetained(topic))
	}
	file, _ := backup(t, s, false)
	closeStore(t, s)
	return file
}

// beside lists the folder that a store's folder is in.
func beside(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestRestoreReplaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	file := storeOf(t, filepath.Join(t.TempDir(), "other"), "old1", "old2")
	storeOf(t, dir, "new")
	for round, before := range []string{"new", "old1 old2 round0"} {
		if _, err := Restore(bytes.NewReader(file), dir+"/", ""); err != nil {
			t.Fatal(err)
		}
		if got := topics(t, dir); got != "old1 old2" {
			t.Errorf("restored: %q", got)
		}
		if got := topics(t, dir+"-before-restore"); got != before {
			t.Errorf("kept: %q, want %q", got, before)
		}
		if got := beside(t, dir); got != "store store-before-restore" {
			t.Errorf("the folder holds %s", got)
		}
		storeOf(t, dir, fmt.Sprint("round", round))
	}
}

// What is refused changes nothing.
func TestRestoreRefused(t *testing.T) {
	good := storeOf(t, filepath.Join(t.TempDir(), "other"), "old")
	late := slices.Clone(good)
	late[len(late)-1] ^= 1
	dir := filepath.Join(t.TempDir(), "store")
	storeOf(t, dir, "new")
	for _, c := range []struct {
		name string
		file []byte
		word string
	}{
		{"foreign", []byte("something"), "not a backup"},
		{"damaged at its end", late, "(end)"},
		{"cut", good[:len(good)-5], "the file ends here"},
		{"encrypted", append([]byte(ageMagic), 'x'), "encrypted"},
	} {
		if _, err := Restore(bytes.NewReader(c.file), dir, ""); err == nil || !strings.Contains(err.Error(), c.word) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := topics(t, dir) + " in " + beside(t, dir); got != "new in store" {
			t.Errorf("after %s: %s", c.name, got)
		}
		missing := filepath.Join(t.TempDir(), "a", "store")
		if _, err := Restore(bytes.NewReader(c.file), missing, ""); err == nil {
			t.Errorf("%s: restored", c.name)
		} else if _, err := os.Stat(missing); err == nil {
			t.Errorf("%s: left a folder", c.name)
		}
	}
	s := open(t, dir, Options{})
	if _, err := Restore(bytes.NewReader(good), dir, ""); err == nil || !strings.Contains(err.Error(), "Stop that one") {
		t.Errorf("into a store that is open: %v", err)
	}
	closeStore(t, s)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(bytes.NewReader(good), file, ""); err == nil {
		t.Error("restored over a file")
	}
}

// restoreUntilKilled is the process that TestRestoreKilled kills: by itself,
// after so many steps.
func restoreUntilKilled(dir string) {
	var last int
	fmt.Sscan(os.Getenv("LINTEL_PERSIST_STEP"), &last)
	steps := 0
	r := restoration{reached: func(step string) {
		if steps++; steps == last {
			fmt.Println(step)
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	_, err := r.run(os.Stdin, dir, "")
	fmt.Println("end", err)
	os.Exit(0)
}

// A restore that is killed after any of its steps leaves either what was there
// or all of the backup, and the next one succeeds.
func TestRestoreKilled(t *testing.T) {
	file := storeOf(t, filepath.Join(t.TempDir(), "other"), "old1", "old2")
	for _, existing := range []bool{true, false} {
		var reached []string
		swapped := false
		for step := 1; ; step++ {
			dir := filepath.Join(t.TempDir(), "store")
			if existing {
				storeOf(t, dir, "new")
				storeOf(t, dir+"-before-restore", "older")
			}
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "LINTEL_PERSIST_RESTORE="+dir, fmt.Sprint("LINTEL_PERSIST_STEP=", step))
			child.Stdin = bytes.NewReader(file)
			child.Stderr = os.Stderr
			out, err := child.Output()
			name := strings.TrimSpace(string(out))
			if name == "end <nil>" {
				break
			}
			if err == nil || step > 100 {
				t.Fatalf("step %d: %q %v", step, name, err)
			}
			reached = append(reached, name)
			swapped = swapped || name == "exchanged" || name == "renamed"
			want := "new"
			if !existing {
				want = ""
			}
			if swapped {
				want = "old1 old2"
			}
			if got := topics(t, dir); got != want {
				t.Errorf("killed after %q: holds %q, want %q", name, got, want)
			}
			if _, err := Restore(bytes.NewReader(file), dir, ""); err != nil {
				t.Errorf("killed after %q: the next one says %v", name, err)
			}
			if got := topics(t, dir); got != "old1 old2" {
				t.Errorf("killed after %q: the next one leaves %q", name, got)
			}
			if got, want := beside(t, dir), "store store-before-restore"; got != want {
				t.Errorf("killed after %q: the folder holds %s", name, got)
			}
		}
		want := "cleared record record record record closed written earlier one removed exchanged exchange on disk kept"
		if !existing {
			want = "cleared record record record record closed written renamed"
		}
		if got := strings.Join(reached, " "); got != want {
			t.Errorf("steps: %s", got)
		}
	}
}

// FuzzRestore reads files of two kinds: any bytes, and records of any content
// that have the right checksums.
func FuzzRestore(f *testing.F) {
	file := little(f)
	f.Add(file, false)
	f.Add(file[:len(file)/2], false)
	f.Add([]byte(ageMagic+"-> scrypt AAAAAAAAAAAAAAAAAAAAAA 16\n"), false)
	f.Add([]byte("\x01\x07\x01\x01abcd12\x01\x07\xff\x00\x01\x00\x00\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, records bool) {
		if records {
			var all [][2][]byte
			for len(data) >= 2 {
				k := min(int(data[0]), len(data)-2)
				v := min(int(data[1]), len(data)-2-k)
				key, value := data[2:2+k], data[2+k:2+k+v]
				if v%2 == 0 { // then with the checksum that belongs there
					value = seal(key, value)
				}
				all = append(all, [2][]byte{key, value})
				data = data[2+k+v:]
			}
			data = backupOf(backupVersion, all...)
		}
		m, err := VerifyBackup(bytes.NewReader(data), "")
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		// What is taken can be written again, and is then the same.
		b, err := openBackup(bytes.NewReader(data), "")
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		w, err := newBackupWriter(&again, &b.manifest)
		if err != nil {
			t.Fatal(err)
		}
		for {
			key, value, err := b.next()
			if err != nil {
				break
			}
			if err := w.record(key, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(&b.manifest); err != nil {
			t.Fatal(err)
		}
		m2, err := VerifyBackup(&again, "")
		if err != nil || fmt.Sprint(m) != fmt.Sprint(m2) || m.LSN != m2.LSN || !m.Time.Equal(m2.Time) {
			t.Errorf("written again: %+v %v, was %+v", m2, err, m)
		}
	})
}
