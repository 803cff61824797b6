package hardware

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFirstPartition(t *testing.T) {
	root := t.TempDir()
	for name, number := range map[string]string{"mmcblk0p1": "1", "mmcblk0p2": "2", "mmcblk0p4": "4"} {
		folder := filepath.Join(root, "sys/devices/mmc/block/mmcblk0", name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "partition"), []byte(number+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block := filepath.Join(root, "sys/dev/block")
	if err := os.MkdirAll(block, 0o700); err != nil {
		t.Fatal(err)
	}
	for numbers, name := range map[string]string{"179:4": "mmcblk0/mmcblk0p4", "179:0": "mmcblk0"} {
		if err := os.Symlink(filepath.Join("../../devices/mmc/block", name), filepath.Join(block, numbers)); err != nil {
			t.Fatal(err)
		}
	}
	first := func(minor uint32) (string, error) {
		device, err := blockDevice(root, 179, minor)
		if err != nil {
			return "", err
		}
		return firstPartition(root, device)
	}
	device, err := first(4)
	if want := filepath.Join(root, "dev/mmcblk0p1"); err != nil || device != want {
		t.Errorf("first partition is %s, %v; want %s", device, err, want)
	}
	for _, minor := range []uint32{0, 9} {
		if device, err := first(minor); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("179:%d: %s, %v", minor, device, err)
		}
	}
	os.Remove(filepath.Join(root, "sys/devices/mmc/block/mmcblk0/mmcblk0p1/partition"))
	if device, err := first(4); err == nil {
		t.Errorf("without partition 1: %s", device)
	}
}
