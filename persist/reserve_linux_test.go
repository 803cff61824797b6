package persist

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Every log of a memtable has its blocks before they are needed: in a new store, after
// the memtable was written down, and in a store that is opened again.
func TestLogReserve(t *testing.T) {
	dir := t.TempDir()
	check := func(when string) {
		t.Helper()
		logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
		if err != nil || len(logs) == 0 {
			t.Fatalf("%s: logs %v, %v", when, logs, err)
		}
		for _, name := range logs {
			st, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if have := st.Sys().(*syscall.Stat_t).Blocks * 512; have < minMemTableSize {
				t.Errorf("%s: %s has %d bytes set aside, want %d at least", when, filepath.Base(name), have, minMemTableSize)
			}
		}
	}
	probe := filepath.Join(dir, "00000.mem")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newLogReserve(dir, minMemTableSize)
	st, err := os.Stat(probe)
	if err != nil {
		t.Fatal(err)
	}
	if st.Sys().(*syscall.Stat_t).Blocks == 0 {
		t.Skip("this file system sets nothing aside")
	}
	if err := os.Remove(probe); err != nil {
		t.Fatal(err)
	}

	s := open(t, dir, Options{MemTableSize: minMemTableSize})
	check("new")
	for i := range 100 {
		commit(t, s, batch(func(b *Batch) { b.PutRetained(message(fmt.Sprint(i), 30<<10)) }))
	}
	check("written down")
	s.Close()
	s = open(t, dir, Options{MemTableSize: minMemTableSize})
	defer s.Close()
	check("opened again")
}
