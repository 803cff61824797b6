package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lintel/persist"
)

// pageHouse is what the pages ask, in a real store that can be closed and opened again.
type pageHouse struct {
	t        testing.TB
	dir      string
	store    *persist.Store
	users    *Users
	sessions *Sessions
	tokens   *APITokens
	claim    *Claim
	ran      time.Duration // since the store was opened, as the sessions see it
}

func newPageHouse(t testing.TB) *pageHouse {
	h := &pageHouse{t: t, dir: t.TempDir()}
	h.open()
	t.Cleanup(func() { h.store.Close() })
	return h
}

func (h *pageHouse) open() {
	h.t.Helper()
	var err error
	if h.store, err = persist.Open(h.dir, persist.Options{}); err != nil {
		h.t.Fatal(err)
	}
	if h.users, err = NewUsers(h.store, slog.New(slog.DiscardHandler)); err != nil {
		h.t.Fatal(err)
	}
	if h.sessions, err = NewSessions(h.store, h.users); err != nil {
		h.t.Fatal(err)
	}
	h.ran = 0
	h.sessions.since = func() time.Duration { return h.ran }
	if h.tokens, err = NewAPITokens(h.store); err != nil {
		h.t.Fatal(err)
	}
	if h.claim, err = NewClaim(h.store, h.users, h.sessions, h.tokens); err != nil {
		h.t.Fatal(err)
	}
}

func (h *pageHouse) reopen() {
	h.t.Helper()
	if err := h.store.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func (h *pageHouse) user(name string, level Level) {
	h.t.Helper()
	if err := h.users.Create(h.t.Context(), User{Name: name, Page: level}, []byte("correct horse")); err != nil {
		h.t.Fatal(err)
	}
}

func (h *pageHouse) login(user string) (token string) {
	h.t.Helper()
	token, err := h.sessions.Create(h.t.Context(), user, netip.MustParseAddr("192.168.1.9"), "a browser")
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func (h *pageHouse) alive(token string) bool {
	_, _, ok := h.sessions.Get(token)
	return ok
}

func (h *pageHouse) want(alive bool, token, when string) {
	h.t.Helper()
	if h.alive(token) != alive {
		h.t.Errorf("%s: alive is %t", when, !alive)
	}
}

func TestSessionOutlivesRestart(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Operator)
	token := h.login("ada")
	if b, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(b) != 32 {
		t.Errorf("%q does not have 256 bits: %v", token, err)
	}
	if h.login("ada") == token {
		t.Error("the same token twice")
	}
	h.reopen()
	s, u, ok := h.sessions.Get(token)
	if !ok || u.Name != "ada" || u.Page != Operator || s.Agent != "a browser" || s.Address.String() != "192.168.1.9" {
		t.Errorf("%+v %+v %t", s, u, ok)
	}
	for key, v := range h.sessions.bucket.All() {
		if strings.Contains(key+fmt.Sprint(v), token) {
			t.Error("the token is in the store")
		}
	}
	for _, wrong := range []string{"", token[1:], token + "x", s.ID, digest(token)} {
		h.want(false, wrong, "token "+wrong)
	}
}

func TestSessionEndsWithItsUsersRights(t *testing.T) {
	ctx := t.Context()
	for name, change := range map[string]func(*Users) error{
		"password": func(u *Users) error { return u.SetPassword(ctx, "ada", []byte("another horse")) },
		"disabled": func(u *Users) error { return u.Update(ctx, "ada", func(u *User) { u.Disabled = true }) },
		"no page":  func(u *Users) error { return u.Update(ctx, "ada", func(u *User) { u.Page = "" }) },
		"deleted":  func(u *Users) error { return u.Delete(ctx, "ada") },
		"another of that name": func(u *Users) error {
			return errors.Join(u.Delete(ctx, "ada"), u.Create(ctx, User{Name: "ada", Page: Viewer}, []byte("correct horse")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newPageHouse(t)
			h.user("ada", Viewer)
			h.user("bob", Viewer)
			ada, bob := h.login("ada"), h.login("bob")
			if err := change(h.users); err != nil {
				t.Fatal(err)
			}
			h.want(false, ada, "after the change")
			h.want(true, bob, "another user")
			if all := h.sessions.All(); len(all) != 1 || all[0].User != "bob" {
				t.Errorf("listed: %+v", all)
			}
			h.sessions.tick(ctx)
			if n := len(allKeys(h.sessions)); n != 1 {
				t.Errorf("%d sessions are stored after the clearing", n)
			}
		})
	}
}

func allKeys(s *Sessions) (keys []string) {
	for key := range s.bucket.All() {
		keys = append(keys, key)
	}
	return keys
}

func TestLevelIsTheUsersOfTheMoment(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Admin)
	token := h.login("ada")
	if err := h.users.Update(t.Context(), "ada", func(u *User) { u.Page = Viewer }); err != nil {
		t.Fatal(err)
	}
	if _, u, ok := h.sessions.Get(token); !ok || u.Page != Viewer {
		t.Errorf("%+v %t", u, ok)
	}
}

func TestSessionTime(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Viewer)
	token := h.login("ada")
	h.ran += sessionIdle - time.Second
	h.want(true, token, "just before it is idle for too long")
	h.ran += sessionIdle
	h.want(false, token, "idle for too long")

	token = h.login("ada")
	for h.ran = h.ran + sessionIdle/2; h.alive(token); h.ran += sessionIdle / 2 {
		if s, _, _ := h.sessions.Get(token); s.Age > SessionLifetime {
			t.Fatalf("used all the time, it does not end: %v", s.Age)
		}
	}
}

// The time of sessions is that for which the house ran, over restarts.
func TestSessionTimeOverRestarts(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Viewer)
	token := h.login("ada")
	step := sessionIdle / 4
	for i := range 3 {
		h.ran = step
		h.sessions.tick(t.Context())
		h.reopen()
		if n := len(h.sessions.All()); n != 1 {
			t.Fatalf("after %d restarts: %d sessions", i+1, n)
		}
	}
	h.ran = step + time.Minute
	h.want(false, token, "idle for too long in four runs")
}

// After a crash time goes on with the last session that was made: it has not been used
// in the future.
func TestSessionTimeAfterCrash(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Viewer)
	h.ran = 10 * time.Hour
	token := h.login("ada")
	h.reopen()
	if s, _, ok := h.sessions.Get(token); !ok || s.Age != 0 || s.Idle != 0 {
		t.Errorf("%+v %t", s, ok)
	}
	h.ran = sessionIdle
	h.want(false, token, "idle for too long")
}

func TestUseIsWrittenSeldom(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Viewer)
	token := h.login("ada")
	before := h.store.Stats().Groups
	for range 100 {
		h.ran += time.Minute
		h.want(true, token, "in use")
	}
	if n := h.store.Stats().Groups - before; n != 0 {
		t.Errorf("100 requests made %d commits", n)
	}
	h.ran += sessionsUnused
	h.want(true, token, "in use")
	h.sessions.tick(t.Context())
	h.reopen()
	if all := h.sessions.All(); len(all) != 1 || all[0].Idle != 0 {
		t.Errorf("its use was forgotten: %+v", all)
	}
}

// Run writes the time when it ends, so that an update loses none.
func TestSessionsRun(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Viewer)
	h.login("ada")
	h.ran = 40 * time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.sessions.Run(ctx); err != nil {
		t.Fatal(err)
	}
	h.reopen()
	if all := h.sessions.All(); len(all) != 1 || all[0].Age != 40*time.Minute {
		t.Errorf("%+v", all)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	h := newPageHouse(t)
	h.user("ada", Viewer)
	h.user("bob", Viewer)
	bob := h.login("bob")
	first := h.login("ada")
	var rest []string
	for range maxUserSessions - 1 {
		h.ran++
		rest = append(rest, h.login("ada"))
	}
	h.ran++
	h.want(true, first, "as many as there may be")
	last := h.login("ada")
	h.want(false, rest[0], "the one that was not used for longest")
	for _, token := range []string{first, rest[1], last, bob} {
		h.want(true, token, "the others")
	}
	for i := 0; len(allKeys(h.sessions)) < maxSessions; i++ {
		name := fmt.Sprint("u", i)
		h.user(name, Viewer)
		for range maxUserSessions {
			h.ran++
			h.login(name)
		}
	}
	h.user("eve", Viewer)
	h.ran++
	h.login("eve")
	if n := len(allKeys(h.sessions)); n != maxSessions {
		t.Errorf("%d sessions", n)
	}
}

func TestEndSessions(t *testing.T) {
	ctx := t.Context()
	h := newPageHouse(t)
	h.user("ada", Viewer)
	h.user("bob", Viewer)
	a, b, c, d := h.login("ada"), h.login("ada"), h.login("ada"), h.login("bob")
	if err := h.sessions.End(ctx, a); err != nil {
		t.Fatal(err)
	}
	h.want(false, a, "ended")
	s, _, _ := h.sessions.Get(b)
	if err := h.sessions.EndID(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	h.want(false, b, "ended by id")
	if err := h.sessions.EndID(ctx, s.ID); !errors.Is(err, ErrNoSession) {
		t.Error(err)
	}
	if err := h.sessions.EndUser(ctx, "ada"); err != nil {
		t.Fatal(err)
	}
	h.want(false, c, "all of the user ended")
	h.want(true, d, "of another user")
	h.reopen()
	h.want(false, a, "after a restart")
	h.want(true, d, "after a restart")
	if err := h.sessions.endAll(ctx); err != nil {
		t.Fatal(err)
	}
	h.want(false, d, "all ended")
	if len(h.sessions.used) != 0 {
		t.Error("uses of ended sessions are kept")
	}
}
