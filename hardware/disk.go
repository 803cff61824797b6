package hardware

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk is the disk under a folder. What is zero or empty is not known.
type Disk struct {
	Kind    string // "SD" or "MMC", which is eMMC; empty: another one
	Model   string // what a card or eMMC calls itself, such as SC32G
	Made    string // when it was, month and year as in 03/2021
	Written uint64 // bytes since the machine was started

	// LifeUsed is how much of its life an eMMC takes to be used, in percent: the upper
	// end of the tenth that it tells, of its two kinds of memory the worse; 110 is more
	// than all. An SD card does not tell.
	LifeUsed int
	// Spare is what an eMMC says of the blocks that it holds in reserve: "normal",
	// "warning" (80 % are used) or "urgent".
	Spare string
}

// ReadDisk tells of the disk that the folder dir is on. root is "/" outside of tests.
func ReadDisk(root, dir string) (Disk, error) {
	device, err := deviceOf(root, dir)
	if err != nil {
		return Disk{}, fmt.Errorf("hardware: disk of %s: %w", dir, err)
	}
	return readDisk(wholeDisk(device)), nil
}

// readDisk tells of a disk by its folder in sysfs.
func readDisk(device string) Disk {
	d := Disk{Kind: readString(device, "device/type")}
	if d.Kind != "SD" && d.Kind != "MMC" {
		d.Kind = "" // SCSI disks have a number there
	} else {
		d.Model = readString(device, "device/name")
		if d.Made = readString(device, "device/date"); len(d.Made) != 7 || strings.Trim(d.Made, "0123456789/") != "" {
			d.Made = ""
		}
	}
	// Documentation/block/stat.rst: the seventh field is sectors written, and a sector
	// is 512 bytes here whatever the disk has.
	if fields := strings.Fields(readString(device, "stat")); len(fields) >= 7 {
		if sectors, err := strconv.ParseUint(fields[6], 10, 54); err == nil {
			d.Written = sectors << 9
		}
	}
	// Documentation/driver-api/mmc/mmc-dev-attrs.rst; the meaning is of JESD84-B51, 7.4.34
	// (PRE_EOL_INFO) and the two after it.
	for _, field := range strings.Fields(readString(device, "device/life_time")) {
		if tenth, err := strconv.ParseUint(field, 0, 8); err == nil && tenth <= 11 {
			d.LifeUsed = max(d.LifeUsed, 10*int(tenth))
		}
	}
	if state, err := strconv.ParseUint(readString(device, "device/pre_eol_info"), 0, 8); err == nil && state >= 1 && state <= 3 {
		d.Spare = []string{"normal", "warning", "urgent"}[state-1]
	}
	return d
}

// deviceOf returns the folder in sysfs of the device that the folder dir is on: a partition
// or a disk.
func deviceOf(root, dir string) (string, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return "", err
	}
	return blockDevice(root, unix.Major(s.Dev), unix.Minor(s.Dev))
}

// blockDevice returns the folder in sysfs of a device. Names differ (mmcblk0p1, vda1),
// numbers do not.
func blockDevice(root string, major, minor uint32) (string, error) {
	device, err := filepath.EvalSymlinks(filepath.Join("/", root, "sys/dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return "", fmt.Errorf("the folder is on no disk of its own: %w", err)
	}
	return device, nil
}

// wholeDisk returns the disk of a partition, and a disk as it is.
func wholeDisk(device string) string {
	if isPartition(device) {
		return filepath.Dir(device)
	}
	return device
}

func isPartition(device string) bool {
	_, err := os.Stat(filepath.Join(device, "partition"))
	return err == nil
}

// BootID is another one each time the machine is started; empty: not known.
func BootID(root string) string { return readString("/", root, "proc/sys/kernel/random/boot_id") }

// ReadSpace tells how many bytes may still be written to the file system that the folder dir
// is on, and how many it has.
func ReadSpace(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("hardware: space of %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}
