package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel/persist"
)

func openUserStore(t testing.TB, dir string) *persist.Store {
	t.Helper()
	s, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func usersOf(t testing.TB, s *persist.Store) *Users {
	t.Helper()
	u, err := NewUsers(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func openUsers(t testing.TB) *Users {
	t.Helper()
	return usersOf(t, openUserStore(t, t.TempDir()))
}

func userNames(u *Users) (names []string) {
	for _, user := range u.All() {
		names = append(names, user.Name)
	}
	return names
}

func TestUsersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := openUserStore(t, dir)
	u := usersOf(t, s)
	ctx := t.Context()
	alice := User{Name: "alice", Roles: []string{"device"}, Topics: []string{"alice/#"}, Page: Operator}
	for _, err := range []error{
		u.Create(ctx, alice, []byte("one")),
		u.Create(ctx, User{Name: "bob"}, nil),
		u.Create(ctx, User{Name: "gone"}, nil),
		u.SetPassword(ctx, "bob", []byte("two")),
		u.Update(ctx, "alice", func(user *User) { user.Page = Admin; user.SCRAM = "credentials" }),
		u.Delete(ctx, "gone"),
		s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	u = usersOf(t, openUserStore(t, dir))
	if got := userNames(u); !slices.Equal(got, []string{"alice", "bob"}) {
		t.Errorf("there are %q", got)
	}
	got, err := u.Verify(ctx, "alice", []byte("one"), "c")
	if err != nil {
		t.Fatal(err)
	}
	alice.Page, alice.Created = Admin, got.Created
	if !reflect.DeepEqual(got, alice) {
		t.Errorf("alice is %+v, want %+v", got, alice)
	}
	if age := time.Since(got.Created); age < 0 || age > time.Hour {
		t.Errorf("created %v ago", age)
	}
	if !reflect.DeepEqual(u.All()[0], alice) {
		t.Errorf("All tells %+v", u.All()[0])
	}
	if stored, ok := u.Get("alice"); !ok || stored.Hash == "" || stored.SCRAM != "credentials" {
		t.Errorf("Get tells %+v", stored)
	}
	if err := u.SetPassword(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	if stored, _ := u.Get("alice"); stored.Hash != "" || stored.SCRAM != "" {
		t.Errorf("without a password: %+v", stored)
	}
	if _, err := u.Verify(ctx, "alice", []byte("one"), "c"); err != ErrBadLogin {
		t.Errorf("without a password: %v", err)
	}
}

func TestUsersRefuse(t *testing.T) {
	u := openUsers(t)
	ctx := t.Context()
	if err := u.Create(ctx, User{Name: "alice"}, nil); err != nil {
		t.Fatal(err)
	}
	many := func(n int, s string) []string { return slices.Repeat([]string{s}, n) }
	for reason, user := range map[string]User{
		"at least one":      {},
		"+, # and /":        {Name: "a/b"},
		"does not begin or": {Name: "a "},
		"page level":        {Name: "a", Page: "king"},
		"kind":              {Name: "a", Hash: "secret"},
		"SCRAM":             {Name: "a", SCRAM: strings.Repeat("s", 513)},
		"32 roles":          {Name: "a", Roles: many(33, "r")},
		"64 topic filters":  {Name: "a", Topics: many(65, "t")},
		"no name of a role": {Name: "a", Roles: []string{""}},
		"no topic filter":   {Name: "a", Topics: []string{"a#"}},
		"8192 bytes":        {Name: "a", Topics: many(9, strings.Repeat("t", 1000))},
	} {
		for what, err := range map[string]error{
			"Create": u.Create(ctx, user, []byte("p")),
			"Import": u.Import(ctx, []User{{Name: "good"}, user}),
		} {
			if invalid := new(InvalidUserError); !errors.As(err, &invalid) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s of %.80v: %v, want %q", what, user, err, reason)
			}
		}
		if user.Name == "a" {
			err := u.Update(ctx, "alice", func(a *User) { *a = user; a.Name = "alice" })
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("Update to %.80v: %v, want %q", user, err, reason)
			}
		}
	}
	for what, c := range map[string]struct{ got, want error }{
		"create again":        {u.Create(ctx, User{Name: "alice"}, []byte("p")), ErrUserExists},
		"import again":        {u.Import(ctx, []User{{Name: "good"}, {Name: "alice"}}), ErrUserExists},
		"update nobody":       {u.Update(ctx, "nobody", func(*User) {}), ErrNoUser},
		"password of nobody":  {u.SetPassword(ctx, "nobody", []byte("p")), ErrNoUser},
		"no password, nobody": {u.SetPassword(ctx, "nobody", nil), ErrNoUser},
		"delete nobody":       {u.Delete(ctx, "nobody"), ErrNoUser},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v", what, c.got)
		}
	}
	for what, err := range map[string]error{
		"empty password":      u.SetPassword(ctx, "alice", []byte{}),
		"long password":       u.SetPassword(ctx, "alice", make([]byte, MaxPassword+1)),
		"create without":      u.Create(ctx, User{Name: "b"}, []byte{}),
		"another name":        u.Update(ctx, "alice", func(a *User) { a.Name = "b" }),
		"import of two alike": u.Import(ctx, []User{{Name: "good"}, {Name: "good"}}),
	} {
		if invalid := new(InvalidUserError); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := userNames(u); !slices.Equal(got, []string{"alice"}) {
		t.Errorf("after all that there are %q", got)
	}
	if a, _ := u.Get("alice"); a.Roles != nil || a.Topics != nil || a.Hash != "" || a.SCRAM != "" || a.Page != "" {
		t.Errorf("after all that alice is %+v", a)
	}
}

func TestUsersAreBounded(t *testing.T) {
	u := openUsers(t)
	var users []User
	for i := range maxUsers - 1 {
		users = append(users, User{Name: fmt.Sprintf("user%04d", i), Hash: foreignHashes[0].hash})
	}
	if err := u.Import(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	if err := u.Import(t.Context(), []User{{Name: "a"}, {Name: "b"}}); err != tooMany && !strings.Contains(fmt.Sprint(err), "2000") {
		t.Errorf("two more: %v", err)
	}
	if err := u.Create(t.Context(), User{Name: "a"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := u.Create(t.Context(), User{Name: "b"}, nil); err != error(tooMany) {
		t.Errorf("one more: %v", err)
	}
	if n := len(u.All()); n != maxUsers {
		t.Errorf("there are %d", n)
	}
}

func TestOnChange(t *testing.T) {
	u := openUsers(t)
	ctx := t.Context()
	var got []string
	u.OnChange(func(name string) {
		user, ok := u.Get(name)
		got = append(got, fmt.Sprint(name, " ", ok, " ", user.Disabled)) // it is durable already
	})
	if err := errors.Join(
		u.Create(ctx, User{Name: "a", Hash: foreignHashes[0].hash}, nil),
		u.Update(ctx, "a", func(a *User) { a.Disabled = true }),
		u.Update(ctx, "a", func(a *User) { a.Disabled = false }),
		u.Import(ctx, []User{{Name: "b"}, {Name: "c"}}),
		u.Delete(ctx, "b"),
	); err != nil {
		t.Fatal(err)
	}
	u.OnChange(func(name string) { // may itself change users
		if _, ok := u.Get("by OnChange"); !ok && name == "begin" {
			if err := u.Create(ctx, User{Name: "by OnChange"}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	createUser(t, u, User{Name: "begin"})
	got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "begin") || strings.Contains(s, "by OnChange") })
	u.Create(ctx, User{Name: "a"}, nil)                         // exists
	u.Update(ctx, "a", func(a *User) { a.Page = "king" })       // not allowed
	u.Verify(ctx, "a", []byte(foreignHashes[0].password), "c1") // a new hash is no change
	want := []string{"a true false", "a true true", "a true false", "b true false", "c true false", "b false false"}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for what, err := range map[string]error{
		"Create": u.Create(cancelled, User{Name: "d"}, []byte("p")), "Update": u.Update(cancelled, "a", func(*User) {}),
		"Delete": u.Delete(cancelled, "a"), "Import": u.Import(cancelled, []User{{Name: "d"}}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s when nobody waits any more: %v", what, err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestImportCutShort is a power cut between the first user of an import and the last.
func TestImportCutShort(t *testing.T) {
	dir := t.TempDir()
	s := openUserStore(t, dir)
	u := usersOf(t, s)
	ctx := t.Context()
	if err := errors.Join(
		u.Create(ctx, User{Name: "alice"}, nil),
		u.Import(ctx, []User{{Name: "bob"}, {Name: "carol"}}),
		u.imports.Put(ctx, "begun", time.Now()),
		u.records.Put(ctx, "dave", userRecord{User: User{Name: "dave"}, Import: "begun"}),
		s.Close(),
	); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = openUserStore(t, dir)
		if got := userNames(usersOf(t, s)); !slices.Equal(got, []string{"alice", "bob", "carol"}) {
			t.Errorf("there are %q", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUsersOfAClosedStore(t *testing.T) {
	s := openUserStore(t, t.TempDir())
	u := usersOf(t, s)
	ctx := t.Context()
	if err := errors.Join(u.Create(ctx, User{Name: "a", Hash: foreignHashes[0].hash}, nil), s.Close()); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Create": u.Create(ctx, User{Name: "d"}, nil), "Update": u.Update(ctx, "a", func(*User) {}),
		"Delete": u.Delete(ctx, "a"), "Import": u.Import(ctx, []User{{Name: "d"}}),
	} {
		if !errors.Is(err, persist.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The hash cannot be replaced, which keeps nobody out.
	for range 2 {
		if _, err := u.Verify(ctx, "a", []byte(foreignHashes[0].password), "c"); err != nil {
			t.Errorf("Verify: %v", err)
		}
	}
}

func TestGenerate(t *testing.T) {
	u := new(Users)
	count := make(map[rune]int)
	const n = 2000
	for range n {
		p := u.Generate()
		if len(p) != 20 {
			t.Fatalf("%q", p)
		}
		for _, c := range p {
			count[c]++
		}
	}
	for _, c := range passwordAlphabet {
		// 1290 are expected, with a standard deviation of 35.
		if count[c] < 1000 || count[c] > 1600 {
			t.Errorf("%q comes %d times in %d", c, count[c], 20*n)
		}
		delete(count, c)
	}
	if len(count) > 0 {
		t.Errorf("not of the alphabet: %v", count)
	}
}
