package update

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// maxKeys is how many keys a box may trust: two of its release, the others of its
	// configuration.
	maxKeys = 16
	// maxSignatures is how many signatures a bundle or an index may have.
	maxSignatures = 8
	keyIDSize     = 8
)

// A KeyID names a public key: the first eight bytes of its SHA-256.
type KeyID [keyIDSize]byte

// IDOf returns the name of a public key.
func IDOf(key ed25519.PublicKey) KeyID {
	sum := sha256.Sum256(key)
	return KeyID(sum[:keyIDSize])
}

// String returns the id in hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the id in hexadecimal.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText takes an id in hexadecimal.
func (id *KeyID) UnmarshalText(text []byte) error { return unhex(id[:], text) }

func unhex(to, text []byte) error {
	if hex.DecodedLen(len(text)) != len(to) || len(text)%2 != 0 {
		return fmt.Errorf("want %d hexadecimal digits, not %d", 2*len(to), len(text))
	}
	_, err := hex.Decode(to, text)
	return err
}

// Keys are the public keys that are trusted. A release has two, the current one and the
// next: releases are signed with both, so that a box follows when one is retired.
type Keys []ed25519.PublicKey

// ParseKeys reads public keys in base64 with commas between them. Empty is no key.
func ParseKeys(s string) (Keys, error) {
	var keys Keys
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(part)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("a public key of updates is 32 bytes in base64, which has 44 characters: %.60q is none", part)
		}
		keys = keys.With(Keys{key})
		if len(keys) > maxKeys {
			return nil, fmt.Errorf("more than %d public keys of updates", maxKeys)
		}
	}
	return keys, nil
}

// String returns the keys as ParseKeys reads them.
func (k Keys) String() string {
	parts := make([]string, len(k))
	for i, key := range k {
		parts[i] = base64.StdEncoding.EncodeToString(key)
	}
	return strings.Join(parts, ",")
}

// With returns the keys and those of more that are not among them.
func (k Keys) With(more Keys) Keys {
	both := slices.Clone(k)
	for _, key := range more {
		if !slices.ContainsFunc(both, func(have ed25519.PublicKey) bool { return have.Equal(key) }) {
			both = append(both, key)
		}
	}
	return both
}

// A signature says who signed and how.
type signature struct {
	key   KeyID
	bytes [ed25519.SignatureSize]byte
}

// verify returns who of the trusted signed the message. The prefix keeps what is signed
// as one thing from being taken as another.
func (k Keys) verify(what, prefix string, message []byte, signatures []signature) (KeyID, error) {
	if len(k) == 0 {
		return KeyID{}, refuse(UnknownKey, "This box trusts no key: put the public key of whoever makes its updates into update.keys.")
	}
	signed := append([]byte(prefix), message...)
	var bad *KeyID
	for _, s := range signatures {
		for _, key := range k {
			if IDOf(key) != s.key {
				continue
			}
			if ed25519.Verify(key, signed, s.bytes[:]) {
				return s.key, nil
			}
			bad = &s.key
		}
	}
	if bad != nil {
		return KeyID{}, refuse(BadSignature, "The signature of key %v does not fit %s: the file was damaged or changed on its way. Fetch it again.", *bad, what)
	}
	by := "nobody"
	for i, s := range signatures {
		if i == 0 {
			by = s.key.String()
		} else {
			by += ", " + s.key.String()
		}
	}
	return KeyID{}, refuse(UnknownKey, "The box does not know who signed %s (%s).", what, by)
}

// sign returns the signatures of all signers.
func sign(prefix string, message []byte, signers []ed25519.PrivateKey) ([]signature, error) {
	if len(signers) == 0 || len(signers) > maxSignatures {
		return nil, fmt.Errorf("sign with 1 to %d keys, not %d", maxSignatures, len(signers))
	}
	signed := append([]byte(prefix), message...)
	signatures := make([]signature, len(signers))
	for i, signer := range signers {
		public, ok := signer.Public().(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("a signer is no ed25519 key")
		}
		signatures[i] = signature{key: IDOf(public), bytes: [ed25519.SignatureSize]byte(ed25519.Sign(signer, signed))}
	}
	return signatures, nil
}

func idsOf(signers []ed25519.PrivateKey) []KeyID {
	ids := make([]KeyID, len(signers))
	for i, signer := range signers {
		ids[i] = IDOf(signer.Public().(ed25519.PublicKey))
	}
	return ids
}
