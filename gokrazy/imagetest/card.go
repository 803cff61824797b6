package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// Where partition 1, the FAT, and the two roots are on every card, in bytes.
const (
	bootAt  = 8192 * 512
	rootAAt = 212992 * 512
	rootBAt = 1236992 * 512
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

// mtools runs a program on the first partition of the card.
func mtools(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, append([]string{"-i", fmt.Sprintf("disk.img@@%d", bootAt)}, args...)...)
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

// debugfs runs commands of debugfs on partition 4, which no running machine may have.
func debugfs(ctx context.Context, dir string, commands string) ([]byte, error) {
	disk, err := os.Open(filepath.Join(dir, "disk.img"))
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	var first [8]byte // sector of partition 4, in its entry in the GPT
	if _, err := disk.ReadAt(first[:], 2*512+3*128+32); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "debugfs", "-w", "-f", "-", fmt.Sprintf("disk.img?offset=%d", binary.LittleEndian.Uint64(first[:])*512))
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader([]byte(commands))
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
	out, err := debugfs(ctx, dir, "rm lintel/lintel.toml\ncd lintel\nwrite lintel.toml lintel.toml\n")
	if err != nil || bytes.Contains(out, []byte("not found")) {
		return fmt.Errorf("configure: %w: %s", err, out)
	}
	return nil
}

// writeRoot writes a root over root A, the one that a fresh card starts.
func writeRoot(dir, root string) error {
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
	if _, err := io.Copy(io.NewOffsetWriter(disk, rootAAt), from); err != nil {
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
