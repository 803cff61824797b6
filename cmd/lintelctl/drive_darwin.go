package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
)

// listDrives returns the disks of this machine.
func listDrives() ([]drive, error) {
	text, err := diskutil("list", "-plist")
	if err != nil {
		return nil, err
	}
	drives, err := parseDiskutilList(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for i := range drives {
		text, err := diskutil("info", "-plist", drives[i].Name)
		if err != nil {
			return nil, err
		}
		if err := parseDiskutilInfo(bytes.NewReader(text), &drives[i]); err != nil {
			return nil, err
		}
	}
	return drives, nil
}

func diskutil(args ...string) ([]byte, error) {
	out, err := exec.Command("/usr/sbin/diskutil", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("diskutil %v: %w", args, err)
	}
	return out, nil
}

// openDrive opens the device that has no buffer.
func openDrive(d *drive) (*os.File, error) { return os.OpenFile(d.Path, os.O_RDWR, 0) }

// forgetDrive has nothing to do: the device remembers nothing.
func forgetDrive(f *os.File) error { return nil }

func endDrive(*os.File) {}
