package access

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lintel/persist"
)

// Level is what a user may do on the pages.
type Level string

// The levels.
const (
	NoPage   Level = ""
	Viewer   Level = "viewer"
	Operator Level = "operator"
	Admin    Level = "admin"
)

// User is somebody with a name, and what they are let in with.
type User struct {
	Name     string
	Hash     string    `json:",omitempty"` // of the password; empty: no password lets them in
	SCRAM    string    `json:",omitempty"` // credentials of SCRAM-SHA-256; empty: none
	Roles    []string  `json:",omitempty"`
	Topics   []string  `json:",omitempty"` // topic filters that are their own
	Page     Level     `json:",omitempty"`
	Disabled bool      `json:",omitempty"`
	Created  time.Time // by the clock of the box, which may have been wrong
}

// What there is at most.
const (
	MaxUsers    = 2000
	MaxPassword = 1 << 10 // bytes
)

// Errors of Users.
var (
	ErrUserExists = errors.New("a user of this name exists: choose another name")
	ErrNoUser     = errors.New("there is no user of this name")
	ErrBusy       = errors.New("too many logins wait to be checked: try again")
)

// Users are the users of the box. Its methods may be called from any goroutine.
type Users struct {
	bucket *persist.Bucket[User]
}

// NewUsers reads the users from the store.
func NewUsers(store *persist.Store, log *slog.Logger) (*Users, error) {
	bucket, err := persist.NewBucket[User](store, "access.users")
	return &Users{bucket: bucket}, err
}

// Get returns a user, with the hash.
func (u *Users) Get(name string) (User, bool) { return u.bucket.Get(name) }

// All returns all users by name, without hashes and SCRAM credentials.
func (u *Users) All() []User { return nil }

// Create adds a user; a nil password lets nobody in.
func (u *Users) Create(ctx context.Context, user User, password []byte) error { return nil }

// Update changes a user other than the name; the error of change is the error of Update.
func (u *Users) Update(ctx context.Context, name string, change func(*User)) error { return nil }

// SetPassword changes the password of a user; nil lets nobody in. SCRAM credentials are those of
// the password before, so they are dropped: the caller sets new ones with Update.
func (u *Users) SetPassword(ctx context.Context, name string, password []byte) error { return nil }

// Delete deletes a user.
func (u *Users) Delete(ctx context.Context, name string) error { return nil }

// Verify returns the user whose name and password these are. from is the client
// identifier, or "page". ErrBadLogin says that they are definitely wrong, which is also
// said of a user who is disabled; any other error leaves it open.
func (u *Users) Verify(ctx context.Context, name string, password []byte, from string) (User, error) {
	return User{}, ErrBusy
}

// Import adds users, or sets those that exist: all or none.
func (u *Users) Import(ctx context.Context, users []User) error { return nil }

// Generate returns a password for a login that the box hands out.
func (u *Users) Generate() string { return "" }

// OnChange makes u call f with the name of each user who is changed or deleted, after
// that is durable. f must not call back into methods that change users.
func (u *Users) OnChange(f func(name string)) {}
