package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Keys of the tests.
var (
	hmacSecret = []byte("0123456789abcdef0123456789abcdef")
	tokenRSA   = sync.OnceValue(func() *rsa.PrivateKey { return newTokenRSA(2048) })
	tokenEC    = sync.OnceValue(func() *ecdsa.PrivateKey { return newTokenEC(elliptic.P256()) })
	tokenEd    = sync.OnceValue(func() ed25519.PrivateKey { _, k, _ := ed25519.GenerateKey(rand.Reader); return k })
)

func newTokenRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func newTokenEC(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// payload is claims of a test.
type payload map[string]any

// with returns a copy with other claims; nil takes one away.
func (p payload) with(change payload) payload {
	c := maps.Clone(p)
	for name, v := range change {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

// good is claims that are taken.
func good() payload {
	return payload{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
}

// signedToken signs claims, given as a value or as JSON.
func signedToken(t testing.TB, a jose.SignatureAlgorithm, key any, claims any, header map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for name, v := range header {
		o.WithHeader(jose.HeaderKey(name), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: a, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := claims.(string)
	if !ok {
		b, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	signed, err := signer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyFile writes a file of a test and returns its name.
func keyFile(t testing.TB, name string, text []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// tokenPEM is the public key of a private one.
func tokenPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// keySet is a JSON Web Key Set.
func keySet(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newJWT makes a verifier for HS256, unless o says otherwise.
func newJWT(t testing.TB, o JWTOptions) *JWT {
	t.Helper()
	if o.SecretFile == "" && o.KeyFiles == nil && o.JWKSFile == "" && o.JWKSURL == "" {
		o.SecretFile = keyFile(t, "secret", hmacSecret)
	}
	j, err := NewJWT(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// hs256 signs claims with the secret of newJWT.
func hs256(t testing.TB, claims any) string {
	return signedToken(t, jose.HS256, hmacSecret, claims, nil)
}

func TestJWTAlgorithms(t *testing.T) {
	pems := []string{
		keyFile(t, "rsa.pem", tokenPEM(t, tokenRSA())),
		keyFile(t, "ec.pem", tokenPEM(t, tokenEC())),
		keyFile(t, "ed.pem", tokenPEM(t, tokenEd())),
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, tokenEC().Public(), tokenEC())
	if err != nil {
		t.Fatal(err)
	}
	certificate := keyFile(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	pkcs1 := keyFile(t, "pkcs1.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&tokenRSA().PublicKey)}))
	set := keyFile(t, "keys.json", keySet(t,
		jose.JSONWebKey{Key: tokenRSA().Public(), KeyID: "r", Use: "sig", Algorithm: "RS256"},
		jose.JSONWebKey{Key: tokenEC().Public(), KeyID: "e", Use: "sig"},
		jose.JSONWebKey{Key: tokenEd().Public(), KeyID: "d"}))
	for _, tt := range []struct {
		name string
		o    JWTOptions
		alg  jose.SignatureAlgorithm
		key  any
		ok   bool
	}{
		{"HS256", JWTOptions{SecretFile: keyFile(t, "s", append(hmacSecret, "\r\n"...))}, jose.HS256, hmacSecret, true},
		{"RS256", JWTOptions{KeyFiles: pems}, jose.RS256, tokenRSA(), true},
		{"ES256", JWTOptions{KeyFiles: pems}, jose.ES256, tokenEC(), true},
		{"EdDSA", JWTOptions{KeyFiles: pems}, jose.EdDSA, tokenEd(), true},
		{"RS256 of a set", JWTOptions{JWKSFile: set}, jose.RS256, jose.JSONWebKey{Key: tokenRSA(), KeyID: "r"}, true},
		{"ES256 of a set", JWTOptions{JWKSFile: set}, jose.ES256, jose.JSONWebKey{Key: tokenEC(), KeyID: "e"}, true},
		{"EdDSA of a set", JWTOptions{JWKSFile: set}, jose.EdDSA, jose.JSONWebKey{Key: tokenEd(), KeyID: "d"}, true},
		{"ES256 of a certificate", JWTOptions{KeyFiles: []string{certificate}}, jose.ES256, tokenEC(), true},
		{"RS256 of PKCS #1", JWTOptions{KeyFiles: []string{pkcs1}}, jose.RS256, tokenRSA(), true},
		{"without a key id", JWTOptions{JWKSFile: set}, jose.EdDSA, tokenEd(), true},
		{"with another key's id", JWTOptions{JWKSFile: set}, jose.EdDSA, jose.JSONWebKey{Key: tokenEd(), KeyID: "e"}, false},
		{"with an id that the PEM file does not know", JWTOptions{KeyFiles: pems}, jose.EdDSA, jose.JSONWebKey{Key: tokenEd(), KeyID: "x"}, true},
		{"RS256 allowed", JWTOptions{KeyFiles: pems, Algorithms: []string{"RS256"}}, jose.RS256, tokenRSA(), true},
		{"ES256 not allowed", JWTOptions{KeyFiles: pems, Algorithms: []string{"RS256"}}, jose.ES256, tokenEC(), false},
		{"RS384", JWTOptions{KeyFiles: pems}, jose.RS384, tokenRSA(), false},
		{"PS256", JWTOptions{KeyFiles: pems}, jose.PS256, tokenRSA(), false},
		{"HS512", JWTOptions{SecretFile: keyFile(t, "s", append(hmacSecret, hmacSecret...))}, jose.HS512, append(hmacSecret, hmacSecret...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := newJWT(t, tt.o).Verify(t.Context(), signedToken(t, tt.alg, tt.key, good(), nil), &Login{ClientID: "lamp"})
			if !tt.ok {
				if !errors.Is(err, ErrBadLogin) {
					t.Fatalf("got %+v, %v; want ErrBadLogin", id, err)
				}
				return
			}
			if err != nil || id.User != "ann" || id.ClientID != "lamp" {
				t.Fatalf("got %+v, %v", id, err)
			}
		})
	}
}

func TestJWTRunsUntilTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	j := newJWT(t, JWTOptions{})
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The example of RFC 7515, Appendix A.1, which other implementations made.
func TestJWTOfRFC7515(t *testing.T) {
	const vector = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." +
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ." +
		"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	secret, err := base64.RawURLEncoding.DecodeString("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		j := newJWT(t, JWTOptions{SecretFile: keyFile(t, "secret", secret), UserClaim: "iss"})
		id, err := j.Verify(t.Context(), vector, &Login{})
		if want := time.Unix(1300819380, 0); err != nil || id.User != "joe" || !id.Expires.Equal(want) {
			t.Fatalf("got %+v, %v", id, err)
		}
		time.Sleep(time.Until(time.Unix(1300819380, 0)))
		if id, err := j.Verify(t.Context(), vector, &Login{}); !errors.Is(err, ErrBadLogin) {
			t.Fatalf("after its end: got %+v, %v", id, err)
		}
	})
}

func TestLooksLikeJWT(t *testing.T) {
	real := hs256(t, good())
	for _, tt := range []struct {
		password string
		want     bool
	}{
		{real, true},
		{real[:len(real)-1], true}, // a broken one is no password
		{real[:strings.LastIndex(real, ".")+1], true}, // nor is one without a signature
		{"", false},
		{"a.b.c", false},
		{"correct.horse.battery", false},
		{"..", false},
		{real + ".x", false},
		{real + "\n", false},
		{" " + real, false},
		{strings.Replace(real, ".", "", 1), false},
		{base64.RawURLEncoding.EncodeToString([]byte(`"x"`)) + ".e30.x", false},
	} {
		if got := looksLikeJWT([]byte(tt.password)); got != tt.want {
			t.Errorf("%q: got %v", tt.password, got)
		}
	}
}

func TestJWTIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, tt := range []struct {
			name   string
			o      JWTOptions
			claims payload // beside those of good
			login  Login
			want   Identity
		}{
			{name: "all there is",
				o: JWTOptions{Issuer: "https://issuer", Audience: "lintel", Leeway: time.Minute, RolesClaim: "roles", ACLClaim: "acl"},
				claims: payload{"iss": "https://issuer", "aud": "lintel", "roles": []string{"viewer", "device"}, "clientid": "lamp",
					"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Unix() + 60,
					"acl": []payload{{"permission": "allow", "action": "all", "topic": "${username}/#"}}},
				login: Login{ClientID: "lamp", HasUserName: true, UserName: "ann"},
				want: Identity{User: "ann", ClientID: "lamp", Roles: []string{"viewer", "device"}, Expires: now.Add(2 * time.Minute),
					Rules: []Rule{{Actions: []Action{Publish, Subscribe}, Topics: []string{"%u/#"}, Place: "token:1"}}}},
			{name: "roles and rules that nobody asked for",
				claims: payload{"roles": []string{"admin"}, "acl": payload{"all": []string{"#"}}, "groups": 1},
				want:   Identity{User: "ann", Expires: now.Add(time.Hour)}},
			{name: "audience in a list", o: JWTOptions{Audience: "lintel"}, claims: payload{"aud": []string{"x", "lintel"}},
				want: Identity{User: "ann", Expires: now.Add(time.Hour)}},
			{name: "roles in a string", o: JWTOptions{RolesClaim: "scope"}, claims: payload{"scope": "viewer  device"},
				want: Identity{User: "ann", Roles: []string{"viewer", "device"}, Expires: now.Add(time.Hour)}},
			{name: "role with a space in a list", o: JWTOptions{RolesClaim: "roles"}, claims: payload{"roles": []string{"not admin"}},
				want: Identity{User: "ann", Roles: []string{"not admin"}, Expires: now.Add(time.Hour)}},
			{name: "another claim", o: JWTOptions{UserClaim: "preferred_username"}, claims: payload{"preferred_username": "bob"}, login: Login{UserName: "bob"},
				want: Identity{User: "bob", Expires: now.Add(time.Hour)}},
			{name: "any user name", o: JWTOptions{AnyUserName: true}, login: Login{UserName: "jwt"},
				want: Identity{User: "ann", Expires: now.Add(time.Hour)}},
			{name: "end with a fraction", claims: payload{"exp": float64(now.Unix()) + 1.5},
				want: Identity{User: "ann", Expires: now.Add(1500 * time.Millisecond)}},
			{name: "no end", o: JWTOptions{NoExpiry: true}, claims: payload{"exp": nil}, want: Identity{User: "ann"}},
			{name: "the application of OAuth", claims: payload{"client_id": "app"}, login: Login{ClientID: "lamp"},
				want: Identity{User: "ann", ClientID: "lamp", Expires: now.Add(time.Hour)}},
			{name: "no client id is looked for", o: JWTOptions{ClientIDClaims: []string{}}, claims: payload{"clientid": "app"}, login: Login{ClientID: "lamp"},
				want: Identity{User: "ann", ClientID: "lamp", Expires: now.Add(time.Hour)}},
			{name: "wildcards in a name", claims: payload{"sub": "joe+iot@example.com/#"},
				want: Identity{User: "joe+iot@example.com/#", Expires: now.Add(time.Hour)}},
		} {
			id, err := newJWT(t, tt.o).Verify(t.Context(), hs256(t, good().with(tt.claims)), &tt.login)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			if !id.Expires.Equal(tt.want.Expires) {
				t.Errorf("%s: expires %v, want %v", tt.name, id.Expires, tt.want.Expires)
			}
			id.Expires, tt.want.Expires = time.Time{}, time.Time{}
			if !reflect.DeepEqual(*id, tt.want) {
				t.Errorf("%s: got\n%+v, want\n%+v", tt.name, *id, tt.want)
			}
		}
	})
}

// A box that does not know the time does not know which tokens are good, but it knows
// which are not.
func TestJWTBeforeTheClockIsKnown(t *testing.T) {
	known := false
	o := JWTOptions{ClockKnown: func() bool { return known }, NoExpiry: true}
	j := newJWT(t, o)
	late := good().with(payload{"exp": 1})
	for _, claims := range []payload{good(), late, good().with(payload{"exp": nil, "iat": 1}), good().with(payload{"exp": nil, "nbf": 1})} {
		if id, err := j.Verify(t.Context(), hs256(t, claims), &Login{}); err == nil || errors.Is(err, ErrBadLogin) {
			t.Errorf("%v: got %v, %v; want doubt", claims, id, err)
		}
	}
	if id, err := j.Verify(t.Context(), hs256(t, good().with(payload{"exp": nil})), &Login{}); err != nil {
		t.Errorf("without a time: got %v, %v", id, err)
	}
	forged := signedToken(t, jose.HS256, []byte(strings.Repeat("x", 32)), good(), nil)
	for _, bad := range []string{forged, hs256(t, good().with(payload{"sub": ""}))} {
		if id, err := j.Verify(t.Context(), bad, &Login{}); !errors.Is(err, ErrBadLogin) {
			t.Errorf("%s: got %v, %v", bad, id, err)
		}
	}
	known = true
	if id, err := j.Verify(t.Context(), hs256(t, good()), &Login{}); err != nil {
		t.Errorf("got %v, %v", id, err)
	}
	if id, err := j.Verify(t.Context(), hs256(t, late), &Login{}); !errors.Is(err, ErrBadLogin) {
		t.Errorf("got %v, %v", id, err)
	}
}
