package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	pairingTime  = 10 * time.Minute
	pairingTries = 5
)

// Errors of [Pairing.Use].
var (
	ErrNoPairingCode    = errors.New("there is no pairing code, or it is over: show a new one on the page of the box, and type it in within ten minutes")
	ErrWrongPairingCode = errors.New("this is not the pairing code: type in the one that the page of the box shows")
)

// Pairing is how a program gets a login of its own: a person reads a code on the pages of
// the box and types it in there. There is one code at a time. It is good for ten minutes,
// for one use, and for five tries, and it is gone when the process ends. Methods may be
// called from any goroutine.
//
// A code has eight digits, so five tries hit it once in twenty million codes. Who asks has
// to be slowed down all the same, by [Lockout], lest nobody else gets to a try.
type Pairing struct {
	using sync.Mutex // held by Use; taken before mu

	mu    sync.Mutex
	code  string // empty: there is none
	until time.Time
	tries int // that are left
}

// Show makes a new code, and voids the one before.
func (p *Pairing) Show() (code string, left time.Duration) {
	var random [8]byte
	rand.Read(random[:]) // never fails
	code = fmt.Sprintf("%08d", binary.BigEndian.Uint64(random[:])%100_000_000)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.code, p.until, p.tries = code, time.Now().Add(pairingTime), pairingTries
	return code, pairingTime
}

// Current returns the code and for how long it is still good; empty: there is none.
func (p *Pairing) Current() (code string, left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.code == "" || !time.Now().Before(p.until) {
		return "", 0
	}
	return p.code, time.Until(p.until)
}

// Use does something for who knows the code; spaces and hyphens in it do not matter. The
// code is used up when do has returned nil. After an error of do it is as good as before.
// Of several callers one at a time is asked for the code.
func (p *Pairing) Use(code string, do func() error) error {
	p.using.Lock()
	defer p.using.Unlock()
	right, err := p.try(strings.NewReplacer(" ", "", "-", "").Replace(code))
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.code == right { // else a new one has been shown meanwhile
		p.code = ""
	}
	return nil
}

// try returns the code if this is it. The fifth wrong one voids it.
func (p *Pairing) try(code string) (right string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.code == "" || !time.Now().Before(p.until) {
		return "", ErrNoPairingCode
	}
	if subtle.ConstantTimeCompare([]byte(code), []byte(p.code)) == 1 {
		return p.code, nil
	}
	if p.tries--; p.tries <= 0 {
		p.code = ""
	}
	return "", ErrWrongPairingCode
}
