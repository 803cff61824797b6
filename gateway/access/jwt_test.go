package access

import (
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
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	ecKey      = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
	edKey      = sync.OnceValue(func() ed25519.PrivateKey { _, k, _ := ed25519.GenerateKey(rand.Reader); return k })
)

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func newEC(c elliptic.Curve) *ecdsa.PrivateKey {
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

// token signs claims, given as a value or as JSON.
func token(t testing.TB, a jose.SignatureAlgorithm, key any, claims any, header map[string]any) string {
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

// file writes a file of a test and returns its name.
func file(t testing.TB, name string, text []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// publicPEM is the public key of a private one.
func publicPEM(t testing.TB, key crypto.Signer) []byte {
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
		o.SecretFile = file(t, "secret", hmacSecret)
	}
	j, err := NewJWT(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// hs256 signs claims with the secret of newJWT.
func hs256(t testing.TB, claims any) string { return token(t, jose.HS256, hmacSecret, claims, nil) }

func TestJWTAlgorithms(t *testing.T) {
	pems := []string{
		file(t, "rsa.pem", publicPEM(t, rsaKey())),
		file(t, "ec.pem", publicPEM(t, ecKey())),
		file(t, "ed.pem", publicPEM(t, edKey())),
	}
	set := file(t, "keys.json", keySet(t,
		jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "r", Use: "sig", Algorithm: "RS256"},
		jose.JSONWebKey{Key: ecKey().Public(), KeyID: "e", Use: "sig"},
		jose.JSONWebKey{Key: edKey().Public(), KeyID: "d"}))
	for _, tt := range []struct {
		name string
		o    JWTOptions
		alg  jose.SignatureAlgorithm
		key  any
		ok   bool
	}{
		{"HS256", JWTOptions{SecretFile: file(t, "s", append(hmacSecret, "\r\n"...))}, jose.HS256, hmacSecret, true},
		{"RS256", JWTOptions{KeyFiles: pems}, jose.RS256, rsaKey(), true},
		{"ES256", JWTOptions{KeyFiles: pems}, jose.ES256, ecKey(), true},
		{"EdDSA", JWTOptions{KeyFiles: pems}, jose.EdDSA, edKey(), true},
		{"RS256 of a set", JWTOptions{JWKSFile: set}, jose.RS256, jose.JSONWebKey{Key: rsaKey(), KeyID: "r"}, true},
		{"ES256 of a set", JWTOptions{JWKSFile: set}, jose.ES256, jose.JSONWebKey{Key: ecKey(), KeyID: "e"}, true},
		{"EdDSA of a set", JWTOptions{JWKSFile: set}, jose.EdDSA, jose.JSONWebKey{Key: edKey(), KeyID: "d"}, true},
		{"without a key id", JWTOptions{JWKSFile: set}, jose.EdDSA, edKey(), true},
		{"with another key's id", JWTOptions{JWKSFile: set}, jose.EdDSA, jose.JSONWebKey{Key: edKey(), KeyID: "e"}, false},
		{"with an id that the PEM file does not know", JWTOptions{KeyFiles: pems}, jose.EdDSA, jose.JSONWebKey{Key: edKey(), KeyID: "x"}, true},
		{"RS256 allowed", JWTOptions{KeyFiles: pems, Algorithms: []string{"RS256"}}, jose.RS256, rsaKey(), true},
		{"ES256 not allowed", JWTOptions{KeyFiles: pems, Algorithms: []string{"RS256"}}, jose.ES256, ecKey(), false},
		{"RS384", JWTOptions{KeyFiles: pems}, jose.RS384, rsaKey(), false},
		{"PS256", JWTOptions{KeyFiles: pems}, jose.PS256, rsaKey(), false},
		{"HS512", JWTOptions{SecretFile: file(t, "s", append(hmacSecret, hmacSecret...))}, jose.HS512, append(hmacSecret, hmacSecret...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := newJWT(t, tt.o).Verify(t.Context(), token(t, tt.alg, tt.key, good(), nil), &Login{ClientID: "lamp"})
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
		j := newJWT(t, JWTOptions{SecretFile: file(t, "secret", secret), UserClaim: "iss"})
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

func TestJWTOptions(t *testing.T) {
	secret := file(t, "secret", hmacSecret)
	public := file(t, "public.pem", publicPEM(t, rsaKey()))
	private, err := x509.MarshalPKCS8PrivateKey(ecKey())
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
		{"short secret", JWTOptions{SecretFile: file(t, "s", []byte("0123456789abcdef0123456789abcde\n"))}, "31 bytes"},
		{"public key as a secret", JWTOptions{SecretFile: public}, "PEM"},
		{"large file", JWTOptions{SecretFile: file(t, "s", make([]byte, maxKeyFile+1))}, "more than"},
		{"private key", JWTOptions{KeyFiles: []string{file(t, "k", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))}}, "no public key"},
		{"no PEM", JWTOptions{KeyFiles: []string{secret}}, "no public key"},
		{"damaged PEM", JWTOptions{KeyFiles: []string{file(t, "k", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))}}, "asn1"},
		{"weak RSA key", JWTOptions{KeyFiles: []string{file(t, "k", publicPEM(t, newRSA(1024)))}}, "1024 bits"},
		{"another curve", JWTOptions{KeyFiles: []string{file(t, "k", publicPEM(t, newEC(elliptic.P384())))}}, "P-384"},
		{"empty set", JWTOptions{JWKSFile: file(t, "k", []byte(`{"keys":[]}`))}, "empty"},
		{"no set", JWTOptions{JWKSFile: public}, "no JSON Web Key Set"},
		{"weak RSA key in a set", JWTOptions{JWKSFile: file(t, "k", keySet(t, jose.JSONWebKey{Key: newRSA(1024).Public()}))}, "1024 bits"},
		{"another curve in a set", JWTOptions{JWKSFile: file(t, "k", keySet(t, jose.JSONWebKey{Key: newEC(elliptic.P384()).Public()}))}, "P-384"},
		{"secret in a set", JWTOptions{JWKSFile: file(t, "k", keySet(t, jose.JSONWebKey{Key: hmacSecret}))}, "not public"},
		{"private key in a set", JWTOptions{JWKSFile: file(t, "k", keySet(t, jose.JSONWebKey{Key: ecKey()}))}, "not public"},
		{"key for encryption", JWTOptions{JWKSFile: file(t, "k", keySet(t, jose.JSONWebKey{Key: ecKey().Public(), Use: "enc"}))}, `"enc"`},
		{"key for another algorithm", JWTOptions{JWKSFile: file(t, "k", keySet(t, jose.JSONWebKey{Key: rsaKey().Public(), Algorithm: "RSA-OAEP"}))}, "RSA-OAEP"},
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
		if got := LooksLikeJWT([]byte(tt.password)); got != tt.want {
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
	forged := token(t, jose.HS256, []byte(strings.Repeat("x", 32)), good(), nil)
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

func TestJWTRules(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		acl  string
		want []Rule // nil: refused
	}{
		{`[]`, []Rule{}},
		{`[{"permission":"allow","action":"publish","topic":"t/${clientid}/%i"}]`,
			[]Rule{{Actions: []Action{Publish}, Topics: []string{"t/%c/%i"}, Place: "token:1"}}},
		{`[{"permission":"deny","action":"publish","topic":"t/2","retain":true,"qos":[0,1]},{"permission":"deny","action":"all","topic":"#"}]`,
			[]Rule{{Deny: true, Actions: []Action{Publish}, Topics: []string{"t/2"}, QoS: []byte{0, 1}, Retain: &yes, Place: "token:1"},
				{Deny: true, Actions: []Action{Publish, Subscribe}, Topics: []string{"#"}, Place: "token:2"}}},
		{`{}`, []Rule{}},
		{`{"pub":["a","b/${username}"],"sub":"c/#","all":[]}`,
			[]Rule{{Actions: []Action{Publish}, Topics: []string{"a", "b/%u"}, Place: "token:pub"},
				{Actions: []Action{Subscribe}, Topics: []string{"c/#"}, Place: "token:sub"}}},
		{acl: `null`}, {acl: `"#"`}, {acl: `7`}, {acl: `[[]]`}, {acl: `[null]`}, {acl: `[{}]`},
		{acl: `[{"action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","topic":"t"}]`},
		{acl: `[{"permission":"allow","action":"publish"}]`},
		{acl: `[{"permission":"Allow","action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","Action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","action":"receive","topic":"t"}]`},
		{acl: `[{"permission":"deny","permission":"allow","action":"publish","topic":"t"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":["t"]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":""}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"a/#/b"}]`},
		{acl: `[{"permission":"allow","action":"subscribe","topic":"$share/g/a"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"a\u0000"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"${cert_common_name}/#"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"${clientid"}]`},
		{acl: `[{"permission":"allow","action":"subscribe","topic":"eq t/#"}]`},
		{acl: `[{"permission":"allow","action":"subscribe","topic":"t","qos":[1]}]`},
		{acl: `[{"permission":"allow","action":"all","topic":"t","retain":false}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","retain":"false"}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","retain":null}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":null}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[3]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[-1]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","qos":[1.5]}]`},
		{acl: `[{"permission":"allow","action":"publish","topic":"t","ipaddr":"192.0.2.0/24"}]`},
		{acl: `{"pub":["a"],"PUB":["b"]}`}, {acl: `{"pub":["a"],"pub":["b"]}`}, {acl: `{"pub":[1]}`}, {acl: `{"pub":["a/#/b"]}`}, {acl: `{"sub":["$share/g/a"]}`},
		{acl: `[` + strings.Repeat(`{"permission":"allow","action":"publish","topic":"t"},`, maxTokenRules) + `{"permission":"allow","action":"publish","topic":"t"}]`},
		{acl: `{"pub":[` + strings.Repeat(`"t",`, maxTokenRules-1) + `"t"],"sub":["t"]}`},
	} {
		claims := `{"sub":"ann","exp":4000000000,"acl":` + tt.acl + `}`
		id, err := newJWT(t, JWTOptions{ACLClaim: "acl"}).Verify(t.Context(), hs256(t, claims), &Login{})
		switch {
		case tt.want == nil && !errors.Is(err, ErrBadLogin):
			t.Errorf("%.200s: got %+v, %v; want it refused", tt.acl, id, err)
		case tt.want != nil && (err != nil || len(id.Rules) != len(tt.want) || len(tt.want) > 0 && !reflect.DeepEqual(id.Rules, tt.want)):
			t.Errorf("%.200s: got %+v, %v; want %+v", tt.acl, id, err, tt.want)
		}
	}
}
