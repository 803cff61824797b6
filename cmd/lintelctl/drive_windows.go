package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/windows"
)

// getDisk is what PowerShell is asked on Windows. Partitions say where they are mounted.
const getDisk = `[Console]::OutputEncoding = [Text.Encoding]::UTF8
ConvertTo-Json -Compress -Depth 4 @(Get-Disk | ForEach-Object {
  $d = $_
  $w = Get-CimInstance Win32_DiskDrive -Filter "Index=$($d.Number)"
  @{Number = $d.Number; Model = "$($d.FriendlyName)"; Size = $d.Size; Bus = "$($d.BusType)"; System = [bool]($d.IsSystem -or $d.IsBoot);
    ReadOnly = [bool]$d.IsReadOnly; Media = "$($w.MediaType)";
    Letters = @(Get-Partition -DiskNumber $d.Number -ErrorAction SilentlyContinue | Where-Object DriveLetter | ForEach-Object { "$($_.DriveLetter)" }) }
})`

const (
	lockVolume     = 0x90018 // FSCTL_LOCK_VOLUME
	dismountVolume = 0x90020 // FSCTL_DISMOUNT_VOLUME
)

// listDrives returns the disks of this machine.
func listDrives() ([]drive, error) {
	drives, _, err := askPowerShell()
	return drives, err
}

func askPowerShell() ([]drive, map[string][]string, error) {
	out, err := exec.Command("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", getDisk).Output()
	if err != nil {
		return nil, nil, fmt.Errorf("Get-Disk: %w", err)
	}
	return parseGetDisk(bytes.NewReader(out))
}

// openDrive locks and dismounts the volumes of a disk, and opens it without a buffer. The
// locks end with the program.
func openDrive(d *drive) (*os.File, error) {
	_, letters, err := askPowerShell()
	if err != nil {
		return nil, err
	}
	for _, l := range letters[d.Name] {
		h, err := openHandle(`\\.\`+l+":", 0)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", l, err)
		}
		var n uint32
		if err := windows.DeviceIoControl(h, lockVolume, nil, 0, nil, 0, &n, nil); err != nil {
			return nil, fmt.Errorf("volume %s: is in use: close what has files on it open: %w", l, err)
		}
		if err := windows.DeviceIoControl(h, dismountVolume, nil, 0, nil, 0, &n, nil); err != nil {
			return nil, fmt.Errorf("volume %s cannot be dismounted: %w", l, err)
		}
	}
	h, err := openHandle(d.Path, windows.FILE_FLAG_NO_BUFFERING|windows.FILE_FLAG_WRITE_THROUGH)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), d.Path), nil
}

func openHandle(path string, flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	return windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE,
		nil, windows.OPEN_EXISTING, flags, 0)
}

// forgetDrive has nothing to do: it was opened without a buffer.
func forgetDrive(f *os.File) error { return nil }

func endDrive(*os.File) {}
