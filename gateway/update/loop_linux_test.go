package update

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDisk does an update on the partitions of one disk image, as block devices: with
// O_DIRECT, their own sector size, and the kernel's word that nobody has mounted them.
func TestDisk(t *testing.T) {
	need := func(why string) {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if os.Getuid() != 0 {
		need("loop devices need root")
	}
	fat := filepath.Join(t.TempDir(), "fat")
	makeFAT(t, fat, read(t, "testdata/cmdline-lintel.txt"), read(t, "testdata/gokrazy-lintel.conf"))
	b := newBox(t, fat, false)
	image := filepath.Join(t.TempDir(), "disk.img")
	disk, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	at := int64(8192 * sectorSize)
	for n := bootPartition; n <= rootB; n++ {
		content := []byte(read(t, b.devices[n]))
		if _, err := disk.WriteAt(content, at); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("losetup", "--find", "--show", "--offset", fmt.Sprint(at), "--sizelimit", fmt.Sprint(len(content)), image).CombinedOutput()
		if err != nil {
			need(fmt.Sprintf("losetup: %v: %s", err, out))
		}
		loop := strings.TrimSpace(string(out))
		t.Cleanup(func() {
			if out, err := exec.Command("losetup", "--detach", loop).CombinedOutput(); err != nil {
				t.Errorf("losetup --detach %s: %v: %s", loop, err, out)
			}
		})
		os.Remove(b.devices[n])
		if err := os.Symlink(loop, b.devices[n]); err != nil {
			t.Fatal(err)
		}
		at += int64(len(content))
	}
	m := b.machine()
	if room, err := m.Room(); err != nil || room != partitionSize {
		t.Errorf("room for %d bytes, %v", room, err)
	}
	b.settle("new", true)
	b.check("new")
	b.settle("new", true)

	// What is mounted is not written to.
	busy := filepath.Join(t.TempDir(), "mounted")
	if err := os.Mkdir(busy, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", b.devices[rootA]).CombinedOutput(); err != nil {
		need(fmt.Sprintf("mkfs.ext4: %v: %s", err, out))
	}
	device, err := filepath.EvalSymlinks(b.devices[rootA])
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(device, busy, "ext4", unix.MS_RDONLY, ""); err != nil {
		need(fmt.Sprintf("mount: %v", err))
	}
	defer unix.Unmount(busy, 0)
	b.makeRoot("newer", 9)
	if err := b.machine().Write(t.Context(), b.manifest("newer"), bytes.NewReader(b.roots["newer"]), nil); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a mounted partition: %v", err)
	}
}
