package persist

import (
	"bytes"
	"encoding/json"
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

	"lintel/gateway/mqtt"
)

// The store that is damaged has retained messages in tables and value log that were
// written by an orderly run, and others in the log and a second value log that come
// from a run that was killed.
const (
	corruptTables = 3000
	corruptLogged = 600
)

func corruptMessage(i int) *mqtt.Message {
	size := 200
	if i%100 == 7 {
		size = 2 * valueThreshold
	}
	return &mqtt.Message{Topic: fmt.Sprintf("r/%05d", i), QoS: 1, Retain: true, Payload: bytes.Repeat([]byte(fmt.Sprintf("%09d,", i)), size/10)}
}

// fill writes messages in groups of twenty.
func fill(s *Store, from, to int) error {
	for i := from; i < to; i += 20 {
		var b Batch
		for j := range 20 {
			b.PutRetained(corruptMessage(i + j))
		}
		done := make(chan struct{})
		s.Append(&b, func() { close(done) })
		select {
		case <-done:
		case <-s.Failed():
			return s.Err()
		}
	}
	return nil
}

// fillAndDie is the run that is killed.
func fillAndDie(args []string) error {
	s, err := Open(args[0], Options{})
	if err != nil {
		return err
	}
	if _, err := s.Load(); err != nil {
		return err
	}
	if err := fill(s, corruptTables, corruptTables+corruptLogged); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// found is what a start finds.
type found struct {
	Intact  int
	Wrong   int // messages that nobody has written
	Outcome string
	Losses  []string
}

// openAndReport is one start, which prints what it found.
func openAndReport(args []string) error {
	s, err := Open(args[0], Options{Check: checker()})
	if err != nil {
		return err
	}
	state, err := s.Load()
	if err != nil {
		return err
	}
	s.verifyTables()
	r := s.Report()
	f := found{Losses: r.Losses()}
	for _, m := range state.Retained {
		var i int
		fmt.Sscanf(m.Topic, "r/%d", &i)
		if bytes.Equal(m.Payload, corruptMessage(i).Payload) {
			f.Intact++
		} else {
			f.Wrong++
		}
	}
	var outcome []string
	for _, c := range []struct {
		is   bool
		word string
	}{
		{r.Quarantine != nil, "put aside"},
		{r.MissingTransactions > 0, "transactions missing"},
		{r.LogDamaged, "log damaged"},
		{r.AnchorMissing, "anchor missing"},
		{len(r.Damaged) > 0, "records damaged"},
		{len(r.Tables) > 0, "tables damaged"},
	} {
		if c.is {
			outcome = append(outcome, c.word)
		}
	}
	f.Outcome = strings.Join(outcome, ", ")
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		return err
	}
	return s.Close()
}

// startAgain starts a process until one comes to its end, as a supervisor does.
func startAgain(t *testing.T, dir string) (f found, starts int) {
	t.Helper()
	for starts = 1; starts <= 6; starts++ {
		cmd := exec.Command(os.Args[0], "open", dir)
		var said bytes.Buffer
		cmd.Stderr = &said
		stop := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		out, err := cmd.Output()
		stop.Stop()
		if err == nil {
			if err := json.Unmarshal(out, &f); err != nil {
				t.Fatal(err)
			}
			return f, starts
		}
		t.Logf("start %d: %v: %.150q", starts, err, said.String())
	}
	t.Fatal("no start came to its end")
	return f, starts
}

// The ways to damage a file.
var damages = map[string]func(b []byte) []byte{
	"truncated":       func(b []byte) []byte { return b[:len(b)/2] },
	"flipped":         func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
	"flipped early":   func(b []byte) []byte { b[min(len(b)-1, 100)] ^= 0x10; return b },
	"flipped at end":  func(b []byte) []byte { b[len(b)-10] ^= 0x10; return b },
	"emptied":         func(b []byte) []byte { return nil },
	"garbage behind":  func(b []byte) []byte { return append(b, bytes.Repeat([]byte("garbage "), 100)...) },
	"zeros behind":    func(b []byte) []byte { return append(b, make([]byte, 1000)...) },
	"a hole of zeros": func(b []byte) []byte { clear(b[len(b)/4 : len(b)/2]); return b },
	"deleted":         nil,
}

// used is the part of a sparse log that holds something.
func used(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

// TestCorruption damages each kind of file and shows what becomes of the store. A
// version of Badger that changes one of these lines has changed what is written
// about it in this package.
//
// "whole" means that everything is there and nothing is told. Whatever is not there
// has to be told of.
func TestCorruption(t *testing.T) {
	orderly, killed := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "store")
	s := open(t, orderly, Options{})
	if err := fill(s, 0, corruptTables); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := os.CopyFS(killed, os.DirFS(orderly)); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := exec.Command(os.Args[0], "fill", killed).Run(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatal(err)
	}
	for _, c := range corruptions {
		if testing.Short() && (!c.killed || c.damage != "flipped") { // one of each file
			continue
		}
		run, total := orderly, corruptTables
		if c.killed {
			run, total = killed, corruptTables+corruptLogged
		}
		name := fmt.Sprintf("%s %s after an orderly end", c.file, c.damage)
		if c.killed {
			name = fmt.Sprintf("%s %s after a kill", c.file, c.damage)
		}
		t.Run(name, func(t *testing.T) {
			dir := storeDir(t)
			if err := os.CopyFS(dir, os.DirFS(run)); err != nil {
				t.Fatal(err)
			}
			if c.file != "" {
				files, err := filepath.Glob(filepath.Join(dir, c.file))
				if err != nil || len(files) == 0 {
					t.Fatalf("no %s", c.file)
				}
				slices.Sort(files)
				spoilFile(t, files[0], c.damage)
			}
			f, starts := startAgain(t, dir)
			outcome := f.Outcome
			if outcome == "" {
				outcome = "whole"
			}
			if starts > 1 {
				outcome += fmt.Sprintf(", by %d starts", starts)
			}
			t.Logf("%s; %d of %d messages; %.200q", outcome, f.Intact, total, f.Losses)
			if outcome != c.outcome {
				t.Errorf("outcome %q, want %q", outcome, c.outcome)
			}
			if f.Wrong > 0 {
				t.Errorf("%d messages are not what was written", f.Wrong)
			}
			if f.Intact < total && len(f.Losses) == 0 {
				t.Errorf("%d messages are lost and nothing is told", total-f.Intact)
			}
			// What was told once does not come back, but for what stays damaged.
			if outcome != "whole" && !strings.HasPrefix(outcome, "put aside") {
				if again, _ := startAgain(t, dir); again.Intact != f.Intact {
					t.Errorf("a start later %d messages, before %d", again.Intact, f.Intact)
				}
			}
		})
	}
}

func spoilFile(t *testing.T, name, how string) {
	t.Helper()
	if how == "deleted" {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var rest []byte
	if ext := filepath.Ext(name); ext == ".mem" || ext == ".vlog" {
		b, rest = b[:used(b)], b[used(b):]
		switch how {
		case "truncated", "emptied":
			rest = nil
		}
	}
	b = append(damages[how](b), rest...)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// corruptions are what is damaged and what becomes of it.
var corruptions = []struct {
	killed  bool
	file    string // the first one of the kind
	damage  string
	outcome string
}{
	{false, "", "undamaged", "whole"},
	{true, "", "undamaged", "whole"},
	{true, "*.mem", "truncated", "log damaged"},
	{true, "*.mem", "flipped", "transactions missing"},
	{true, "*.mem", "flipped early", "transactions missing"},
	{true, "*.mem", "flipped at end", "transactions missing"},
	{true, "*.mem", "emptied", "transactions missing, log damaged"},
	{true, "*.mem", "garbage behind", "whole"},
	{true, "*.mem", "zeros behind", "whole"},
	{true, "*.mem", "a hole of zeros", "transactions missing"},
	{true, "*.mem", "deleted", "transactions missing, log damaged"},
	{false, "*.vlog", "truncated", "records damaged"},
	{false, "*.vlog", "flipped early", "records damaged"},
	{false, "*.vlog", "deleted", "records damaged"},
	{true, "*.vlog", "truncated", "records damaged"},
	{true, "*.vlog", "flipped", "records damaged"},
	{true, "*.vlog", "flipped early", "records damaged"},
	{true, "*.vlog", "flipped at end", "records damaged"},
	{true, "*.vlog", "emptied", "records damaged"},
	{true, "*.vlog", "garbage behind", "whole"},
	{true, "*.vlog", "zeros behind", "whole"},
	{true, "*.vlog", "a hole of zeros", "records damaged"},
	{true, "*.vlog", "deleted", "records damaged"},
	{false, "*.sst", "truncated", "put aside, by 2 starts"},
	{false, "*.sst", "flipped", "records damaged, tables damaged"},
	{false, "*.sst", "flipped early", "tables damaged"},
	{false, "*.sst", "flipped at end", "put aside"},
	{false, "*.sst", "emptied", "put aside"},
	{false, "*.sst", "garbage behind", "put aside, by 2 starts"},
	{false, "*.sst", "zeros behind", "put aside, by 2 starts"},
	{false, "*.sst", "a hole of zeros", "tables damaged"},
	{false, "*.sst", "deleted", "put aside"},
	{true, "*.sst", "truncated", "put aside"},
	{true, "*.sst", "flipped", "records damaged, tables damaged"},
	{true, "*.sst", "flipped early", "tables damaged"},
	{true, "*.sst", "flipped at end", "put aside"},
	{true, "*.sst", "emptied", "put aside"},
	{true, "*.sst", "garbage behind", "put aside"},
	{true, "*.sst", "zeros behind", "put aside"},
	{true, "*.sst", "a hole of zeros", "tables damaged"},
	{true, "*.sst", "deleted", "put aside"},
	{false, "MANIFEST", "truncated", "put aside"},
	{false, "MANIFEST", "deleted", "put aside"},
	{true, "MANIFEST", "truncated", "put aside"},
	{true, "MANIFEST", "flipped", "put aside"},
	{true, "MANIFEST", "flipped early", "put aside"},
	{true, "MANIFEST", "flipped at end", "put aside"},
	{true, "MANIFEST", "emptied", "put aside"},
	{true, "MANIFEST", "garbage behind", "put aside"},
	{true, "MANIFEST", "zeros behind", "whole"},
	{true, "MANIFEST", "a hole of zeros", "put aside"},
	{true, "MANIFEST", "deleted", "put aside"},
	{true, "KEYREGISTRY", "flipped", "whole"},
	{true, "KEYREGISTRY", "emptied", "whole"},
	{true, "KEYREGISTRY", "garbage behind", "whole"},
	{true, "KEYREGISTRY", "deleted", "whole"},
	{true, "DISCARD", "truncated", "whole"},
	{true, "DISCARD", "flipped", "whole"},
	{true, "DISCARD", "emptied", "whole"},
	{true, "DISCARD", "deleted", "whole"},
	{false, "anchor", "flipped", "whole"},
	{false, "anchor", "deleted", "anchor missing"},
	{true, "anchor", "truncated", "whole"},
	{true, "anchor", "flipped", "whole"},
	{true, "anchor", "flipped at end", "whole"},
	{true, "anchor", "emptied", "anchor missing"},
	{true, "anchor", "garbage behind", "whole"},
	{true, "anchor", "deleted", "anchor missing"},
}
