package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/homeassistant"
	"lintel/persist"
)

// loginHouse is a claimed house as far as logins of Home Assistant need one.
type loginHouse struct {
	*homeassistantLogins
	entrance *entrance
	online   []broker.ClientInfo
}

func newLoginHouse(t *testing.T, store *persist.Store) *loginHouse {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := &loginHouse{entrance: newEntrance(AccessConfig{})}
	var err error
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.entrance.users, err = access.NewUsers(store, log)
	check(err)
	h.entrance.audit, err = access.NewAudit(store, log)
	check(err)
	h.entrance.sessions, err = access.NewSessions(store, h.entrance.users)
	check(err)
	h.entrance.tokens, err = access.NewAPITokens(store)
	check(err)
	h.entrance.claim, err = access.NewClaim(store, h.entrance.users, h.entrance.sessions, h.entrance.tokens)
	check(err)
	h.homeassistantLogins, err = newHomeAssistantLogins(store, h.entrance, func() []broker.ClientInfo { return h.online }, log)
	check(err)
	return h
}

func (h *loginHouse) want(t *testing.T, name string) (password string) {
	t.Helper()
	got, password, err := h.newHomeAssistantLogin(t.Context(), "by test")
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

// TestHomeAssistantLoginKeepsItsPassword: a login that somebody has come with keeps the
// password that they have, over restarts too, for Home Assistant takes one refusal for
// good.
func TestHomeAssistantLoginKeepsItsPassword(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := openTestStore(t, folder)
	h := newLoginHouse(t, store)
	first := h.want(t, "homeassistant")
	h.want(t, "homeassistant") // nobody has come with it
	if h.letsIn(t, "homeassistant", first) {
		t.Error("the password that was replaced lets somebody in")
	}
	h.visited("homeassistant", &access.Refused{}) // with a wrong password
	second := h.want(t, "homeassistant")
	h.visited("homeassistant", nil)
	h.visited("homeassistant-99", nil) // a login of somebody else's
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
	h.online = []broker.ClientInfo{{User: "homeassistant-2"}} // a session that waits for its client
	h.want(t, "homeassistant-3")
	if err := h.users.Delete(t.Context(), "homeassistant"); err != nil {
		t.Fatal(err)
	}
	h.want(t, "homeassistant")
	h.want(t, "homeassistant") // who came with the deleted one counts no more
}

// TestHomeAssistantLoginOfTheClaim: the password that the box makes when it is claimed is
// for who connects first. One that the owner brings may be in a Home Assistant that is
// just not here.
func TestHomeAssistantLoginOfTheClaim(t *testing.T) {
	t.Parallel()
	const chosen = "chosen by the owner"
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, h *loginHouse) error
		want    string
	}{
		"made by the claim": {func(t *testing.T, h *loginHouse) error {
			_, err := h.claim.Do(t.Context(), access.Owner{Password: ownerPassword})
			return err
		}, "homeassistant"},
		"brought on the card": {func(t *testing.T, h *loginHouse) error {
			_, err := h.claim.Do(t.Context(), access.Owner{Password: ownerPassword, HomeAssistantPassword: chosen})
			return err
		}, "homeassistant-2"},
		"set later": {func(t *testing.T, h *loginHouse) error {
			if _, err := h.claim.Do(t.Context(), access.Owner{Password: ownerPassword}); err != nil {
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
			_, err := h.claim.Do(t.Context(), access.Owner{Password: ownerPassword})
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

// TestHomeAssistantLoginReleased: the login of a Home Assistant that comes with another one
// from now on is for the next, unless somebody has it.
func TestHomeAssistantLoginReleased(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	h.want(t, "homeassistant")
	h.visited("homeassistant", nil)
	for _, name := range []string{"homeassistant", "nobody"} {
		if err := h.release(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	h.online = []broker.ClientInfo{{User: "homeassistant"}}
	h.want(t, "homeassistant-2")
	h.online = nil
	h.want(t, "homeassistant")
	h.visited("homeassistant", nil)
	if err := h.users.SetPassword(t.Context(), "homeassistant", []byte("chosen by the owner")); err != nil {
		t.Fatal(err)
	}
	if err := h.release(t.Context(), "homeassistant"); err != nil {
		t.Fatal(err)
	}
	h.want(t, "homeassistant-2")
}

func TestHomeAssistantLoginIsNotTheOwners(t *testing.T) {
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

func TestHomeAssistantLoginsEnd(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	for _, name := range homeassistantLoginNames() {
		h.want(t, name)
		h.visited(name, nil)
	}
	_, _, err := h.newHomeAssistantLogin(t.Context(), "by test")
	if e, ok := errors.AsType[*homeassistant.ConnectError](err); !ok || e.Reason != homeassistant.NoLogin || !strings.Contains(e.Text, "9 logins") {
		t.Errorf("one too many: %v", err)
	}
}

// TestDoorTellsOfLogins: who comes to the broker with a login has used it, also when the
// house is started anew right after.
func TestDoorTellsOfLogins(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c := closedConfig()
	c.MQTT.WebSocket = nil
	e, stop := startWith(t, c, data, false)
	o := claim(t, e)
	type page struct {
		Logins []struct {
			User, Address string
			Online        bool
			Used          time.Time
		}
	}
	var p page
	o.get("/api/homeassistant", &p)
	if len(p.Logins) != 1 || p.Logins[0].Online || !p.Logins[0].Used.IsZero() {
		t.Errorf("before: %+v", p)
	}
	var made struct{ User, Password string }
	o.call("POST", "/api/homeassistant/login", struct{}{}, &made)
	if made.User != "homeassistant" {
		t.Errorf("the first login is %+v", made)
	}
	s := connect(t, e, "ha", made.User, made.Password)
	o.get("/api/homeassistant", &p)
	if from, err := netip.ParseAddrPort(p.Logins[0].Address); !p.Logins[0].Online || p.Logins[0].Used.IsZero() || err != nil || !from.Addr().IsLoopback() {
		t.Errorf("online: %+v", p)
	}
	s.Disconnect(250)
	stop()

	e, stop = startWith(t, c, data, false)
	defer stop()
	again := visit(t, e)
	again.call("POST", "/api/login", map[string]string{"user": "admin", "password": ownerPassword}, nil)
	again.get("/api/homeassistant", &p)
	if p.Logins[0].Online || p.Logins[0].Used.IsZero() {
		t.Errorf("after a restart: %+v", p)
	}
	password := made.Password
	again.call("POST", "/api/homeassistant/login", struct{}{}, &made)
	if made.User != "homeassistant-2" {
		t.Errorf("the login for another Home Assistant is %+v", made)
	}
	connect(t, e, "ha", "homeassistant", password)
}

func TestHomeAssistantVisits(t *testing.T) {
	t.Parallel()
	store := openTestStore(t, t.TempDir())
	defer store.Close()
	h := newLoginHouse(t, store)
	before := time.Now()
	for _, tt := range []struct {
		err  error
		want homeassistant.Visit
	}{
		{errors.New("the store is busy"), homeassistant.NoVisit}, {&access.Refused{}, homeassistant.Refused}, {context.Canceled, homeassistant.Refused},
		{access.ErrLockedOut, homeassistant.LockedOut}, {nil, homeassistant.LetIn},
	} {
		h.visited("homeassistant", tt.err)
		if got := h.visit("homeassistant", before); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
	if h.visit("homeassistant", time.Now().Add(time.Second)) != homeassistant.NoVisit || h.visit("homeassistant-2", before) != homeassistant.NoVisit {
		t.Error("a visit of before, or of another, counts")
	}
}
