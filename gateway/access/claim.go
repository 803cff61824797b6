package access

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"lintel/persist"
)

// Names of the logins that a claim makes.
const (
	AdminUser         = "admin"
	HomeAssistantUser = "homeassistant"
)

// MinPassword is how many characters a password has that a person chooses.
const MinPassword = 8

const maxBoxName = 64 // characters

// errUnclaimed says that the box has no owner.
var errUnclaimed = errors.New("nobody has claimed this box yet: claim it first")

// ErrClaimed says that the box has an owner already.
var ErrClaimed = errors.New("this box has been claimed already: log in with the password that was chosen then, or reset the box")

// Claim is how a box gets its owner: there is no password that it comes with. Until
// it is claimed it lets nobody in. Methods may be called from any goroutine.
//
// Do makes the logins first and remembers the claim last, and what remembers it is
// one value in the store: a box that loses its power on the way is unclaimed, and
// claimed anew without regard to what the first try left, or it is claimed with the
// password of the one who claimed it.
type Claim struct {
	users    *Users
	sessions *Sessions
	tokens   *APITokens
	bucket   *persist.Bucket[claim]

	changing sync.Mutex // held by Do and Undo
}

// claim is what the store remembers.
type claim struct {
	Claimed bool
	BoxName string `json:",omitempty"`
	Undoing bool   `json:",omitempty"` // Undo was begun
	// KeepHomeAssistant: the login was there before Do was begun, so that somebody
	// has its password.
	KeepHomeAssistant bool `json:",omitempty"`
	// Generated is the [User.PasswordID] of the login for Home Assistant, if the box
	// made its password.
	Generated string `json:",omitempty"`
}

// claimKey is the only key of the claim's bucket.
const claimKey = "claim"

// NewClaim reads from the store whether the box is claimed.
func NewClaim(store *persist.Store, users *Users, sessions *Sessions, tokens *APITokens) (*Claim, error) {
	bucket, err := persist.NewBucket[claim](store, "access.claim")
	if err != nil {
		return nil, err
	}
	return &Claim{users: users, sessions: sessions, tokens: tokens, bucket: bucket}, nil
}

// Claimed reports whether the box has an owner.
func (c *Claim) Claimed() bool {
	r, _ := c.bucket.Get(claimKey)
	return r.Claimed
}

// BoxName returns what the owner calls the box; empty: nothing.
func (c *Claim) BoxName() string {
	r, _ := c.bucket.Get(claimKey)
	return r.BoxName
}

// SetBoxName gives the box another name; empty: none.
func (c *Claim) SetBoxName(ctx context.Context, name string) error {
	if err := CheckBoxName(name); err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	r, _ := c.bucket.Get(claimKey)
	if !r.Claimed {
		return errUnclaimed
	}
	r.BoxName = name
	return c.bucket.Put(ctx, claimKey, r)
}

// Owner is what a box is claimed with.
type Owner struct {
	User                  string // what the owner is called on the pages; empty: admin
	Password              string // of that user
	Hash                  string // of that, in the place of Password
	BoxName               string // empty: none
	HomeAssistantPassword string // of the login for Home Assistant; empty: [Claim.Do] makes one
}

// Check says what is wrong with an owner.
func (o Owner) Check() error {
	if reason := userNameMistake(cmp.Or(o.User, AdminUser)); reason != "" {
		return errors.New(reason)
	}
	if o.User == HomeAssistantUser {
		return fmt.Errorf("%s is the login of Home Assistant: call the owner something else", HomeAssistantUser)
	}
	if o.Hash != "" && o.Password == "" {
		if err := CheckHash(o.Hash); err != nil {
			return err
		}
	}
	if o.Hash == "" || o.Password != "" {
		if err := CheckPassword([]byte(o.Password)); err != nil {
			return err
		}
	}
	if o.HomeAssistantPassword != "" {
		if err := CheckPassword([]byte(o.HomeAssistantPassword)); err != nil {
			return fmt.Errorf("for Home Assistant: %w", err)
		}
	}
	return CheckBoxName(o.BoxName)
}

// Do claims the box: it makes the owner a user, and a login for Home Assistant, whose
// password it returns. That is empty when there was such a login before, after
// [Claim.Undo] or an import, and the owner gives no other: it goes on with the password it has.
//
// Of several callers one wins; the others get [ErrClaimed]. After any other error the
// box is unclaimed and Do may be called again; when ctx has ended it may be claimed too.
func (c *Claim) Do(ctx context.Context, o Owner) (homeassistantPassword string, err error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	r, begun := c.bucket.Get(claimKey)
	if r.Claimed {
		return "", ErrClaimed
	}
	if err := o.Check(); err != nil {
		return "", err
	}
	if r.Undoing {
		if err := c.clear(ctx); err != nil {
			return "", err
		}
		begun = false
	}
	if !begun {
		_, r.KeepHomeAssistant = c.users.Get(HomeAssistantUser)
		r = claim{KeepHomeAssistant: r.KeepHomeAssistant}
		if err := c.bucket.Put(ctx, claimKey, r); err != nil {
			return "", err
		}
	}
	admin := User{Name: cmp.Or(o.User, AdminUser), Roles: []string{"admin"}, Page: Admin}
	for _, u := range c.users.All() { // of a first try, by another name
		if u.Page == Admin && u.Name != admin.Name && u.Name != HomeAssistantUser {
			if err := c.users.Delete(ctx, u.Name); err != nil && !errors.Is(err, ErrNoUser) {
				return "", err
			}
		}
	}
	if o.Password == "" {
		admin.Hash = o.Hash
	}
	if err := c.login(ctx, admin, o.Password); err != nil {
		return "", err
	}
	generated := ""
	if !r.KeepHomeAssistant || o.HomeAssistantPassword != "" {
		homeassistantPassword = cmp.Or(o.HomeAssistantPassword, c.users.Generate())
		u := User{Name: HomeAssistantUser, Roles: []string{"homeassistant"}}
		if err := c.login(ctx, u, homeassistantPassword); err != nil {
			return "", err
		}
		if u, ok := c.users.Get(HomeAssistantUser); ok && o.HomeAssistantPassword == "" {
			generated = u.PasswordID()
		}
	}
	return homeassistantPassword, c.bucket.Put(ctx, claimKey, claim{Claimed: true, BoxName: o.BoxName, Generated: generated})
}

// Generated reports whether the login for Home Assistant still has the password that the
// box made for it when it was claimed.
func (c *Claim) Generated() bool {
	r, _ := c.bucket.Get(claimKey)
	u, ok := c.users.Get(HomeAssistantUser)
	return ok && r.Generated != "" && r.Generated == u.PasswordID()
}

// login makes a login, whatever there was of that name. Without a
// password it is the one of the hash.
func (c *Claim) login(ctx context.Context, u User, password string) error {
	if _, ok := c.users.Get(u.Name); ok {
		if err := c.users.Delete(ctx, u.Name); err != nil {
			return err
		}
	}
	if password == "" {
		return c.users.Import(ctx, []User{u})
	}
	return c.users.Create(ctx, u, []byte(password))
}

// Undo takes the box from its owner: the users who are admin on the pages go, all
// sessions, all API tokens and the claim. Everything else stays, the logins of devices
// and of Home Assistant too. If it is interrupted, the box is unclaimed, and the next
// Undo or Do completes it.
func (c *Claim) Undo(ctx context.Context) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	if err := c.bucket.Put(ctx, claimKey, claim{Undoing: true}); err != nil {
		return err
	}
	return c.clear(ctx)
}

// clear does the work of Undo. Called with changing held.
func (c *Claim) clear(ctx context.Context) error {
	if err := c.sessions.endAll(ctx); err != nil {
		return err
	}
	if err := c.tokens.revokeAll(ctx); err != nil {
		return err
	}
	for _, u := range c.users.All() {
		if u.Page != Admin {
			continue
		}
		var err error
		if u.Name == HomeAssistantUser {
			err = c.users.Update(ctx, u.Name, func(u *User) { u.Page = NoPage })
		} else {
			err = c.users.Delete(ctx, u.Name)
		}
		if err != nil && !errors.Is(err, ErrNoUser) {
			return err
		}
	}
	return c.bucket.Delete(ctx, claimKey)
}

// CheckBoxName says what is wrong with the name that somebody gives to the box. It may
// have none.
func CheckBoxName(name string) error {
	if name == "" {
		return nil
	}
	return checkLabel("the name of the box", name, maxBoxName)
}

// CheckPassword says what is wrong with a password that a person has chosen.
func CheckPassword(password []byte) error {
	switch {
	case len(password) > MaxPassword:
		return fmt.Errorf("the password is longer than %d bytes: choose a shorter one", MaxPassword)
	case utf8.RuneCount(password) < MinPassword:
		return fmt.Errorf("the password has fewer than %d characters: choose a longer one, three or four words are easy to remember", MinPassword)
	case silly(strings.ToLower(string(password))):
		return errors.New("this password is one of the first that anybody tries: choose another one, three or four words are easy to remember")
	}
	return nil
}

// silly reports whether a password, in lower case, is one character or two by turns,
// a run of the keyboard, or one of the few that everybody tries on a box like this.
func silly(password string) bool {
	for n := 1; n <= 2; n++ {
		if b := []byte(password); bytes.Equal(b[n:], b[:len(b)-n]) {
			return true
		}
	}
	for _, run := range []string{"01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "asdfghjkl", "98765432109876543210"} {
		if strings.Contains(run, password) {
			return true
		}
	}
	for _, word := range []string{"password", "passwort", "lintel", "admin", "administrator", "homeassistant", "mosquitto", "raspberry", "raspberrypi",
		"iloveyou", "letmein", "welcome", "sunshine", "princess", "football", "baseball", "superman", "qwerty", "changeme", "whatever", "trustno"} {
		rest, ok := strings.CutPrefix(password, word)
		if ok && strings.Trim(rest, "0123456789!") == "" && len(rest) <= 4 {
			return true
		}
	}
	return false
}
