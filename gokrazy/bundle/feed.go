package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lintel/gateway/update"
)

// indexName is the file of a feed that boxes ask for.
const indexName = "index.json"

// feed puts a bundle into a folder of static files. The bundle is there before the index
// names it, and goes after the index has forgotten it.
func feed(args []string, out io.Writer, now time.Time) error {
	flags := flag.NewFlagSet("bundle feed", flag.ContinueOnError)
	keys := keyFlag(flags)
	folder := flags.String("folder", "", "`folder` that a web server serves")
	channel := flags.String("channel", "", "stable or beta")
	percent := flags.Float64("percent", 100, "of the boxes get it by themselves; say more another day")
	keep := flags.Int("keep", 5, "releases of each board and channel that stay, the newest")
	trusted := flags.String("trust", os.Getenv("UPDATE_KEYS"), "public `keys` that may have signed what is there, beside those of --key (default $UPDATE_KEYS)")
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
	if flags.NArg() != 1 || *folder == "" || *channel == "" || len(*keys) == 0 || *keep < 1 {
		return fmt.Errorf("feed needs --folder, --channel, --key and one bundle: %w", errUsage)
	}
	if err := os.MkdirAll(*folder, 0o755); err != nil {
		return err
	}
	index, err := readIndex(filepath.Join(*folder, indexName), trust)
	if err != nil {
		return err
	}
	entry, err := addBundle(*folder, flags.Arg(0), trust)
	if err != nil {
		return err
	}
	entry.Channel, entry.Percent = update.Channel(*channel), *percent
	index.Entries = slices.DeleteFunc(index.Entries, func(e update.Entry) bool { return e.File == entry.File })
	index.Entries = append(index.Entries, *entry)
	slices.SortStableFunc(index.Entries, func(a, b update.Entry) int {
		return cmp.Compare(b.Manifest.Counter, a.Manifest.Counter)
	})
	index.Entries = newest(index.Entries, *keep)
	index.Format, index.Updated = update.Format, now.UTC().Truncate(time.Second)
	text, err := index.Encode(*keys...)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(*folder, indexName), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}); err != nil {
		return err
	}
	if err := removeForgotten(*folder, index); err != nil {
		return err
	}
	for _, e := range index.Entries {
		fmt.Fprintf(out, "%s: version %s (%d) for %s, %s, %v %%\n", e.File, e.Manifest.Version, e.Manifest.Counter, e.Manifest.Board, e.Channel, e.Percent)
	}
	return nil
}

// readIndex reads what a feed has; nothing if it is new.
func readIndex(name string, trust update.Keys) (*update.Index, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return new(update.Index), nil
	}
	if err != nil {
		return nil, err
	}
	index, err := update.ParseIndex(text, trust)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return index, nil
}

// addBundle verifies a bundle and copies it into the folder of a feed.
func addBundle(folder, name string, trust update.Keys) (*update.Entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	bundle, err := update.Open(f, trust)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := io.Copy(io.Discard, bundle.Root()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := bundle.Manifest
	entry := &update.Entry{File: fmt.Sprintf("%s-%d.lintel", m.Board, m.Counter), Manifest: m}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	sum := sha256.New()
	err = replace(filepath.Join(folder, entry.File), func(w io.Writer) error {
		entry.Bundle.Size, err = io.Copy(io.MultiWriter(w, sum), f)
		return err
	})
	entry.Bundle.SHA256 = update.Hash(sum.Sum(nil))
	return entry, err
}

// newest returns the first entries of each board and channel, of a list that begins with
// the newest.
func newest(entries []update.Entry, keep int) []update.Entry {
	type line struct {
		board   string
		channel update.Channel
	}
	have := map[line]int{}
	return slices.DeleteFunc(entries, func(e update.Entry) bool {
		l := line{e.Manifest.Board, e.Channel}
		have[l]++
		return have[l] > keep
	})
}

// removeForgotten removes bundles that the index does not name.
func removeForgotten(folder string, index *update.Index) error {
	bundles, err := filepath.Glob(filepath.Join(folder, "*.lintel"))
	if err != nil {
		return err
	}
	for _, name := range bundles {
		if !slices.ContainsFunc(index.Entries, func(e update.Entry) bool { return e.File == filepath.Base(name) }) {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}
