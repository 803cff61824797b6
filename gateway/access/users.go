package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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
	Disabled bool      `json:",omitempty"` // they are answered as if they were unknown
	Created  time.Time // by the clock of the box, which may have been wrong

	plain []byte // a password on its way from ImportMosquitto to Import
}

// Errors of Users. An error of what was asked for is one of these or an
// [InvalidUserError]; the rest are those of the store and of ctx.
var (
	ErrUserExists = errors.New("there is a user of this name: choose another name")
	ErrNoUser     = errors.New("there is no user of this name")
	ErrBusy       = errors.New("too many logins wait to be checked: try again")
)

// Users are the users of the box. The methods may be called from any goroutine.
//
// A method that changes users returns when the change cannot be lost any more. Once it
// has begun to write it does not give up when its ctx ends.
type Users struct {
	log      *slog.Logger
	records  *persist.Bucket[userRecord]
	imports  *persist.Bucket[time.Time] // that have begun
	hashing  *hashing
	proofs   *proofs
	dummy    string     // hash for those who are not there
	creating sync.Mutex // one at a time counts and adds users

	// Who changes a user holds the lock that the name falls to: a change reads what
	// it changes, and one commit holds many changes.
	seed     maphash.Seed
	changing [32]sync.Mutex

	mu       sync.Mutex
	onChange []func(name string)
}

// userRecord is what is stored of a user.
type userRecord struct {
	User
	Import string `json:",omitempty"` // the import that brought them
}

// NewUsers reads the users from the store, which is open and need not be loaded. What a
// power cut has left of an import is removed.
func NewUsers(store *persist.Store, log *slog.Logger) (*Users, error) {
	u := &Users{log: log, hashing: newHashing(), proofs: newProofs(), dummy: dummyHash(), seed: maphash.MakeSeed()}
	var err error
	if u.records, err = persist.NewBucket[userRecord](store, "access.users"); err != nil {
		return nil, err
	}
	if u.imports, err = persist.NewBucket[time.Time](store, "access.imports"); err != nil {
		return nil, err
	}
	return u, u.removeBegun()
}

// Get returns a user, with hash and SCRAM credentials.
func (u *Users) Get(name string) (User, bool) {
	r, ok := u.records.Get(name)
	return r.User, ok
}

// All returns all users by name, without hashes and SCRAM credentials.
func (u *Users) All() []User {
	var all []User
	for _, r := range u.records.All() {
		all = append(all, r.redacted())
	}
	return all
}

// redacted returns a user without what only Verify and SCRAM need to know.
func (u User) redacted() User {
	u.Hash, u.SCRAM, u.plain = "", "", nil
	return u
}

// PasswordID tells one password of a user from another without telling anything of either;
// empty: there is none.
func (u User) PasswordID() string {
	if u.Hash == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(u.Hash))
	return hex.EncodeToString(sum[:8])
}

// Create adds a user. With a nil password no password lets them in.
func (u *Users) Create(ctx context.Context, user User, password []byte) error {
	err := u.prepare(ctx, &user, password)
	if err == nil {
		err = u.insert(ctx, user)
	}
	if err == nil {
		u.changed(user.Name)
	}
	return err
}

func (u *Users) insert(ctx context.Context, user User) error {
	u.creating.Lock()
	defer u.creating.Unlock()
	if _, ok := u.records.Get(user.Name); ok {
		return ErrUserExists
	}
	if u.count() >= maxUsers {
		return tooMany
	}
	return u.records.Put(context.WithoutCancel(ctx), user.Name, userRecord{User: user})
}

// prepare makes of what somebody wants stored what can be stored.
func (u *Users) prepare(ctx context.Context, user *User, password []byte) error {
	if user.plain != nil {
		password, user.plain = user.plain, nil
	}
	if user.Created.IsZero() {
		user.Created = time.Now().UTC().Truncate(time.Second)
	}
	if err := user.validate(); err != nil {
		return err
	}
	if password == nil {
		return ctx.Err()
	}
	if err := validatePassword(password); err != nil {
		return err
	}
	var err error
	user.Hash, err = u.hashing.hash(ctx, password)
	return err
}

func (u *Users) count() (n int) {
	for range u.records.All() {
		n++
	}
	return n
}

// Update changes a user, but not the name. change may be called while others are being changed and
// calls no method of u.
func (u *Users) Update(ctx context.Context, name string, change func(*User)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := u.replace(ctx, name, func(r *userRecord) error {
		change(&r.User)
		if r.Name != name {
			return invalidUser(name, "a user keeps the name: create another user")
		}
		return r.validate()
	})
	if err == nil {
		u.changed(name)
	}
	return err
}

// SetPassword changes the password of a user; with nil no password lets them in.
// SCRAM credentials are those of the password before and go with it: set new
// ones with Update.
func (u *Users) SetPassword(ctx context.Context, name string, password []byte) error {
	var hash string
	if password != nil {
		if err := validatePassword(password); err != nil {
			return err
		}
		if _, ok := u.Get(name); !ok {
			return ErrNoUser
		}
		var err error
		if hash, err = u.hashing.hash(ctx, password); err != nil {
			return err
		}
	}
	return u.Update(ctx, name, func(user *User) { user.Hash, user.SCRAM = hash, "" })
}

// replace puts what change makes of a record.
func (u *Users) replace(ctx context.Context, name string, change func(*userRecord) error) error {
	defer u.lock(name)()
	r, ok := u.records.Get(name)
	if !ok {
		return ErrNoUser
	}
	if err := change(&r); err != nil {
		return err
	}
	return u.records.Put(context.WithoutCancel(ctx), name, r)
}

func (u *Users) lock(name string) (unlock func()) {
	mu := &u.changing[maphash.String(u.seed, name)%uint64(len(u.changing))]
	mu.Lock()
	return mu.Unlock
}

// Delete deletes a user.
func (u *Users) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := u.remove(ctx, name)
	if err == nil {
		u.changed(name)
	}
	return err
}

func (u *Users) remove(ctx context.Context, name string) error {
	defer u.lock(name)()
	if _, ok := u.records.Get(name); !ok {
		return ErrNoUser
	}
	return u.records.Delete(context.WithoutCancel(ctx), name)
}

// OnChange makes u call f with the name of every user who was created, changed or
// deleted, after that is durable and before the method that did it returns. That a login
// replaces an imported hash is no change.
func (u *Users) OnChange(f func(name string)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.onChange = append(u.onChange, f)
}

// changed is called with no lock held: f may change users too.
func (u *Users) changed(name string) {
	u.proofs.forget(name)
	u.mu.Lock()
	all := slices.Clone(u.onChange)
	u.mu.Unlock()
	for _, f := range all {
		f(name)
	}
}

// Import adds users, of which those of ImportMosquitto may have a password that is
// still to be hashed: all or none, also if the power is cut meanwhile. Until it returns, some
// may be there already. A password takes as long as the first login of a user; whoever logs in
// meanwhile has turns in between.
func (u *Users) Import(ctx context.Context, users []User) error {
	users = slices.Clone(users)
	seen := make(map[string]bool, len(users))
	var mistakes []error
	for i := range users {
		user := &users[i]
		if err := user.validate(); err != nil {
			mistakes = append(mistakes, err)
		} else if seen[user.Name] {
			mistakes = append(mistakes, invalidUser(user.Name, "is there twice"))
		}
		seen[user.Name] = true
	}
	if err := listMistakes(mistakes); err != nil {
		return err
	}
	for i := range users {
		if err := u.prepare(ctx, &users[i], nil); err != nil {
			return err
		}
	}
	if err := u.add(ctx, users); err != nil {
		return err
	}
	for _, user := range users {
		u.changed(user.Name)
	}
	return nil
}

// add writes what Import has prepared. That may be more than one transaction takes, so it
// is written down that it has begun, and when all is there that it has not.
func (u *Users) add(ctx context.Context, users []User) error {
	u.creating.Lock()
	defer u.creating.Unlock()
	var mistakes []error
	for _, user := range users {
		if _, ok := u.records.Get(user.Name); ok {
			mistakes = append(mistakes, fmt.Errorf("user %q: %w", user.Name, ErrUserExists))
		}
	}
	if u.count()+len(users) > maxUsers {
		mistakes = append(mistakes, tooMany)
	}
	if err := listMistakes(mistakes); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	id := rand.Text()
	if err := u.imports.Put(ctx, id, time.Now().UTC()); err != nil {
		return err
	}
	var all errgroup.Group
	all.SetLimit(100) // that share a commit
	for _, user := range users {
		all.Go(func() error { return u.records.Put(ctx, user.Name, userRecord{User: user, Import: id}) })
	}
	if err := all.Wait(); err != nil {
		return err // of the store: the next start removes what is there
	}
	return u.imports.Delete(ctx, id)
}

// removeBegun removes what imports have left that did not come to their end.
func (u *Users) removeBegun() error {
	ctx := context.Background()
	for id := range u.imports.All() {
		n := 0
		for name, r := range u.records.All() {
			if r.Import != id {
				continue
			}
			if err := u.records.Delete(ctx, name); err != nil {
				return err
			}
			n++
		}
		if err := u.imports.Delete(ctx, id); err != nil {
			return err
		}
		u.log.Warn("import of users was cut short and is undone: import the file again", "users", n)
	}
	return nil
}

// passwordAlphabet has no two characters that look alike, and none that a phone wants
// the shift key for.
const passwordAlphabet = "23456789abcdefghjkmnpqrstuvwxyz"

// Generate returns a password for a login that the box hands out: 20 characters, worth
// 99 bits.
func (u *Users) Generate() (password string) {
	const n = len(passwordAlphabet)
	b := make([]byte, 0, 20)
	for len(b) < cap(b) {
		if c := int(randomBytes(1)[0]); c < 256/n*n { // else some were likelier than others
			b = append(b, passwordAlphabet[c%n])
		}
	}
	return string(b)
}
