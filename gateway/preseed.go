package gateway

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
	"lintel/persist"
)

// Files that a person puts on the card, or into the data folder, to be found at the next
// start.
const (
	PreseedFile = "lintel-preseed.toml" // claims the box
	ResetFile   = "lintel-reset"        // makes it nobody's again; what is in it does not matter
)

const maxPreseed = 64 << 10 // bytes

// preseed is what is in a PreseedFile.
type preseed struct {
	Claim struct {
		Password     string `toml:"password"`      // of the user admin
		PasswordHash string `toml:"password_hash"` // in its place: argon2id, as a PHC string
		Name         string `toml:"name"`          // of the box; empty: none
	} `toml:"claim"`
	HomeAssistant struct {
		Password string `toml:"password"` // of the login homeassistant; empty: one is made up
	} `toml:"homeassistant"`
}

// parsePreseed parses a PreseedFile. Errors hold nothing of what is secret in it.
func parsePreseed(name, text string) (access.Owner, error) {
	var p preseed
	lines, err := parseFile(name, text, &p)
	if err != nil {
		return access.Owner{}, err
	}
	c := p.Claim
	var ps []problem
	bad := func(key string, err error) {
		if err != nil {
			ps = append(ps, problem{key, err.Error()})
		}
	}
	switch {
	case c.Password != "" && c.PasswordHash != "":
		bad("claim.password_hash", errors.New("there is claim.password too; right is one of them"))
	case c.PasswordHash != "":
		if !strings.HasPrefix(c.PasswordHash, "$argon2id$") {
			bad("claim.password_hash", errors.New("is no hash of argon2id; right is $argon2id$v=19$…"))
		}
	default:
		bad("claim.password", access.Owner{Password: c.Password}.Check())
	}
	bad("claim.name", access.Owner{Hash: "-", BoxName: c.Name}.Check())
	if p.HomeAssistant.Password != "" {
		bad("homeassistant.password", access.CheckPassword([]byte(p.HomeAssistant.Password)))
	}
	if len(ps) > 0 {
		return access.Owner{}, located(name, lines, ps)
	}
	return access.Owner{Password: c.Password, Hash: c.PasswordHash, BoxName: c.Name, HomeAssistantPassword: p.HomeAssistant.Password}, nil
}

// card is what of a person's files was found at the start.
type card struct {
	claim    *access.Claim
	audit    *access.Audit
	done     *persist.Bucket[string] // reset files that could not be removed: a stamp by path
	warn     func(text string)       // for the log and the pages
	writable func() error            // called before a file in the folder is changed
}

// look does what the files in a folder ask for. The files are gone afterwards, or else
// are not obeyed again.
func (c *card) look(ctx context.Context, folder string) error {
	// Windows hides .txt, and puts it there.
	for _, name := range []string{ResetFile, ResetFile + ".txt"} {
		if err := c.reset(ctx, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return c.preseed(ctx, filepath.Join(folder, PreseedFile))
}

// reset obeys a ResetFile. One that cannot be removed is remembered, so that it resets
// the box once and not at each start.
func (c *card) reset(ctx context.Context, name string) error {
	stamp, err := stampOf(name)
	key := resetKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, ok := c.done.Get(key); ok {
			return c.done.Delete(ctx, key)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if before, ok := c.done.Get(key); ok && before == stamp {
		return nil
	}
	if err := c.claim.Undo(ctx); err != nil {
		return fmt.Errorf("%s: reset: %w", name, err)
	}
	c.audit.Add(access.Event{Kind: access.BoxReset, Detail: name})
	c.warn("the box was reset by " + name + ": claim it")
	if err := c.remove(name); err != nil {
		c.warn(fmt.Sprintf("%s cannot be removed: %v; it has had its effect, remove it", name, err))
		return c.done.Put(ctx, key, stamp)
	}
	return nil
}

// preseed obeys a PreseedFile.
func (c *card) preseed(ctx context.Context, name string) error {
	text, err := readSmall(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.warn(err.Error())
		return nil
	}
	if !c.claim.Claimed() {
		owner, err := parsePreseed(name, string(text))
		if err == nil {
			_, err = c.claim.By(ctx, owner)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil { // the file stays, to be mended
			c.warn(err.Error())
			return nil
		}
		c.audit.Add(access.Event{Kind: access.BoxClaimed, User: access.AdminUser, Detail: "by " + name})
	}
	if err := c.remove(name); err != nil {
		c.warn(fmt.Sprintf("%s cannot be removed: %v; there is a password in it, remove it", name, err))
	}
	return nil
}

// remove removes a file and what was in it, as far as the file system lets it.
func (c *card) remove(name string) error {
	if err := c.writable(); err != nil {
		return err
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
