package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// flash makes a folder with a fresh card for the board. It may hold the cards of several
// tests, by their name.
func (b board) flash(ctx context.Context, test string) (dir string, err error) {
	dir = filepath.Join("out", "imagetest", b.name+test)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	image := filepath.Join("out", b.image+".img")
	if err := copyCard(ctx, image, filepath.Join(dir, "disk.img")); err != nil {
		return "", fmt.Errorf("copy the image, made by gokrazy/build.sh: %w", err)
	}
	return dir, nil
}

// copyCard copies a card, of which most is empty.
func copyCard(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "cp", "--sparse=always", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// partition says where a partition of the card begins and how large it is, in bytes.
func partition(dir string, n int64) (at, size int64, err error) {
	disk, err := os.Open(filepath.Join(dir, "disk.img"))
	if err != nil {
		return 0, 0, err
	}
	defer disk.Close()
	// UEFI specification, 5.3.3: first and last sector stand at byte 32 of an entry. The
	// table begins with the third sector.
	var sectors [16]byte
	if _, err := disk.ReadAt(sectors[:], 2*512+(n-1)*128+32); err != nil {
		return 0, 0, err
	}
	at = int64(binary.LittleEndian.Uint64(sectors[:])) * 512
	return at, int64(binary.LittleEndian.Uint64(sectors[8:]))*512 + 512 - at, nil
}

// mtools runs a program on the first partition of the card.
func mtools(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	at, _, err := partition(dir, 1)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-i", fmt.Sprintf("disk.img@@%d", at)}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1") // the FAT is cut to its content
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", program, err, out, &errs)
	}
	return out, nil
}

// putBootFile puts a file onto the first partition, as a person does with the card in a reader.
func putBootFile(ctx context.Context, dir, name, text string) error {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		return err
	}
	_, err := mtools(ctx, dir, "mcopy", "-o", name, "::/"+name)
	return err
}

// onPerm calls use with a file that holds partition 4, and writes back what has changed in
// it. No running machine may have it; what the last one has not put in its place is.
func onPerm(ctx context.Context, dir string, use func(file string) error) error {
	disk, err := os.OpenFile(filepath.Join(dir, "disk.img"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	first, size, err := partition(dir, 4)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "perm.img")
	perm, err := os.Create(file)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	defer perm.Close()
	if err := perm.Truncate(size); err != nil {
		return err
	}
	if err := copyChanged(perm, 0, disk, first, size); err != nil {
		return err
	}
	// Status 1 is that something was mended, such as the journal of a killed machine.
	out, err := exec.CommandContext(ctx, "e2fsck", "-fp", file).CombinedOutput()
	if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && !(ok && failed.ExitCode() == 1) {
		return fmt.Errorf("e2fsck of the card: %w: %s", err, out)
	}
	if err := use(file); err != nil {
		return err
	}
	if err := copyChanged(disk, first, perm, 0, size); err != nil {
		return err
	}
	return disk.Close()
}

// copyChanged copies what is not the same there: most of a card is empty.
func copyChanged(to *os.File, toAt int64, from *os.File, fromAt, size int64) error {
	have, want := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(want)) {
		n := min(size-at, int64(len(want)))
		if _, err := from.ReadAt(want[:n], fromAt+at); err != nil {
			return err
		}
		if _, err := to.ReadAt(have[:n], toAt+at); err != nil {
			return err
		}
		if bytes.Equal(have[:n], want[:n]) {
			continue
		}
		if _, err := to.WriteAt(want[:n], toAt+at); err != nil {
			return err
		}
	}
	return nil
}

// debugfs runs commands on a file system in a file.
func debugfs(ctx context.Context, file, commands string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "debugfs", "-w", "-f", "-", filepath.Base(file))
	cmd.Dir = filepath.Dir(file)
	cmd.Stdin = strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("debugfs: %w: %s", err, out)
	}
	return out, nil
}

// configure replaces the configuration file on the card.
func configure(ctx context.Context, dir, text string) error {
	if err := os.WriteFile(filepath.Join(dir, "lintel.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	return onPerm(ctx, dir, func(file string) error {
		out, err := debugfs(ctx, file, "rm lintel/lintel.toml\ncd lintel\nwrite lintel.toml lintel.toml\n")
		if err != nil || bytes.Contains(out, []byte("not found")) {
			return fmt.Errorf("configure: %w: %s", err, out)
		}
		return nil
	})
}

// writeRoot writes a root over root A, the one that a fresh card starts.
func writeRoot(dir, root string) error {
	at, _, err := partition(dir, 2)
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(filepath.Join(dir, "disk.img"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer disk.Close()
	from, err := os.Open(root)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.Copy(io.NewOffsetWriter(disk, at), from); err != nil {
		return err
	}
	return disk.Close()
}

var (
	rootOption = regexp.MustCompile(`(?:^| )root=PARTUUID=[0-9a-f-]{36}/PARTNROFF=([12])(?: |$)`)
	trialFlags = regexp.MustCompile(`gokrazy\.(try_boot_inactive|switch_on_boot)=1`)
)

// bootFiles is what the card says about its next start.
type bootFiles struct {
	root    int  // the partition
	trial   bool // of the other one
	cmdline int  // bytes of cmdline.txt
	entry   int  // bytes of the entry of the UEFI loader; 0: there is none
}

// readBootFiles reads that, and fails unless the machine can be started with it.
func readBootFiles(ctx context.Context, dir string) (bootFiles, error) {
	cmdline, err := mtools(ctx, dir, "mtype", "::/cmdline.txt")
	if err != nil {
		return bootFiles{}, err
	}
	root := rootOption.FindSubmatch(cmdline)
	if root == nil || bytes.ContainsAny(cmdline, "\x00\r\n") {
		return bootFiles{}, fmt.Errorf("cmdline.txt is %q", cmdline)
	}
	offset, err := strconv.Atoi(string(root[1]))
	if err != nil {
		return bootFiles{}, err
	}
	f := bootFiles{root: offset + 1, trial: trialFlags.Match(cmdline), cmdline: len(cmdline)}
	if entry, err := mtools(ctx, dir, "mtype", "::/loader/entries/gokrazy.conf"); err == nil {
		if !rootOption.Match(entry) || !bytes.Contains(entry, []byte("\nlinux /vmlinuz")) {
			return bootFiles{}, fmt.Errorf("gokrazy.conf is %q", entry)
		}
		f.entry = len(entry)
	}
	return f, nil
}

// printSize prints what has to be downloaded, flashed and fetched for an update.
func (b board) printSize() error {
	image, err := os.Stat(filepath.Join("out", b.image+".img"))
	if err != nil {
		return fmt.Errorf("no image, which gokrazy/build.sh makes: %w", err)
	}
	root, err := os.Stat(filepath.Join("out", b.image+".squashfs"))
	if err != nil {
		return fmt.Errorf("no root, which gokrazy/build.sh makes: %w", err)
	}
	written := image.Size()
	if stat, ok := image.Sys().(*syscall.Stat_t); ok {
		written = stat.Blocks * 512
	}
	fmt.Printf("%s: image of %d MiB, of which %.1f MiB are not empty; root, which an update brings, %.1f MiB\n",
		b.name, image.Size()>>20, float64(written)/(1<<20), float64(root.Size())/(1<<20))
	return nil
}
