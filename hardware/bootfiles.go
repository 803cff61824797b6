package hardware

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// BootFiles calls use with the folder in which the first partition of the disk is
// mounted that the folder dir is on, read-only: the FAT that a person sees who puts the
// card into another computer. use may call writable before it changes anything there.
// When BootFiles returns the partition is not mounted any more: updates write to it
// past the file system.
func BootFiles(dir string, use func(folder string, writable func() error) error) (err error) {
	device, err := bootPartition("/", dir)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "boot-files-")
	if err != nil {
		return fmt.Errorf("hardware: boot partition: %w", err)
	}
	defer os.Remove(folder)
	const flags = unix.MS_NOATIME | unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC
	if err := unix.Mount(device, folder, "vfat", flags|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("hardware: boot partition: mount %s: %w", device, err)
	}
	defer func() {
		if uerr := unix.Unmount(folder, 0); uerr != nil {
			err = errors.Join(err, fmt.Errorf("hardware: boot partition: unmount %s: %w", device, uerr))
		}
	}()
	return use(folder, func() error {
		if err := unix.Mount(device, folder, "vfat", flags|unix.MS_REMOUNT|unix.MS_SYNCHRONOUS, ""); err != nil {
			return fmt.Errorf("hardware: boot partition: mount %s for writing: %w", device, err)
		}
		return nil
	})
}

// bootPartition returns the device of partition 1 of the disk that dir is on. Names
// differ (mmcblk0p1, vda1), numbers do not.
func bootPartition(root, dir string) (string, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return "", fmt.Errorf("hardware: boot partition: %w", err)
	}
	return firstPartition(root, unix.Major(s.Dev), unix.Minor(s.Dev))
}

func firstPartition(root string, major, minor uint32) (string, error) {
	device, err := filepath.EvalSymlinks(filepath.Join(root, "sys/dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return "", fmt.Errorf("hardware: boot partition: the folder is on no disk of its own: %w", err)
	}
	if _, err := os.Stat(filepath.Join(device, "partition")); err != nil {
		return "", fmt.Errorf("hardware: boot partition: the folder is on %s, which is not a partition", filepath.Base(device))
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(device), "*", "partition"))
	if err != nil {
		return "", fmt.Errorf("hardware: boot partition: %w", err)
	}
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(text)) == "1" {
			return filepath.Join(root, "dev", filepath.Base(filepath.Dir(name))), nil
		}
	}
	return "", fmt.Errorf("hardware: boot partition: the disk of %s has no partition 1", filepath.Base(device))
}
