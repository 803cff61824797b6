package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// wantedModules are the kernel modules that something loads; what they need comes with them.
var wantedModules = []string{
	"kernel/drivers/hwmon/pwm-fan.ko",        // by init, for the fan of a Raspberry Pi 5
	"kernel/drivers/net/wireless/broadcom/*", // Wi-Fi of all boards
}

// wantedTables are the tables of kernel modules that are kept: text, for programs that
// load modules themselves. The others are for modprobe, which is not there.
var wantedTables = []string{"modules.alias", "modules.builtin", "modules.dep", "modules.softdep"}

// packRoot makes the squashfs of the first root from that of gok, and the bill of
// materials from what is in it.
func (b build) packRoot(from, to *disk, work string) (string, error) {
	given, folder := filepath.Join(work, "given.squashfs"), filepath.Join(work, "root")
	size, err := squashfsSize(from, from.partitions[rootPartition])
	if err != nil {
		return "", err
	}
	if err := from.extract(from.partitions[rootPartition], size, given); err != nil {
		return "", err
	}
	if err := b.command("unsquashfs", "-n", "-q", "-d", folder, given); err != nil {
		return "", err
	}
	// gok leaves folders that nobody may write to, which holds for other users than root.
	if err := filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(name, 0o755)
		}
		return err
	}); err != nil {
		return "", err
	}
	removed, err := pruneModules(folder)
	if err != nil {
		return "", err
	}
	if err := b.restamp(filepath.Join(folder, "gokrazy/init")); err != nil {
		return "", err
	}
	// Certificates and time zone are those of the machine that builds.
	roots, err := os.ReadFile(b.roots)
	if err != nil {
		return "", err
	}
	trusted := filepath.Join(folder, "etc/ssl/ca-bundle.pem")
	if err := os.Remove(trusted); err != nil {
		return "", err
	}
	if err := os.WriteFile(trusted, roots, 0o444); err != nil {
		return "", err
	}
	if err := os.RemoveAll(filepath.Join(folder, "etc/localtime")); err != nil {
		return "", err
	}
	if err := b.writeBill(folder); err != nil {
		return "", err
	}
	seconds := fmt.Sprint(b.made.Unix())
	out := b.beside(".squashfs")
	os.Remove(out)
	// The kernels read zlib and nothing else. Blocks of 128 KiB are what they decompress
	// for one page that is wanted.
	if err := b.command("env", "-u", "SOURCE_DATE_EPOCH", "mksquashfs", folder, out, "-quiet", "-no-progress", "-noappend",
		"-comp", "gzip", "-b", "128K", "-all-root", "-no-xattrs", "-no-exports",
		"-mkfs-time", seconds, "-all-time", seconds); err != nil {
		return "", err
	}
	info, err := os.Stat(out)
	if err != nil {
		return "", err
	}
	report := fmt.Sprintf("  root     %s, %s as gok left it; %d kernel modules taken out\n", mebibytes(info.Size()), mebibytes(size), removed)
	return report, to.fill(to.partitions[rootPartition], out)
}

// restamp replaces the time at which gok has built init, in init, by the time of the
// build. gok takes no time from outside; the linker's -X leaves gok's in the program.
func (b build) restamp(name string) error {
	program, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	stamp := b.made.Format(time.RFC3339)
	if len(stamp) != len(b.stamp) || !bytes.Contains(program, []byte(b.stamp)) {
		return fmt.Errorf("init was not built at %q", b.stamp)
	}
	return os.WriteFile(name, bytes.ReplaceAll(program, []byte(b.stamp), []byte(stamp)), 0o755)
}

// squashfsSize returns how many bytes of a partition its squashfs takes: the superblock
// says it at byte 40, and blocks are 4 KiB.
func squashfsSize(r io.ReaderAt, p extent) (int64, error) {
	super := make([]byte, 96)
	if _, err := r.ReadAt(super, p.offset); err != nil {
		return 0, err
	}
	size := (binary.LittleEndian.Uint64(super[40:]) + 4095) &^ 4095
	if string(super[:4]) != "hsqs" || size == 0 || size > uint64(p.size) {
		return 0, fmt.Errorf("there is no squashfs at %d", p.offset)
	}
	return int64(size), nil
}

// pruneModules removes the kernel modules that nothing loads, and says how many.
func pruneModules(root string) (int, error) {
	releases, err := filepath.Glob(filepath.Join(root, "lib/modules/*"))
	if err != nil || len(releases) != 1 {
		return 0, fmt.Errorf("there are %d folders of kernel modules; right is one (%v)", len(releases), err)
	}
	release := releases[0]
	table := filepath.Join(release, "modules.dep")
	text, err := os.ReadFile(table)
	if os.IsNotExist(err) {
		text = nil
	} else if err != nil {
		return 0, err
	}
	kept := neededModules(string(text), wantedModules)
	removed := 0
	var folders []string
	err = filepath.WalkDir(release, func(name string, e fs.DirEntry, err error) error {
		switch relative, _ := filepath.Rel(release, name); {
		case err != nil:
			return err
		case e.IsDir():
			folders = append(folders, name)
			return nil
		case strings.HasSuffix(name, ".ko") && !slices.Contains(kept, relative):
			removed++
			return os.Remove(name)
		case !strings.HasSuffix(name, ".ko") && !slices.Contains(wantedTables, relative):
			return os.Remove(name)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, folder := range slices.Backward(folders) { // fails where something is left
		if folder != release {
			os.Remove(folder)
		}
	}
	if text == nil {
		return removed, nil
	}
	var lines bytes.Buffer
	for line := range strings.Lines(string(text)) {
		if name, _, _ := strings.Cut(line, ":"); slices.Contains(kept, name) {
			lines.WriteString(line)
		}
	}
	return removed, os.WriteFile(table, lines.Bytes(), 0o644)
}

// neededModules returns the modules of a modules.dep that patterns name and all that
// those need. A pattern that ends with /* names everything below.
func neededModules(table string, patterns []string) []string {
	var kept []string
	for line := range strings.Lines(table) {
		name, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		for _, pattern := range patterns {
			if below, all := strings.CutSuffix(pattern, "*"); name == pattern || all && strings.HasPrefix(name, below) {
				kept = append(kept, name)
				kept = append(kept, strings.Fields(needs)...) // modules.dep has those of those too
			}
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}
