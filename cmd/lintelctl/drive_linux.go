package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listDrives returns the disks of this machine.
func listDrives() ([]drive, error) { return readDrives("/") }

// readDrives reads what sysfs and proc below root say.
func readDrives(root string) ([]drive, error) {
	entries, err := os.ReadDir(filepath.Join(root, "sys/block"))
	if err != nil {
		return nil, err
	}
	mounts, err := readMounts(root)
	if err != nil {
		return nil, err
	}
	drives := []drive{}
	for _, e := range entries {
		name := e.Name()
		if slices.ContainsFunc([]string{"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		drives = append(drives, readDrive(root, name, mounts))
	}
	return drives, nil
}

// readDrive reads what is known of a disk.
func readDrive(root, name string, mounts []mount) drive {
	dir := filepath.Join(root, "sys/block", name)
	text := func(file string) string {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	d := drive{Name: name, Path: "/dev/" + name, Mounted: []string{}, ReadOnly: text("ro") == "1"}
	d.Model = strings.Join(strings.Fields(text("device/vendor")+" "+text("device/model")+" "+text("device/name")), " ")
	sectors, _ := strconv.ParseInt(text("size"), 10, 64) // of 512 bytes, whatever those of the disk are
	d.Size = sectors * 512
	// A slot for cards says of the card that it is one; soldered memory is MMC.
	d.Removable = text("removable") == "1" || text("device/type") == "SD"
	devices := map[string]string{text("dev"): name}
	parts, _ := filepath.Glob(filepath.Join(dir, name+"*", "dev"))
	for _, p := range parts {
		if b, err := os.ReadFile(p); err == nil {
			devices[strings.TrimSpace(string(b))] = filepath.Base(filepath.Dir(p))
		}
	}
	for _, pattern := range []string{"holders/*", name + "*/holders/*"} {
		holders, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, h := range holders {
			d.Used = filepath.Base(h) // such as a volume of LVM, which may have anything on it
		}
	}
	for _, m := range mounts {
		_, ours := devices[m.device]
		for _, part := range devices {
			ours = ours || m.source == "/dev/"+part // where the file system has a device number of its own
		}
		if !ours {
			continue
		}
		if m.at == "/" || m.at == "/boot" || strings.HasPrefix(m.at, "/boot/") || m.at == "/usr" || m.at == swapSpace {
			d.System = true
		}
		if !slices.Contains(d.Mounted, m.at) {
			d.Mounted = append(d.Mounted, m.at)
		}
	}
	return d
}

const swapSpace = "swap space"

// mount is something that is mounted.
type mount struct{ device, source, at string }

// readMounts reads what is mounted (proc_pid_mountinfo(5)), and the swap space.
func readMounts(root string) ([]mount, error) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	var mounts []mount
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 2 {
			continue
		}
		mounts = append(mounts, mount{f[2], resolve(root, g[1]), strings.ReplaceAll(f[4], `\040`, " ")})
	}
	text, err = os.ReadFile(filepath.Join(root, "proc/swaps"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 && strings.HasPrefix(f[0], "/dev/") {
			mounts = append(mounts, mount{source: resolve(root, f[0]), at: swapSpace})
		}
	}
	return mounts, nil
}

// resolve follows the links below /dev.
func resolve(root, source string) string {
	if !strings.HasPrefix(source, "/dev/") || root != "/" {
		return source
	}
	if path, err := filepath.EvalSymlinks(source); err == nil {
		return path
	}
	return source
}

// openDrive opens a disk for itself alone: Linux refuses that while anything of it is mounted.
func openDrive(d *drive) (*os.File, error) {
	f, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%s is in use", d.Path)
	}
	return f, err
}

// forgetDrive has the system read the disk itself, not what it remembers of it.
func forgetDrive(f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0); err != nil && !errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("the buffers of the disk cannot be emptied: %w", err)
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// endDrive has the system look at the new partitions.
func endDrive(f *os.File) {
	unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0) // whoever pulls the card out needs it not
}
