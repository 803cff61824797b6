package access

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestJWTOptions(t *testing.T) {
	secret := keyFile(t, "secret", hmacSecret)
	public := keyFile(t, "public.pem", tokenPEM(t, tokenRSA()))
	private, err := x509.MarshalPKCS8PrivateKey(tokenEC())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		o    JWTOptions
		want string // a part of the error
	}{
		{"no keys", JWTOptions{}, "one place"},
		{"two places", JWTOptions{SecretFile: secret, KeyFiles: []string{public}}, "one place"},
		{"none", JWTOptions{KeyFiles: []string{public}, Algorithms: []string{"none"}}, `"none"`},
		{"HS256 with a public key", JWTOptions{KeyFiles: []string{public}, Algorithms: []string{"RS256", "HS256"}}, `"HS256"`},
		{"RS256 with a secret", JWTOptions{SecretFile: secret, Algorithms: []string{"HS256", "RS256"}}, `"RS256"`},
		{"HS256 with a URL", JWTOptions{JWKSURL: "https://issuer/keys", Algorithms: []string{"HS256"}}, `"HS256"`},
		{"no key for it", JWTOptions{KeyFiles: []string{public}, Algorithms: []string{"ES256"}}, "none is for"},
		{"no file", JWTOptions{SecretFile: secret + "x"}, "no such file"},
		{"short secret", JWTOptions{SecretFile: keyFile(t, "s", []byte("0123456789abcdef0123456789abcde\n"))}, "31 bytes"},
		{"public key as a secret", JWTOptions{SecretFile: public}, "PEM"},
		{"large file", JWTOptions{SecretFile: keyFile(t, "s", make([]byte, maxKeyFile+1))}, "larger than"},
		{"private key", JWTOptions{KeyFiles: []string{keyFile(t, "k", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))}}, "no public key"},
		{"no PEM", JWTOptions{KeyFiles: []string{secret}}, "no public key"},
		{"damaged PEM", JWTOptions{KeyFiles: []string{keyFile(t, "k", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))}}, "asn1"},
		{"weak RSA key", JWTOptions{KeyFiles: []string{keyFile(t, "k", tokenPEM(t, newTokenRSA(1024)))}}, "1024 bits"},
		{"another curve", JWTOptions{KeyFiles: []string{keyFile(t, "k", tokenPEM(t, newTokenEC(elliptic.P384())))}}, "P-384"},
		{"empty set", JWTOptions{JWKSFile: keyFile(t, "k", []byte(`{"keys":[]}`))}, "empty"},
		{"no set", JWTOptions{JWKSFile: public}, "no JSON Web Key Set"},
		{"weak RSA key in a set", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: newTokenRSA(1024).Public()}))}, "1024 bits"},
		{"another curve in a set", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: newTokenEC(elliptic.P384()).Public()}))}, "P-384"},
		{"RSA key with the exponent 1", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: &rsa.PublicKey{N: tokenRSA().N, E: 1}}))}, "exponent 1"},
		{"large RSA key", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: &rsa.PublicKey{N: new(big.Int).Lsh(tokenRSA().N, 8192), E: 65537}}))}, "bits"},
		{"many keys", JWTOptions{JWKSFile: keyFile(t, "k", manyKeys(t, maxKeys+1))}, "65 keys"},
		{"many keys in PEM", JWTOptions{KeyFiles: []string{keyFile(t, "k", bytes.Repeat(tokenPEM(t, tokenEC()), maxKeys+1))}}, "64 keys"},
		{"key agreement", JWTOptions{KeyFiles: []string{keyFile(t, "k", tokenX25519(t))}}, "type *ecdh.PublicKey"},
		{"two bad files", JWTOptions{KeyFiles: []string{secret, secret + "x"}}, "no public key"},
		{"secret in a set", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: hmacSecret}))}, "not public"},
		{"private key in a set", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: tokenEC()}))}, "not public"},
		{"key for encryption", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: tokenEC().Public(), Use: "enc"}))}, `"enc"`},
		{"key for another algorithm", JWTOptions{JWKSFile: keyFile(t, "k", keySet(t, jose.JSONWebKey{Key: tokenRSA().Public(), Algorithm: "RSA-OAEP"}))}, "RSA-OAEP"},
		{"leeway", JWTOptions{SecretFile: secret, Leeway: time.Hour}, "leeway"},
		{"negative leeway", JWTOptions{SecretFile: secret, Leeway: -1}, "leeway"},
		{"plain URL", JWTOptions{JWKSURL: "http://192.0.2.1/keys"}, "https"},
		{"plain URL by name", JWTOptions{JWKSURL: "http://localhost.example.com/keys"}, "https"},
		{"file URL", JWTOptions{JWKSURL: "file:///etc/passwd"}, "https"},
		{"URL with a password", JWTOptions{JWKSURL: "https://a:b@issuer/keys"}, "https"},
		{"no URL", JWTOptions{JWKSURL: "keys"}, "https"},
		{"refresh", JWTOptions{JWKSURL: "https://issuer/keys", JWKSRefresh: time.Second}, "1m0s"},
		{"no authority", JWTOptions{JWKSURL: "https://issuer/keys", JWKSCA: secret}, "no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, err := NewJWT(tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, %v; want an error with %q in one line", j, err, tt.want)
			}
		})
	}
	for _, url := range []string{"https://issuer.example.com/keys", "http://localhost:8080/keys", "http://127.0.0.1/keys", "http://[::1]:1/keys"} {
		if _, err := NewJWT(JWTOptions{JWKSURL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// tokenX25519 is a public key that signs nothing.
func tokenX25519(t *testing.T) []byte {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
