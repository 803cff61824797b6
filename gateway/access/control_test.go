package access

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"lintel/persist"
)

// doorway is a Control and what it asks.
type doorway struct {
	*Control
	store   *persist.Store
	users   *Users
	lockout *Lockout
	audit   *Audit
	claimed atomic.Bool
	changed atomic.Int32
}

func newDoorway(t *testing.T, o ControlOptions) *doorway {
	t.Helper()
	d := &doorway{store: openUserStore(t, t.TempDir()), lockout: NewLockout()}
	d.users, d.audit = usersOf(t, d.store), newAudit(t, d.store)
	d.claimed.Store(true)
	o.Store, o.Users, o.Lockout, o.Audit, o.Claimed = d.store, d.users, d.lockout, d.audit, d.claimed.Load
	o.Changed = func() { d.changed.Add(1) }
	var err error
	if d.Control, err = NewControl(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *doorway) add(t *testing.T, user User, password string) {
	t.Helper()
	if err := d.users.Create(t.Context(), user, []byte(password)); err != nil {
		t.Fatal(err)
	}
}

func commonName(c *x509.Certificate) string { return c.Subject.CommonName }

func certificateOf(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}}
}

func withPassword(name, password string) *Login {
	return &Login{ClientID: "c", HasUserName: true, UserName: name, HasPassword: true, Password: []byte(password), Address: someone}
}

// TestLogin: every way in, in every state of the box. In doubt nobody is refused.
func TestLogin(t *testing.T) {
	jwt := newJWT(t, JWTOptions{SecretFile: keyFile(t, "secret", hmacSecret)})
	d := newDoorway(t, ControlOptions{JWT: jwt, CertificateName: commonName, CertificateRoles: []string{"viewer"}})
	d.add(t, User{Name: "ann", Roles: []string{"device"}, Topics: []string{"ann/#"}}, "correct horse")
	d.add(t, User{Name: "off", Disabled: true}, "correct horse")

	token := func(claims any) *Login {
		return &Login{ClientID: "c", HasPassword: true, Password: []byte(hs256(t, claims)), Address: someone}
	}
	certificate := func(l *Login, name string) *Login { l.Certificate = certificateOf(name); return l }
	anonymous := func(l *Login) *Login { l.Anonymous = "viewer"; return l }
	nothing := func() *Login { return &Login{ClientID: "c", Address: someone} }
	const in, no = "in", "refused"
	tests := []struct {
		name      string
		login     func() *Login
		claimed   string // "in", "refused" or the error that leaves it open
		unclaimed string
		user      string
		roles     []string
	}{
		{"password", func() *Login { return withPassword("ann", "correct horse") }, in, ErrNotClaimed.Error(), "ann", []string{"device"}},
		{"wrong password", func() *Login { return withPassword("ann", "wrong") }, no, ErrNotClaimed.Error(), "", nil},
		{"unknown user", func() *Login { return withPassword("bob", "correct horse") }, no, ErrNotClaimed.Error(), "", nil},
		{"disabled user", func() *Login { return withPassword("off", "correct horse") }, no, ErrNotClaimed.Error(), "", nil},
		{"user without password", func() *Login { l := withPassword("ann", ""); l.HasPassword = false; return l }, no, ErrNotClaimed.Error(), "", nil},
		{"password without user", func() *Login { l := withPassword("", "x"); l.HasUserName = false; return l }, no, ErrNotClaimed.Error(), "", nil},
		{"nothing", nothing, no, ErrNotClaimed.Error(), "", nil},
		{"nothing, where that will do", func() *Login { return anonymous(nothing()) }, in, in, "", []string{"viewer"}},
		{"password, where nothing will do", func() *Login { return anonymous(withPassword("ann", "correct horse")) }, in, in, "ann", []string{"device"}},
		{"wrong password, where nothing will do", func() *Login { return anonymous(withPassword("ann", "wrong")) }, no, ErrNotClaimed.Error(), "", nil},
		{"certificate of a user", func() *Login { return certificate(nothing(), "ann") }, in, ErrNotClaimed.Error(), "ann", []string{"device"}},
		{"certificate of nobody", func() *Login { return certificate(nothing(), "meter") }, in, ErrNotClaimed.Error(), "meter", []string{"viewer"}},
		{"certificate of a disabled user", func() *Login { return certificate(nothing(), "off") }, no, ErrNotClaimed.Error(), "", nil},
		{"certificate of a disabled user, password of another", func() *Login { return certificate(withPassword("ann", "correct horse"), "off") }, no, ErrNotClaimed.Error(), "", nil},
		{"certificate without a name", func() *Login { return certificate(nothing(), "") }, no, ErrNotClaimed.Error(), "", nil},
		{"certificate without a name, password", func() *Login { return certificate(withPassword("ann", "correct horse"), "") }, in, ErrNotClaimed.Error(), "ann", []string{"device"}},
		{"certificate goes before the password", func() *Login { return certificate(withPassword("off", "wrong"), "ann") }, in, ErrNotClaimed.Error(), "ann", []string{"device"}},
		{"token", func() *Login { return token(good()) }, in, ErrNotClaimed.Error(), "ann", nil},
		{"expired token", func() *Login { return token(good().with(payload{"exp": 1})) }, no, ErrNotClaimed.Error(), "", nil},
	}
	for _, claimed := range []bool{true, false} {
		for _, tt := range tests {
			d.claimed.Store(claimed)
			want := tt.unclaimed
			if claimed {
				want = tt.claimed
			}
			*d.lockout = *NewLockout()
			id, err := d.Login(t.Context(), tt.login())
			switch refused, ok := errors.AsType[*Refused](err); {
			case ok && want != no:
				t.Errorf("claimed %t, %s: refused: %v; want %s", claimed, tt.name, refused, want)
			case ok:
			case err != nil:
				if err.Error() != want {
					t.Errorf("claimed %t, %s: %v; want %s", claimed, tt.name, err, want)
				}
			case want != in:
				t.Errorf("claimed %t, %s: let in as %+v; want %s", claimed, tt.name, id, want)
			case id.User != tt.user || len(id.Roles)+len(tt.roles) > 0 && !reflect.DeepEqual(id.Roles, tt.roles) || id.ClientID != "c":
				t.Errorf("claimed %t, %s: let in as %+v", claimed, tt.name, id)
			}
		}
	}
}

// TestLoginLockedOut: who guesses has to wait, and is not told "not authorized" for that.
func TestLoginLockedOut(t *testing.T) {
	d := newDoorway(t, ControlOptions{})
	d.add(t, User{Name: "ann"}, "correct horse")
	for range pairFailures {
		if _, err := d.Login(t.Context(), withPassword("ann", "wrong")); !isRefused(err) {
			t.Fatal(err)
		}
	}
	if id, err := d.Login(t.Context(), withPassword("ann", "correct horse")); !errors.Is(err, ErrLockedOut) || isRefused(err) {
		t.Errorf("after %d failures: %+v, %v", pairFailures, id, err)
	}
	elsewhere := withPassword("ann", "correct horse")
	elsewhere.Address = netip.MustParseAddr("198.51.100.1")
	if _, err := d.Login(t.Context(), elsewhere); err != nil {
		t.Errorf("from another address: %v", err)
	}
	counts := make(map[string]int)
	for _, e := range d.audit.All() {
		counts[e.Kind] += e.Count
	}
	if want := map[string]int{LoginRefused: pairFailures, LoginLockedOut: 1, LoggedIn: 1}; !reflect.DeepEqual(counts, want) {
		t.Errorf("audit log counts %v, want %v", counts, want)
	}
}

func isRefused(err error) bool { _, ok := errors.AsType[*Refused](err); return ok }

// TestLoginInDoubt: a store that fails and a check that nobody waited for refuse nobody.
func TestLoginInDoubt(t *testing.T) {
	d := newDoorway(t, ControlOptions{})
	d.add(t, User{Name: "ann"}, "correct horse")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if id, err := d.Login(ctx, withPassword("ann", "wrong")); err == nil || isRefused(err) {
		t.Errorf("when the time is over: %+v, %v", id, err)
	}
}

// TestRenew: rights change at once, and who must go is told so.
func TestRenew(t *testing.T) {
	d := newDoorway(t, ControlOptions{CertificateName: commonName, CertificateRoles: []string{"viewer"}})
	for _, name := range []string{"rights", "password", "same", "off", "gone", "certificate"} {
		d.add(t, User{Name: name, Roles: []string{"device"}}, "correct horse")
	}
	identities := make(map[string]*Identity)
	for _, u := range d.users.All() {
		l := withPassword(u.Name, "correct horse")
		if u.Name == "certificate" {
			l = &Login{ClientID: "c", Certificate: certificateOf(u.Name)}
		}
		id, err := d.Login(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		identities[u.Name] = id
	}
	nobody, err := d.Login(t.Context(), &Login{Certificate: certificateOf("meter")})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, err := range []error{
		d.users.Update(ctx, "rights", func(u *User) { u.Roles, u.Topics = []string{"viewer"}, []string{"x/#"} }),
		d.users.SetPassword(ctx, "password", []byte("battery staple")),
		d.users.SetPassword(ctx, "certificate", []byte("battery staple")),
		d.users.Update(ctx, "off", func(u *User) { u.Disabled = true }),
		d.users.Delete(ctx, "gone"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, reason := range map[string]string{"rights": "", "same": "", "certificate": "", "password": "another password", "off": "disabled", "gone": "deleted"} {
		id, err := d.Renew(identities[name])
		if reason == "" != (err == nil) || err != nil && (!isRefused(err) || !strings.Contains(err.Error(), reason)) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	id, err := d.Renew(identities["rights"])
	if err != nil || !reflect.DeepEqual(id.Roles, []string{"viewer"}) || !reflect.DeepEqual(id.Topics, []string{"x/#"}) || id.ClientID != "c" {
		t.Errorf("new rights: %+v, %v", id, err)
	}
	if id, err := d.Renew(nobody); err != nil || id != nobody {
		t.Errorf("certificate of nobody: %+v, %v", id, err)
	}
}

// TestCertificateLoginEnds: with its certificate, unless nobody can tell when that is.
func TestCertificateLoginEnds(t *testing.T) {
	known := true
	d := newDoorway(t, ControlOptions{CertificateName: commonName, CertificateRoles: []string{"viewer"}, ClockKnown: func() bool { return known }})
	d.add(t, User{Name: "lamp", Roles: []string{"device"}}, "correct horse")
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	login := func(name string) *Identity {
		t.Helper()
		c := certificateOf(name)
		c.NotAfter = end
		id, err := d.Login(t.Context(), &Login{ClientID: "c", Certificate: c})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, name := range []string{"lamp", "no user"} {
		if id := login(name); !id.Expires.Equal(end) {
			t.Errorf("%s: the login ends at %v, the certificate at %v", name, id.Expires, end)
		}
	}
	if now, err := d.Renew(login("lamp")); err != nil || !now.Expires.Equal(end) {
		t.Errorf("with other rights: %+v, %v", now, err)
	}
	if id, err := d.Login(t.Context(), withPassword("lamp", "correct horse")); err != nil || !id.Expires.IsZero() {
		t.Errorf("with a password: %+v, %v", id, err)
	}
	known = false
	for _, name := range []string{"lamp", "no user"} {
		if id := login(name); !id.Expires.IsZero() {
			t.Errorf("%s: the login ends at %v, and nobody knows the time", name, id.Expires)
		}
	}
}

// TestRenewAfterImport: that an imported hash is replaced throws nobody out.
func TestRenewAfterImport(t *testing.T) {
	d := newDoorway(t, ControlOptions{})
	foreign := foreignHashes[0]
	users, err := ImportMosquitto("passwords", []byte("ann:"+foreign.hash+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.users.Import(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	before, _ := d.users.Get("ann")
	first, err := d.Login(t.Context(), withPassword("ann", foreign.password))
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := d.users.Get("ann"); after.Hash == before.Hash {
		t.Fatal("the hash was not replaced")
	}
	if _, err := d.Renew(first); err != nil {
		t.Error(err)
	}
}

// TestLoginSCRAM: the messages of an independent client.
func TestLoginSCRAM(t *testing.T) {
	d := newDoorway(t, ControlOptions{})
	d.add(t, User{Name: "ann", Roles: []string{"viewer"}}, "correct horse")
	credentials, err := NewSCRAM([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.users.Update(t.Context(), "ann", func(u *User) { u.SCRAM = credentials }); err != nil {
		t.Fatal(err)
	}
	login := func(password string) (*Identity, error) {
		client, err := scram.SHA256.NewClient("ann", password, "")
		if err != nil {
			t.Fatal(err)
		}
		conversation := client.NewConversation()
		first, err := conversation.Step("")
		if err != nil {
			t.Fatal(err)
		}
		id, final, err := d.Control.LoginSCRAM(t.Context(), &Login{ClientID: "c", Address: someone}, []byte(first), func(challenge []byte) ([]byte, error) {
			answer, err := conversation.Step(string(challenge))
			return []byte(answer), err
		})
		if err == nil {
			if _, err := conversation.Step(string(final)); err != nil || !conversation.Valid() {
				t.Errorf("the box has not proved that it knows the password: %v", err)
			}
		}
		return id, err
	}
	id, err := login("correct horse")
	if err != nil || id.User != "ann" || !reflect.DeepEqual(id.Roles, []string{"viewer"}) {
		t.Fatalf("%+v, %v", id, err)
	}
	if _, err := d.Renew(id); err != nil {
		t.Errorf("renewed: %v", err)
	}
	if _, err := login("wrong"); !isRefused(err) {
		t.Errorf("wrong password: %v", err)
	}
	d.claimed.Store(false)
	if _, err := login("correct horse"); !errors.Is(err, ErrNotClaimed) {
		t.Errorf("not claimed: %v", err)
	}
	d.claimed.Store(true)
	if err := d.users.SetPassword(t.Context(), "ann", []byte("battery staple")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Renew(id); !isRefused(err) {
		t.Errorf("renewed after another password: %v", err)
	}
}
