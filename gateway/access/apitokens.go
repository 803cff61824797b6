package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"lintel/persist"
)

const (
	maxAPITokens    = 100
	maxAPITokenName = 64 // characters

	// apiTokenPrefix lets people, and programs that look for secrets in what is
	// published, see what it is.
	apiTokenPrefix = "lintel_"

	apiTokenUnused = 24 * time.Hour // the use of a token is written when it is that much later than what is written
)

// Errors of APITokens.
var (
	ErrAPITokenExists = errors.New("a token of this name exists: choose another name, or revoke that one first")
	ErrNoAPIToken     = errors.New("there is no token of this name")
	ErrManyAPITokens  = fmt.Errorf("there are %d tokens, and no more are allowed: revoke one that is not used", maxAPITokens)
)

// APIToken lets a program use the JSON API.
type APIToken struct {
	Name    string
	Level   Level
	By      string    // who made it
	Created time.Time // by the clock of the box, which may have been wrong
	Used    time.Time // the same, up to a day old after a restart; zero: never
}

// apiToken is what the store keeps.
type apiToken struct {
	APIToken
	Hash string // SHA-256 of the secret in hex
}

// APITokens are the tokens of the JSON API. Of the secret only the SHA-256 is kept, so
// that it can be shown once only. A token belongs to the box and not to who made it: it
// lets in until it is revoked. There are 100 at most. The methods may be called from
// any goroutine.
type APITokens struct {
	bucket *persist.Bucket[apiToken] // by name

	changing sync.Mutex // held while tokens are made and revoked, or their use is written

	mu     sync.Mutex
	byHash map[string]APIToken
}

// NewAPITokens reads the tokens from the store.
func NewAPITokens(store *persist.Store) (*APITokens, error) {
	bucket, err := persist.NewBucket[apiToken](store, "access.tokens")
	if err != nil {
		return nil, err
	}
	a := &APITokens{bucket: bucket, byHash: make(map[string]APIToken)}
	for _, t := range bucket.All() {
		a.byHash[t.Hash] = t.APIToken
	}
	return a, nil
}

// Create makes a token and returns its secret, which nobody can see again.
func (a *APITokens) Create(ctx context.Context, name string, level Level, by string) (secret string, err error) {
	if err := CheckAPITokenName(name); err != nil {
		return "", err
	}
	switch level {
	case Viewer, Operator, Admin:
	default:
		return "", fmt.Errorf("%q is no level: choose viewer, operator or admin", level)
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	if _, ok := a.bucket.Get(name); ok {
		return "", ErrAPITokenExists
	}
	if len(a.All()) >= maxAPITokens {
		return "", ErrManyAPITokens
	}
	secret = apiTokenPrefix + newSecret()
	t := apiToken{APIToken{Name: name, Level: level, By: by, Created: time.Now()}, digest(secret)}
	if err := a.bucket.Put(ctx, name, t); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byHash[t.Hash] = t.APIToken
	return secret, nil
}

// CheckAPITokenName says what is wrong with the name of a token.
func CheckAPITokenName(name string) error {
	return checkLabel("the name of a token", name, maxAPITokenName)
}

// checkLabel checks a text that people choose to tell things apart by.
func checkLabel(what, s string, most int) error {
	if n := utf8.RuneCountInString(s); n == 0 || n > most || !utf8.ValidString(s) ||
		strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s has 1 to %d characters that can be seen, and no space at its ends", what, most)
	}
	return nil
}

// Verify returns the token of a secret, and counts that as use.
func (a *APITokens) Verify(ctx context.Context, secret string) (t APIToken, ok bool) {
	if !strings.HasPrefix(secret, apiTokenPrefix) {
		return APIToken{}, false
	}
	hash := digest(secret)
	a.mu.Lock()
	t, ok = a.byHash[hash]
	write := false
	if ok {
		t.Used = time.Now()
		a.byHash[hash] = t
		write = a.unwritten(t, hash)
	}
	a.mu.Unlock()
	if write {
		a.write(ctx, t.Name, hash)
	}
	return t, ok
}

// unwritten reports whether the use of a token is worth a write.
func (a *APITokens) unwritten(t APIToken, hash string) bool {
	stored, ok := a.bucket.Get(t.Name)
	between := t.Used.Sub(stored.Used)
	return ok && stored.Hash == hash && (between >= apiTokenUnused || between < 0)
}

// write writes when a token was used last, if it has not been revoked meanwhile. One
// that cannot be written is written with a later use.
func (a *APITokens) write(ctx context.Context, name, hash string) {
	a.changing.Lock()
	defer a.changing.Unlock()
	a.mu.Lock()
	t, ok := a.byHash[hash]
	a.mu.Unlock()
	if ok && t.Name == name && a.unwritten(t, hash) {
		a.bucket.Put(ctx, name, apiToken{t, hash})
	}
}

// All returns the tokens by name.
func (a *APITokens) All() []APIToken {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]APIToken, 0, len(a.byHash))
	for _, t := range a.byHash {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b APIToken) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Revoke deletes a token. It lets nobody in from then on.
func (a *APITokens) Revoke(ctx context.Context, name string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	t, ok := a.bucket.Get(name)
	if !ok {
		return ErrNoAPIToken
	}
	a.mu.Lock()
	delete(a.byHash, t.Hash) // first: who is told of an error may try again, and nobody gets in meanwhile
	a.mu.Unlock()
	return a.bucket.Delete(ctx, name)
}

// revokeAll deletes all tokens.
func (a *APITokens) revokeAll(ctx context.Context) error {
	for _, t := range a.All() {
		if err := a.Revoke(ctx, t.Name); err != nil && !errors.Is(err, ErrNoAPIToken) {
			return err
		}
	}
	return nil
}
