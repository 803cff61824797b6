// Image makes of what gok has packed the image that is released: the same bytes
// whenever and wherever it is built, with only what the boards need, room for a
// person's files on the FAT, a formatted partition for /perm, and a bill of materials.
//
//	image pack --instance NAME --epoch SECONDS --version LABEL --stamp TIME \
//		--roots FILE --from GOK.img out/NAME.img
//	image release --version LABEL --epoch SECONDS --url ADDRESS out/lintel.img
//
// pack writes the image anew from the one that gok left, and NAME.squashfs, its root, and
// NAME.cdx.json, its bill of materials, beside it. release compresses the image and
// writes the entry for Raspberry Pi Imager's list beside it.
//
// It runs mksquashfs, unsquashfs, mtools, mkfs.ext4, debugfs, xz and go, and needs no root.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	syscall.Umask(0o022) // modes of files are in the image
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("right is: image pack or image release, see its package comment")
	}
	flags := flag.NewFlagSet("image "+args[0], flag.ContinueOnError)
	instance := flags.String("instance", "", "`name` of the folder in gokrazy/ that the image was built from")
	epoch := flags.Int64("epoch", 0, "`seconds` since 1970: the time that everything in the image was made")
	version := flags.String("version", "dev", "`label` of the release")
	from := flags.String("from", "", "`image` that gok has written")
	stamp := flags.String("stamp", "", "`time` that gok built it at, as its log has it")
	roots := flags.String("roots", "", "`file` of the certificates that programs trust")
	address := flags.String("url", "", "`address` of the folder that the release will be in")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("image %s: right is one image, there are %d", args[0], flags.NArg())
	}
	b := build{instance: *instance, version: *version, made: time.Unix(*epoch, 0).UTC(), from: *from, stamp: *stamp, roots: *roots, image: flags.Arg(0)}
	switch args[0] {
	case "pack":
		return b.pack()
	case "release":
		return b.release(*address)
	}
	return fmt.Errorf("there is no command %q", args[0])
}

// build is one image being made.
type build struct {
	instance string
	version  string
	made     time.Time
	from     string // path of what gok wrote
	stamp    string // the time that gok has written into init
	roots    string // path of the certificates that programs trust
	image    string // path
}

// beside returns the path of a file beside the image, with its name and another ending.
func (b build) beside(ending string) string {
	return strings.TrimSuffix(b.image, ".img") + ending
}

func (b build) pack() error {
	work, err := os.MkdirTemp("", "lintel-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	given, err := openDisk(b.from)
	if err != nil {
		return err
	}
	defer given.Close()
	d, err := given.copyTable(b.image)
	if err != nil {
		return err
	}
	defer d.Close()
	root, err := b.packRoot(given, d, work)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	boot, err := b.packBoot(given, d, work)
	if err != nil {
		return fmt.Errorf("boot partition: %w", err)
	}
	perm, err := b.packPerm(d, work)
	if err != nil {
		return fmt.Errorf("/perm: %w", err)
	}
	if err := d.Close(); err != nil {
		return err
	}
	fmt.Printf("%s: version %s\n", b.image, b.version)
	fmt.Print(root, boot, perm)
	return nil
}

// command runs a program with the time of the build as its time, wherever it asks for it.
func (b build) command(name string, args ...string) error { return b.pipe(io.Discard, name, args...) }

// pipe is command with what the program prints.
func (b build) pipe(out io.Writer, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &said
	seconds := strconv.FormatInt(b.made.Unix(), 10)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C", "E2FSPROGS_FAKE_TIME="+seconds, "SOURCE_DATE_EPOCH="+seconds)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
