package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/persist"
)

// How long a session of the pages goes on.
const (
	sessionIdle     = 30 * 24 * time.Hour  // without a request
	SessionLifetime = 180 * 24 * time.Hour // in all
)

const (
	maxSessions     = 256
	maxUserSessions = 32
	maxAgent        = 120 // bytes of what a browser calls itself

	sessionsTick   = time.Hour // how often Run writes for how long the house has run
	sessionsUnused = 6 * time.Hour
)

// ErrNoSession says that there is nothing to end.
var ErrNoSession = errors.New("there is no such session: it has ended")

// Sessions are the logins of browsers to the pages. Of the token that a browser
// shows only the SHA-256 is kept: neither a backup nor a stolen card lets anybody
// in. They are in the store, so that a restart logs nobody out.
//
// Time is counted while the house runs, not by the wall clock, which may start in
// 1970 and jump: nothing ends because it is set, and what the house was off counts
// nothing. Run writes the count every hour, so that a pulled plug makes sessions an
// hour longer at most. When a session was used last is written when that is six hours
// later than what is written.
//
// A session is bound to the password of its user: when the user gets another one,
// is disabled, is deleted or may no longer see the pages, it has ended.
//
// There are 256 at most and 32 of one user; one more ends the one that was not used for
// the longest time. The methods may be called from any goroutine.
type Sessions struct {
	users  *Users
	bucket *persist.Bucket[session] // by the SHA-256 of the token in hex
	clock  *persist.Bucket[time.Duration]
	before time.Duration        // for how long the house had run when NewSessions was called
	since  func() time.Duration // then

	changing sync.Mutex // held while sessions are made and ended

	mu   sync.Mutex
	used map[string]time.Duration // when sessions were used since the start
}

// session is what the store keeps. Its times are those for which the house had run.
type session struct {
	User     string
	Password string // the digest of the user's hash
	Created  time.Duration
	Used     time.Duration
	Address  netip.Addr
	Agent    string `json:",omitempty"`
}

// Session is a session as people may see it.
type Session struct {
	ID      string // lets nobody in
	User    string
	Age     time.Duration // for which the house ran
	Idle    time.Duration // the same, since the last request
	Address netip.Addr    // where the login came from
	Agent   string        // what the browser calls itself
}

// clockKey is the only key of the clock's bucket.
const clockKey = "ran"

// NewSessions reads the sessions from the store.
func NewSessions(store *persist.Store, users *Users) (*Sessions, error) {
	bucket, err := persist.NewBucket[session](store, "access.sessions")
	if err != nil {
		return nil, err
	}
	clock, err := persist.NewBucket[time.Duration](store, "access.sessions.clock")
	if err != nil {
		return nil, err
	}
	started := time.Now()
	s := &Sessions{
		users:  users,
		bucket: bucket,
		clock:  clock,
		since:  func() time.Duration { return time.Since(started) },
		used:   make(map[string]time.Duration),
	}
	s.before, _ = clock.Get(clockKey)
	for _, v := range bucket.All() { // later than the clock after a crash
		s.before = max(s.before, v.Used)
	}
	return s, nil
}

// now is for how long the house has run.
func (s *Sessions) now() time.Duration { return s.before + s.since() }

// Run counts the time and clears away what has ended, until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	ticker := time.NewTicker(sessionsTick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.tick(ctx)
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			s.tick(ctx)
			return nil
		}
	}
}

// tick writes what has changed. A store that fails ends the house, so that there is
// nobody to tell about it here.
func (s *Sessions) tick(ctx context.Context) {
	s.changing.Lock()
	defer s.changing.Unlock()
	any := false // nobody needs the time of no session
	for key, v := range s.bucket.All() {
		any = true
		last := s.lastUsed(key, v)
		switch _, alive := s.owner(key, v); {
		case !alive:
			s.end(ctx, key)
		case last-v.Used >= sessionsUnused:
			v.Used = last
			s.bucket.Put(ctx, key, v)
		}
	}
	if any {
		s.clock.Put(ctx, clockKey, s.now())
	}
}

// Create makes a session for a user who has just shown the password, and returns the
// token for the browser.
func (s *Sessions) Create(ctx context.Context, user string, address netip.Addr, agent string) (token string, err error) {
	u, ok := s.users.Get(user)
	if !ok {
		return "", ErrNoUser
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.makeRoom(ctx, user); err != nil {
		return "", err
	}
	now := s.now()
	token = newSecret()
	return token, s.bucket.Put(ctx, digest(token), session{
		User:     user,
		Password: digest(u.Hash),
		Created:  now,
		Used:     now,
		Address:  address,
		Agent:    strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], ""),
	})
}

// makeRoom ends sessions until there may be one more of a user. Called with changing held.
func (s *Sessions) makeRoom(ctx context.Context, user string) error {
	type use struct {
		key  string
		last time.Duration
	}
	var all, own []use
	for key, v := range s.bucket.All() {
		u := use{key, s.lastUsed(key, v)}
		all = append(all, u)
		if v.User == user {
			own = append(own, u)
		}
	}
	from := own
	if len(own) < maxUserSessions {
		from = all
		if len(all) < maxSessions {
			return nil
		}
	}
	oldest := slices.MinFunc(from, func(a, b use) int { return cmp.Compare(a.last, b.last) })
	return s.end(ctx, oldest.key)
}

// Get returns the session of a token and its user as they are now, and counts that
// as use. ok is false when there is none.
func (s *Sessions) Get(token string) (v Session, u User, ok bool) {
	key := digest(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, ok := s.bucket.Get(key)
	if !ok {
		return Session{}, User{}, false
	}
	now := s.now()
	if u, ok = s.ownerAt(stored, s.last(key, stored), now); !ok {
		return Session{}, User{}, false
	}
	s.used[key] = now
	return stored.show(key, now, now), u, true
}

// owner returns the user of a session; false: it has ended.
func (s *Sessions) owner(key string, v session) (User, bool) {
	return s.ownerAt(v, s.lastUsed(key, v), s.now())
}

func (s *Sessions) ownerAt(v session, last, now time.Duration) (User, bool) {
	u, ok := s.users.Get(v.User)
	ok = ok && !u.Disabled && u.Page != "" && digest(u.Hash) == v.Password &&
		now-last < sessionIdle && now-v.Created < SessionLifetime
	return u, ok
}

func (s *Sessions) lastUsed(key string, v session) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last(key, v)
}

// last returns when a session was used last. Called with mu held.
func (s *Sessions) last(key string, v session) time.Duration { return max(v.Used, s.used[key]) }

func (v *session) show(key string, last, now time.Duration) Session {
	return Session{ID: idOf(key), User: v.User, Age: now - v.Created, Idle: now - last, Address: v.Address, Agent: v.Agent}
}

// idOf returns what people call a session by.
func idOf(key string) string { return key[:min(len(key), 16)] }

// All returns the sessions that have not ended, the one that was used last first.
func (s *Sessions) All() []Session {
	now := s.now()
	var all []Session
	for key, v := range s.bucket.All() {
		last := s.lastUsed(key, v)
		if _, ok := s.ownerAt(v, last, now); ok {
			all = append(all, v.show(key, last, now))
		}
	}
	slices.SortStableFunc(all, func(a, b Session) int { return cmp.Compare(a.Idle, b.Idle) })
	return all
}

// End ends the session of a token, if there is one.
func (s *Sessions) End(ctx context.Context, token string) error {
	key := digest(token)
	if _, ok := s.bucket.Get(key); !ok {
		return nil // nothing is written for what somebody makes up
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.end(ctx, key)
}

// EndID ends the session of that ID.
func (s *Sessions) EndID(ctx context.Context, id string) error {
	n, err := s.endIf(ctx, func(key string, _ session) bool { return idOf(key) == id })
	if err == nil && n == 0 {
		err = ErrNoSession
	}
	return err
}

// EndUser ends all sessions of a user.
func (s *Sessions) EndUser(ctx context.Context, user string) error {
	_, err := s.endIf(ctx, func(_ string, v session) bool { return v.User == user })
	return err
}

// endAll ends all sessions.
func (s *Sessions) endAll(ctx context.Context) error {
	_, err := s.endIf(ctx, func(string, session) bool { return true })
	return err
}

func (s *Sessions) endIf(ctx context.Context, is func(key string, v session) bool) (n int, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	for key, v := range s.bucket.All() {
		if is(key, v) {
			n++
			if err := s.end(ctx, key); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// end ends a session. Called with changing held.
func (s *Sessions) end(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.used, key)
	return nil
}

// newSecret returns 256 random bits as text.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is the SHA-256 of a secret in hex. It needs no salt and no cost: what is
// digested has 256 random bits, or is a salted hash itself.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
