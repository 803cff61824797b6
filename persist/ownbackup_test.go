package persist

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func ownBackup(t testing.TB, s *Store) {
	t.Helper()
	if err := s.BackUpNow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func numbers(dir string) [2]uint64 {
	return [2]uint64{numberOf(dir + "-backup-a"), numberOf(dir + "-backup-b")}
}

func TestOwnBackupsTakeTurns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	var total int64
	for i, want := range [][2]uint64{{1, 0}, {1, 2}, {3, 2}, {3, 4}} {
		s := open(t, dir, Options{}) // each after a restart
		commit(t, s, putRetained(strings.Repeat("x", i+1)))
		before, made := s.Stats().BackupBytes, s.LastBackup()
		ownBackup(t, s)
		if got := s.LastBackup(); !got.After(made) || time.Since(got) > time.Minute {
			t.Errorf("the last backup is of %v, after one of %v", got, made)
		}
		if got := numbers(dir); got != want {
			t.Errorf("numbers %d, want %d", got, want)
		}
		info, err := os.Stat(dir + "-backup-" + string("ab"[i%2]))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Stats().BackupBytes - before; got != uint64(info.Size()) {
			t.Errorf("counted %d bytes, the file has %d", got, info.Size())
		}
		total += info.Size()
		closeStore(t, s)
	}
	if got := beside(t, dir); got != "store store-backup-a store-backup-b" {
		t.Errorf("the folder holds %s", got)
	}
	// One that was interrupted, and one that is damaged at its beginning: the
	// sound one stays.
	if err := os.WriteFile(dir+"-backup-new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"-backup-b", []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	ownBackup(t, s)
	if got := numbers(dir); got != [2]uint64{3, 4} {
		t.Errorf("numbers %d", got)
	}
	// One that cannot be made leaves the others as they are.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.BackUpNow(ctx); err == nil {
		t.Error("made after the end of its context")
	}
	if got := beside(t, dir); numbers(dir) != [2]uint64{3, 4} || got != "store store-backup-a store-backup-b" {
		t.Errorf("numbers %d, the folder holds %s", numbers(dir), got)
	}
	t.Logf("%d bytes in four backups", total)
}

func TestRestoreNewest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	if what, err := RestoreNewest(dir, dir); what != "" || err != nil {
		t.Errorf("without a backup: %q %v", what, err)
	}
	s := open(t, dir, Options{})
	for _, topic := range []string{"first", "second", "third"} {
		commit(t, s, putRetained(topic))
		ownBackup(t, s)
	}
	closeStore(t, s)
	restored := func(name, want string) {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil { // as quarantine leaves it
			t.Fatal(err)
		}
		what, err := RestoreNewest(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{dir + name, "retained messages", time.Now().Format("2006-01-02")} {
			if !strings.Contains(what, word) {
				t.Errorf("%q does not say %q", what, word)
			}
		}
		if got := topics(t, dir); got != want {
			t.Errorf("restored %q, want %q", got, want)
		}
	}
	restored("-backup-a", "first second third")
	if what, err := RestoreNewest(dir, dir+"-beside"); err != nil || topics(t, dir+"-beside") != "first second third" {
		t.Errorf("into another folder: %q %v", what, err)
	}
	// The newer one is damaged at its end.
	file, err := os.ReadFile(dir + "-backup-a")
	if err != nil {
		t.Fatal(err)
	}
	file[len(file)-1] ^= 1
	if err := os.WriteFile(dir+"-backup-a", file, 0o600); err != nil {
		t.Fatal(err)
	}
	restored("-backup-b", "first second")
	// Both are: nothing is touched.
	if err := os.Truncate(dir+"-backup-b", 100); err != nil {
		t.Fatal(err)
	}
	_, err = RestoreNewest(dir, dir)
	if err == nil || !strings.Contains(err.Error(), "-backup-a") || !strings.Contains(err.Error(), "-backup-b") {
		t.Errorf("with two damaged ones: %v", err)
	}
	if got := topics(t, dir); got != "first second" {
		t.Errorf("after that: %q", got)
	}
}

func TestKeepBackups(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	groups := func(n uint64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Groups += n
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var (
			mu   sync.Mutex
			made []time.Duration
			fail error
		)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.keepBackups(ctx, func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				made = append(made, time.Since(start))
				return fail
			})
		}()
		expect := func(after time.Duration, want ...time.Duration) {
			t.Helper()
			time.Sleep(after - time.Since(start)) // in the bubble: no real time passes
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(made, want) {
				t.Errorf("after %v: made at %v, want %v", after, made, want)
			}
		}
		const first = firstOwnBackup
		expect(time.Minute + first) // nothing has changed
		groups(1)
		expect(59*time.Minute + first)
		expect(90*time.Minute+first, time.Hour+first)
		expect(3*time.Hour+first, time.Hour+first)
		groups(1)
		mu.Lock()
		fail = errors.New("disk full")
		mu.Unlock()
		expect(5*time.Hour+time.Minute+first, time.Hour+first, 4*time.Hour+first, 5*time.Hour+first)
		cancel()
		<-ended
	})
}
