package access

import (
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// The hashes of crypt(3) that begin with $5$ and $6$, as Raspberry Pi Imager and
// "openssl passwd" write them: Ulrich Drepper, Unix crypt using SHA-256 and SHA-512, 2008.

const (
	shaCryptRounds    = 5000
	minShaCryptRounds = 1000
	maxShaCryptSalt   = 16 // bytes
)

// crypt64 are the digits of crypt(3), the least significant first.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// shaCryptLength is how many digits a key has.
var shaCryptLength = map[hashKind]int{cryptSHA256: 43, cryptSHA512: 86}

// looksShaCrypt tells a hash of crypt(3) that begins with $6$ from one of mosquitto,
// which has another key: 86 digits without padding, or rounds before the salt.
func looksShaCrypt(field []string) bool {
	return strings.HasPrefix(field[0], "rounds=") || len(field) == 2 && len(field[1]) == shaCryptLength[cryptSHA512]
}

// parseShaCrypt reads what stands behind $5$ or $6$.
func parseShaCrypt(kind hashKind, field []string) (*passwordHash, error) {
	h := &passwordHash{kind: kind, time: shaCryptRounds}
	if rounds, ok := strings.CutPrefix(field[0], "rounds="); ok {
		n, err := strconv.ParseUint(rounds, 10, 32)
		if err != nil || n < minShaCryptRounds || n > maxIterations {
			return nil, fmt.Errorf("the hash has %.20q rounds, not %d to %d: set a new password", rounds, minShaCryptRounds, maxIterations)
		}
		h.time, field = uint32(n), field[1:]
	}
	digits := shaCryptLength[kind]
	if len(field) != 2 || len(field[1]) != digits || strings.Trim(field[1], crypt64) != "" {
		return nil, fmt.Errorf("the hash is not of the form $5$SALT$KEY or $6$SALT$KEY of crypt(3), with %d characters for the key", digits)
	}
	if len(field[0]) > maxShaCryptSalt || strings.ContainsFunc(field[0], func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return nil, errors.New("the salt of the hash is not one of crypt(3), of 16 characters at most")
	}
	h.salt, h.key = []byte(field[0]), []byte(field[1])
	return h, nil
}

// shaCrypt computes the key as crypt(3) writes it. The letters are the steps of the
// specification.
func shaCrypt(kind hashKind, password, salt []byte, rounds int) []byte {
	create := sha256.New
	if kind == cryptSHA512 {
		create = sha512.New
	}
	b := create() // B, with which A is mixed
	b.Write(password)
	b.Write(salt)
	b.Write(password)
	mixed := b.Sum(nil)

	a := create()
	a.Write(password)
	a.Write(salt)
	writeRepeated(a, mixed, len(password))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			a.Write(mixed)
		} else {
			a.Write(password)
		}
	}
	sum := a.Sum(nil)

	dp := create()
	for range password {
		dp.Write(password)
	}
	p := repeated(dp.Sum(nil), len(password))
	ds := create()
	for range 16 + int(sum[0]) {
		ds.Write(salt)
	}
	s := repeated(ds.Sum(nil), len(salt))

	c := create()
	for i := range rounds {
		c.Reset()
		if i&1 != 0 {
			c.Write(p)
		} else {
			c.Write(sum)
		}
		if i%3 != 0 {
			c.Write(s)
		}
		if i%7 != 0 {
			c.Write(p)
		}
		if i&1 != 0 {
			c.Write(sum)
		} else {
			c.Write(p)
		}
		sum = c.Sum(sum[:0])
	}
	return shaCryptDigits(sum)
}

// writeRepeated writes n bytes of text over and over.
func writeRepeated(h hash.Hash, text []byte, n int) {
	for ; n > len(text); n -= len(text) {
		h.Write(text)
	}
	h.Write(text[:n])
}

func repeated(text []byte, n int) []byte {
	out := make([]byte, n)
	for at := 0; at < n; {
		at += copy(out[at:], text)
	}
	return out
}

// shaCryptDigits writes a sum in digits, three bytes at a time: those that are a third of
// the sum apart, and begin one place further in turn; the rest at the end.
func shaCryptDigits(sum []byte) []byte {
	var out []byte
	digits := func(v uint32, n int) {
		for range n {
			out = append(out, crypt64[v&63])
			v >>= 6
		}
	}
	third := len(sum) / 3 // 10 or 21
	// SHA-256 begins (0, 10, 20), (21, 1, 11), (12, 22, 2); SHA-512 (0, 21, 42), (22, 43, 1), (44, 2, 23).
	step := third*2 + 1
	if len(sum) == sha512.Size {
		step = third + 1
	}
	x, y, z := 0, third, 2*third
	for range third {
		digits(uint32(sum[x])<<16|uint32(sum[y])<<8|uint32(sum[z]), 4)
		x, y, z = (x+step)%(3*third), (y+step)%(3*third), (z+step)%(3*third)
	}
	if len(sum) == sha512.Size {
		digits(uint32(sum[63]), 2)
	} else {
		digits(uint32(sum[31])<<8|uint32(sum[30]), 3)
	}
	return out
}
