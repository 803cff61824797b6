package update

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// images are those whose real boot files are in testdata.
var images = []string{"lintel", "lintel-vm-arm64"}

// imager is what Raspberry Pi Imager leaves of cmdline.txt: no spaces at the end, and
// words behind it.
func imager(line string) string {
	return strings.TrimRight(line, " ") + " cfg80211.ieee80211_regdom=DE systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"
}

// TestPowerCut cuts the power before each write of an update, one after the other, and
// some pairs of them.
func TestPowerCut(t *testing.T) {
	for _, test := range []struct {
		name    string
		image   string
		efi     bool
		healthy bool
		line    func(string) string
	}{
		{"healthy", "lintel", false, true, nil},
		{"ill", "lintel", false, false, nil},
		{"healthy with UEFI", "lintel-vm-arm64", true, true, nil},
		{"ill with UEFI", "lintel-vm-arm64", true, false, nil},
		{"after Raspberry Pi Imager", "lintel", false, true, imager},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			line := read(t, "testdata/cmdline-"+test.image+".txt")
			if test.line != nil {
				line = test.line(line)
			}
			fat := filepath.Join(t.TempDir(), "fat")
			makeFAT(t, fat, line, read(t, "testdata/gokrazy-"+test.image+".conf"))
			want := "new"
			if !test.healthy {
				want = "old"
			}
			b := newBox(t, fat, test.efi)
			b.settle("new", test.healthy)
			b.check(want)
			writes := b.power.writes
			if writes < 10 {
				t.Fatalf("%d writes only: the test counts wrong", writes)
			}
			for cut := range writes {
				t.Run(fmt.Sprint(cut), func(t *testing.T) {
					b := newBox(t, fat, test.efi)
					b.power.left, b.power.random = cut, rand.New(rand.NewPCG(uint64(cut), 0))
					b.once(test.healthy)
					if !b.power.off {
						t.Fatal("the power was not cut")
					}
					b.power.off, b.power.left, b.power.undo = false, -1, nil
					b.start() // fails where no whole root is started
					if b.running != "old" && b.running != "new" {
						t.Errorf("%s runs", b.running)
					}
					b.settle("new", test.healthy)
					b.check(want)
				})
			}
			random := rand.New(rand.NewPCG(7, uint64(len(test.name))))
			for range 5 {
				b := newBox(t, fat, test.efi)
				b.power.random = random
				var cuts []int
				for range 2 + random.IntN(4) {
					b.power.left = random.IntN(writes)
					cuts = append(cuts, b.power.left)
					b.once(test.healthy)
					b.power.off, b.power.undo = false, nil
					b.start()
				}
				b.power.left = -1
				b.settle("new", test.healthy)
				if b.check(want); t.Failed() {
					t.Fatalf("after cuts at %v", cuts)
				}
			}
		})
	}
}

// once lives until the power is off or nothing is left to do.
func (b *box) once(healthy bool) {
	for range 6 {
		err := b.live("new", healthy)
		if m := b.machine(); b.power.off || err == nil && m.Running == m.Booted {
			return
		}
		if err != nil && err != errReboot {
			b.t.Fatal(err)
		}
		b.start()
	}
}

// check says whether the box is as it is to be at the end.
func (b *box) check(want string) {
	b.t.Helper()
	if b.running != want {
		b.t.Errorf("%s runs, and %s should", b.running, want)
	}
	cmdline, conf := b.cmdlines()
	if strings.Contains(cmdline, "gokrazy.") {
		b.t.Errorf("a flag is left: %q", cmdline)
	}
	root := func(text string) string { return sayRoot.FindStringSubmatch(text)[1] }
	if root(cmdline) != root(conf) {
		b.t.Errorf("cmdline.txt says root %s, gokrazy.conf %s", root(cmdline), root(conf))
	}
	if len(conf) != len(read(b.t, "testdata/gokrazy-lintel.conf")) && len(conf) != len(read(b.t, "testdata/gokrazy-lintel-vm-arm64.conf")) {
		b.t.Errorf("gokrazy.conf has %d bytes", len(conf))
	}
	record, err := b.machine().Record()
	if err != nil {
		b.t.Fatal(err)
	}
	if want == "new" && record != nil {
		b.t.Errorf("a record is left: %+v", record)
	}
	if want == "old" && (record == nil || record.State != StateReturned || record.Reason == "" || record.Tries < 1) {
		b.t.Errorf("no record of what has failed: %+v", record)
	}
}

// TestUpdatesInARow: each goes to the other root, and the room in cmdline.txt never ends.
func TestUpdatesInARow(t *testing.T) {
	fat := filepath.Join(t.TempDir(), "fat")
	makeFAT(t, fat, read(t, "testdata/cmdline-lintel.txt"), read(t, "testdata/gokrazy-lintel.conf"))
	b := newBox(t, fat, false)
	before, _ := b.cmdlines()
	for i := range 12 {
		version := fmt.Sprintf("v%d", i)
		b.makeRoot(version, uint64(i)+10)
		for b.running != version {
			m := b.machine()
			release := Release{Version: b.running, Counter: int64(i) + 1}
			switch s, _, err := m.Start(release); {
			case err != nil:
				t.Fatal(err)
			case s != NormalStart && s != TrialComplete:
				t.Fatalf("%v", s)
			}
			manifest := b.manifest(version)
			manifest.Counter = int64(i) + 2
			if err := m.Write(t.Context(), manifest, bytes.NewReader(b.roots[version]), nil); err != nil {
				t.Fatal(err)
			}
			if err := m.Arm(t.Context(), nil, 600, nil); err != nil {
				t.Fatal(err)
			}
			b.start()
			release = Release{Version: b.running, Counter: int64(i) + 2}
			m = b.machine()
			if s, _, err := m.Start(release); err != nil || s != TrialStart {
				t.Fatalf("%v, %v", s, err)
			}
			if err := m.Commit(t.Context(), release, nil); err != nil {
				t.Fatal(err)
			}
			// Init takes this root for the one that does not run, until the next start.
			if err := m.Write(t.Context(), manifest, bytes.NewReader(nil), nil); err != errRestartFirst {
				t.Fatalf("an update right after a commit: %v", err)
			}
			b.start()
		}
	}
	if after, _ := b.cmdlines(); after != before {
		t.Errorf("cmdline.txt was\n%q and is\n%q", before, after)
	}
}

// TestBrokenRoot: what is not what was meant is never tried.
func TestBrokenRoot(t *testing.T) {
	fat := filepath.Join(t.TempDir(), "fat")
	makeFAT(t, fat, read(t, "testdata/cmdline-lintel.txt"), read(t, "testdata/gokrazy-lintel.conf"))
	for name, spoil := range map[string]func(b *box, m *Machine) error{
		"short": func(b *box, m *Machine) error {
			return m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["new"][:chunk]), nil)
		},
		"long": func(b *box, m *Machine) error {
			return m.Write(t.Context(), b.manifest("new"), bytes.NewReader(append(bytes.Clone(b.roots["new"]), 0)), nil)
		},
		"other": func(b *box, m *Machine) error {
			if err := m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["old"]), nil); err != nil {
				return nil
			}
			return m.Arm(t.Context(), nil, 600, nil)
		},
		"a card that forgets": func(b *box, m *Machine) error {
			if err := m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["new"]), nil); err != nil {
				return nil
			}
			d, err := openDevice(b.devices[rootB], true)
			if err != nil {
				t.Fatal(err)
			}
			d.WriteAt(aligned(sectorSize), chunk)
			d.Close()
			return m.Arm(t.Context(), nil, 600, nil)
		},
		"too large": func(b *box, m *Machine) error {
			manifest := b.manifest("new")
			manifest.Root.Size = partitionSize + 1
			return m.Write(t.Context(), manifest, bytes.NewReader(b.roots["new"]), nil)
		},
		"cancelled": func(b *box, m *Machine) error {
			ctx, cancel := context.WithCancel(t.Context())
			return m.Write(ctx, b.manifest("new"), bytes.NewReader(b.roots["new"]), func(int64) { cancel() })
		},
		"never written": func(b *box, m *Machine) error { return m.Arm(t.Context(), nil, 600, nil) },
		"no squashfs": func(b *box, m *Machine) error {
			b.roots["new"] = append([]byte("shsq"), b.roots["new"][4:]...)
			if err := m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["new"]), nil); err != nil {
				return nil
			}
			return m.Arm(t.Context(), nil, 600, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, fat, false)
			m := b.machine()
			if err := spoil(b, m); err == nil {
				t.Error("it was armed")
			} else {
				t.Log(err)
			}
			if cmdline, _ := b.cmdlines(); strings.Contains(cmdline, tryFlag) {
				t.Errorf("cmdline.txt is armed: %q", cmdline)
			}
			if magic := b.part(rootB, len(squashfsMagic)); string(magic) == squashfsMagic {
				t.Error("the broken root can be mounted")
			}
			b.start()
			if b.running != "old" {
				t.Errorf("%s runs", b.running)
			}
			if b.roots["new"][0] == 'h' {
				b.settle("new", true)
				b.check("new")
			}
		})
	}
}

// TestReturnIsRemembered: an update that comes to nothing does not make anybody forget which
// version was tried and left before, and why.
func TestReturnIsRemembered(t *testing.T) {
	const reason = "2 of 3 sensors did not come back"
	fat := fatOf(t)
	newer := func(t *testing.T, b *box, m *Machine) {
		if err := m.Write(t.Context(), b.manifest("newer"), bytes.NewReader(b.roots["newer"]), nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, nothing := range map[string]func(t *testing.T, b *box, m *Machine){
		"refused before it was written": func(t *testing.T, b *box, m *Machine) {
			if err := m.Abandon(); err != nil {
				t.Fatal(err)
			}
		},
		"cancelled": func(t *testing.T, b *box, m *Machine) {
			newer(t, b, m)
			if err := m.Abandon(); err != nil {
				t.Fatal(err)
			}
		},
		"cancelled twice": func(t *testing.T, b *box, m *Machine) {
			newer(t, b, m)
			newer(t, b, m)
			if err := m.Abandon(); err != nil {
				t.Fatal(err)
			}
			newer(t, b, m)
			if err := m.Abandon(); err != nil {
				t.Fatal(err)
			}
		},
		"taken back when it was armed": func(t *testing.T, b *box, m *Machine) {
			newer(t, b, m)
			if err := m.Arm(t.Context(), nil, 600, nil); err != nil {
				t.Fatal(err)
			}
			if err := m.Abandon(); err != nil {
				t.Fatal(err)
			}
		},
		"interrupted": newer,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, fat, false)
			b.makeRoot("newer", 3)
			b.settle("new", false)
			nothing(t, b, b.machine())
			for i := range 2 {
				b.start()
				_, record, err := b.machine().Start(b.release())
				if err != nil || record == nil || record.State != StateReturned || record.Version != "new" || record.Counter != 2 || record.Reason != reason || record.Tries != 2 || record.Left != nil {
					t.Errorf("start %d: %+v, %v", i+1, record, err)
				}
			}
			// It is forgotten with the next version that is kept.
			b.settle("newer", true)
			if record, err := b.machine().Record(); err != nil || record != nil {
				t.Errorf("after the next version was kept: %+v, %v", record, err)
			}
		})
	}
}

// The record of a record is as foreign as itself, and what is wrong with it costs no more.
func TestLeftIsChecked(t *testing.T) {
	good := Record{State: StateWriting, From: rootA, To: rootB, Version: "2", Counter: 2, Root: Blob{Size: 1}}
	for name, test := range map[string]struct {
		change func(*Record)
		want   bool
	}{
		"left":     {func(*Record) {}, true},
		"armed":    {func(r *Record) { r.State = StateArmed }, false},
		"no label": {func(r *Record) { r.Version = "\x00" }, false},
		"nested":   {func(r *Record) { l := *r; r.Left = &l }, false},
	} {
		left, r := good, good
		left.State = StateReturned
		test.change(&left)
		r.Left = &left
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseRecord(text); got == nil || (got.Left != nil) != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLongestTrial: whoever is given the longest time has all of it, and guard waits for longer.
func TestLongestTrial(t *testing.T) {
	b := newBox(t, fatOf(t), false)
	m := b.machine()
	if err := m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["new"]), nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Arm(t.Context(), nil, int((MaxTrial+guardMargin)/time.Second), nil); err != nil {
		t.Fatal(err)
	}
	r, err := m.Record()
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(r.Patience) * time.Second; got-guardMargin != MaxTrial {
		t.Errorf("guard ends it after %v, and lintel %v before", got, guardMargin)
	}
}

// TestResume: what was written before an interruption is not written again.
func TestResume(t *testing.T) {
	fat := filepath.Join(t.TempDir(), "fat")
	makeFAT(t, fat, read(t, "testdata/cmdline-lintel.txt"), read(t, "testdata/gokrazy-lintel.conf"))
	b := newBox(t, fat, false)
	ctx, cancel := context.WithCancel(t.Context())
	m := b.machine()
	if err := m.Write(ctx, b.manifest("new"), bytes.NewReader(b.roots["new"]), func(int64) { cancel() }); err == nil {
		t.Fatal("not cancelled")
	}
	b.power.writes = 0
	if err := m.Write(t.Context(), b.manifest("new"), bytes.NewReader(b.roots["new"]), nil); err != nil {
		t.Fatal(err)
	}
	if b.power.writes != 3 { // the record, the second chunk, a sync
		t.Errorf("%d writes, want 3", b.power.writes)
	}
}
