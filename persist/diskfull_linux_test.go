package persist

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// smallDisk mounts an ext4 file system of so many MB from a file.
func smallDisk(t *testing.T, size int64) (mountPoint string) {
	t.Helper()
	without := func(why string) {
		if os.Getenv("LINTEL_NEED_ALL") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if os.Geteuid() != 0 {
		without("only root can mount a small disk")
	}
	for _, program := range []string{"mkfs.ext4", "losetup", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			without(program + " is missing: apt-get install e2fsprogs mount")
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	image := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size<<20); err != nil {
		t.Fatal(err)
	}
	run("mkfs.ext4", "-q", "-F", image)
	if out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput(); err != nil {
		without(fmt.Sprintf("no loop device: %s", out))
	} else {
		device := strings.TrimSpace(string(out))
		t.Cleanup(func() { run("losetup", "--detach", device) })
		mountPoint = t.TempDir()
		run("mount", device, mountPoint)
		t.Cleanup(func() { run("umount", mountPoint) })
	}
	return mountPoint
}

// fillDisk takes all but so much of what is free, and returns how to give it back.
func fillDisk(t *testing.T, mountPoint string, left int64) (empty func()) {
	t.Helper()
	name := filepath.Join(mountPoint, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zeros := make([]byte, 64<<10)
	for {
		free, _, err := statfs(mountPoint)
		if err != nil {
			t.Fatal(err)
		}
		if free <= left {
			break
		}
		if _, err := f.Write(zeros[:min(int64(len(zeros)), free-left)]); err != nil {
			break // the disk is full
		}
	}
	f.Sync()
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// publisher is a running publishUntilFull.
type publisher struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *bufio.Scanner
	said   strings.Builder
	stored int // messages
}

func startPublisher(t *testing.T, args ...string) *publisher {
	t.Helper()
	p := &publisher{cmd: exec.Command(os.Args[0], append([]string{"publish"}, args...)...)}
	p.cmd.Stderr = &p.said
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.in, p.out = in, write, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	stop := time.AfterFunc(8*patience, func() { p.cmd.Process.Kill() })
	t.Cleanup(func() {
		stop.Stop()
		write.Close()
		p.cmd.Process.Kill()
	})
	return p
}

// until reads what the publisher says, up to a word, or to its end with an empty one.
func (p *publisher) until(t *testing.T, word string) {
	t.Helper()
	for p.out.Scan() {
		what, number, _ := strings.Cut(p.out.Text(), " ")
		n, _ := strconv.Atoi(number)
		if what == "p" {
			p.stored = (n + 1) * diskGroup
		}
		if what == word {
			return
		}
	}
	if word != "" {
		t.Fatalf("the publisher does not say %q: %s", word, p.said.String())
	}
}

// end waits for the end of the process and returns its exit status.
func (p *publisher) end(t *testing.T) int {
	t.Helper()
	p.until(t, "")
	p.in.Close()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// hasAll checks that the store holds the messages from first to last.
func hasAll(t *testing.T, dir string, first, last int) {
	t.Helper()
	s := open(t, dir, Options{Check: checker()})
	defer closeStore(t, s)
	have := make(map[string]string)
	for _, m := range load(t, s).Retained {
		have[m.Topic] = string(m.Payload)
	}
	for i := first; i < last; i++ {
		if m := diskMessage(i); have[m.Topic] != string(m.Payload) {
			t.Fatalf("message %d of %d to %d was stored and is lost", i, first, last)
		}
	}
	if r := s.Report(); len(r.Losses()) > 0 {
		t.Errorf("told: %q", r.Losses())
	}
}

// A store on a small disk says in time that nothing more fits, deletes still, and
// opens again with all that was stored. When others take what is left it ends in
// order, with an error.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, 80)
	dir := filepath.Join(disk, "data", "store")
	p := startPublisher(t, dir)
	p.until(t, "low")
	free, _, err := statfs(disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages of 4 kB stored, %d MB free", p.stored, free>>20)
	if p.stored < 1000 {
		t.Errorf("only %d messages", p.stored)
	}
	if _, err := os.Stat(dir + ballastSuffix); err != nil {
		t.Error(err)
	}
	deleted := p.stored / diskGroup / 2
	for range deleted {
		fmt.Fprintln(p.in)
		p.until(t, "d")
	}
	empty := fillDisk(t, disk, 8<<20)
	fmt.Fprintln(p.in) // one of these deletes finds the disk full
	fmt.Fprintln(p.in)
	if status := p.end(t); status != 1 || !strings.Contains(p.said.String(), "the disk is full") {
		t.Errorf("ended with %d: %s", status, p.said.String())
	}
	hasAll(t, dir, (deleted+2)*diskGroup, p.stored)
	if _, err := os.Stat(dir + ballastSuffix); err == nil {
		t.Error("the ballast was not used")
	}
	empty()
	p = startPublisher(t, dir)
	p.until(t, "low")
	p.in.Close()
	if status := p.end(t); status != 0 {
		t.Errorf("with room again: ended with %d: %s", status, p.said.String())
	}
}

// Others fill the disk to the last byte while the store writes: whatever becomes of
// the process, the next one has all that was stored.
func TestDiskFilledByOthers(t *testing.T) {
	disk := smallDisk(t, 96)
	dir := filepath.Join(disk, "data", "store")
	p := startPublisher(t, dir, "without asking")
	for p.stored < 2000 {
		p.until(t, "p")
	}
	empty := fillDisk(t, disk, 0)
	status := p.end(t)
	t.Logf("ended with %d after %d messages: %.200q", status, p.stored, p.said.String())
	if status == 0 {
		t.Error("ended as if all were well")
	}
	hasAll(t, dir, 0, p.stored)
	empty()
	hasAll(t, dir, 0, p.stored)
}

func TestReadOnlyFileSystem(t *testing.T) {
	disk := smallDisk(t, 64)
	dir := filepath.Join(disk, "store")
	closeStore(t, open(t, dir, Options{}))
	if out, err := exec.Command("mount", "-o", "remount,ro", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	refused(t, dir, "its file system is read-only", "replace it")
	refused(t, filepath.Join(disk, "another"), "its file system is read-only", "replace it")
}
