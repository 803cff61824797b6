package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Mistake is one in a role file.
type Mistake struct {
	Line int    `json:"line"`
	Text string `json:"text"`
	Rule int    `json:"rule,omitempty"` // of the role that was to be changed, from 1; 0: about none
}

// RoleFileError is all that is wrong with a role file.
type RoleFileError struct {
	Name     string
	Mistakes []Mistake
	More     int // that are not listed
}

func (e *RoleFileError) Error() string {
	var lines []string
	for _, m := range e.Mistakes {
		lines = append(lines, fmt.Sprintf("%s:%d: %s", e.Name, m.Line, m.Text))
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", e.Name, e.More))
	}
	return strings.Join(lines, "\n")
}

// Errors of changing the role file.
var (
	ErrNoRoleFile     = errors.New("there is no role file: set roles in the section [access] of the configuration")
	ErrNoRole         = errors.New("the role file has no role of this name")
	ErrRoleVersion    = errors.New("there is no such earlier version of the role file")
	ErrRoleFileOther  = errors.New("somebody has changed the role file meanwhile: look at it again")
	ErrRoleFileManual = errors.New("the role file is written in a way that only a person can change: change it as text")
)

// Policy returns the rules in force.
func (c *Control) Policy() *Policy { return c.policy.Load() }

// Problem returns what is wrong with the role file when other rules are in force
// than those in it; nil: they are the same.
func (c *Control) Problem() error {
	if text := c.problem.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}

func (c *Control) complain(err error) {
	text := err.Error()
	c.problem.Store(&text)
}

// Reload reads the role file again. The error names the line and the reason of every
// mistake; then the rules before stay in force.
func (c *Control) Reload(ctx context.Context) error {
	err := c.read(ctx)
	if err != nil {
		c.complain(err)
		c.o.Audit.Add(Event{Kind: RulesRefused, Detail: err.Error()})
		return err
	}
	c.o.Audit.Add(Event{Kind: RulesChanged, Detail: c.o.RoleFile})
	if c.o.Changed != nil {
		c.o.Changed()
	}
	return nil
}

// read puts the rules of the role file in force, and keeps a copy of it.
func (c *Control) read(ctx context.Context) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	var text []byte
	if c.o.RoleFile != "" {
		var err error
		if text, err = c.readRoles(); err != nil {
			return fmt.Errorf("role file: %w", err)
		}
	}
	policy, err := c.compile(text)
	if err != nil {
		return err
	}
	switch kept, ok := c.copies.Get(rolesKey); {
	case c.o.RoleFile == "" && ok:
		err = c.copies.Delete(ctx, rolesKey) // else it would come back with the next file
	case c.o.RoleFile != "" && kept != string(text):
		err = c.copies.Put(ctx, rolesKey, string(text))
	}
	if err != nil {
		return fmt.Errorf("keep a copy of the role file: %w", err)
	}
	c.policy.Store(policy)
	c.problem.Store(nil)
	return nil
}

// compile makes the rules that text and the built-in roles are.
func (c *Control) compile(text []byte) (*Policy, error) {
	roles, err := parseRoles(c.o.RoleFile, text)
	if err != nil {
		return nil, err
	}
	policy, err := newPolicy(append(roles, BuiltIn(c.o.Prefix)...))
	if err != nil {
		return nil, err
	}
	known := policy.Roles()
	for _, name := range c.o.Needed {
		if !slices.Contains(known, name) {
			where := "the role file"
			if c.o.RoleFile != "" {
				where = filepath.Base(c.o.RoleFile)
			}
			return nil, fmt.Errorf("there is no role %q, which the configuration gives away: write it into %s, or choose of %s", name, where, strings.Join(known, ", "))
		}
	}
	return policy, nil
}

// readRoles reads the role file.
func (c *Control) readRoles() ([]byte, error) {
	text, err := readFile(c.o.RoleFile, maxRoleFile)
	if c.o.Optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// RoleFile is the text of a role file, and what tells it from other texts.
type RoleFile struct {
	Path    string
	Text    string
	Version string
}

// RoleFile reads the role file, which is empty where there is none yet.
func (c *Control) RoleFile() (RoleFile, error) {
	if c.o.RoleFile == "" {
		return RoleFile{}, ErrNoRoleFile
	}
	text, err := c.readRoles()
	if err != nil {
		return RoleFile{}, fmt.Errorf("role file: %w", err)
	}
	return RoleFile{c.o.RoleFile, string(text), roleVersion(text)}, nil
}

func roleVersion(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// TryRoles returns the rules that would be in force with a role file of this text. The
// error is a [*RoleFileError] if there are mistakes in it.
func (c *Control) TryRoles(text string) (*Policy, error) { return c.compile([]byte(text)) }

// WriteRoles replaces the role file by one without mistakes, and puts it in force. version is
// that of the file that was changed: another one is [ErrRoleFileOther]. What was there
// before is kept, see [Control.RoleVersions].
func (c *Control) WriteRoles(ctx context.Context, version, text string) error {
	if _, err := c.TryRoles(text); err != nil {
		return err
	}
	err := func() error {
		c.writing.Lock()
		defer c.writing.Unlock()
		now, err := c.RoleFile()
		switch {
		case err != nil:
			return err
		case now.Version != version:
			return ErrRoleFileOther
		case now.Text == text:
			return nil
		}
		if err := c.keepVersion(now.Text); err != nil {
			return fmt.Errorf("keep the role file as it was: %w", err)
		}
		if err := writeFile(c.o.RoleFile, []byte(text)); err != nil {
			return fmt.Errorf("write role file: %w", err)
		}
		return c.read(ctx)
	}()
	if err == nil && c.o.Changed != nil {
		c.o.Changed()
	}
	return err
}

// keptRoleFiles is how many earlier versions there are of a role file.
const keptRoleFiles = 9

// RoleVersion is an earlier version of the role file.
type RoleVersion struct {
	Number int       `json:"number"` // 1: the one before
	Until  time.Time `json:"until"`  // when another took its place, by the clock of the box
	Roles  []string  `json:"roles"`
}

func (c *Control) versionPath(number int) string {
	if number == 1 {
		return c.o.RoleFile + ".before"
	}
	return fmt.Sprintf("%s.before.%d", c.o.RoleFile, number)
}

// keepVersion makes a text the latest earlier version. A power cut loses no version that is
// not the oldest.
func (c *Control) keepVersion(text string) error {
	free := 1
	for ; free < keptRoleFiles; free++ {
		if _, err := os.Stat(c.versionPath(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for ; free > 1; free-- {
		if err := os.Rename(c.versionPath(free-1), c.versionPath(free)); err != nil {
			return err
		}
	}
	return writeFile(c.versionPath(1), []byte(text))
}

// RoleVersions lists the earlier versions of the role file, the latest first.
func (c *Control) RoleVersions() []RoleVersion {
	var list []RoleVersion
	for number := 1; number <= keptRoleFiles && c.o.RoleFile != ""; number++ {
		info, err := os.Stat(c.versionPath(number))
		if err != nil {
			continue
		}
		v := RoleVersion{Number: number, Until: info.ModTime().UTC().Truncate(time.Second), Roles: []string{}}
		if text, err := c.RoleVersion(number); err == nil {
			for _, b := range splitRoles(text) {
				if b.role != "" {
					v.Roles = append(v.Roles, b.role)
				}
			}
		}
		list = append(list, v)
	}
	return list
}

// RoleVersion returns an earlier version of the role file.
func (c *Control) RoleVersion(number int) (text string, err error) {
	if c.o.RoleFile == "" || number < 1 || number > keptRoleFiles {
		return "", ErrRoleVersion
	}
	b, err := readFile(c.versionPath(number), maxRoleFile)
	if err != nil {
		return "", ErrRoleVersion
	}
	return string(b), nil
}
