package dsmr

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options are what the network operator tells the owner of an encrypted meter.
// A meter that is not encrypted needs none.
type Options struct {
	// Keys are encryption keys, "global unicast encryption key" or GUEK in
	// Austria, as 32 hexadecimal digits. A key stands under the system title
	// or the number of its meter; one under any other name, "" among them, is
	// for each meter that has none of its own.
	Keys map[string]string `toml:"keys"`

	// AuthenticationKeys are global authentication keys, GAK in Austria, each
	// under the same name as the encryption key of that meter. Where there is
	// none the telegram's CRC has to vouch for it, see the package's comment.
	AuthenticationKeys map[string]string `toml:"authentication_keys"`
}

// Check returns what is wrong with o, a line each. It does not repeat keys.
func (o Options) Check() error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		if _, err := parseKey(o.Keys[name]); err != nil {
			wrong = append(wrong, fmt.Errorf("keys: %q: %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.AuthenticationKeys)) {
		if _, err := parseKey(o.AuthenticationKeys[name]); err != nil {
			wrong = append(wrong, fmt.Errorf("authentication_keys: %q: %w", name, err))
		}
		if _, ok := o.Keys[name]; !ok {
			wrong = append(wrong, fmt.Errorf("authentication_keys: %q: there is no encryption key of that name in keys: set it, too", name))
		}
	}
	return errors.Join(wrong...)
}

// withoutSpaces takes out what operators write between the bytes of a key and
// the parts of a number.
var withoutSpaces = strings.NewReplacer(" ", "", "-", "", ":", "")

// parseKey reads a key of AES-128.
func parseKey(s string) ([]byte, error) {
	s = withoutSpaces.Replace(s)
	const digits = 2 * 16
	if len(s) != digits {
		return nil, fmt.Errorf("a key has %d hexadecimal digits, this one has %d characters", digits, len(s))
	}
	key, err := hex.DecodeString(s)
	if err != nil {
		return nil, errors.New("a key has only digits and the letters A to F")
	}
	return key, nil
}

// A key opens the telegrams of a meter.
type key struct {
	name           string // upper case, without spaces
	block          cipher.Block
	gcm            cipher.AEAD
	authentication []byte // nil: not told
}

// keyring makes the keys of o, in the order of their names. Those that are none
// are left out: Check tells of them.
func (o Options) keyring() []key {
	var ring []key
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		secret, err := parseKey(o.Keys[name])
		if err != nil {
			continue
		}
		block, err := aes.NewCipher(secret)
		if err != nil {
			continue
		}
		gcm, err := cipher.NewGCMWithTagSize(block, tagSize)
		if err != nil {
			continue
		}
		k := key{name: strings.ToUpper(withoutSpaces.Replace(name)), block: block, gcm: gcm}
		if secret, err := parseKey(o.AuthenticationKeys[name]); err == nil {
			k.authentication = secret
		}
		ring = append(ring, k)
	}
	return ring
}

// keysFor returns the keys of ring that may be the meter's: its own if it has
// one, all that are not another meter's if not.
func keysFor(ring []key, meter systemTitle) []key {
	var own, others []key
	for _, k := range ring {
		switch {
		case k.name == meter.String() || meter.hasNumber(k.name):
			own = append(own, k)
		case !isTitle(k.name):
			others = append(others, k)
		}
	}
	if len(own) > 0 {
		return own
	}
	return others
}

// isTitle reports whether name is a system title, of whichever meter.
func isTitle(name string) bool {
	title, err := hex.DecodeString(name)
	return err == nil && len(title) == titleSize && isMaker(title[:3])
}
