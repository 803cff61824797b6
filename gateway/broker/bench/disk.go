package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// disk is an ext4 file system on a loop device of its own, so that the kernel's
// counters of the device are those of one broker's data. The device writes to its
// file directly: what is not on it yet is in the page cache of the file system on
// top, and nowhere else.
type disk struct {
	image  string
	device string // loop…
	folder string // where it is mounted; empty: it is not
}

// diskSize is that of the file behind the device, which is sparse.
const diskSize = 4 << 30

var errNotRoot = errors.New("needs root: a loop device counts the bytes")

// ownMounts starts this program anew where nobody else sees what it mounts: so no
// mount outlives it, however it ends, and nobody keeps one from being unmounted.
// Who is not root mounts nothing.
func ownMounts() error {
	const mark = "LINTEL_BENCH_MOUNTS"
	if os.Getuid() != 0 || os.Getenv(mark) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the program goes on in the thread that calls exec
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	switch err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err {
	case nil:
	case unix.EINVAL:
		return errors.New("the root folder is no mount point, as in a chroot: bind its folder onto itself (mount --rbind) and enter it again")
	default:
		return os.NewSyscallError("mount", err)
	}
	return os.NewSyscallError("exec", syscall.Exec(self, os.Args, append(os.Environ(), mark+"=own")))
}

// newDisk makes a disk in the scratch folder. It is mounted there under its name.
func newDisk(scratch, name string) (_ *disk, err error) {
	if os.Getuid() != 0 {
		return nil, errNotRoot
	}
	d := &disk{image: filepath.Join(scratch, name+".img")}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, diskSize); err != nil {
		return nil, err
	}
	// Few inodes, and all of them at once: else the kernel would go on writing
	// empty ones while the broker is measured.
	if _, err := tool("mkfs.ext4", "-q", "-F", "-N", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image); err != nil {
		return nil, err
	}
	return d, d.mount()
}

// mount mounts the disk as the appliance does: without read-ahead, which would
// make every small write to a mapped file a large one.
func (d *disk) mount() error {
	device, err := tool("losetup", "--find", "--show", "--direct-io=on", d.image)
	if err != nil {
		return err
	}
	// Once mounted the device stays until it is unmounted.
	defer tool("losetup", "--detach", device)
	folder := strings.TrimSuffix(d.image, ".img")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if _, err := tool("mount", "-t", "ext4", device, folder); err != nil {
		return err
	}
	d.device, d.folder = filepath.Base(device), folder
	// mount has put it back to 128.
	return os.WriteFile(filepath.Join("/sys/block", d.device, "queue/read_ahead_kb"), []byte("0"), 0)
}

func (d *disk) unmount() error {
	if _, err := tool("umount", d.folder); err != nil {
		return err
	}
	d.folder = ""
	return nil
}

// pull is the plug: from now on nothing gets to the device any more, and what is
// not there is lost. Only the device's own cache survives, which makes this
// kinder than a real one. The file system is of no use then until it is
// unmounted.
func (d *disk) pull() error {
	const (
		shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN
		noLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	f, err := os.Open(d.folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("EXT4_IOC_SHUTDOWN", unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush))
}

// use is what a disk was told to do.
type use struct{ bytes, flushes float64 }

func (u use) minus(v use) use          { return use{u.bytes - v.bytes, u.flushes - v.flushes} }
func (u use) plus(v use) use           { return use{u.bytes + v.bytes, u.flushes + v.flushes} }
func (u use) times(factor float64) use { return use{factor * u.bytes, factor * u.flushes} }

// use returns what the device was told to do until now (Documentation/block/stat),
// after it has been told all that the kernel kept back.
func (d *disk) use() (use, error) {
	f, err := os.Open(d.folder)
	if err != nil {
		return use{}, err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return use{}, os.NewSyscallError("syncfs", err)
	}
	text, err := os.ReadFile(filepath.Join("/sys/block", d.device, "stat"))
	if err != nil {
		return use{}, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 16 {
		return use{}, fmt.Errorf("%s has %d fields in its statistics", d.device, len(fields))
	}
	sectors, err := strconv.ParseFloat(fields[6], 64)
	if err != nil {
		return use{}, err
	}
	flushes, err := strconv.ParseFloat(fields[15], 64)
	return use{512 * sectors, flushes}, err
}

// close leaves nothing of the disk behind.
func (d *disk) close() {
	if d.folder != "" && d.unmount() != nil {
		tool("umount", "--lazy", d.folder) // somebody still has a file open there
	}
	os.Remove(d.image)
}

// tool runs a program that must not be cut short, and returns what it says.
func tool(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	said := strings.Join(strings.Fields(string(out)), " ")
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return said, nil
}
