package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// What is read of keys at most.
const (
	maxKeyFile = 256 << 10 // bytes
	maxKeys    = 64
	minSecret  = 32 // bytes: as many as the hash (RFC 7518 §3.2)
	minRSA     = 2048
	maxRSA     = 8192 // bits; a check takes time with their square
)

// tokenKey is a key and the one algorithm that it is for (RFC 8725 §3.1).
type tokenKey struct {
	id        string // empty: it has none
	algorithm jose.SignatureAlgorithm
	key       any // []byte with HS256, else a public key
}

// keySource is where the keys come from: files, which are read once, or a URL.
type keySource interface {
	keys() []tokenKey

	// newer returns the keys as they are now, for a token with this key id and
	// algorithm that none of tried, as keys returned them, has signed; none if there
	// are no others. An error leaves open what they are.
	newer(ctx context.Context, tried []tokenKey, id string, a jose.SignatureAlgorithm) ([]tokenKey, error)

	run(ctx context.Context)
}

// keysOfFiles are keys that stay.
type keysOfFiles []tokenKey

func (k keysOfFiles) keys() []tokenKey { return k }

func (k keysOfFiles) newer(context.Context, []tokenKey, string, jose.SignatureAlgorithm) ([]tokenKey, error) {
	return nil, nil
}

func (k keysOfFiles) run(ctx context.Context) { <-ctx.Done() }

// openKeys returns the keys for the algorithms.
func (o *JWTOptions) openKeys(algorithms []jose.SignatureAlgorithm) (keySource, error) {
	var keys []tokenKey
	var err error
	switch secret, files, set, url := o.SecretFile != "", len(o.KeyFiles) > 0, o.JWKSFile != "", o.JWKSURL != ""; {
	case secret && !files && !set && !url:
		keys, err = readSecret(o.SecretFile)
	case files && !secret && !set && !url:
		for _, name := range o.KeyFiles {
			var more []tokenKey
			if more, err = readPublicKeys(name); err != nil {
				break
			}
			keys = append(keys, more...)
		}
	case set && !secret && !files && !url:
		var text []byte
		if text, err = readFile(o.JWKSFile, maxKeyFile); err == nil {
			if keys, err = parseKeySet(text); err != nil {
				err = fmt.Errorf("%s: %w", o.JWKSFile, err)
			}
		}
	case url && !secret && !files && !set:
		return o.openKeyURL(algorithms)
	default:
		return nil, errors.New("the keys of tokens come from one place: give a secret, key files, a JWKS file or a JWKS URL")
	}
	if err != nil {
		return nil, fmt.Errorf("keys of tokens: %w", err)
	}
	keys = forAlgorithms(keys, algorithms)
	if len(keys) == 0 {
		return nil, fmt.Errorf("keys of tokens: none is for %v", algorithms)
	}
	return keysOfFiles(keys), nil
}

// forAlgorithms drops the keys for others.
func forAlgorithms(keys []tokenKey, algorithms []jose.SignatureAlgorithm) []tokenKey {
	return slices.DeleteFunc(keys, func(k tokenKey) bool { return !slices.Contains(algorithms, k.algorithm) })
}

// readSecret reads the key of HS256.
func readSecret(name string) ([]tokenKey, error) {
	text, err := readFile(name, maxKeyFile)
	if err != nil {
		return nil, err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%s has a secret of %d bytes: take %d or more", name, len(secret), minSecret)
	}
	if block, _ := pem.Decode(text); block != nil { // everybody may know it
		return nil, fmt.Errorf("%s is a PEM file and no secret: give it as a key file", name)
	}
	return []tokenKey{{algorithm: jose.HS256, key: []byte(secret)}}, nil
}

// readPublicKeys reads a PEM file.
func readPublicKeys(name string) ([]tokenKey, error) {
	text, err := readFile(name, maxKeyFile)
	if err != nil {
		return nil, err
	}
	var keys []tokenKey
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		var public any
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = c.PublicKey
			}
		default:
			err = fmt.Errorf("a %.40q is no public key", block.Type)
		}
		var k tokenKey
		if err == nil {
			k, err = publicKey(public)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, fmt.Errorf("%s has more than %d keys", name, maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no public key in PEM", name)
	}
	return keys, nil
}

// publicKey returns a key with its algorithm.
func publicKey(public any) (tokenKey, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < minRSA || n > maxRSA {
			return tokenKey{}, fmt.Errorf("an RSA key of %d bits: take one of %d to %d", n, minRSA, maxRSA)
		}
		if e := public.E; e < 3 || e%2 == 0 || e > 1<<31-1 {
			return tokenKey{}, fmt.Errorf("an RSA key with the exponent %d", e)
		}
		return tokenKey{algorithm: jose.RS256, key: public}, nil
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return tokenKey{}, fmt.Errorf("an ECDSA key on %s: take one on P-256", public.Curve.Params().Name)
		}
		return tokenKey{algorithm: jose.ES256, key: public}, nil
	case ed25519.PublicKey:
		return tokenKey{algorithm: jose.EdDSA, key: public}, nil
	}
	return tokenKey{}, fmt.Errorf("a key of type %T: take one of RSA, ECDSA or Ed25519", public)
}

// parseKeySet reads a JSON Web Key Set. Keys that are for something else are ignored
// (RFC 7517 §5), and so are secret ones: a set is public. It fails if none is left, and
// says why.
func parseKeySet(text []byte) ([]tokenKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is no JSON Web Key Set: %.200s", err.Error())
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []tokenKey
	why := errors.New("it is empty")
	for _, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			why = err
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no key in the JSON Web Key Set can be used: %w", why)
	}
	return keys, nil
}

// parseKey reads a JSON Web Key.
func parseKey(raw []byte) (tokenKey, error) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(raw, &k); err != nil {
		return tokenKey{}, fmt.Errorf("%.200s", err.Error())
	}
	if !k.IsPublic() || !k.Valid() {
		return tokenKey{}, errors.New("a key that is not public")
	}
	public, err := publicKey(k.Key)
	if err != nil {
		return tokenKey{}, err
	}
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(public.algorithm) {
		return tokenKey{}, fmt.Errorf("a key for %.20q and %.20q", k.Use, k.Algorithm)
	}
	public.id = k.KeyID
	return public, nil
}
