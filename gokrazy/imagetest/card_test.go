package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFill fills the fourth partition of a card and empties it again.
func TestFill(t *testing.T) {
	for _, program := range []string{"debugfs", "e2fsck", "mkfs.ext4"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("LINTEL_NEED_ALL") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	const first, size = 4096 * 512, 32 << 20
	disk, err := os.Create(filepath.Join(dir, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	entry := binary.LittleEndian.AppendUint64(nil, first/512)
	entry = binary.LittleEndian.AppendUint64(entry, (first+size)/512-1)
	if _, err := disk.WriteAt(entry, 2*512+3*128+32); err != nil {
		t.Fatal(err)
	}
	if err := disk.Truncate(first + size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-d", "../perm", "-E", "offset=2097152", disk.Name(), "32768k").CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if err := configure(t.Context(), dir, "[log]\nlevel = \"debug\"\n"); err != nil {
		t.Fatal(err)
	}
	free := func(change func(file string) error) (blocks int) {
		t.Helper()
		err := onPerm(t.Context(), dir, func(file string) (err error) {
			if err := change(file); err != nil {
				return err
			}
			blocks, err = freeIn(t.Context(), file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return blocks
	}
	nothing := func(string) error { return nil }
	before := free(nothing)
	if got := free(func(file string) error { return fill(t.Context(), file) }); got > left {
		t.Errorf("%d of %d blocks are free on a full card", got, before)
	}
	if got := free(nothing); got > left {
		t.Errorf("%d blocks are free on a full card that was written back", got)
	}
	if got := free(func(file string) error { _, err := debugfs(t.Context(), file, "rm fill\n"); return err }); got != before {
		t.Errorf("%d blocks are free afterwards, not %d", got, before)
	}
}
