package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/update"
)

// build makes a bundle of a root.
func build(args []string, out io.Writer, now time.Time) error {
	flags := flag.NewFlagSet("bundle build", flag.ContinueOnError)
	keys := keyFlag(flags)
	root := flags.String("root", "", "squashfs `file` of the root, such as out/lintel.squashfs")
	version := flags.String("version", os.Getenv("VERSION"), "label for people (default $VERSION)")
	counter := flags.String("counter", os.Getenv("COUNTER"), "`number` that orders versions, the one that the root was built with (default $COUNTER)")
	board := flags.String("board", "", "name of the image (default: name of the root without its ending)")
	minimum := flags.Int64("minimum-counter", 0, "oldest `counter` that can be updated to this version directly")
	days := flags.Int("expires", 365, "`days` until it is not installed any more; 0: never")
	notes := flags.String("notes", "", "text `file` with what is new")
	notesURL := flags.String("notes-url", "", "`address` with what is new")
	name := flags.String("out", "", "`file` to write (default BOARD-VERSION.lintel beside the root)")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := keys.orEnvironment(); err != nil {
		return err
	}
	if flags.NArg() > 0 || *root == "" || *version == "" || *counter == "" || len(*keys) == 0 {
		return fmt.Errorf("build needs --root, --version, --counter and --key: %w", errUsage)
	}
	m := update.Manifest{
		Version: *version, MinimumCounter: *minimum,
		Board:    cmp.Or(*board, strings.TrimSuffix(filepath.Base(*root), filepath.Ext(*root))),
		Released: now.UTC().Truncate(time.Second),
		Notes:    update.Notes{URL: *notesURL},
	}
	var err error
	if m.Counter, err = strconv.ParseInt(*counter, 10, 64); err != nil {
		return fmt.Errorf("--counter %s is no number: %w", *counter, errUsage)
	}
	if *days > 0 {
		m.Expires = m.Released.AddDate(0, 0, *days)
	}
	if *notes != "" {
		text, err := os.ReadFile(*notes)
		if err != nil {
			return err
		}
		m.Notes.Summary = strings.TrimSpace(string(text))
	}
	f, err := os.Open(*root)
	if err != nil {
		return err
	}
	defer f.Close()
	if m.Kernel, err = kernelOf(*root); err != nil {
		return fmt.Errorf("%s: %w", *root, err)
	}
	to := cmp.Or(*name, filepath.Join(filepath.Dir(*root), m.Board+"-"+fileName(m.Version)+".lintel"))
	var written *update.Manifest
	if err := replace(to, func(w io.Writer) error {
		written, err = update.Write(w, m, f, *keys...)
		return err
	}); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: version %s (%d) for %s, kernel %s, root of %d bytes, signed by %v\n",
		to, written.Version, written.Counter, written.Board, written.Kernel, written.Root.Size, written.Keys)
	return nil
}

// kernelOf returns the release of the kernel that a root has modules for, as uname -r says
// it on a box.
func kernelOf(root string) (string, error) {
	unsquashfs := exec.Command("unsquashfs", "-l", root, "lib/modules")
	list, err := unsquashfs.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("unsquashfs is missing: apt-get install squashfs-tools")
	}
	if err != nil {
		return "", fmt.Errorf("this is no root as gokrazy/build.sh makes it: unsquashfs: %w", err)
	}
	var kernels []string
	for line := range strings.Lines(string(list)) {
		name, below := strings.CutPrefix(strings.TrimSpace(line), "squashfs-root/lib/modules/")
		if below && !strings.Contains(name, "/") {
			kernels = append(kernels, name)
		}
	}
	if len(kernels) != 1 {
		return "", fmt.Errorf("a root has modules for one kernel, this one for %d", len(kernels))
	}
	return kernels[0], nil
}

// fileName returns a version as it may be in the name of a file.
func fileName(version string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_+", r) {
			return r
		}
		return '_'
	}, version)
}

// replace writes a file, which is there whole or not at all.
func replace(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".bundle-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	w := bufio.NewWriter(f)
	if err := errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// show verifies a bundle or an index and prints what it says.
func show(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bundle show", flag.ContinueOnError)
	keys := keyFlag(flags)
	trusted := flags.String("trust", os.Getenv("UPDATE_KEYS"), "public `keys` in base64, commas between (default $UPDATE_KEYS)")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := keys.orEnvironment(); err != nil {
		return err
	}
	trust, err := keys.trust(*trusted)
	if err != nil {
		return err
	}
	if flags.NArg() != 1 || len(trust) == 0 {
		return fmt.Errorf("show takes one file, and the keys that may have signed it, --trust or --key: %w", errUsage)
	}
	f, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer f.Close()
	printed := json.NewEncoder(out)
	printed.SetIndent("", "  ")
	r := bufio.NewReader(f)
	if first, err := r.Peek(1); err == nil && first[0] == '{' {
		text, err := io.ReadAll(io.LimitReader(r, update.MaxIndex+1))
		if err != nil {
			return err
		}
		index, err := update.ParseIndex(text, trust)
		if err != nil {
			return err
		}
		return printed.Encode(index)
	}
	bundle, err := update.Open(r, trust)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, bundle.Root()); err != nil {
		return err
	}
	if err := printed.Encode(bundle.Manifest); err != nil {
		return err
	}
	fmt.Fprintf(out, "the signature of %v fits, and so does the root\n", bundle.Signer)
	return nil
}
