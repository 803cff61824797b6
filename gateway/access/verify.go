package access

import (
	"context"
	"errors"
	"fmt"
)

// errChanging is for a password that was changed again and again while it was checked.
var errChanging = errors.New("the user is being changed: try again")

// Verify returns the user, without hash and SCRAM credentials, whose name and
// password these are. from says in the log who it was: the client identifier, or
// "page". ErrBadLogin says that they are definitely wrong, which is also said of a user who
// is disabled; any other error leaves it open.
//
// Who is refused has cost one argon2 of today's parameters, whether the user is there or
// not. Only an imported hash that is bcrypt, or argon2id with other parameters, costs what it
// costs until the user logs in for the first time; then it is replaced.
func (u *Users) Verify(ctx context.Context, name string, password []byte, from string) (User, error) {
	if len(password) > MaxPassword {
		return User{}, ErrBadLogin
	}
	for range 3 {
		_, hash, there := u.credential(name)
		a, err := u.proofs.check(ctx, name, hash, password, func(ctx context.Context, password []byte) (checked, error) {
			return u.verify(ctx, name, hash, there, password, from)
		})
		if err != nil {
			return User{}, err
		}
		// The user may have been changed in the meantime: what was right or wrong then
		// need not be now, and a wrong "wrong" is final for some clients.
		user, now, still := u.credential(name)
		switch {
		case still != there || now != hash && now != a.hash:
			continue
		case !a.right:
			return User{}, ErrBadLogin
		}
		return user.redacted(), nil
	}
	return User{}, errChanging
}

// credential returns what a password has to match. Who is not there, or not let
// in, has a hash that none matches.
func (u *Users) credential(name string) (user User, hash string, there bool) {
	user, ok := u.Get(name)
	if !ok || user.Disabled || user.Hash == "" {
		return User{}, u.dummy, false
	}
	return user, user.Hash, true
}

// verify computes.
func (u *Users) verify(ctx context.Context, name, hash string, there bool, password []byte, from string) (checked, error) {
	h, err := parseHash(hash)
	if err != nil {
		return checked{}, fmt.Errorf("user %q: %w", name, err)
	}
	right, err := u.hashing.matches(ctx, h, password)
	switch {
	case err != nil:
		return checked{}, err
	case !right && (h.kind == saltedSHA512 || h.kind == pbkdf2SHA512 || h.kind == cryptSHA256 || h.kind == cryptSHA512):
		// These take little time: a wrong password would tell that the user is there.
		dummy, err := parseHash(u.dummy)
		if err == nil {
			_, err = u.hashing.matches(ctx, dummy, password)
		}
		return checked{}, err
	case !right || !there:
		return checked{}, nil
	case h.own():
		return checked{right: true}, nil
	}
	renewed, err := u.renew(ctx, name, hash, password)
	if err != nil {
		u.log.Warn("hash of an imported password not replaced", "user", name, "client", from, "err", err)
	}
	return checked{right: true, hash: renewed}, nil
}

// renew replaces a hash that the box would not make itself, now that the password is
// known. It does not count as a change.
func (u *Users) renew(ctx context.Context, name, old string, password []byte) (hash string, err error) {
	fresh, err := u.hashing.hash(ctx, password)
	if err != nil {
		return "", err
	}
	err = u.replace(ctx, name, func(r *userRecord) error {
		if r.Hash != old {
			return errChanging
		}
		r.Hash = fresh
		return nil
	})
	if err != nil {
		return "", err
	}
	return fresh, nil
}
