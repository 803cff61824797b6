package update

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deviceOf returns the numbers of the device that a folder is on.
func deviceOf(folder string) (string, error) {
	var s unix.Stat_t
	if err := unix.Stat(folder, &s); err != nil {
		return "", fmt.Errorf("look at %s: %w", folder, err)
	}
	return fmt.Sprintf("%d:%d", unix.Major(s.Dev), unix.Minor(s.Dev)), nil
}

// file is a device that goes past the page cache, where that can be.
type file struct{ *os.File }

// openDevice opens a partition. To write to one that is mounted is refused.
func openDevice(name string, write bool) (device, error) {
	flags := unix.O_RDONLY
	if write {
		flags = unix.O_RDWR
		if info, err := os.Stat(name); err == nil && info.Mode()&os.ModeDevice != 0 {
			flags |= unix.O_EXCL // without O_CREAT: of a block device that is mounted, EBUSY
		}
	}
	f, err := os.OpenFile(name, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) { // a file system in a test that does not know it
		f, err = os.OpenFile(name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (f file) Size() (int64, error) { return f.Seek(0, io.SeekEnd) }

// aligned returns a buffer that the disk can read into by itself: the largest sector
// that there is has 4096 bytes.
func aligned(size int) []byte {
	const most = 4096
	b := make([]byte, size+most)
	skip := most - int(uintptr(unsafe.Pointer(&b[0]))%most)
	return b[skip : skip+size : skip+size]
}

// replaceFile puts content in the place of a file, nil removes it: after a power cut there
// is the old one or the new one. lintel and guard may both want to.
func replaceFile(name string, content []byte) error {
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if content == nil {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return folder.Sync()
	}
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return folder.Sync()
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func syncAll() { unix.Sync() }

// restartNow restarts the machine as it is.
func restartNow() error { return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) }

// freeSpace says how many bytes a folder's disk has for us.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
