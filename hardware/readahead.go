package hardware

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DisableReadAhead turns the read-ahead of the disk off that the folder dir is on. With
// it, since Linux 6.16, a page that is written through a mapped file takes its
// neighbours along to the disk: small commits cost three to four times as many bytes.
// It reads back what it wrote. root is "/" outside of tests.
func DisableReadAhead(root, dir string) error {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return fmt.Errorf("hardware: read-ahead of %s: %w", dir, err)
	}
	return disableReadAhead(root, unix.Major(s.Dev), unix.Minor(s.Dev))
}

func disableReadAhead(root string, major, minor uint32) error {
	device, err := filepath.EvalSymlinks(filepath.Join(root, "sys/dev/block", fmt.Sprintf("%d:%d", major, minor)))
	if err != nil {
		return fmt.Errorf("hardware: read-ahead: the folder is on no disk of its own: %w", err)
	}
	if _, err := os.Stat(filepath.Join(device, "partition")); err == nil {
		device = filepath.Dir(device) // the queue is that of the whole disk
	}
	name := filepath.Join(device, "queue/read_ahead_kb")
	if err := os.WriteFile(name, []byte("0\n"), 0); err != nil {
		return fmt.Errorf("hardware: read-ahead: %w", err)
	}
	now, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("hardware: read-ahead: %w", err)
	}
	if got := strings.TrimSpace(string(now)); got != "0" {
		return fmt.Errorf("hardware: read-ahead: %s is %s KiB after it was set to 0", name, got)
	}
	return nil
}
