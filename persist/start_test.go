package persist

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programs are what the test binary does as a process of its own, by its first
// argument.
var programs = map[string]func(args []string) error{
	"check-store": Check,
	"open":        openAndReport,
	"crash":       func([]string) error { panic("what Badger does sometimes") },
	"start":       startAndDie,
	"fill":        fillAndDie,
	"publish":     publishUntilFull,
}

// checker is what Options.Check is in tests.
func checker() []string { return []string{os.Args[0], "check-store"} }

// startAndDie is a start that does not come to its end.
func startAndDie(args []string) error {
	if _, err := Open(args[0], Options{}); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// die leaves a store as a kill does: nothing of it is written any more.
func die(t *testing.T, dir string) {
	t.Helper()
	var exit *exec.ExitError
	if err := exec.Command(os.Args[0], "start", dir).Run(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("start: %v", err)
	}
}

func storeDir(t *testing.T) string { return filepath.Join(t.TempDir(), "store") }

func retained(t *testing.T, s *Store) []string {
	t.Helper()
	var topics []string
	for _, m := range load(t, s).Retained {
		topics = append(topics, m.Topic)
	}
	return topics
}

// spoil makes a store useless.
func spoil(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("spoiled"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// restoring is an Options.Restore whose backup holds one retained message.
func restoring(topic string) func(string) (string, error) {
	return func(dir string) (string, error) {
		s, err := Open(dir, Options{})
		if err != nil {
			return "", err
		}
		s.Append(putRetained(topic), nil)
		return "the backup of an hour ago", s.Close()
	}
}

func TestQuarantine(t *testing.T) {
	dir := storeDir(t)
	s := open(t, dir, Options{})
	commit(t, s, putRetained("old"))
	closeStore(t, s)
	spoil(t, dir)
	o := Options{Restore: restoring("kept")}
	s = open(t, dir, o)
	if got := retained(t, s); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("retained after the restore: %q", got)
	}
	r := s.Report()
	q := r.Quarantine
	if q == nil || !q.Now || q.Restored != "the backup of an hour ago" || q.Reason == "" || time.Since(q.Time) > time.Minute {
		t.Fatalf("put aside: %+v", q)
	}
	losses := r.Losses()
	if len(losses) != 1 || !strings.Contains(losses[0], q.Restored) || !strings.Contains(losses[0], q.Folder) || strings.Contains(losses[0], "\n") {
		t.Errorf("told: %q", losses)
	}
	closeStore(t, s)

	// The next start tells of it still, and the next quarantine takes its place.
	s = open(t, dir, o)
	again := s.Report().Quarantine
	if again == nil || again.Now || again.Folder != q.Folder || again.Reason != q.Reason || again.Restored != q.Restored {
		t.Errorf("a start later: %+v, before %+v", again, q)
	}
	closeStore(t, s)
	spoil(t, dir)
	s = open(t, dir, Options{})
	if r := s.Report().Quarantine; r == nil || !r.Now || r.Restored != "" {
		t.Errorf("put aside again: %+v", r)
	}
	if got := quarantines(dir); len(got) != 1 {
		t.Errorf("quarantines: %q", got)
	}
	if got := retained(t, s); len(got) > 0 {
		t.Errorf("retained without a backup: %q", got)
	}
}

func TestRestoreFails(t *testing.T) {
	dir := storeDir(t)
	closeStore(t, open(t, dir, Options{}))
	spoil(t, dir)
	s := open(t, dir, Options{Restore: func(dir string) (string, error) {
		return "half", errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("half"), 0o600), errors.New("no more"))
	}})
	if q := s.Report().Quarantine; q == nil || q.Restored != "" {
		t.Errorf("put aside: %+v", q)
	}
	commit(t, s, putRetained("r"))
}

// The power may fail after each step of putting a store aside.
func TestQuarantineInterrupted(t *testing.T) {
	steps := []string{"put aside", "recovery locked", "half restored", "restored"}
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			dir := storeDir(t)
			s := open(t, dir, Options{})
			commit(t, s, putRetained("old"))
			closeStore(t, s)
			if err := putAside(dir, "for a test", time.Now()); err != nil {
				t.Fatal(err)
			}
			if i >= 1 {
				if err := os.Mkdir(dir+recoverySuffix, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if i >= 2 {
				if _, err := restoring("half")(dir + restoredSuffix); err != nil {
					t.Fatal(err)
				}
			}
			if i == 2 {
				spoil(t, dir+restoredSuffix)
			}
			s = open(t, dir, Options{Restore: restoring("kept")})
			if got := retained(t, s); !slices.Equal(got, []string{"kept"}) {
				t.Errorf("retained: %q", got)
			}
			if q := s.Report().Quarantine; q == nil || !q.Now || q.Reason != "for a test" || q.Restored == "" {
				t.Errorf("put aside: %+v", q)
			}
			left, err := filepath.Glob(dir + "*")
			if err != nil || len(left) != 2 {
				t.Errorf("left over: %q", left)
			}
		})
	}
}

func TestUncleanStart(t *testing.T) {
	dir := storeDir(t)
	s := open(t, dir, Options{})
	commit(t, s, putRetained("r"))
	if r := s.Report(); r.Unclean || len(r.Losses()) > 0 {
		t.Errorf("a new store: %+v", r)
	}
	closeStore(t, s)
	s = open(t, dir, Options{Check: checker()})
	if r := s.Report(); r.Unclean || r.Checked > 0 || len(r.Losses()) > 0 {
		t.Errorf("after Close: %+v", r)
	}
	closeStore(t, s)
	die(t, dir)
	s = open(t, dir, Options{Check: checker()})
	if r := s.Report(); !r.Unclean || r.Checked == 0 || len(r.Losses()) > 0 {
		t.Errorf("after a kill: %+v", r)
	}
	if got := retained(t, s); !slices.Equal(got, []string{"r"}) {
		t.Errorf("retained after a kill: %q", got)
	}
}

// What happens to the process that checks tells what would happen to this one.
func TestCheckCrashes(t *testing.T) {
	for _, c := range []struct {
		name   string
		check  []string
		reason string // empty: the store is used
	}{
		{"panic", []string{os.Args[0], "crash"}, "panic: what Badger does sometimes"},
		{"error", []string{"/bin/sh", "-c", "echo lintel: table 7 is bad >&2; exit 1"}, "table 7 is bad"},
		{"fault", []string{"/bin/sh", "-c", "kill -BUS $$"}, "signal: bus error"},
		{"out of memory", []string{"/bin/sh", "-c", "kill -KILL $$"}, ""},
		{"full disk", []string{"/bin/sh", "-c", "echo lintel: MANIFEST: no space left on device >&2; exit 1"}, ""},
		{"its end amid the deletion of a log", []string{"/bin/sh", "-c", `: >"$0/00099.mem"; : >"$0/000099.vlog"`}, ""},
		{"no program", []string{"/nowhere/lintel"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := storeDir(t)
			die(t, dir)
			s := open(t, dir, Options{Check: c.check})
			switch q := s.Report().Quarantine; {
			case q == nil && c.reason != "":
				t.Error("the store is used")
			case q != nil && (c.reason == "" || !strings.Contains(q.Reason, c.reason)):
				t.Errorf("put aside: %q", q.Reason)
			}
		})
	}
}

// Nobody checks a store that another process has open.
func TestCheckOfALockedStore(t *testing.T) {
	dir := storeDir(t)
	open(t, dir, Options{})
	out, err := exec.Command(os.Args[0], "check-store", dir, fmt.Sprint(defaultMemTableSize)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") {
		t.Errorf("checked: %v, %s", err, out)
	}
	for _, args := range [][]string{nil, {dir}, {dir, "x"}, {dir, "1"}, {dir + "/none", "4194304"}} {
		if err := Check(args); err == nil {
			t.Errorf("checked %q", args)
		}
	}
}

func TestFailedStarts(t *testing.T) {
	dir := storeDir(t)
	s := open(t, dir, Options{})
	commit(t, s, putRetained("r"))
	load(t, s)
	closeStore(t, s)
	for range maxAttempts {
		die(t, dir)
	}
	s = open(t, dir, Options{})
	if q := s.Report().Quarantine; q == nil || !strings.Contains(q.Reason, "3 starts in a row") {
		t.Fatalf("after %d failed starts: %+v", maxAttempts, q)
	}
	load(t, s)
	closeStore(t, s)

	// One that succeeds in between makes the count begin anew.
	for range maxAttempts + 1 {
		die(t, dir)
		s = open(t, dir, Options{})
		load(t, s)
		closeStore(t, s)
	}
	if q := open(t, dir, Options{}).Report().Quarantine; q == nil || q.Now {
		t.Errorf("put aside after starts that succeeded: %+v", q)
	}
}

func TestAttempts(t *testing.T) {
	start := time.UnixMilli(1800000000000)
	for _, c := range []struct {
		name   string
		after  time.Duration
		boot   uint64
		counts byte
	}{
		{"soon", time.Second, 1, 2},
		{"late", 11 * time.Minute, 1, 1},
		{"after a boot", time.Second, 2, 1},
		{"the clock was put back", -time.Second, 1, 1},
	} {
		var r anchorRecord
		r.attempt(start, 1)
		r.attempt(start.Add(c.after), c.boot)
		if r.attempts != c.counts {
			t.Errorf("%s: %d attempts, want %d", c.name, r.attempts, c.counts)
		}
	}
}

func TestAnchor(t *testing.T) {
	dir := t.TempDir()
	a, found, err := openAnchor(dir)
	if err != nil || found {
		t.Fatal(found, err)
	}
	want := anchorRecord{uuid: [16]byte{1, 2}, first: time.UnixMilli(7), boot: 8, state: closing, attempts: 3}
	for lsn := range uint64(3) {
		want.lsn, want.sequence = lsn+1, lsn+1
		if err := a.update(func(r *anchorRecord) {
			n := r.sequence
			*r = want
			r.sequence = n
		}); err != nil {
			t.Fatal(err)
		}
	}
	a.file.Close()
	whole, err := os.ReadFile(filepath.Join(dir, anchorName))
	if err != nil {
		t.Fatal(err)
	}
	reopen := func(b []byte) (anchorRecord, bool) {
		if err := os.WriteFile(filepath.Join(dir, anchorName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		a, found, err := openAnchor(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer a.file.Close()
		return a.record, found
	}
	if got, found := reopen(whole); !found || got != want {
		t.Errorf("read %+v, want %+v", got, want)
	}
	// Whatever happens to one record, the other one is left. The newest is in the
	// second sector here.
	for i := range anchorSize {
		b := slices.Clone(whole)
		b[anchorSector+i] ^= 0x40
		if got, found := reopen(b); !found || got.lsn != 2 {
			t.Errorf("byte %d: %t, %+v", i, found, got)
		}
	}
	for n := range whole {
		if got, found := reopen(whole[:n]); found != (n >= anchorSize) || found && got.lsn != 2 {
			t.Errorf("%d bytes: %t, %+v", n, found, got)
		}
	}
}
