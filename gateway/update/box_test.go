package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// box is a whole machine in files: a disk with partitions, sysfs and proc, and a model of
// how it is started, after gokrazy's init. What stands on the boot partition is read by
// mtools, and by the arithmetic of init, not by the code that is tested.
type box struct {
	t       *testing.T
	root    string
	devices [rootB + 1]string // by number
	efi     bool
	roots   map[string][]byte // all that were made, by version
	running string            // version
	power   *power
}

const partitionSize = 3 << 19

// makeFAT makes a boot partition with mtools.
func makeFAT(t testing.TB, name, cmdline, conf string) {
	t.Helper()
	if _, err := exec.LookPath("mformat"); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal("mtools is missing")
		}
		t.Skip("mtools is missing")
	}
	folder := t.TempDir()
	for file, text := range map[string]string{"cmdline.txt": cmdline, "gokrazy.conf": conf, "config.txt": "arm_64bit=1\n"} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(file string) string { return filepath.Join(folder, file) }
	mtools(t, "mformat", "-C", "-i", name, "-T", "6144", "-c", "1", "-d", "1", "-r", "256", "::")
	mtools(t, "mcopy", "-i", name, in("config.txt"), in("cmdline.txt"), "::")
	mtools(t, "mmd", "-i", name, "::loader", "::loader/entries", "::EFI")
	mtools(t, "mcopy", "-i", name, in("gokrazy.conf"), "::loader/entries/")
}

func mtools(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, &problem)
	}
	return out
}

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newBox makes a box that runs "old" from partition 2 and has rubbish on the other. fat is
// a boot partition, which is copied.
func newBox(t *testing.T, fat string, efi bool) *box {
	b := &box{t: t, root: t.TempDir(), efi: efi, roots: make(map[string][]byte), power: &power{left: -1, random: rand.New(rand.NewPCG(1, 2))}}
	number, err := deviceOf(b.root)
	if err != nil {
		t.Fatal(err)
	}
	for n := bootPartition; n <= rootB; n++ {
		device := fmt.Sprintf("sys/devices/pci/block/vda/vda%d", n)
		write(t, filepath.Join(b.root, device, "partition"), fmt.Sprintf("%d\n", n))
		b.devices[n] = filepath.Join(b.root, fmt.Sprintf("dev/vda%d", n))
	}
	write(t, filepath.Join(b.root, "sys/dev/block", "list"), number)
	if efi {
		write(t, filepath.Join(b.root, "sys/firmware/efi/fw_platform_size"), "64\n")
	}
	write(t, b.devices[bootPartition], read(t, fat))
	b.makeRoot("old", 1)
	b.makeRoot("new", 2)
	write(t, b.devices[rootA], string(b.roots["old"])+strings.Repeat("\xff", partitionSize-len(b.roots["old"])))
	write(t, b.devices[rootB], strings.Repeat("\xaa", partitionSize))
	b.start()
	return b
}

// makeRoot makes a root of a version.
func (b *box) makeRoot(version string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, seed))
	root := append([]byte(squashfsMagic), version...)
	for len(root) < chunk+chunk/3+1 {
		root = binary.LittleEndian.AppendUint64(root, random.Uint64())
	}
	b.roots[version] = root
}

func (b *box) release() Release {
	return Release{Version: b.running, Counter: map[string]int64{"old": 1, "new": 2, "newer": 3}[b.running], Board: "lintel", Kernel: "6"}
}

func (b *box) manifest(version string) *Manifest {
	root := b.roots[version]
	return &Manifest{Version: version, Counter: map[string]int64{"new": 2, "newer": 3}[version], Board: "lintel", Kernel: "6",
		Root: Blob{Size: int64(len(root)), SHA256: sha256.Sum256(root)}}
}

var (
	sayRoot = regexp.MustCompile(` root=PARTUUID=[0-9a-f-]{36}/PARTNROFF=([12]) `)
	oneLine = regexp.MustCompile(`^[ -~]*$`)
)

// cmdlines returns what mtools finds on the boot partition.
func (b *box) cmdlines() (cmdline, conf string) {
	i := b.devices[bootPartition]
	return string(mtools(b.t, "mtype", "-i", i, "::cmdline.txt")), string(mtools(b.t, "mtype", "-i", i, "::loader/entries/gokrazy.conf"))
}

// start starts the box as firmware, loader, kernel and init do it. The test fails if what
// is started is not a whole root.
func (b *box) start() {
	b.t.Helper()
	cmdline, conf := b.cmdlines()
	if !oneLine.MatchString(cmdline) {
		b.t.Fatalf("cmdline.txt is not one line: %q", cmdline)
	}
	line := cmdline
	if b.efi {
		lines := strings.Split(conf, "\n")
		if len(lines) < 3 || lines[0] != "title gokrazy" || lines[1] != "linux /vmlinuz" || !strings.HasPrefix(lines[2], "options ") {
			b.t.Fatalf("gokrazy.conf: %q", conf)
		}
		line = lines[2]
	}
	said := sayRoot.FindStringSubmatch(line)
	if said == nil || strings.Count(line, "root=") != 1 || !strings.Contains(line, " init=/gokrazy/init ") {
		b.t.Fatalf("nothing that starts: %q", line)
	}
	running := rootA
	if said[1] == "2" {
		running = rootB
	}
	write(b.t, filepath.Join(b.root, "proc/cmdline"), line+"\n")
	version := b.whole(running)
	if version == "" {
		b.t.Fatalf("Kernel panic: the root on partition %d is broken", running)
	}
	if initSees(b.t, b.devices[bootPartition]) {
		other := rootA + rootB - running
		disk := b.part(other, len(squashfsMagic))
		if string(disk) == squashfsMagic {
			if version = b.whole(other); version == "" {
				b.t.Fatal("init tries a broken root")
			}
			running = other
		} // else "mount inactive root: invalid argument"
	}
	b.running = version
	// "/" is on the partition that was mounted.
	number := read(b.t, filepath.Join(b.root, "sys/dev/block/list"))
	link := filepath.Join(b.root, "sys/dev/block", number)
	os.Remove(link)
	if err := os.Symlink(fmt.Sprintf("../../devices/pci/block/vda/vda%d", running), link); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) part(partition, size int) []byte {
	f, err := os.Open(b.devices[partition])
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	disk := make([]byte, size)
	if _, err := f.ReadAt(disk, 0); err != nil {
		b.t.Fatal(err)
	}
	return disk
}

// whole returns the version of the root on a partition; empty: it is not one.
func (b *box) whole(partition int) string {
	for version, root := range b.roots {
		if bytes.Equal(b.part(partition, len(root)), root) {
			return version
		}
	}
	return ""
}

// initSees does what gokrazy's init does at its start with cmdline.txt: it finds the file
// with its own arithmetic, looks for the flag, and writes the other text over it.
func initSees(t *testing.T, device string) bool {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 512)
	f.ReadAt(head, 0)
	le := binary.LittleEndian
	folder := (int64(le.Uint16(head[14:])) + int64(le.Uint16(head[22:]))) * 512
	data := folder + int64(le.Uint16(head[17:]))*32
	entry := make([]byte, 32)
	for at := folder; at < data; at += 32 {
		f.ReadAt(entry, at)
		if !strings.EqualFold(string(entry[:11]), "CMDLINE TXT") {
			continue
		}
		offset := data + (int64(le.Uint16(entry[26:]))-2)*int64(head[13])*512
		text := make([]byte, le.Uint32(entry[28:]))
		f.ReadAt(text, offset)
		if !bytes.Contains(text, []byte(tryFlag)) {
			return false
		}
		if _, err := f.WriteAt(bytes.ReplaceAll(text, []byte(tryFlag), []byte(triedFlag)), offset); err != nil {
			t.Fatal(err)
		}
		return true
	}
	t.Fatal("init does not find cmdline.txt")
	return false
}

// machine is the box as a program that runs on it finds it, until the power goes.
func (b *box) machine() *Machine {
	b.t.Helper()
	m, err := OpenMachine(b.root, filepath.Join(b.root, "perm/lintel"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.power.over(m)
	return m
}

// live is what lintel does from its start on: what is pending, and then an update to
// want if it is not there yet. It returns how it ended: errPower, or nil when
// nothing is left to do, or errReboot.
func (b *box) live(want string, healthy bool) error {
	ctx := context.Background()
	m := b.machine()
	s, record, err := m.Start(b.release())
	if err != nil {
		return err
	}
	switch s {
	case TrialStart:
		if healthy {
			return m.Commit(ctx, b.release(), nil)
		}
		if err := m.Return(b.release(), "2 of 3 sensors did not come back"); err != nil {
			return err
		}
		return errReboot
	case ForeignTrial:
		return errReboot
	case CommittedStart:
		return errReboot // due before the next update
	}
	if b.running == want || !healthy && record != nil && record.State == StateReturned && record.Tries >= 2 {
		return nil
	}
	manifest := b.manifest(want)
	if err := m.Write(ctx, manifest, bytes.NewReader(b.roots[want]), nil); err != nil {
		return err
	}
	if err := m.Arm(ctx, []byte(`{"clients":["kitchen"]}`), 600, nil); err != nil {
		return err
	}
	return errReboot
}

var errReboot = errors.New("restart")

// settle runs the box until nothing is left to do.
func (b *box) settle(want string, healthy bool) {
	b.t.Helper()
	for range 12 {
		err := b.live(want, healthy)
		switch {
		case err == nil && !b.power.off:
			m := b.machine()
			if m.Running == m.Booted {
				return
			}
		case b.power.off:
			b.power.off, b.power.left, b.power.undo = false, -1, nil
		case !errors.Is(err, errReboot):
			b.t.Fatalf("%s: %v", b.running, err)
		}
		b.start()
	}
	b.t.Fatal("the box does not come to rest")
}
