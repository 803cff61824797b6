package access

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const ownersPassword = "three words suffice"

// verify reports whether a password is right.
func (h *pageHouse) verify(name, password string) bool {
	h.t.Helper()
	_, err := h.users.Verify(h.t.Context(), name, []byte(password), "page")
	if err != nil && !errors.Is(err, ErrBadLogin) {
		h.t.Fatal(err)
	}
	return err == nil
}

func TestClaim(t *testing.T) {
	h := newPageHouse(t)
	if h.claim.Claimed() || h.claim.BoxName() != "" {
		t.Fatal("a new box is claimed")
	}
	if err := h.claim.SetBoxName(t.Context(), "Attic"); !errors.Is(err, errUnclaimed) {
		t.Errorf("an unclaimed box gets a name: %v", err)
	}
	password, err := h.claim.Do(t.Context(), Owner{Password: ownersPassword, BoxName: "Attic"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.claim.SetBoxName(t.Context(), strings.Repeat("x", 100)); err == nil || h.claim.BoxName() != "Attic" {
		t.Errorf("a long name: %v, %q", err, h.claim.BoxName())
	}
	if err := h.claim.SetBoxName(t.Context(), "Cellar"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if !h.claim.Claimed() || h.claim.BoxName() != "Cellar" {
			t.Errorf("%t %q", h.claim.Claimed(), h.claim.BoxName())
		}
		if !h.verify("admin", ownersPassword) || !h.verify("homeassistant", password) {
			t.Error("a login does not work")
		}
		h.reopen()
	}
	admin, _ := h.users.Get("admin")
	if admin.Page != Admin || !slices.Equal(admin.Roles, []string{"admin"}) {
		t.Errorf("%+v", admin)
	}
	ha, _ := h.users.Get("homeassistant")
	if ha.Page != "" || !slices.Equal(ha.Roles, []string{"homeassistant"}) {
		t.Errorf("%+v", ha)
	}
	if _, err := h.claim.Do(t.Context(), Owner{Password: "another password"}); !errors.Is(err, ErrClaimed) {
		t.Error(err)
	}
	if !h.verify("admin", ownersPassword) {
		t.Error("the second claim changed the password")
	}
}

// An owner may have another name than admin, and a hash in place of the password.
func TestClaimByName(t *testing.T) {
	h := newPageHouse(t)
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []Owner{
		{User: "homeassistant", Password: ownersPassword},
		{User: "a/b", Password: ownersPassword},
		{User: "anna", Hash: "$5$nothing"},
	} {
		if _, err := h.claim.Do(t.Context(), o); err == nil || h.claim.Claimed() {
			t.Errorf("%+v: %v", o, err)
		}
	}
	// What a first try by another name left when the power failed.
	fail(h.claim.bucket.Put(t.Context(), claimKey, claim{}))
	fail(h.users.Create(t.Context(), User{Name: "left", Page: Admin}, []byte(ownersPassword)))
	_, err := h.claim.Do(t.Context(), Owner{User: "anna", Hash: "$5$hH2NnnlZtG$gex1m2Wg/o9xeGibBF9V8LL1IsHFg0IZLVuRsYf4Tq9"})
	fail(err)
	if !h.verify("anna", "raspberry") || h.verify("left", ownersPassword) {
		t.Errorf("the wrong logins: %+v", h.users.All())
	}
	if u, _ := h.users.Get("anna"); u.Page != Admin {
		t.Errorf("%+v", u)
	}
	fail(h.claim.Undo(t.Context()))
	if h.verify("anna", "raspberry") {
		t.Error("the owner is still there after a reset")
	}
}

func TestOneOfManyClaims(t *testing.T) {
	h := newPageHouse(t)
	const n = 8
	var wg sync.WaitGroup
	var errs [n]error
	for i := range n {
		wg.Go(func() { _, errs[i] = h.claim.Do(t.Context(), Owner{Password: fmt.Sprint("the password of ", i)}) })
	}
	wg.Wait()
	winner := slices.Index(errs[:], nil)
	for i, err := range errs {
		if i != winner && !errors.Is(err, ErrClaimed) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if winner < 0 || !h.verify("admin", fmt.Sprint("the password of ", winner)) {
		t.Errorf("the password is not that of the winner, %d", winner)
	}
}

func TestBadClaimsChangeNothing(t *testing.T) {
	h := newPageHouse(t)
	for _, tt := range []struct{ password, name string }{
		{"", ""}, {"short", ""}, {"password1", ""}, {ownersPassword, "a\nb"}, {ownersPassword, strings.Repeat("x", 65)}, {ownersPassword, " x"},
	} {
		if _, err := h.claim.Do(t.Context(), Owner{Password: tt.password, BoxName: tt.name}); err == nil {
			t.Errorf("%q %q: no error", tt.password, tt.name)
		}
	}
	if h.claim.Claimed() || len(h.users.All()) > 0 {
		t.Error("something was made")
	}
}

func TestUndo(t *testing.T) {
	ctx := t.Context()
	h := newPageHouse(t)
	password, err := h.claim.Do(ctx, Owner{Password: ownersPassword, BoxName: "Cellar"})
	if err != nil {
		t.Fatal(err)
	}
	h.user("second", Admin)
	h.user("guest", Viewer)
	if err := h.users.Create(ctx, User{Name: "garden", Roles: []string{"device"}, Topics: []string{"garden/#"}}, []byte("of the garden")); err != nil {
		t.Fatal(err)
	}
	if err := h.users.Update(ctx, "homeassistant", func(u *User) { u.Page = Admin }); err != nil {
		t.Fatal(err)
	}
	guest := h.login("guest")
	secret, err := h.tokens.Create(ctx, "grafana", Admin, "admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.claim.Undo(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if h.claim.Claimed() || h.claim.BoxName() != "" {
			t.Error("still claimed")
		}
		if all := names(h.users); all != "garden guest homeassistant" {
			t.Error(all)
		}
		if u, _ := h.users.Get("homeassistant"); u.Page != "" || !h.verify("homeassistant", password) || !h.verify("garden", "of the garden") {
			t.Errorf("logins do not go on: %+v", u)
		}
		h.want(false, guest, "after the reset")
		if _, ok := h.tokens.Verify(ctx, secret); ok {
			t.Error("a token lets in after the reset")
		}
		h.reopen()
	}
	again, err := h.claim.Do(ctx, Owner{Password: "the next owner's"})
	if err != nil || again != "" {
		t.Errorf("%q %v: the login of Home Assistant goes on", again, err)
	}
	if !h.verify("admin", "the next owner's") || !h.verify("homeassistant", password) {
		t.Error("a login does not work")
	}
	if err := h.claim.Undo(ctx); err != nil {
		t.Fatal(err)
	}
	if err := h.users.Delete(ctx, "homeassistant"); err != nil {
		t.Fatal(err)
	}
	if again, err = h.claim.Do(ctx, Owner{Password: ownersPassword}); err != nil || !h.verify("homeassistant", again) {
		t.Errorf("%q %v: the login was deleted and is made anew", again, err)
	}
}

func names(u *Users) string {
	var all []string
	for _, user := range u.All() {
		all = append(all, user.Name)
	}
	return strings.Join(all, " ")
}

// killing is a context that kills the process when it is asked for the nth time: all
// that takes a while asks before and while it waits.
type killing struct {
	context.Context
	mu sync.Mutex
	n  int
}

func (k *killing) count() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n--; k.n == 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (k *killing) Done() <-chan struct{} { k.count(); return k.Context.Done() }
func (k *killing) Err() error            { k.count(); return k.Context.Err() }

// TestClaimVictim is the process that is to be killed.
func TestClaimVictim(t *testing.T) {
	dir := os.Getenv("LINTEL_CLAIM_VICTIM")
	if dir == "" {
		t.Skip("runs in a process that the other tests start")
	}
	var n int
	fmt.Sscan(os.Getenv("LINTEL_CLAIM_KILL"), &n)
	ctx := &killing{Context: context.Background(), n: n}
	h := &pageHouse{t: t, dir: dir}
	h.open()
	var err error
	if os.Getenv("LINTEL_CLAIM_DO") == "undo" {
		err = h.claim.Undo(ctx)
	} else {
		_, err = h.claim.Do(ctx, Owner{Password: ownersPassword, BoxName: "Cellar"})
	}
	if err := errors.Join(err, h.store.Close()); err != nil {
		t.Fatal(err)
	}
}

// kill does something to the claim of a closed house in another process, which is killed
// at its nth step. done: it came to its end before.
func (h *pageHouse) kill(what string, n int) (done bool) {
	h.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestClaimVictim$")
	cmd.Env = append(os.Environ(), "LINTEL_CLAIM_VICTIM="+h.dir, "LINTEL_CLAIM_DO="+what, fmt.Sprint("LINTEL_CLAIM_KILL=", n))
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && ctx.Err() == nil {
		return false
	}
	if err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	return true
}

// A claim that is killed anywhere leaves a box that can be claimed, or one that is
// and lets its owner in.
func TestKilledClaim(t *testing.T) {
	unclaimed, done := 0, false
	for n := 1; !done; n++ {
		if n > 100 {
			t.Fatal("the claim has no end")
		}
		h := newPageHouse(t)
		h.store.Close()
		done = h.kill("claim", n)
		h.open()
		if h.claim.Claimed() {
			if !h.verify("admin", ownersPassword) {
				t.Errorf("killed at %d: claimed, and the owner is locked out", n)
			}
			continue
		}
		if done {
			t.Fatal("not claimed in the end")
		}
		unclaimed++
		password, err := h.claim.Do(t.Context(), Owner{Password: "somebody else's"})
		if err != nil {
			t.Fatalf("killed at %d: %v", n, err)
		}
		if h.verify("admin", ownersPassword) || !h.verify("admin", "somebody else's") || !h.verify("homeassistant", password) {
			t.Errorf("killed at %d: the second claim does not count alone", n)
		}
	}
	if unclaimed < 4 {
		t.Errorf("killed before the end only %d times: this proves little", unclaimed)
	}
}

// An Undo that is killed anywhere leaves the box with its owner, or without.
func TestKilledUndo(t *testing.T) {
	done, unclaimed := false, 0
	for n := 1; !done; n++ {
		if n > 100 {
			t.Fatal("the reset has no end")
		}
		h := newPageHouse(t)
		password, err := h.claim.Do(t.Context(), Owner{Password: ownersPassword})
		if err != nil {
			t.Fatal(err)
		}
		h.user("second", Admin)
		token := h.login("second")
		secret, err := h.tokens.Create(t.Context(), "grafana", Admin, "admin")
		if err != nil {
			t.Fatal(err)
		}
		h.store.Close()
		done = h.kill("undo", n)
		h.open()
		if h.claim.Claimed() {
			if !h.verify("admin", ownersPassword) || !h.alive(token) {
				t.Errorf("killed at %d: claimed, and the owner is locked out", n)
			}
			continue
		}
		unclaimed++
		again, err := h.claim.Do(t.Context(), Owner{Password: "the next owner's"})
		if err != nil || again != "" {
			t.Fatalf("killed at %d: %q %v", n, again, err)
		}
		if got := names(h.users); got != "admin homeassistant" || !h.verify("homeassistant", password) {
			t.Errorf("killed at %d: the users are %s", n, got)
		}
		if _, ok := h.tokens.Verify(t.Context(), secret); ok || h.alive(token) {
			t.Errorf("killed at %d: somebody of before is let in", n)
		}
	}
	if unclaimed < 3 {
		t.Errorf("killed after the beginning only %d times: this proves little", unclaimed)
	}
}

func TestCheckPassword(t *testing.T) {
	for password, ok := range map[string]bool{
		"three words suffice": true, "kU3$x9_z": true, "ünïcödes": true, "passwordless house": true, strings.Repeat("ab1", 341): true,
		"": false, "seven77": false, "üüüüüüü": false, strings.Repeat("ab1", 342): false,
		"password": false, "Password1": false, "PASSWORD123!": false, "12345678": false, "0987654321": false, "aaaaaaaaaa": false,
		"abababab": false, "qwertyuiop": false, "lintel2026": false, "homeassistant": false, "raspberry1": false, "abcdefgh": false,
	} {
		if err := CheckPassword([]byte(password)); (err == nil) != ok {
			t.Errorf("%.40q: %v", password, err)
		}
	}
}
