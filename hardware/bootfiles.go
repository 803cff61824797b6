package hardware

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// BootFiles calls use with the folder in which the first partition of the disk is
// mounted that the folder dir is on, read-only: the FAT that a person sees who puts the
// card into another computer. use may call writable before it changes anything there.
// When BootFiles returns the partition is not mounted any more: updates write to it
// past the file system.
func BootFiles(dir string, use func(folder string, writable func() error) error) (err error) {
	device, err := deviceOf("/", dir)
	if err == nil {
		device, err = firstPartition("/", device)
	}
	if err != nil {
		return fmt.Errorf("hardware: boot partition: %w", err)
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

// firstPartition returns the device node of partition 1 of the disk of a partition.
func firstPartition(root, device string) (string, error) {
	if !isPartition(device) {
		return "", fmt.Errorf("the folder is on %s, which is not a partition", filepath.Base(device))
	}
	names, err := filepath.Glob(filepath.Join(wholeDisk(device), "*", "partition"))
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if readString(name) == "1" {
			return filepath.Join(root, "dev", filepath.Base(filepath.Dir(name))), nil
		}
	}
	return "", fmt.Errorf("the disk of %s has no partition 1", filepath.Base(device))
}
