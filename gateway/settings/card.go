package settings

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"lintel/gateway/access"
	"lintel/persist"
)

// CardOptions are the options of [ReadCard].
type CardOptions struct {
	Data   string // folder of everything that is kept
	Config string // configuration file that settings go into

	// BootFiles gives the folder that other computers see on the card, for as long as use
	// runs; use calls writable before it changes anything there. nil: there is none.
	BootFiles func(use func(folder string, writable func() error) error) error
}

// Card is what a person has put on the card, or into the data folder, for this start.
type Card struct {
	o       CardOptions
	seeds   []*preseed // the first counts most
	notices []string
	unread  bool // the boot files cannot be had
}

// takenFile, in the data folder, holds the checksums of the files whose settings are in
// the configuration file: one that cannot be removed does not set everything back at each start.
const takenFile = "preseed-taken"

// maxTaken is how many checksums are kept.
const maxTaken = 16

// ReadCard reads the files that a person has put on the card, and writes the settings in
// them into the configuration file, which is to be read afterwards. [Card.Obey] does the rest,
// for which it needs the store. What is wrong with the files, or stands in the way, is
// shown on the pages: the box starts all the same.
func ReadCard(o CardOptions) *Card {
	c := &Card{o: o}
	c.read(o.Data, false)
	if o.BootFiles != nil {
		err := o.BootFiles(func(folder string, _ func() error) error {
			c.read(folder, true)
			return nil
		})
		if err != nil {
			c.unread = true
			c.notices = append(c.notices, err.Error()) // the house works without
		}
	}
	taken := readTaken(o.Data)
	for _, s := range slices.Backward(c.seeds) {
		if s.err != nil {
			c.notices = append(c.notices, strings.Split(s.err.Error(), "\n")...)
		}
		c.notices = append(c.notices, s.left...)
		sum := hex.EncodeToString(s.sum[:])
		if len(s.tables) == 0 || slices.Contains(taken, sum) {
			continue
		}
		err := s.apply(o.Config)
		if err == nil {
			taken = append(taken, sum)
			err = writeTaken(o.Data, taken)
		}
		if err != nil {
			s.failed = true
			c.notices = append(c.notices, err.Error())
		}
	}
	return c
}

// read reads the files in a folder.
func (c *Card) read(folder string, onCard bool) {
	names := []string{PreseedFile, PreseedFile + ".txt"} // Windows hides .txt, and puts it there
	if onCard {
		names = append(names, imagerFiles...)
	}
	for _, base := range names {
		name := base
		if !onCard {
			name = filepath.Join(folder, base)
		}
		text, err := readSmall(filepath.Join(folder, base))
		var s *preseed
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			s = &preseed{name: name, err: fmt.Errorf("%s cannot be read: %w", name, withoutPath(err))}
		case slices.Contains(imagerFiles, base):
			s = parseImager(base, string(text))
		default:
			s = parsePreseed(name, string(text))
		}
		s.onCard, s.imager = onCard, slices.Contains(imagerFiles, base)
		c.seeds = append(c.seeds, s)
	}
}

func readTaken(data string) []string {
	text, err := readSmall(filepath.Join(data, takenFile))
	if err != nil {
		return nil
	}
	sums := strings.Fields(string(text))
	return sums[max(0, len(sums)-maxTaken):]
}

func writeTaken(data string, sums []string) error {
	text := strings.Join(sums[max(0, len(sums)-maxTaken):], "\n") + "\n"
	if err := renameio.WriteFile(filepath.Join(data, takenFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("note what was taken from the card: %w", err)
	}
	return nil
}

// House is what a [Card] is obeyed with.
type House struct {
	Claim *access.Claim
	Audit *access.Audit
	Done  *persist.Bucket[string] // reset files that could not be removed: a stamp by path
	Warn  func(text string)       // for the log and the pages
}

// Obey does what the files ask for that needs the store. They are gone afterwards, or else
// are not obeyed again.
func (c *Card) Obey(ctx context.Context, h House) error {
	return (&card{Card: c, House: h}).look(ctx)
}

// card is one Obey.
type card struct {
	*Card
	House
	writable func() error // called before a boot file is changed
}

func (c *card) look(ctx context.Context) error {
	for _, text := range c.notices {
		c.Warn(text)
	}
	c.notices = nil
	if c.o.BootFiles == nil || c.unread {
		return c.obey(ctx, "")
	}
	var failed error // what is none of the card's
	called := false
	err := c.o.BootFiles(func(folder string, writable func() error) error {
		called, c.writable = true, writable
		failed = c.obey(ctx, folder)
		return nil
	})
	if failed == nil && !called {
		failed = c.obey(ctx, "")
	}
	if err != nil && ctx.Err() == nil {
		c.Warn(err.Error())
	}
	return failed
}

// obey resets and claims the box and removes the files that have had their effect. boot is
// the folder of the boot files; empty: they cannot be had.
func (c *card) obey(ctx context.Context, boot string) error {
	for _, folder := range []string{c.o.Data, boot} {
		for _, name := range []string{ResetFile, ResetFile + ".txt"} {
			if folder == "" {
				continue
			}
			if err := c.reset(ctx, filepath.Join(folder, name), folder == boot); err != nil {
				return err
			}
		}
	}
	if err := c.claimBySeed(ctx); err != nil {
		return err
	}
	for _, s := range c.seeds {
		if s.onCard && boot == "" || !c.hasHadItsEffect(s) {
			continue
		}
		name := s.name
		if s.onCard {
			name = filepath.Join(boot, s.name)
		}
		if err := c.remove(name, s.onCard); err != nil {
			c.Warn(fmt.Sprintf("%s cannot be removed: %v; there is a password in it, remove it", s.name, withoutPath(err)))
		}
	}
	return nil
}

// withoutPath leaves out where a boot file is: in a folder that is made for a moment.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// claimBySeed claims the box with the first file that can do so. A mistake in any of them
// leaves that to a person, who sees it on the page.
func (c *card) claimBySeed(ctx context.Context) error {
	if c.Claim.Claimed() || slices.ContainsFunc(c.seeds, func(s *preseed) bool { return s.err != nil }) {
		return nil
	}
	for _, s := range c.seeds {
		if !s.claim {
			continue
		}
		_, err := c.Claim.Do(ctx, s.owner)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			s.failed = true
			c.Warn(s.scrub(fmt.Errorf("%s: %w", s.name, err)).Error())
			return nil
		}
		user := s.owner.User
		if user == "" {
			user = access.AdminUser
		}
		c.Audit.Add(access.Event{Kind: access.BoxClaimed, User: user, Detail: "by " + s.name})
		return nil
	}
	return nil
}

// hasHadItsEffect reports whether a file is to be removed. One of a person with a mistake
// stays, to be mended; nobody mends those of Raspberry Pi Imager.
func (c *card) hasHadItsEffect(s *preseed) bool {
	switch {
	case s.failed:
		return false
	case s.err != nil:
		return s.imager && c.Claim.Claimed()
	}
	return !s.claim || c.Claim.Claimed()
}
