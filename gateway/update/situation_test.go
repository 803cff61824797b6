package update

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"lintel/gokrazy/supervisor"
)

func TestSituation(t *testing.T) {
	mine := Release{Version: "v2", Counter: 2}
	record := func(s State, from, to int) *Record {
		return &Record{State: s, From: from, To: to, Version: "v2", Counter: 2}
	}
	for name, test := range map[string]struct {
		running, booted, next int
		record                *Record
		want                  Situation
	}{
		"trial":                                {3, 2, 2, record(StateArmed, 2, 3), TrialStart},
		"trial from the other side":            {2, 3, 3, record(StateArmed, 3, 2), TrialStart},
		"kept":                                 {3, 2, 3, record(StateCommitted, 2, 3), CommittedStart},
		"kept, and not noted":                  {3, 2, 3, record(StateArmed, 2, 3), CommittedStart},
		"kept, without a record":               {3, 2, 3, nil, CommittedStart},
		"trial without a record":               {3, 2, 2, nil, ForeignTrial},
		"trial of what was being written":      {3, 2, 2, record(StateWriting, 2, 3), ForeignTrial},
		"trial of what has failed":             {3, 2, 2, record(StateReturned, 2, 3), ForeignTrial},
		"trial of the other one":               {3, 2, 2, record(StateArmed, 3, 2), ForeignTrial},
		"trial of another version":             {3, 2, 2, &Record{State: StateArmed, From: 2, To: 3, Version: "v3", Counter: 3}, ForeignTrial},
		"trial of another of the same name":    {3, 2, 2, &Record{State: StateArmed, From: 2, To: 3, Version: "v2", Counter: 3}, ForeignTrial},
		"returned":                             {2, 2, 2, record(StateArmed, 2, 3), TrialReturned},
		"complete":                             {3, 3, 3, record(StateCommitted, 2, 3), TrialComplete},
		"complete, and not noted":              {3, 3, 3, record(StateArmed, 2, 3), TrialComplete},
		"interrupted":                          {2, 2, 2, record(StateWriting, 2, 3), WriteInterrupted},
		"interrupted, then the root was moved": {3, 3, 3, record(StateWriting, 2, 3), WriteInterrupted},
		"nothing":                              {2, 2, 2, nil, NormalStart},
		"nothing, on the other":                {3, 3, 3, nil, NormalStart},
		"failed":                               {2, 2, 2, record(StateReturned, 2, 3), NormalStart},
		"somebody has put the old one back":    {2, 2, 2, record(StateCommitted, 2, 3), NormalStart},
		"somebody will put the other one back": {2, 2, 3, nil, NormalStart},
	} {
		if got := situation(test.running, test.booted, test.next, test.record, mine); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	for s := NormalStart; s <= WriteInterrupted; s++ {
		if strings.HasPrefix(s.String(), "situation") {
			t.Errorf("%d has no words", int(s))
		}
	}
}

// TestNoMachine: elsewhere than on an appliance there is nothing to update.
func TestNoMachine(t *testing.T) {
	fat := filepath.Join(t.TempDir(), "fat")
	makeFAT(t, fat, read(t, "testdata/cmdline-lintel.txt"), read(t, "testdata/gokrazy-lintel.conf"))
	for name, spoil := range map[string]func(b *box){
		"no disk":      func(b *box) { os.RemoveAll(filepath.Join(b.root, "sys/dev")) },
		"partition 4":  func(b *box) { write(t, filepath.Join(b.root, "sys/devices/pci/block/vda/vda2/partition"), "4\n") },
		"no partition": func(b *box) { os.Remove(filepath.Join(b.root, "sys/devices/pci/block/vda/vda2/partition")) },
		"one root":     func(b *box) { os.RemoveAll(filepath.Join(b.root, "sys/devices/pci/block/vda/vda3")) },
		"other cmdline": func(b *box) {
			write(t, filepath.Join(b.root, "proc/cmdline"), "root=/dev/sda2\n")
		},
	} {
		b := newBox(t, fat, false)
		spoil(b)
		if m, err := OpenMachine(b.root, b.root); !errors.Is(err, ErrNoMachine) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	// The FATs that init does not read are refused before anything is written.
	for name, at := range map[string]int64{"two tables": 16, "FAT32": 22, "clusters of nothing": 13, "sectors of 1024": 12} {
		b := newBox(t, fat, false)
		d, err := os.OpenFile(b.devices[bootPartition], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		value := map[int64]byte{16: 2, 12: 4}[at]
		d.WriteAt([]byte{value}, at)
		d.Close()
		if err := b.machine().Write(t.Context(), b.manifest("new"), strings.NewReader(""), nil); !errors.Is(err, errFAT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReboot: init is asked in the one way in which it waits for programs, and does not
// have to be there.
func TestReboot(t *testing.T) {
	dir, err := os.MkdirTemp("", "reboot") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	hard := 0
	m := &Machine{root: dir, restart: func() error { hard++; return nil }}
	if err := m.Reboot(t.Context()); err != nil || hard != 1 {
		t.Errorf("without init: %v, %d hard restarts", err, hard)
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, supervisor.Socket))
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var refuse atomic.Bool
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.String()
		if refuse.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		cancel() // init tells this program to end
		<-r.Context().Done()
	})}
	go server.Serve(l)
	defer server.Close()
	if err := m.Reboot(ctx); !errors.Is(err, context.Canceled) || hard != 1 {
		t.Errorf("in order: %v, %d hard restarts", err, hard)
	}
	if got, want := <-asked, "POST /reboot?kexec=off&wait_per_signal=20s"; got != want {
		t.Errorf("init was asked %q, want %q", got, want)
	}
	refuse.Store(true)
	if err := m.Reboot(t.Context()); err != nil || hard != 2 {
		t.Errorf("refused: %v, %d hard restarts", err, hard)
	}
	// Tests restart nothing.
	m, err = OpenMachine(newBox(t, fatOf(t), false).root, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.restart(); err == nil {
		t.Error("a machine in files was restarted")
	}
}

func fatOf(t *testing.T) string {
	fat := filepath.Join(t.TempDir(), "fat")
	makeFAT(t, fat, read(t, "testdata/cmdline-lintel.txt"), read(t, "testdata/gokrazy-lintel.conf"))
	return fat
}

// TestReturnOfBytes: a reason that is no text does not make the record one that is not read.
func TestReturnOfBytes(t *testing.T) {
	b := newBox(t, fatOf(t), false)
	for _, step := range []func(m *Machine) error{
		func(m *Machine) error {
			return m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["new"]), nil)
		},
		func(m *Machine) error { return m.Arm(t.Context(), nil, 600, nil) },
		func(m *Machine) error { b.start(); return nil },
		func(m *Machine) error {
			return m.Return(b.release(), "The stick "+strings.Repeat("ä\xff\xff", maxReason))
		},
	} {
		if err := step(b.machine()); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := b.machine().Record(); err != nil || r == nil || !strings.HasPrefix(r.Reason, "The stick ä?") || !strings.HasSuffix(r.Reason, "…") || !utf8.ValidString(r.Reason) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text string
		most int
		want string
	}{{"short", 5, "short"}, {"shorter", 6, "sho…"}, {"ääää", 7, "ää…"}, {"", 3, ""}, {"ääää", 8, "ääää"}} {
		if got := cut(test.text, test.most); got != test.want || len(got) > test.most {
			t.Errorf("%q to %d: %q", test.text, test.most, got)
		}
	}
}
