package settings

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lintel/gateway/access"
)

// Files that a person puts on the card, or into the data folder, to be found at the next
// start.
const (
	PreseedFile = "lintel-preseed.toml" // claims the box, and sets it up
	ResetFile   = "lintel-reset"        // makes it nobody's again; what is in it does not matter
)

const maxPreseed = 64 << 10 // bytes

// reset obeys a ResetFile. One that cannot be removed is remembered, so that it resets
// the box once and not at each start.
func (c *card) reset(ctx context.Context, name string, onCard bool) error {
	stamp, err := stampOf(name)
	key := resetKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, ok := c.Done.Get(key); ok {
			return c.Done.Delete(ctx, key)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if before, ok := c.Done.Get(key); ok && before == stamp {
		return nil
	}
	if err := c.Claim.Undo(ctx); err != nil {
		return fmt.Errorf("%s: reset: %w", name, err)
	}
	c.Audit.Add(access.Event{Kind: access.BoxReset, Detail: name})
	c.Warn("the box was reset by " + name + ": claim it")
	if err := c.remove(name, onCard); err != nil {
		c.Warn(fmt.Sprintf("%s cannot be removed: %v; it has had its effect, remove it", name, err))
		return c.Done.Put(ctx, key, stamp)
	}
	return nil
}

// remove removes a file and what was in it, as far as the file system lets it.
func (c *card) remove(name string, onCard bool) error {
	if onCard {
		if err := c.writable(); err != nil {
			return err
		}
	}
	if err := blank(name); err != nil {
		return err
	}
	return os.Remove(name)
}

// blank writes spaces over a file: what is removed from a card can still be read.
func blank(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	if _, err := f.WriteString(strings.Repeat(" ", int(min(info.Size(), maxPreseed)))); err != nil {
		return err
	}
	return f.Sync()
}

// readSmall reads a file of at most maxPreseed bytes.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPreseed+1))
	if err == nil && len(text) > maxPreseed {
		err = fmt.Errorf("%s: larger than %d KiB", name, maxPreseed>>10)
	}
	return text, err
}

// stampOf tells one state of a file from another.
func stampOf(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes, %d", info.Size(), info.ModTime().Unix()), nil
}

// resetKey is the key of a reset file: paths may be too long for one, and the folder in
// which a partition is mounted has another name at each start.
func resetKey(name string) string {
	if strings.HasPrefix(filepath.Base(filepath.Dir(name)), "boot-files-") {
		name = "boot-files/" + filepath.Base(name)
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}
