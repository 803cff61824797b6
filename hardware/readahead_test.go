package hardware

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDisableReadAhead(t *testing.T) {
	root := t.TempDir()
	disk := filepath.Join(root, "sys/devices/platform/mmc/block/mmcblk0")
	for _, dir := range []string{disk + "/queue", disk + "/mmcblk0p4", filepath.Join(root, "sys/dev/block")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{disk + "/queue/read_ahead_kb": "128\n", disk + "/mmcblk0p4/partition": "4\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"179:0": disk, "179:4": disk + "/mmcblk0p4"} {
		if err := os.Symlink(to, filepath.Join(root, "sys/dev/block", link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, minor := range []uint32{4, 0} { // a partition, and a whole disk
		if err := os.WriteFile(disk+"/queue/read_ahead_kb", []byte("128\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		device, err := blockDevice(root, 179, minor)
		if err == nil {
			err = disableReadAhead(device)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(disk + "/queue/read_ahead_kb"); strings.TrimSpace(string(got)) != "0" {
			t.Errorf("device 179:%d: read-ahead is %q", minor, got)
		}
	}
	if device, err := blockDevice(root, 0, 22); err == nil {
		t.Errorf("a folder without a disk is on %s", device)
	}
}
