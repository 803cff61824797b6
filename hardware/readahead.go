package hardware

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// DisableReadAhead turns the read-ahead of the disk off that the folder dir is on. With
// it, since Linux 6.16, a page that is written through a mapped file takes its
// neighbours along to the disk: small commits cost three to four times as many bytes.
// It reads back what it wrote. root is "/" outside of tests.
func DisableReadAhead(root, dir string) error {
	device, err := deviceOf(root, dir)
	if err == nil {
		err = disableReadAhead(device)
	}
	if err != nil {
		return fmt.Errorf("hardware: read-ahead of %s: %w", dir, err)
	}
	return nil
}

// disableReadAhead does so for a device: the queue is that of the whole disk.
func disableReadAhead(device string) error {
	name := filepath.Join(wholeDisk(device), "queue/read_ahead_kb")
	if err := os.WriteFile(name, []byte("0\n"), 0); err != nil {
		return err
	}
	now, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(now)); got != "0" {
		return fmt.Errorf("%s is %s KiB after it was set to 0", name, got)
	}
	return nil
}
