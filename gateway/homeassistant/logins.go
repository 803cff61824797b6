package homeassistant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel/gateway/access"
	"lintel/persist"
)

// maxLogins is how many logins of Home Assistant there are at most: homeassistant,
// homeassistant-2 and so on.
const maxLogins = 9

// writeSeen is how often it is written when a login was last used.
const writeSeen = time.Hour

// LoginsOptions are the options of [NewLogins].
type LoginsOptions struct {
	Store     *persist.Store
	Users     *access.Users
	Audit     *access.Audit
	Claim     *access.Claim
	HasClient func(user string) bool // whether the broker has a session of somebody who came with a login
	Logger    *slog.Logger
}

// Logins are the logins with which Home Assistants come to the broker.
//
// Home Assistant takes one "not authorized" for good: it does not try again until a
// person acts. So a login never gets another password because somebody else needs one,
// unless the box has made the one that it has, and nobody has come with it yet: a password
// that the owner has set, has imported or has put on the card may be in a Home Assistant that
// is just not here. That a login was used is remembered from the first time on, over restarts.
//
// Its methods may be called from any goroutine.
type Logins struct {
	o      LoginsOptions
	stored *persist.Bucket[storedLogin]
	wake   chan struct{}

	making sync.Mutex // one at a time finds a login and gives it a password

	mu   sync.Mutex
	seen map[string]seenLogin // those that were used, or made here
	last map[string]lastVisit // since the start
}

// storedLogin is what is remembered of a login over restarts.
type storedLogin struct {
	Used time.Time `json:",omitzero"`  // last, about; zero: never
	Made string    `json:",omitempty"` // [access.User.PasswordID] of the password that was made here
}

// seenLogin is what is known of a login.
type seenLogin struct {
	storedLogin
	written time.Time // Used; zero: never
}

// madeHere reports whether the password that a user has is the one that was made here last.
func (s storedLogin) madeHere(u access.User) bool { return s.Made != "" && s.Made == u.PasswordID() }

// lastVisit is what became of the last client that came with a login.
type lastVisit struct {
	at     time.Time
	became Visit
}

// NewLogins returns the logins as the store remembers them.
func NewLogins(o LoginsOptions) (*Logins, error) {
	stored, err := persist.NewBucket[storedLogin](o.Store, "homeassistant.logins")
	if err != nil {
		return nil, err
	}
	l := &Logins{o: o, stored: stored, wake: make(chan struct{}, 1), seen: make(map[string]seenLogin), last: make(map[string]lastVisit)}
	for name, s := range stored.All() {
		known := seenLogin{storedLogin: s}
		if !s.Used.IsZero() {
			known.written = time.Now()
		}
		l.seen[name] = known
	}
	return l, nil
}

// LoginNames are those that the logins have.
func LoginNames() []string {
	names := []string{access.HomeAssistantUser}
	for n := 2; n <= maxLogins; n++ {
		names = append(names, access.HomeAssistantUser+"-"+strconv.Itoa(n))
	}
	return names
}

// Visited takes note that somebody has come with a login, and what became of that. The
// door calls it before the client is answered; it blocks nobody.
func (l *Logins) Visited(name string, err error) {
	if !strings.HasPrefix(name, access.HomeAssistantUser) || !slices.Contains(LoginNames(), name) {
		return
	}
	now, became := time.Now(), LetIn
	if err != nil {
		became = LockedOut
		if _, ok := errors.AsType[*access.Refused](err); ok {
			became = Refused
		} else if !errors.Is(err, access.ErrLockedOut) {
			return // the box is to blame
		}
	}
	l.mu.Lock()
	l.last[name] = lastVisit{now, became}
	if err == nil {
		s := l.seen[name]
		s.Used = now
		l.seen[name] = s
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Visit says what became of the last client that came with a login since then.
func (l *Logins) Visit(name string, since time.Time) Visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.last[name]; !v.at.Before(since) {
		return v.became
	}
	return NoVisit
}

// LastUsed returns when a login was last used; zero: never.
func (l *Logins) LastUsed(name string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[name].Used
}

// Run writes which logins are used until ctx ends.
func (l *Logins) Run(ctx context.Context) error {
	for {
		select {
		case <-l.wake:
			l.write(ctx)
		case <-ctx.Done():
			l.write(context.WithoutCancel(ctx)) // the store is there until all others have ended
			return nil
		}
	}
}

// write writes what is new, and now and then what is not.
func (l *Logins) write(ctx context.Context) {
	l.mu.Lock()
	seen := maps.Clone(l.seen)
	l.mu.Unlock()
	for name, s := range seen {
		if s.Used.IsZero() || !s.written.IsZero() && time.Since(s.written) < writeSeen {
			continue
		}
		s.Used = s.Used.UTC().Truncate(time.Second)
		if err := l.stored.Put(ctx, name, s.storedLogin); err != nil {
			l.o.Logger.Warn("use of a login not stored", "user", name, "err", err)
			return
		}
		l.mu.Lock()
		if now, ok := l.seen[name]; ok {
			now.written = time.Now()
			l.seen[name] = now
		}
		l.mu.Unlock()
	}
}

// free reports whether nobody can have the password of a login but those who were shown it
// by the box, and have not come with it.
func (l *Logins) free(u access.User) bool {
	l.mu.Lock()
	s := l.seen[u.Name]
	l.mu.Unlock()
	generated := u.Name == access.HomeAssistantUser && l.o.Claim.Generated()
	return (generated || s.madeHere(u)) && s.Used.IsZero() && !l.o.HasClient(u.Name)
}

// New returns a login for a Home Assistant that is about to be
// connected, with a new password that is told nobody else: one that nobody has come with
// yet, or a new one. by says for the audit log who wants it.
//
// A login that the owner has disabled, has taken the role from or lets see the pages is
// theirs, and left alone. The error is a sentence when there are too many.
func (l *Logins) New(ctx context.Context, by string) (user, password string, err error) {
	l.making.Lock()
	defer l.making.Unlock()
	password = l.o.Users.Generate()
	for _, name := range LoginNames() {
		u, ok := l.o.Users.Get(name)
		switch {
		case !ok:
			u := access.User{Name: name, Roles: []string{"homeassistant"}}
			if err := l.o.Users.Create(ctx, u, []byte(password)); err != nil {
				return "", "", err
			}
			l.o.Audit.Add(access.Event{Kind: access.UserAdded, User: name, Detail: by})
			return name, password, l.made(ctx, name)
		case u.Disabled || u.Page != access.NoPage || !slices.Contains(u.Roles, "homeassistant") || !l.free(u):
		default:
			if err := l.o.Users.SetPassword(ctx, name, []byte(password)); err != nil {
				return "", "", err
			}
			l.o.Audit.Add(access.Event{Kind: access.UserChanged, User: name, Detail: by + ", password too"})
			return name, password, l.made(ctx, name)
		}
	}
	return "", "", &ConnectError{Reason: NoLogin, Text: fmt.Sprintf(
		"There are %d logins for Home Assistant, and all have been used. Delete those on the page of the users that no Home Assistant comes with any more.", maxLogins)}
}

// made remembers that the box has made the password that a login has now, and that nobody
// has come with it.
func (l *Logins) made(ctx context.Context, name string) error {
	u, ok := l.o.Users.Get(name)
	if !ok {
		return access.ErrNoUser
	}
	s := seenLogin{storedLogin: storedLogin{Made: u.PasswordID()}}
	l.mu.Lock()
	l.seen[name] = s
	l.mu.Unlock()
	return l.stored.Put(ctx, name, s.storedLogin)
}

// Release takes note that who has come with a login will not come any more. Its password
// may be another one then, if it is one of the box's.
func (l *Logins) Release(ctx context.Context, name string) error {
	l.making.Lock()
	defer l.making.Unlock()
	u, ok := l.o.Users.Get(name)
	l.mu.Lock()
	s := l.seen[name]
	l.mu.Unlock()
	if !ok || !s.madeHere(u) {
		return nil
	}
	return l.made(ctx, name)
}
