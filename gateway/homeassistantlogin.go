package gateway

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
	"lintel/gateway/broker"
	"lintel/gateway/homeassistant"
	"lintel/persist"
)

// maxHomeAssistants is how many logins of Home Assistant there are at most: homeassistant,
// homeassistant-2 and so on.
const maxHomeAssistants = 9

// writeSeen is how often it is written when a login was last used.
const writeSeen = time.Hour

// homeassistantLogins are the logins with which Home Assistants come to the broker.
//
// Home Assistant takes one "not authorized" for good: it does not try again until a
// person acts. So a login that somebody has come with never gets another password
// because somebody else needs one. That it was used is remembered from the first time on,
// over restarts.
//
// Its methods may be called from any goroutine.
type homeassistantLogins struct {
	users   *access.Users
	audit   *access.Audit
	clients func() []broker.ClientInfo
	log     *slog.Logger
	stored  *persist.Bucket[time.Time] // when each was last used, about; none: never
	wake    chan struct{}

	making sync.Mutex // one at a time finds a login and gives it a password

	mu   sync.Mutex
	seen map[string]seenLogin // those that were used
	last map[string]lastVisit // since the start
}

// seenLogin is when a login was last used.
type seenLogin struct{ last, written time.Time }

// lastVisit is what became of the last client that came with a login.
type lastVisit struct {
	at     time.Time
	became homeassistant.Visit
}

func newHomeAssistantLogins(store *persist.Store, a *entrance, clients func() []broker.ClientInfo, log *slog.Logger) (*homeassistantLogins, error) {
	stored, err := persist.NewBucket[time.Time](store, "homeassistant.logins")
	if err != nil {
		return nil, err
	}
	l := &homeassistantLogins{users: a.users, audit: a.audit, clients: clients, log: log, stored: stored,
		wake: make(chan struct{}, 1), seen: make(map[string]seenLogin), last: make(map[string]lastVisit)}
	for name, last := range stored.All() {
		l.seen[name] = seenLogin{last, time.Now()}
	}
	return l, nil
}

// isHomeAssistantLogin reports whether a name is one of those logins.
func isHomeAssistantLogin(name string) bool {
	return slices.Contains(homeassistantLoginNames(), name)
}

func homeassistantLoginNames() []string {
	names := []string{access.HomeAssistantUser}
	for n := 2; n <= maxHomeAssistants; n++ {
		names = append(names, access.HomeAssistantUser+"-"+strconv.Itoa(n))
	}
	return names
}

// visited takes note that somebody has come with a login, and what became of that. The
// door calls it before the client is answered; it blocks nobody.
func (l *homeassistantLogins) visited(name string, err error) {
	if !strings.HasPrefix(name, access.HomeAssistantUser) || !isHomeAssistantLogin(name) {
		return
	}
	now, visit := time.Now(), homeassistant.LetIn
	if err != nil {
		visit = homeassistant.LockedOut
		if _, ok := errors.AsType[*access.Refused](err); ok {
			visit = homeassistant.Refused
		} else if !errors.Is(err, access.ErrLockedOut) {
			return // the box is to blame
		}
	}
	l.mu.Lock()
	l.last[name] = lastVisit{now, visit}
	if err == nil {
		s := l.seen[name]
		s.last = now
		l.seen[name] = s
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// visit says what became of the last client that came with a login since then.
func (l *homeassistantLogins) visit(name string, since time.Time) homeassistant.Visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.last[name]; !v.at.Before(since) {
		return v.became
	}
	return homeassistant.NoVisit
}

// lastSeen returns when a login was last used; zero: never.
func (l *homeassistantLogins) lastSeen(name string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[name].last
}

// run writes which logins are used until ctx ends.
func (l *homeassistantLogins) run(ctx context.Context) error {
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
func (l *homeassistantLogins) write(ctx context.Context) {
	l.mu.Lock()
	seen := maps.Clone(l.seen)
	l.mu.Unlock()
	for name, s := range seen {
		if !s.written.IsZero() && time.Since(s.written) < writeSeen {
			continue
		}
		if err := l.stored.Put(ctx, name, s.last.UTC().Truncate(time.Second)); err != nil {
			l.log.Warn("use of a login not stored", "user", name, "err", err)
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

// used reports whether somebody has come with a login since it has its password, as far
// as the box can tell.
func (l *homeassistantLogins) used(name string) bool {
	l.mu.Lock()
	_, ok := l.seen[name]
	l.mu.Unlock()
	return ok || slices.ContainsFunc(l.clients(), func(c broker.ClientInfo) bool { return c.User == name })
}

// newHomeAssistantLogin returns a login for a Home Assistant that is about to be
// connected, with a new password that is told nobody else: one that nobody has come with
// yet, or a new one. by says for the audit log who wants it.
//
// A login that the owner has disabled, has taken the role from or lets see the pages is
// theirs, and left alone. The error is a sentence when there are too many.
func (l *homeassistantLogins) newHomeAssistantLogin(ctx context.Context, by string) (user, password string, err error) {
	l.making.Lock()
	defer l.making.Unlock()
	password = l.users.Generate()
	for _, name := range homeassistantLoginNames() {
		u, ok := l.users.Get(name)
		switch {
		case !ok:
			if err := l.forget(ctx, name); err != nil { // of one that was deleted
				return "", "", err
			}
			u := access.User{Name: name, Roles: []string{"homeassistant"}}
			if err := l.users.Create(ctx, u, []byte(password)); err != nil {
				return "", "", err
			}
			l.audit.Add(access.Event{Kind: access.UserAdded, User: name, Detail: by})
			return name, password, nil
		case u.Disabled || u.Page != access.NoPage || !slices.Contains(u.Roles, "homeassistant") || l.used(name):
		default:
			if err := l.users.SetPassword(ctx, name, []byte(password)); err != nil {
				return "", "", err
			}
			l.audit.Add(access.Event{Kind: access.UserChanged, User: name, Detail: by + ", password too"})
			return name, password, nil
		}
	}
	return "", "", &homeassistant.ConnectError{Reason: homeassistant.NoLogin, Text: fmt.Sprintf(
		"There are %d logins for Home Assistant, and all have been used. Delete those on the page of the users that no Home Assistant comes with any more.", maxHomeAssistants)}
}

// forget makes a login one that nobody has come with.
func (l *homeassistantLogins) forget(ctx context.Context, name string) error {
	l.mu.Lock()
	_, ok := l.seen[name]
	delete(l.seen, name)
	l.mu.Unlock()
	if !ok {
		return nil
	}
	return l.stored.Delete(ctx, name)
}
