package hardware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// addPartition is BLKPG_ADD_PARTITION of linux/blkpg.h.
const addPartition = 1

// loopDisk is a file as a disk, with the device nodes of it and its partition 4 below root:
// those that a system makes by itself come late, or never.
type loopDisk struct {
	root, device, partition string
	detach                  func()
}

func attach(t *testing.T, name string) loopDisk {
	t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", name).CombinedOutput()
	if err != nil {
		missing(t, "losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	d := loopDisk{root: t.TempDir(), detach: sync.OnceFunc(func() {
		if f, err := os.OpenFile(device, os.O_RDWR, 0); err == nil {
			tellPartition(f, 2, 4, 0, 0) // BLKPG_DEL_PARTITION
			f.Close()
		}
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})}
	t.Cleanup(d.detach)
	d.device, d.partition = filepath.Join(d.root, device), filepath.Join(d.root, device+"p4")
	if err := os.Symlink("/sys", filepath.Join(d.root, "sys")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(d.root, "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		missing(t, "%v", err)
	}
	defer f.Close()
	table, err := readTable(f, 1)
	if err != nil {
		t.Fatal(err)
	}
	first, last := firstSector(table.entry(4)), lastSector(table.entry(4))
	// Not every kernel reads such tables.
	if err := tellPartition(f, addPartition, 4, first, last+1-first); err != nil {
		missing(t, "no partitions of loop devices: %v", err)
	}
	base := filepath.Base(device)
	for node, sys := range map[string]string{d.device: base, d.partition: base + "/" + base + "p4"} {
		var major, minor uint32
		text := readString("/sys/block", sys, "dev")
		if _, err := fmt.Sscanf(text, "%d:%d", &major, &minor); err != nil {
			missing(t, "no partitions of loop devices: %s: %q", sys, text)
		}
		if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))); err != nil {
			missing(t, "mknod: %v", err)
		}
	}
	return d
}

// missing ends a test that cannot run here.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("LINTEL_NEED_ALL") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// TestGrowDisk writes an image to a larger disk and grows it while it is in use, stopped
// once on the way.
func TestGrowDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		missing(t, "only root mounts disks")
	}
	const size = 7_000_000_000 // no multiple of anything
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	card := cardOf(size / sectorSize)
	for lba, content := range card.content {
		if _, err := f.WriteAt(content[:], int64(lba)*sectorSize); err != nil {
			t.Fatal(err)
		}
	}
	// What tells Linux that there is such a table, and the Raspberry Pi where to boot from.
	hybrid := make([]byte, 66)
	copy(hybrid, []byte{0x80, 0xfe, 0xff, 0xff, 0x0c, 0xfe, 0xff, 0xff, 0, 0x20, 0, 0, 0, 0x20, 3, 0})
	copy(hybrid[16:], []byte{0, 0xfe, 0xff, 0xff, 0xee, 0xfe, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0x1f, 0, 0})
	hybrid[64], hybrid[65] = 0x55, 0xaa
	if _, err := f.WriteAt(hybrid, 446); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	disk := attach(t, name)
	partition := disk.partition
	if out, err := exec.Command("mkfs.ext4", "-q", "-b", "4096", "-i", "262144", "-E", "resize=1073741824", partition).CombinedOutput(); err != nil {
		missing(t, "mkfs.ext4: %v: %s", err, out)
	}
	folder := t.TempDir()
	mount := func() {
		t.Helper()
		if err := unix.Mount(partition, folder, "ext4", 0, ""); err != nil {
			missing(t, "mount: %v", err)
		}
	}
	mount()
	mounted := true
	t.Cleanup(func() {
		if mounted {
			unix.Unmount(folder, 0)
		}
	})
	data := filepath.Join(folder, "lintel")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte("what was there before"), 1<<16)
	if err := os.WriteFile(filepath.Join(data, "before"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	room := func() uint64 {
		t.Helper()
		var s unix.Statfs_t
		if err := unix.Statfs(data, &s); err != nil {
			t.Fatal(err)
		}
		return s.Blocks * uint64(s.Bsize)
	}

	before := room()
	ended, end := context.WithCancel(t.Context())
	end()
	if grown, err := growDisk(ended, disk.root, data); grown != 0 || !errors.Is(err, context.Canceled) {
		t.Fatalf("after the end: grown by %d, %v", grown, err)
	}
	if got := readString("/sys/block", filepath.Base(disk.device), filepath.Base(partition), "size"); got != "11409408" {
		t.Fatalf("the kernel has %s sectors of partition 4", got)
	}
	block, blocks, err := ext4Blocks(partition)
	if err != nil {
		t.Fatal(err)
	}
	// A first part, as a power cut leaves it.
	grown, err := growExt4(t.Context(), partition, data, block*blocks+growStep+1<<20)
	if errors.Is(err, unix.EPERM) {
		t.Skip("not even root may grow file systems here: it lacks CAP_SYS_RESOURCE")
	}
	if err != nil || grown < growStep {
		t.Fatalf("a first part: grown by %d, %v", grown, err)
	}
	if grown, err = growDisk(t.Context(), disk.root, data); err != nil {
		t.Fatal(err)
	}
	after := room()
	t.Logf("from %d MB to %d MB, the last part %d MB", before/1e6, after/1e6, grown/1e6)
	if all := uint64(size - 2260992*sectorSize); after < all-all/50 || after > all {
		t.Errorf("the file system has %d bytes of %d", after, all)
	}
	if grown, err := growDisk(t.Context(), disk.root, data); grown != 0 || err != nil {
		t.Errorf("once more: grown by %d, %v", grown, err)
	}
	if got, err := os.ReadFile(filepath.Join(data, "before")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("what was there before is not there any more: %v", err)
	}
	fill := filepath.Join(data, "after")
	if err := os.WriteFile(fill, content, 0o600); err != nil {
		t.Errorf("after it has grown: %v", err)
	}
	if err := unix.Unmount(folder, 0); err != nil {
		t.Fatal(err)
	}
	mounted = false
	if out, err := exec.Command("e2fsck", "-f", "-n", partition).CombinedOutput(); err != nil {
		t.Errorf("e2fsck: %v: %s", err, out)
	}
	// What is there at the next start.
	disk.detach()
	disk = attach(t, name)
	base := filepath.Base(disk.device)
	if got := readString("/sys/block", base, base+"p4", "size"); got != "11409408" {
		t.Errorf("after a start partition 4 has %s sectors", got)
	}
	first := make([]byte, sectorSize)
	if _, err := f.ReadAt(first, 0); err != nil || !bytes.Equal(first[446:], hybrid) {
		t.Errorf("the first sector is another one (%v)", err)
	}
}
