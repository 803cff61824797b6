package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// computations returns how many argon2 f costs.
func computations(u *Users, f func()) int64 {
	before := u.hashing.argon2id.Load()
	f()
	return u.hashing.argon2id.Load() - before
}

// eventually waits for something that nobody tells.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}

func createUser(t testing.TB, u *Users, user User) {
	t.Helper()
	if err := u.Create(t.Context(), user, nil); err != nil {
		t.Fatal(err)
	}
}

// TestWorkTellsNothing counts what an attacker could time: it is the same whether a user is
// there or not.
func TestWorkTellsNothing(t *testing.T) {
	u := openUsers(t)
	ctx := t.Context()
	right := newHash([]byte("right"))
	for _, user := range []User{
		{Name: "own", Hash: right},
		{Name: "proven", Hash: right},
		{Name: "disabled", Hash: right, Disabled: true},
		{Name: "no password"},
		{Name: "$6$", Hash: foreignHashes[0].hash},
		{Name: "$7$", Hash: foreignHashes[1].hash},
	} {
		if user.Name[0] == '$' {
			user.Name = "mosquitto" + user.Name
		}
		createUser(t, u, user)
	}
	if _, err := u.Verify(ctx, "proven", []byte("right"), "c"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, password string }{
		{"own", "wrong"}, {"own", ""}, {"own", "Right"}, {"own", "right\x00"}, {"Own", "right"},
		{"proven", "wrong"}, {"proven", "wrong"}, // not remembered
		{"disabled", "right"}, {"disabled", "wrong"},
		{"no password", ""}, {"no password", "right"},
		{"mosquitto$6$", "wrong"}, {"mosquitto$7$", "wrong"},
		{"nobody", "right"}, {"nobody", "right"}, {"", ""},
		{"own\x00", "right"}, {"own+", "right"}, {"\xff", "right"}, {strings.Repeat("n", 65535), "right"},
	} {
		var err error
		n := computations(u, func() { _, err = u.Verify(ctx, c.name, []byte(c.password), "c") })
		if n != 1 || err != ErrBadLogin {
			t.Errorf("%.20q with %q: %d computations and %v", c.name, c.password, n, err)
		}
	}
	// This depends on nothing but the attempt.
	for _, name := range []string{"own", "nobody"} {
		if _, err := u.Verify(ctx, name, make([]byte, MaxPassword+1), "c"); err != ErrBadLogin {
			t.Errorf("%s with a long password: %v", name, err)
		}
	}
	// Who is let in costs as much, once.
	for _, c := range []struct{ name, password string }{
		{"own", "right"}, {"mosquitto$6$", foreignHashes[0].password}, {"mosquitto$7$", foreignHashes[1].password},
	} {
		for i := range 3 {
			var err error
			n := computations(u, func() { _, err = u.Verify(ctx, c.name, []byte(c.password), fmt.Sprint("c", i)) })
			if err != nil || (n == 1) != (i == 0) || n > 1 {
				t.Errorf("%s, login %d: %d computations and %v", c.name, i, n, err)
			}
		}
	}
}

func TestImportedHashesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	s := openUserStore(t, dir)
	u := usersOf(t, s)
	ctx := t.Context()
	passwords := make(map[string]string)
	var users []User
	for i, c := range foreignHashes {
		user := User{Name: fmt.Sprint("user", i), Hash: c.hash, Roles: []string{"device"}}
		passwords[user.Name] = c.password
		users = append(users, user)
	}
	users = append(users, User{Name: "mosquitto 2.1", Hash: as2x1("secret three"), Roles: []string{"device"}})
	passwords["mosquitto 2.1"] = "secret three"
	if err := u.Import(ctx, users); err != nil {
		t.Fatal(err)
	}
	for name, password := range passwords {
		before, _ := u.Get(name)
		if _, err := u.Verify(ctx, name, []byte(password+"x"), "c"); err != ErrBadLogin {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
		if now, _ := u.Get(name); now.Hash != before.Hash {
			t.Errorf("a wrong password replaced the hash of %s", name)
		}
		if _, err := u.Verify(ctx, name, []byte(password), "c"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	u = usersOf(t, openUserStore(t, dir))
	for name, password := range passwords {
		now, _ := u.Get(name)
		if h, err := parseHash(now.Hash); err != nil || !h.own() || now.Roles[0] != "device" {
			t.Errorf("%s is now %+v, %v", name, now, err)
		}
		if _, err := u.Verify(ctx, name, []byte(password), "c"); err != nil {
			t.Errorf("%s with the new hash: %v", name, err)
		}
		if _, err := u.Verify(ctx, name, []byte(password+"x"), "c"); err != ErrBadLogin {
			t.Errorf("%s with a wrong password and the new hash: %v", name, err)
		}
	}
}

func TestProofsEndWithTheirPassword(t *testing.T) {
	u := openUsers(t)
	ctx := t.Context()
	if err := u.Create(ctx, User{Name: "alice"}, []byte("one")); err != nil {
		t.Fatal(err)
	}
	verify := func(password string, want error, cost int64) {
		t.Helper()
		var err error
		if n := computations(u, func() { _, err = u.Verify(ctx, "alice", []byte(password), "c") }); err != want || n != cost {
			t.Errorf("%s: %d computations and %v, want %d and %v", password, n, err, cost, want)
		}
	}
	change := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		u.proofs.mu.Lock()
		defer u.proofs.mu.Unlock()
		if len(u.proofs.proven)+len(u.proofs.flights) != 0 {
			t.Errorf("%d proofs and %d flights are left", len(u.proofs.proven), len(u.proofs.flights))
		}
	}
	disable := func(yes bool) error { return u.Update(ctx, "alice", func(a *User) { a.Disabled = yes }) }
	verify("one", nil, 1)
	verify("one", nil, 0)
	change(u.SetPassword(ctx, "alice", []byte("two")))
	verify("one", ErrBadLogin, 1)
	verify("two", nil, 1)
	verify("two", nil, 0)
	change(disable(true))
	verify("two", ErrBadLogin, 1)
	change(disable(false))
	verify("two", nil, 1)
	change(u.SetPassword(ctx, "alice", nil))
	verify("two", ErrBadLogin, 1)
	change(u.SetPassword(ctx, "alice", []byte("two"))) // again: another salt
	verify("two", nil, 1)
	change(u.Delete(ctx, "alice"))
	verify("two", ErrBadLogin, 1)
	change(u.Create(ctx, User{Name: "alice"}, []byte("three")))
	verify("two", ErrBadLogin, 1)
	verify("three", nil, 1)
	for i := range 2 * maxUsers {
		u.proofs.mu.Lock()
		u.proofs.remember(fmt.Sprint("gone", i), proof{})
		u.proofs.mu.Unlock()
	}
	if n := len(u.proofs.proven); n > maxUsers {
		t.Errorf("there are %d proofs", n)
	}
}

// occupy takes all the places where hashes are computed, until the function that it
// returns is called.
func occupy(t testing.TB, u *Users) (leave func()) {
	t.Helper()
	if err := u.hashing.slots.Acquire(t.Context(), u.hashing.width); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { u.hashing.slots.Release(u.hashing.width) })
}

func flights(u *Users) (n, waiting int) {
	u.proofs.mu.Lock()
	defer u.proofs.mu.Unlock()
	for _, f := range u.proofs.flights {
		waiting += f.waiting
	}
	return len(u.proofs.flights), waiting
}

func TestQueueIsBounded(t *testing.T) {
	u := openUsers(t)
	createUser(t, u, User{Name: "alice", Hash: newHash([]byte("right"))})
	if _, err := u.Verify(t.Context(), "alice", []byte("right"), "c"); err != nil {
		t.Fatal(err)
	}
	leave := occupy(t, u)
	defer leave()
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error, maxWaiting)
	for i := range maxWaiting {
		go func() {
			_, err := u.Verify(ctx, fmt.Sprint("user", i), []byte("wrong"), "c")
			errs <- err
		}()
	}
	eventually(t, "full queue", func() bool { n, _ := flights(u); return n == maxWaiting })
	if _, err := u.Verify(t.Context(), "one more", []byte("wrong"), "c"); err != ErrBusy {
		t.Errorf("one more: %v", err)
	}
	// Who is proven does not wait in the queue.
	if _, err := u.Verify(t.Context(), "alice", []byte("right"), "c"); err != nil {
		t.Errorf("who is proven: %v", err)
	}
	if _, err := u.Verify(t.Context(), "alice", []byte("wrong"), "c"); err != ErrBusy {
		t.Errorf("who is not: %v", err)
	}
	gone := errors.New("the connection is gone")
	cancel(gone)
	for range maxWaiting {
		if err := <-errs; err != gone {
			t.Errorf("who does not wait any more: %v", err)
		}
	}
	if n, _ := flights(u); n != 0 {
		t.Errorf("%d are left in the queue", n)
	}
	leave()
	if n := computations(u, func() {
		if _, err := u.Verify(t.Context(), "alice", []byte("wrong"), "c"); err != ErrBadLogin {
			t.Errorf("afterwards: %v", err)
		}
	}); n != 1 {
		t.Errorf("%d computations, want one: nobody waited for the others", n)
	}
}

// TestFirstOfManyGivesUp has the one who began a check leave before it is made.
func TestFirstOfManyGivesUp(t *testing.T) {
	u := openUsers(t)
	createUser(t, u, User{Name: "alice", Hash: newHash([]byte("right"))})
	leave := occupy(t, u)
	defer leave()
	verify := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		_, before := flights(u)
		go func() {
			password := []byte("right")
			_, err := u.Verify(ctx, "alice", password, "c")
			clear(password) // as the broker does
			done <- err
		}()
		eventually(t, "flight", func() bool { _, n := flights(u); return n == before+1 })
		return done
	}
	ctx, cancel := context.WithCancel(t.Context())
	first, second := verify(ctx), verify(t.Context())
	cancel()
	if err := <-first; err != context.Canceled {
		t.Errorf("the first: %v", err)
	}
	if n := computations(u, func() {
		leave()
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
	}); n != 1 {
		t.Errorf("%d computations", n)
	}
}

// TestChangeDuringACheck changes the password while logins with the old one and the new
// one wait to be computed.
func TestChangeDuringACheck(t *testing.T) {
	u := openUsers(t)
	ctx := t.Context()
	createUser(t, u, User{Name: "alice", Hash: newHash([]byte("old"))})
	createUser(t, u, User{Name: "bob", Hash: newHash([]byte("old"))})
	createUser(t, u, User{Name: "carol", Hash: newHash([]byte("old"))})
	hash := newHash([]byte("new"))
	leave := occupy(t, u)
	defer leave()
	want := map[[2]string]error{
		{"alice", "old"}: ErrBadLogin, {"alice", "new"}: nil,
		{"bob", "old"}: ErrBadLogin, {"carol", "old"}: ErrBadLogin, {"dave", "new"}: nil,
	}
	var all sync.WaitGroup
	for login, want := range want {
		all.Go(func() {
			if user, err := u.Verify(ctx, login[0], []byte(login[1]), "c"); err != want || want == nil && user.Name != login[0] {
				t.Errorf("%q: %v, want %v", login, err, want)
			}
		})
	}
	eventually(t, "flights", func() bool { n, _ := flights(u); return n == len(want) })
	if err := errors.Join(
		u.Update(ctx, "alice", func(a *User) { a.Hash = hash }),
		u.Update(ctx, "bob", func(b *User) { b.Disabled = true }),
		u.Delete(ctx, "carol"),
		u.Create(ctx, User{Name: "dave", Hash: hash}, nil),
	); err != nil {
		t.Fatal(err)
	}
	leave()
	all.Wait()
}

// TestChangeDuringARenewal sets another password when the hash of the old one is about to
// be replaced.
func TestChangeDuringARenewal(t *testing.T) {
	u := openUsers(t)
	createUser(t, u, User{Name: "alice", Hash: foreignHashes[1].hash})
	changed := userRecord{User: User{Name: "alice", Hash: newHash([]byte("new"))}}
	unlock := sync.OnceFunc(u.lock("alice"))
	defer unlock()
	done := make(chan error, 1)
	go func() {
		_, err := u.Verify(t.Context(), "alice", []byte(foreignHashes[1].password), "c")
		done <- err
	}()
	eventually(t, "new hash of the old password", func() bool { return u.hashing.argon2id.Load() == 1 })
	if err := u.records.Put(t.Context(), "alice", changed); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-done; err != ErrBadLogin {
		t.Errorf("the old password: %v", err)
	}
	if now, _ := u.Get("alice"); now.Hash != changed.Hash {
		t.Error("the new password is gone")
	}
}
