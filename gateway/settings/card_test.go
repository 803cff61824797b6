package settings

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lintel/gateway/access"
	"lintel/persist"
)

// cardTable is a card and the store of the box that it is put into.
type cardTable struct {
	*card
	t      *testing.T
	store  *persist.Store
	users  *access.Users
	folder string // of the boot files
	said   []string
	locked bool // the folder cannot be written to
}

func newCard(t *testing.T) *cardTable {
	t.Helper()
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := &cardTable{t: t, store: store, folder: t.TempDir()}
	users, err := access.NewUsers(store, slog.New(slog.DiscardHandler))
	fail(t, err)
	c.users = users
	sessions, err := access.NewSessions(store, users)
	fail(t, err)
	tokens, err := access.NewAPITokens(store)
	fail(t, err)
	claim, err := access.NewClaim(store, users, sessions, tokens)
	fail(t, err)
	audit, err := access.NewAudit(store, nil)
	fail(t, err)
	done, err := persist.NewBucket[string](store, "access.reset")
	fail(t, err)
	c.card = &card{Card: &Card{o: CardOptions{Data: t.TempDir()}}, House: House{Claim: claim, Audit: audit, Done: done,
		Warn: func(text string) { c.said = append(c.said, text) }}}
	c.o.Config = filepath.Join(c.o.Data, DefaultFile)
	c.o.BootFiles = func(use func(string, func() error) error) error {
		return use(c.folder, func() error {
			if c.locked {
				return errors.New("read-only file system")
			}
			return nil
		})
	}
	return c
}

func fail(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(folder, name, text string) error {
	return os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)
}

func (c *cardTable) put(name, text string) {
	c.t.Helper()
	fail(c.t, writeFile(c.folder, name, text))
}

// start is a start of the box. It returns what was said.
func (c *cardTable) start() string {
	c.t.Helper()
	c.said = nil
	c.Card = ReadCard(c.o)
	fail(c.t, c.look(c.t.Context()))
	return strings.Join(c.said, "\n")
}

func (c *cardTable) there(name string) bool {
	_, err := os.Stat(filepath.Join(c.folder, name))
	return !errors.Is(err, fs.ErrNotExist)
}

func (c *cardTable) lets(user, password string) bool {
	c.t.Helper()
	_, err := c.users.Verify(c.t.Context(), user, []byte(password), "test")
	if err != nil && !errors.Is(err, access.ErrBadLogin) {
		c.t.Fatal(err)
	}
	return err == nil
}

const seed = "[claim]\npassword = \"correct horse\"\nname = \"Attic\"\n[homeassistant]\npassword = \"battery staple\"\n"

func TestPreseedClaims(t *testing.T) {
	t.Parallel()
	c := newCard(t)
	c.put(PreseedFile, "[claim]\npassword = \"correct horse\"\nnmae = \"Attic\"\n")
	if said := c.start(); !strings.Contains(said, PreseedFile+":3: unknown key \"claim.nmae\"") || c.Claim.Claimed() || !c.there(PreseedFile) {
		t.Errorf("a mistake: claimed %t, said %q", c.Claim.Claimed(), said)
	}
	c.put(PreseedFile, seed)
	if said := c.start(); said != "" || !c.Claim.Claimed() || c.there(PreseedFile) {
		t.Errorf("claimed %t, file there %t, said %q", c.Claim.Claimed(), c.there(PreseedFile), said)
	}
	if !c.lets(access.AdminUser, "correct horse") || !c.lets(access.HomeAssistantUser, "battery staple") || c.Claim.BoxName() != "Attic" {
		t.Errorf("the logins are not those of the file, or the name: %q", c.Claim.BoxName())
	}

	// A box that has an owner obeys nobody else's file, and keeps no password lying about.
	c.put(PreseedFile, "[claim]\npassword = \"another horse\"\n")
	if said := c.start(); said != "" || c.there(PreseedFile) || c.lets(access.AdminUser, "another horse") {
		t.Errorf("a second file: there %t, said %q", c.there(PreseedFile), said)
	}
}

func TestPreseedWithHash(t *testing.T) {
	t.Parallel()
	c := newCard(t)
	other := newCard(t)
	fail(t, other.users.Create(t.Context(), access.User{Name: "x"}, []byte("correct horse")))
	x, _ := other.users.Get("x")
	c.put(PreseedFile, "[claim]\npassword_hash = \""+x.Hash+"\"\n")
	if said := c.start(); said != "" || !c.lets(access.AdminUser, "correct horse") || c.there(PreseedFile) {
		t.Errorf("said %q", said)
	}
	u, _ := c.users.Get(access.AdminUser)
	if u.Page != access.Admin {
		t.Errorf("the owner is %+v", u)
	}
	c.put(ResetFile, "")
	c.put(PreseedFile, "[claim]\npassword_hash = \"$argon2id$nonsense\"\n")
	if said := c.start(); !strings.Contains(said, "hash") || c.Claim.Claimed() || !c.there(PreseedFile) {
		t.Errorf("a hash that is none: claimed %t, said %q", c.Claim.Claimed(), said)
	}
}

// TestReset: the owner goes, devices and their logins stay.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, name := range []string{ResetFile, ResetFile + ".txt"} {
		c := newCard(t)
		c.put(PreseedFile, seed)
		c.start()
		fail(t, c.users.Create(t.Context(), access.User{Name: "shed", Topics: []string{"shed/#"}}, []byte("the shed has one")))
		c.put(name, "whatever")
		said := c.start()
		if c.Claim.Claimed() || c.there(name) || !strings.Contains(said, name) {
			t.Errorf("%s: claimed %t, file there %t, said %q", name, c.Claim.Claimed(), c.there(name), said)
		}
		if c.lets(access.AdminUser, "correct horse") || !c.lets("shed", "the shed has one") || !c.lets(access.HomeAssistantUser, "battery staple") {
			t.Errorf("%s: the wrong logins are left: %+v", name, c.users.All())
		}
		_, err := c.Claim.Do(t.Context(), access.Owner{Password: "a new owner"})
		fail(t, err)
		if said := c.start(); said != "" || !c.Claim.Claimed() {
			t.Errorf("%s: the next start: claimed %t, said %q", name, c.Claim.Claimed(), said)
		}
	}
}

// TestResetOnce: a card that cannot be written to does not reset the box for ever.
func TestResetOnce(t *testing.T) {
	t.Parallel()
	c := newCard(t)
	claim := func() {
		t.Helper()
		_, err := c.Claim.Do(t.Context(), access.Owner{Password: "correct horse"})
		fail(t, err)
	}
	claim()
	c.locked = true
	c.put(ResetFile, "")
	if said := c.start(); c.Claim.Claimed() || !strings.Contains(said, "remove it") {
		t.Errorf("claimed %t, said %q", c.Claim.Claimed(), said)
	}
	claim()
	for range 2 {
		if said := c.start(); !c.Claim.Claimed() {
			t.Fatalf("reset again: %q", said)
		}
	}
	// Whoever removes it and puts another one there means it.
	fail(t, os.Remove(filepath.Join(c.folder, ResetFile)))
	c.start()
	c.put(ResetFile, "")
	if c.start(); c.Claim.Claimed() {
		t.Error("a new file did not reset the box")
	}
	// The password in a file that cannot be removed is told of, not used.
	claim()
	c.put(PreseedFile, seed)
	if said := c.start(); !strings.Contains(said, "there is a password in it") || strings.Contains(said, "correct") {
		t.Errorf("said %q", said)
	}
}
