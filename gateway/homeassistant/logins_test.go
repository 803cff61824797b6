package homeassistant

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/access"
	"lintel/persist"
)

// loginHouse is a house as far as logins of Home Assistant need one.
type loginHouse struct {
	*Logins
	users  *access.Users
	claim  *access.Claim
	online []string // users
}

func newLoginHouse(t *testing.T, store *persist.Store) *loginHouse {
	t.Helper()
	h := new(loginHouse)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	var err error
	h.users, err = access.NewUsers(store, log)
	check(err)
	audit, err := access.NewAudit(store, log)
	check(err)
	sessions, err := access.NewSessions(store, h.users)
	check(err)
	tokens, err := access.NewAPITokens(store)
	check(err)
	h.claim, err = access.NewClaim(store, h.users, sessions, tokens)
	check(err)
	h.Logins, err = NewLogins(LoginsOptions{Store: store, Users: h.users, Audit: audit, Claim: h.claim,
		HasClient: func(user string) bool { return slices.Contains(h.online, user) }, Logger: log})
	check(err)
	return h
}

func (h *loginHouse) want(t *testing.T, name string) (password string) {
	t.Helper()
	got, password, err := h.New(t.Context(), "by test")
	if err != nil || got != name {
		t.Fatalf("the login is %q, %v, want %q", got, err, name)
	}
	if !h.letsIn(t, name, password) {
		t.Fatalf("%s is not let in with the password made", name)
	}
	u, _ := h.users.Get(name)
	if !slices.Equal(u.Roles, []string{"homeassistant"}) || u.Page != access.NoPage {
		t.Errorf("%s is %+v", name, u)
	}
	return password
}

func (h *loginHouse) letsIn(t *testing.T, name, password string) bool {
	_, err := h.users.Verify(t.Context(), name, []byte(password), "x")
	return err == nil
}

func openTestStore(t *testing.T, folder string) *persist.Store {
	t.Helper()
	store, err := persist.Open(folder, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestLoginKeepsItsPassword: a login that somebody has come with keeps the
// password that they have, over restarts too, for Home Assistant takes one refusal for
// good.
func TestLoginKeepsItsPassword(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := openTestStore(t, folder)
	h := newLoginHouse(t, store)
	first := h.want(t, "homeassistant")
	h.want(t, "homeassistant") // nobody has come with it
	if h.letsIn(t, "homeassistant", first) {
		t.Error("the password that was replaced lets somebody in")
	}
	h.Visited("homeassistant", &access.Refused{}) // with a wrong password
	second := h.want(t, "homeassistant")
	h.Visited("homeassistant", nil)
	h.Visited("homeassistant-99", nil) // a login of somebody else's
	h.write(t.Context())
	third := h.want(t, "homeassistant-2")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	store = openTestStore(t, folder)
	defer store.Close()
	h = newLoginHouse(t, store)
	h.want(t, "homeassistant-2")
	if !h.letsIn(t, "homeassistant", second) || h.letsIn(t, "homeassistant-2", third) {
		t.Error("the login that was used has another password, or the one that was not used has kept its")
	}
	h.online = []string{"homeassistant-2"} // a session that waits for its client
	h.want(t, "homeassistant-3")
	if err := h.users.Delete(t.Context(), "homeassistant"); err != nil {
		t.Fatal(err)
	}
	h.want(t, "homeassistant")
	h.want(t, "homeassistant") // who came with the deleted one counts no more
}

// TestLoginOfTheClaim: the password that the box makes when it is claimed is
// for who connects first. One that the owner brings may be in a Home Assistant that is
// just not here.
func TestLoginOfTheClaim(t *testing.T) {
	t.Parallel()
	const chosen = "chosen by the owner"
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, h *loginHouse) error
		want    string
	}{
		"made by the claim": {func(t *testing.T, h *loginHouse) error {
			_, err := h.claim.Do(t.Context(), access.Owner{Password: "password of the owner"})
			return err
		}, "homeassistant"},
		"brought on the card": {func(t *testing.T, h *loginHouse) error {
			_, err := h.claim.Do(t.Context(), access.Owner{Password: "password of the owner", HomeAssistantPassword: chosen})
			return err
		}, "homeassistant-2"},
		"set later": {func(t *testing.T, h *loginHouse) error {
			if _, err := h.claim.Do(t.Context(), access.Owner{Password: "password of the owner"}); err != nil {
				return err
			}
			return h.users.SetPassword(t.Context(), "homeassistant", []byte(chosen))
		}, "homeassistant-2"},
		"set after it was made here": {func(t *testing.T, h *loginHouse) error {
			h.want(t, "homeassistant")
			return h.users.SetPassword(t.Context(), "homeassistant", []byte(chosen))
		}, "homeassistant-2"},
		"imported before the claim": {func(t *testing.T, h *loginHouse) error {
			u := access.User{Name: "homeassistant", Roles: []string{"homeassistant"}}
			if err := h.users.Create(t.Context(), u, []byte(chosen)); err != nil {
				return err
			}
			_, err := h.claim.Do(t.Context(), access.Owner{Password: "password of the owner"})
			return err
		}, "homeassistant-2"},
	} {
		t.Run(name, func(t *testing.T) {
			store := openTestStore(t, t.TempDir())
			defer store.Close()
			h := newLoginHouse(t, store)
			if err := tt.prepare(t, h); err != nil {
				t.Fatal(err)
			}
			h.want(t, tt.want)
			if tt.want != "homeassistant" && !h.letsIn(t, "homeassistant", chosen) {
				t.Error("the owner's password is gone")
			}
		})
	}
}

// TestLoginReleased: the login of a Home Assistant that comes with another one
// from now on is for the next, unless somebody has it.
func TestLoginReleased(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	h.want(t, "homeassistant")
	h.Visited("homeassistant", nil)
	for _, name := range []string{"homeassistant", "nobody"} {
		if err := h.Release(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	h.online = []string{"homeassistant"}
	h.want(t, "homeassistant-2")
	h.online = nil
	h.want(t, "homeassistant")
	h.Visited("homeassistant", nil)
	if err := h.users.SetPassword(t.Context(), "homeassistant", []byte("chosen by the owner")); err != nil {
		t.Fatal(err)
	}
	if err := h.Release(t.Context(), "homeassistant"); err != nil {
		t.Fatal(err)
	}
	h.want(t, "homeassistant-2")
}

func TestLoginIsNotTheOwners(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	for name, u := range map[string]access.User{
		"homeassistant":   {Disabled: true, Roles: []string{"homeassistant"}},
		"homeassistant-2": {Roles: []string{"device"}},
		"homeassistant-3": {Page: access.Admin, Roles: []string{"homeassistant"}},
	} {
		u.Name = name
		if err := h.users.Create(t.Context(), u, []byte("password of the owner")); err != nil {
			t.Fatal(err)
		}
	}
	h.want(t, "homeassistant-4")
	if !h.letsIn(t, "homeassistant-2", "password of the owner") {
		t.Error("a login of the owner's has another password")
	}
}

func TestLoginsEnd(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	for _, name := range LoginNames() {
		h.want(t, name)
		h.Visited(name, nil)
	}
	_, _, err := h.New(t.Context(), "by test")
	if e, ok := errors.AsType[*ConnectError](err); !ok || e.Reason != NoLogin || !strings.Contains(e.Text, "9 logins") {
		t.Errorf("one too many: %v", err)
	}
}

func TestVisits(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	before := time.Now()
	for _, tt := range []struct {
		err  error
		want Visit
	}{
		{errors.New("the store is busy"), NoVisit}, {&access.Refused{}, Refused}, {context.Canceled, Refused},
		{access.ErrLockedOut, LockedOut}, {nil, LetIn},
	} {
		h.Visited("homeassistant", tt.err)
		if got := h.Visit("homeassistant", before); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
	if h.Visit("homeassistant", time.Now().Add(time.Second)) != NoVisit || h.Visit("homeassistant-2", before) != NoVisit {
		t.Error("a visit of before, or of another, counts")
	}
}
