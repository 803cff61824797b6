package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
)

// maxWaiting is how many different passwords wait to be checked at a time. A house full
// of clients that all come back at once fits in; so many take seconds.
const maxWaiting = 256

// proofs remember, in memory only, that a password was right, so that clients who
// come back cost no argon2. Clients who share a user, or come twice, wait for the one
// computation that is under way.
//
// What is kept is a MAC, with a key that dies with the process, of the stored hash and the
// password. So a proof holds for the very hash that it was made with: it is void as
// soon as the password changes, whoever changes it. It serves all clients of the user, because a
// user has one password. Only who shows the right password meets a proof: a wrong one is
// always computed, and takes as long whether there is a proof or not.
// A failure is not remembered.
type proofs struct {
	key []byte

	mu      sync.Mutex
	proven  map[string]proof // by user
	flights map[question]*flight
}

type proof [sha256.Size]byte

// question is what flights are about.
type question struct {
	user  string
	proof proof // that it would be
}

// flight is a check under way.
type flight struct {
	waiting int // so many want to know; with proofs.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when the rest is set
	answer  checked
	err     error
}

// checked is what came out.
type checked struct {
	right bool
	hash  string // that is stored now, if it was renewed
}

func newProofs() *proofs {
	return &proofs{key: randomBytes(sha256.Size), proven: make(map[string]proof), flights: make(map[question]*flight)}
}

func (p *proofs) proof(hash string, password []byte) (sum proof) {
	m := hmac.New(sha256.New, p.key)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(len(hash))))
	m.Write([]byte(hash))
	m.Write(password)
	m.Sum(sum[:0])
	return sum
}

// check answers whether a password is that of a hash: from a proof, from a check that is
// under way or from check itself, which gets a copy of the password.
func (p *proofs) check(ctx context.Context, user, hash string, password []byte, check func(context.Context, []byte) (checked, error)) (checked, error) {
	q := question{user: user[:min(len(user), maxUserName)], proof: p.proof(hash, password)}
	p.mu.Lock()
	if known, ok := p.proven[user]; ok && hmac.Equal(known[:], q.proof[:]) {
		p.mu.Unlock()
		return checked{right: true}, nil
	}
	f := p.flights[q]
	if f == nil {
		if len(p.flights) >= maxWaiting {
			p.mu.Unlock()
			return checked{}, ErrBusy
		}
		// It outlives the one who began it if others have joined.
		fctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{cancel: cancel, done: make(chan struct{})}
		p.flights[q] = f
		go p.fly(fctx, f, q, user, hash, slices.Clone(password), check)
	}
	f.waiting++
	p.mu.Unlock()
	select {
	case <-f.done:
		return f.answer, f.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if p.flights[q] == f {
			delete(p.flights, q)
		}
	}
	return checked{}, context.Cause(ctx)
}

// fly makes a check, if anybody still waits for it when its turn comes.
func (p *proofs) fly(ctx context.Context, f *flight, q question, user, hash string, password []byte, check func(context.Context, []byte) (checked, error)) {
	defer f.cancel()
	f.answer, f.err = check(ctx, password)
	made := q.proof
	if f.answer.hash != "" {
		made = p.proof(f.answer.hash, password)
	}
	clear(password)
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.answer.right && f.err == nil {
		p.remember(user, made)
	}
	if p.flights[q] == f {
		delete(p.flights, q)
	}
	close(f.done)
}

// remember adds a proof. Called with mu held.
func (p *proofs) remember(user string, made proof) {
	if _, ok := p.proven[user]; !ok && len(p.proven) >= maxUsers {
		for other := range p.proven { // of users who were deleted while it was made
			delete(p.proven, other)
			break
		}
	}
	p.proven[user] = made
}

// forget drops the proof of a user.
func (p *proofs) forget(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.proven, user)
}
