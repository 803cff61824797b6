package access

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lintel/persist"
)

// Refused is the error of a login that is definitely not let in. Every other error
// leaves the question open: who tries again may be let in.
type Refused struct {
	Reason string // for a person
}

func (r *Refused) Error() string { return r.Reason }

// Errors of [Control.Login] that leave the question open.
var (
	ErrNotClaimed = errors.New("nobody has claimed this box yet: open its page")
	ErrLockedOut  = errors.New("too many logins failed: try again in a minute")
)

var errDisabled = &Refused{"the user of the certificate is disabled"}

// The only keys of their buckets.
const (
	rolesKey = "roles"
	scramKey = "secret"
)

// ControlOptions are the options of [NewControl].
type ControlOptions struct {
	Store   *persist.Store
	Users   *Users
	Lockout *Lockout
	Audit   *Audit

	RoleFile string   // path; empty: the built-in roles are all there are
	Optional bool     // there need be no RoleFile: it is made when a role is
	Prefix   string   // of Home Assistant's discovery topics, see [BuiltIn]
	Needed   []string // roles that must be there, because listeners or certificates have them

	JWT              *JWT                           // nil: there are no tokens
	CertificateName  func(*x509.Certificate) string // nil: certificates are not looked at
	CertificateRoles []string                       // of a certificate whose name is not that of a user

	Claimed    func() bool  // nil: the box is claimed
	ClockKnown func() bool  // whether the wall clock is known to be right; nil: it is
	Changed    func()       // called when other rules have come into force; may be nil
	Logger     *slog.Logger // nil: silent
}

// Control says who somebody is. It joins the ways in: certificates, tokens, and names
// with passwords. Its methods may be called from any goroutine.
//
// The rules in force are those of the role file when it was last read without a
// mistake. They outlive a restart with a mistake in the file: a house does not go dark
// because of a typing error.
type Control struct {
	o      ControlOptions
	log    *slog.Logger
	copies *persist.Bucket[string] // the role file that is in force, by rolesKey
	policy atomic.Pointer[Policy]
	scram  scramServer

	reload  sync.Mutex
	writing sync.Mutex             // held while the role file is written
	problem atomic.Pointer[string] // of the role file; nil: none
}

// NewControl reads the role file. If there is a mistake in it the last one without a
// mistake is in force, see [Control.Problem]; the error is that there is none.
func NewControl(ctx context.Context, o ControlOptions) (*Control, error) {
	c := &Control{o: o, log: o.Logger}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.copies, err = persist.NewBucket[string](o.Store, "access.roles"); err != nil {
		return nil, err
	}
	secrets, err := persist.NewBucket[[32]byte](o.Store, "access.scram")
	if err != nil {
		return nil, err
	}
	secret, ok := secrets.Get(scramKey)
	if !ok {
		rand.Read(secret[:])
		if err := secrets.Put(ctx, scramKey, secret); err != nil {
			return nil, err
		}
	}
	c.scram = scramServer{secret: secret, user: o.Users.Get}
	err = c.read(ctx)
	if err == nil {
		return c, nil
	}
	kept, ok := c.copies.Get(rolesKey)
	if !ok {
		return nil, err
	}
	policy, kerr := c.compile([]byte(kept))
	if kerr != nil {
		return nil, err
	}
	c.policy.Store(policy)
	c.complain(err)
	c.log.Error("role file not usable, the rules of the last start stay in force", "err", err)
	return c, nil
}

// Login finds out who somebody is by what they show: the name in their certificate,
// else a token, else a user name and a password. Who shows nothing has the role of the
// listener. A [*Refused] says that they are not let in.
func (c *Control) Login(ctx context.Context, l *Login) (*Identity, error) {
	return c.logged(l, func() (*Identity, error) { return c.login(ctx, l) })
}

// Vouch is Login for somebody of whom the house knows already that they are the user of
// this name: nothing of what they show is looked at.
func (c *Control) Vouch(name string, l *Login) (*Identity, error) {
	l.UserName, l.HasUserName = name, true
	return c.logged(l, func() (*Identity, error) {
		user, ok := c.o.Users.Get(name)
		switch {
		case !ok:
			return nil, &Refused{"the user has been deleted"}
		case user.Disabled:
			return nil, errDisabled
		}
		return c.Identify(user, l), nil
	})
}

// logged writes down how a login went, and is in doubt when nobody has claimed the box:
// the login may be right when there are users again.
func (c *Control) logged(l *Login, login func() (*Identity, error)) (*Identity, error) {
	id, err := login()
	e := Event{User: l.UserName, ClientID: l.ClientID, Address: l.Address}
	if refused, ok := errors.AsType[*Refused](err); ok {
		if !c.claimed() {
			return nil, ErrNotClaimed
		}
		e.Kind, e.Detail = LoginRefused, refused.Reason
	} else if errors.Is(err, ErrLockedOut) {
		e.Kind = LoginLockedOut
	} else if err == nil && id.User == "" {
		return id, nil // nobody in particular
	} else if err == nil {
		e.Kind, e.User = LoggedIn, id.User
		if id.Name != "" {
			e.Detail = "with a certificate"
		}
	} else {
		return nil, err
	}
	c.o.Audit.Add(e)
	return id, err
}

func (c *Control) claimed() bool { return c.o.Claimed == nil || c.o.Claimed() }

func (c *Control) login(ctx context.Context, l *Login) (*Identity, error) {
	if l.Anonymous == "" && !c.claimed() {
		return nil, ErrNotClaimed
	}
	if l.Certificate != nil && c.o.CertificateName != nil {
		// A name that says nothing here may come with something else that does.
		id, err := c.byCertificate(l)
		if err == nil || errors.Is(err, errDisabled) || !l.HasUserName && !l.HasPassword {
			return id, err
		}
	}
	switch {
	case c.o.JWT != nil && l.HasPassword && looksLikeJWT(l.Password):
		return c.byToken(ctx, l)
	case l.HasUserName:
		return c.byPassword(ctx, l)
	case l.HasPassword:
		return nil, &Refused{"a password needs a user name"}
	case l.Anonymous != "":
		return &Identity{ClientID: l.ClientID, Roles: []string{l.Anonymous}}, nil
	}
	return nil, &Refused{"this listener wants a user name and a password"}
}

// byCertificate believes a certificate, which whoever took the connection has checked.
func (c *Control) byCertificate(l *Login) (*Identity, error) {
	name := c.o.CertificateName(l.Certificate)
	if name == "" {
		return nil, &Refused{"the certificate has no name that can be that of a user"}
	}
	if user, ok := c.o.Users.Get(name); ok {
		if user.Disabled {
			return nil, errDisabled
		}
		id := c.Identify(user, l)
		id.Name = name // and no proof: the certificate lets it in whatever the password is
		id.Expires = c.end(l.Certificate)
		return id, nil
	}
	if len(c.o.CertificateRoles) == 0 {
		return nil, &Refused{"the name in the certificate is not that of a user"}
	}
	return &Identity{User: name, Name: name, ClientID: l.ClientID, Roles: c.o.CertificateRoles, Expires: c.end(l.Certificate)}, nil
}

// end returns when a login with a certificate ends; zero: never. While the time is not
// known nobody can tell, see [ClientCertificates]: the login then stays until the client
// comes again.
func (c *Control) end(certificate *x509.Certificate) time.Time {
	if c.o.ClockKnown != nil && !c.o.ClockKnown() {
		return time.Time{}
	}
	return certificate.NotAfter
}

func (c *Control) byPassword(ctx context.Context, l *Login) (*Identity, error) {
	if c.o.Lockout.Wait(l.Address, l.UserName) > 0 {
		return nil, ErrLockedOut
	}
	user, proof, err := c.prove(ctx, l)
	if err := c.verified(l.Address, l.UserName, err); err != nil {
		return nil, err
	}
	id := c.Identify(user, l)
	id.proof = proof
	return id, nil
}

// prove returns a user who shows the password, and the hash that it was checked against.
func (c *Control) prove(ctx context.Context, l *Login) (user User, hash string, err error) {
	for range 3 {
		before, _ := c.o.Users.Get(l.UserName)
		user, err = c.o.Users.Verify(ctx, l.UserName, l.Password, l.ClientID)
		now, _ := c.o.Users.Get(l.UserName)
		if err != nil || before.Hash == now.Hash {
			return user, now.Hash, err
		}
		// The password was changed meanwhile, or an imported hash replaced.
	}
	return User{}, "", errChanging
}

// LoginSCRAM is Login for SCRAM-SHA-256: first is the first message of the client, exchange
// sends a challenge and returns the answer, and final is for the client that is let in.
func (c *Control) LoginSCRAM(ctx context.Context, l *Login, first []byte, exchange func([]byte) ([]byte, error)) (id *Identity, final []byte, err error) {
	id, err = c.logged(l, func() (*Identity, error) {
		if !c.claimed() {
			return nil, ErrNotClaimed
		}
		conversation := c.scram.start()
		challenge, _, err := conversation.Step(first)
		l.UserName = conversation.Name()
		if c.o.Lockout.Wait(l.Address, l.UserName) > 0 {
			return nil, ErrLockedOut
		}
		if err == nil {
			var answer []byte
			if answer, err = exchange(challenge); err == nil {
				final, _, err = conversation.Step(answer)
			}
		}
		if err := c.verified(l.Address, l.UserName, err); err != nil {
			return nil, err
		}
		user, ok := conversation.User()
		if !ok {
			return nil, &Refused{ErrBadLogin.Error()}
		}
		id := c.Identify(user, l)
		id.proof = user.SCRAM
		return id, nil
	})
	return id, final, err
}

func (c *Control) byToken(ctx context.Context, l *Login) (*Identity, error) {
	if c.o.Lockout.Wait(l.Address, "") > 0 {
		return nil, ErrLockedOut
	}
	id, err := c.o.JWT.Verify(ctx, string(l.Password), l)
	if err := c.verified(l.Address, "", err); err != nil {
		return nil, err
	}
	return id, nil
}

// verified tells the lockout how a try went, and returns what it means.
func (c *Control) verified(address netip.Addr, user string, err error) error {
	switch {
	case err == nil:
		c.o.Lockout.Succeeded(address, user)
	case errors.Is(err, ErrBadLogin):
		c.o.Lockout.Failed(address, user)
		return &Refused{err.Error()}
	}
	return err
}

// Identify is who a user is who has proved it.
func (c *Control) Identify(u User, l *Login) *Identity {
	return &Identity{User: u.Name, ClientID: l.ClientID, Roles: slices.Clone(u.Roles), Topics: slices.Clone(u.Topics), renewed: true}
}

// Renew returns an identity that Login gave with the rights that its user has now. A
// [*Refused] says that the user has been deleted or disabled, or has another password
// now. An identity that is not that of a user of the box stays as it is.
func (c *Control) Renew(id *Identity) (*Identity, error) {
	if !id.renewed {
		return id, nil
	}
	user, ok := c.o.Users.Get(id.User)
	switch {
	case !ok:
		return nil, &Refused{"the user has been deleted"}
	case user.Disabled:
		return nil, &Refused{"the user has been disabled"}
	case id.proof != "" && id.proof != user.Hash && id.proof != user.SCRAM:
		return nil, &Refused{"the user has another password now"}
	}
	now := c.Identify(user, &Login{ClientID: id.ClientID})
	now.Name, now.Expires, now.proof = id.Name, id.Expires, id.proof
	return now, nil
}
