package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

const flashChunk = 4 << 20 // bytes that are written at once

func flashCommand() command { return flashOf(listDrives) }

// flashOf is the command for the drives that list returns.
func flashOf(list func() ([]drive, error)) command {
	return command{
		name:  "flash",
		args:  "[IMAGE DEVICE]",
		short: "write an image onto a card",
		long: `Without arguments it lists the disks of this machine. IMAGE is a file or a URL, as it is or packed with
zstd, gzip or xz; of a URL the SHA-256 has to match, which --sha256 says or the file beside it, with .sha256
behind its name. DEVICE is a name of the list: sdb on Linux, disk4 on macOS, 2 on Windows.

What is not removable, is in use, or has this machine's system on it is refused. On Windows the volumes of the
card are taken off first. All that is on the card is lost; so the name of the device has to be typed again, unless
--yes is there. What was written is read back from the card and compared.

	lintelctl flash
	sudo lintelctl flash lintel.img.zst sdb`,
		define: func(flags *flag.FlagSet) action { return flash(flags, list) },
	}
}

// flash writes an image onto a card.
func flash(flags *flag.FlagSet, list func() ([]drive, error)) action {
	asJSON := jsonFlag(flags)
	yes := flags.Bool("yes", false, "do not ask")
	sum := flags.String("sha256", "", "SHA-256 of the file as `hex` digits")
	return func(c *call, args []string) error {
		switch {
		case len(args) != 0 && len(args) != 2:
			return fmt.Errorf("flash takes an image and a device, or nothing, to list the devices: %w", errUsage)
		case *sum != "" && !isSum(*sum):
			return fmt.Errorf("--sha256 has 64 hexadecimal digits: %w", errUsage)
		}
		drives, err := list()
		if err != nil {
			return err
		}
		for i := range drives {
			drives[i].Why = drives[i].refusal()
		}
		if len(args) == 0 {
			if *asJSON {
				return writeJSON(c.out, drives)
			}
			return writeDrives(c.out, drives)
		}
		d, err := findDrive(drives, args[1])
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		p := newProgress(c.diagnostics)
		name := args[0]
		if isURL(name) {
			if *sum == "" {
				if *sum, err = publishedSum(ctx, name); err != nil {
					return err
				}
			}
			folder, err := os.MkdirTemp("", "lintelctl")
			if err != nil {
				return err
			}
			defer os.RemoveAll(folder)
			if name, err = download(ctx, name, folder, p); err != nil {
				return err
			}
		}
		if *sum != "" {
			if err := checkSum(name, *sum, p); err != nil {
				return err
			}
		}
		if !*yes {
			if err := confirm(c, d); err != nil {
				return err
			}
		}
		written, digest, err := flashDrive(ctx, name, d, p)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(c.out, struct {
				Device string `json:"device"`
				Bytes  int64  `json:"bytes"`
				SHA256 string `json:"sha256"` // of what was written
			}{d.Path, written, fmt.Sprintf("%x", digest)})
		}
		fmt.Fprintf(c.out, "%s is written to %s and was read back. Take the card out.\n", formatSize(written), d.Path)
		return nil
	}
}

func writeDrives(w io.Writer, drives []drive) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DEVICE\tSIZE\tMODEL\t")
	for _, d := range drives {
		model, why := said(d.Model), ""
		if model == "" {
			model = "-"
		}
		if d.Why != "" {
			why = "refused: " + d.Why
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", d.Name, formatSize(d.Size), model, why)
	}
	return table.Flush()
}

// findDrive returns the drive of a name that may be written to.
func findDrive(drives []drive, name string) (*drive, error) {
	i := slices.IndexFunc(drives, func(d drive) bool { return d.Name == name || d.Path == name || "/dev/"+d.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no disk %s: lintelctl flash lists them", name)
	}
	if why := drives[i].refusal(); why != "" {
		return nil, fmt.Errorf("%s is not written to: %s", name, why)
	}
	return &drives[i], nil
}

// confirm has somebody type the name of the drive.
func confirm(c *call, d *drive) error {
	fmt.Fprintf(c.diagnostics, "All that is on %s will be lost: %s, %s.\n", d.Name, formatSize(d.Size), said(d.Model))
	return askName(c, d)
}

func askName(c *call, d *drive) error {
	fmt.Fprintf(c.diagnostics, "Type %s to go on: ", d.Name)
	line, err := bufio.NewReader(io.LimitReader(c.in, 1<<10)).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if strings.TrimSpace(line) != d.Name {
		return errors.New("nothing was written: the name was not typed")
	}
	return nil
}

// flashDrive writes an image and reads it back. It returns how much it was, and its SHA-256.
func flashDrive(ctx context.Context, name string, d *drive, p *progress) (written int64, digest []byte, err error) {
	i, err := openImage(name)
	if err != nil {
		return 0, nil, err
	}
	defer i.close()
	if i.size > d.Size {
		return 0, nil, tooSmall(i.size, d)
	}
	// A file that is no image is found before it has destroyed anything.
	chunk := make([]byte, flashChunk)
	n, more, err := fill(i, chunk)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", name, err)
	}
	if !isDisk(chunk[:n]) {
		return 0, nil, fmt.Errorf("%s is no image of a disk", name)
	}
	f, err := openDrive(d)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return written, nil, errors.New("interrupted: what is on the card is of no use now")
		}
		if written+int64(n) > d.Size {
			return written, nil, tooSmall(0, d)
		}
		sum.Write(chunk[:n])
		// Disks are written in whole sectors; what is behind the image does not matter.
		padded := (n + 511) &^ 511
		clear(chunk[n:padded])
		if _, err := f.Write(chunk[:padded]); err != nil {
			return written, nil, fmt.Errorf("%s: %w", d.Path, err)
		}
		written += int64(n)
		done, all := i.read()
		p.show("writing", done, all)
		if !more {
			break
		}
		if n, more, err = fill(i, chunk); err != nil {
			return written, nil, fmt.Errorf("%s: %w", name, err)
		}
		if n == 0 {
			break
		}
	}
	p.end()
	if err := f.Sync(); err != nil {
		return written, nil, fmt.Errorf("%s: %w", d.Path, err)
	}
	if err := forgetDrive(f); err != nil {
		return written, nil, err
	}
	if err := verify(ctx, f, written, sum, p); err != nil {
		return written, nil, fmt.Errorf("%s: %w", d.Path, err)
	}
	endDrive(f)
	return written, sum.Sum(nil), nil
}

func tooSmall(size int64, d *drive) error {
	if size == 0 {
		return fmt.Errorf("the image does not fit onto %s, which has %s", d.Name, formatSize(d.Size))
	}
	return fmt.Errorf("the image has %s and does not fit onto %s, which has %s", formatSize(size), d.Name, formatSize(d.Size))
}

// fill reads as much as there is room; more is false when that was all.
func fill(r io.Reader, b []byte) (n int, more bool, err error) {
	for n < len(b) { // io.ReadFull has the same error for the end of what is packed and a packed file that is cut
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, false, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, true, nil
}

// isDisk reports whether an image begins as a disk does: with a master boot record, which is
// there before a GPT too (UEFI 5.2).
func isDisk(head []byte) bool {
	return len(head) >= 512 && bytes.Equal(head[510:512], []byte{0x55, 0xAA})
}

// verify reads what was written and compares it with what should have been.
func verify(ctx context.Context, f *os.File, size int64, want hash.Hash, p *progress) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	got := sha256.New()
	chunk := make([]byte, flashChunk)
	for done := int64(0); done < size; {
		if ctx.Err() != nil {
			return errors.New("interrupted before all was read back: write it again")
		}
		n, _, err := fill(f, chunk[:min(flashChunk, (size-done+511)&^511)])
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		if n == 0 {
			return errors.New("the card ends before what was written: it is smaller than it says, do not use it")
		}
		n = int(min(int64(n), size-done))
		got.Write(chunk[:n])
		done += int64(n)
		p.show("reading back", done, size)
	}
	p.end()
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return errors.New("what was read back is not what was written: the card is damaged, do not use it")
	}
	return nil
}
