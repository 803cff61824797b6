package access

import (
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// rawToken puts a token together without a library.
func rawToken(header, claims string, sign func(signed []byte) []byte) string {
	e := base64.RawURLEncoding.EncodeToString
	s := e([]byte(header)) + "." + e([]byte(claims))
	return s + "." + e(sign([]byte(s)))
}

func unsigned([]byte) []byte { return nil }

func hmacWith(key []byte) func([]byte) []byte {
	return func(signed []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write(signed)
		return mac.Sum(nil)
	}
}

// Tokens that somebody made to get in. Each is next to one that is taken.
func TestJWTAttacks(t *testing.T) {
	// Where an attacker would like keys to be read from.
	var asked atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer evil.Close()

	public := tokenPEM(t, tokenRSA())
	p384 := newTokenEC(elliptic.P384())
	byFile := newJWT(t, JWTOptions{KeyFiles: []string{keyFile(t, "rsa.pem", public), keyFile(t, "ec.pem", tokenPEM(t, tokenEC())), keyFile(t, "ed.pem", tokenPEM(t, tokenEd()))}})
	bySet := newJWT(t, JWTOptions{JWKSFile: keyFile(t, "keys.json", keySet(t,
		jose.JSONWebKey{Key: tokenRSA().Public(), KeyID: "r"},
		jose.JSONWebKey{Key: tokenEC().Public(), KeyID: "e"},
		jose.JSONWebKey{Key: p384.Public(), KeyID: "p384"},
		jose.JSONWebKey{Key: hmacSecret, KeyID: "oct"}))})
	bySecret := newJWT(t, JWTOptions{})
	claims, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	attacker := newTokenEC(elliptic.P256())
	jwk := func(key any) string {
		b, err := jose.JSONWebKey{Key: key, KeyID: "e"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	sign := func(key any, a jose.SignatureAlgorithm) func([]byte) []byte {
		return func(signed []byte) []byte { // what a JWS signs is its first two parts, whatever is in them
			head, body, _ := strings.Cut(string(signed), ".")
			h, _ := base64.RawURLEncoding.DecodeString(head)
			b, _ := base64.RawURLEncoding.DecodeString(body)
			var extra map[string]any
			json.Unmarshal(h, &extra)
			delete(extra, "alg")
			s := signedToken(t, a, key, string(b), extra)
			// The library orders the header by name, as these tests do.
			if !strings.HasPrefix(s, string(signed)+".") {
				t.Fatalf("header %s is not signed", h)
			}
			sig, _ := base64.RawURLEncoding.DecodeString(s[strings.LastIndex(s, ".")+1:])
			return sig
		}
	}
	ours := sign(tokenEC(), jose.ES256)
	text := string(claims)
	for name, tt := range map[string]struct {
		j      *JWT
		attack string
		honest string
	}{
		"alg none":                      {byFile, rawToken(`{"alg":"none"}`, text, unsigned), rawToken(`{"alg":"ES256"}`, text, ours)},
		"alg None":                      {byFile, rawToken(`{"alg":"None"}`, text, unsigned), ""},
		"alg nOnE":                      {byFile, rawToken(`{"alg":"nOnE"}`, text, unsigned), ""},
		"alg NONE, a secret":            {bySecret, rawToken(`{"alg":"NONE"}`, text, unsigned), hs256(t, text)},
		"alg none, signed":              {bySecret, rawToken(`{"alg":"none"}`, text, hmacWith(hmacSecret)), ""},
		"no alg":                        {bySecret, rawToken(`{}`, text, hmacWith(hmacSecret)), ""},
		"alg not a string":              {bySecret, rawToken(`{"alg":["HS256"]}`, text, hmacWith(hmacSecret)), ""},
		"alg twice":                     {bySecret, rawToken(`{"alg":"HS256","alg":"HS256"}`, text, hmacWith(hmacSecret)), rawToken(`{"alg":"HS256"}`, text, hmacWith(hmacSecret))},
		"alg hs256":                     {bySecret, rawToken(`{"alg":"hs256"}`, text, hmacWith(hmacSecret)), ""},
		"no signature":                  {bySecret, rawToken(`{"alg":"HS256"}`, text, unsigned), ""},
		"another secret":                {bySecret, rawToken(`{"alg":"HS256"}`, text, hmacWith([]byte(strings.Repeat("x", 32)))), ""},
		"empty secret":                  {bySecret, rawToken(`{"alg":"HS256"}`, text, hmacWith(nil)), ""},
		"public key as secret, PEM":     {byFile, rawToken(`{"alg":"HS256"}`, text, hmacWith(public)), ""},
		"public key as secret, trimmed": {byFile, rawToken(`{"alg":"HS256"}`, text, hmacWith([]byte(strings.TrimSpace(string(public))))), ""},
		"public key as secret, modulus": {bySet, rawToken(`{"alg":"HS256","kid":"r"}`, text, hmacWith(tokenRSA().N.Bytes())), ""},
		"secret key of a public set":    {bySet, rawToken(`{"alg":"HS256","kid":"oct"}`, text, hmacWith(hmacSecret)), ""},
		"P-384 in the set":              {bySet, signedToken(t, jose.ES384, jose.JSONWebKey{Key: p384, KeyID: "p384"}, text, nil), signedToken(t, jose.ES256, jose.JSONWebKey{Key: tokenEC(), KeyID: "e"}, text, nil)},
		"key id of a file":              {bySet, signedToken(t, jose.ES256, jose.JSONWebKey{Key: attacker, KeyID: "../../../dev/null"}, text, nil), ""},
		"key id of a device":            {bySecret, rawToken(`{"alg":"HS256","kid":"/dev/null"}`, text, hmacWith(nil)), rawToken(`{"alg":"HS256","kid":"/dev/null"}`, text, hmacWith(hmacSecret))},
		"key id with SQL":               {bySet, signedToken(t, jose.ES256, jose.JSONWebKey{Key: attacker, KeyID: "x' UNION SELECT 'key"}, text, nil), ""},
		"key id not a string":           {bySet, rawToken(`{"alg":"ES256","kid":{"a":1}}`, text, ours), rawToken(`{"alg":"ES256","kid":"e"}`, text, ours)},
		"key id of another":             {bySet, rawToken(`{"alg":"ES256","kid":"r"}`, text, ours), ""},
		"own key in it":                 {bySet, rawToken(`{"alg":"ES256","jwk":`+sortedJSON(t, jwk(attacker.Public()))+`}`, text, sign(attacker, jose.ES256)), rawToken(`{"alg":"ES256","jwk":`+sortedJSON(t, jwk(attacker.Public()))+`}`, text, ours)},
		"own secret in it":              {bySet, rawToken(`{"alg":"HS256","jwk":`+jwk(hmacSecret)+`}`, text, hmacWith(hmacSecret)), ""},
		"own keys by jku":               {bySet, rawToken(`{"alg":"ES256","jku":"`+evil.URL+`"}`, text, sign(attacker, jose.ES256)), rawToken(`{"alg":"ES256","jku":"`+evil.URL+`"}`, text, ours)},
		"own keys by x5u":               {bySet, rawToken(`{"alg":"ES256","x5u":"`+evil.URL+`"}`, text, sign(attacker, jose.ES256)), rawToken(`{"alg":"ES256","x5u":"`+evil.URL+`"}`, text, ours)},
		"critical header":               {byFile, rawToken(`{"alg":"ES256","crit":["exp"],"exp":1}`, text, ours), ""},
		"critical b64":                  {bySecret, rawToken(`{"alg":"HS256","b64":true,"crit":["b64"]}`, text, hmacWith(hmacSecret)), ""},
		"critical, empty":               {bySecret, rawToken(`{"alg":"HS256","crit":[]}`, text, hmacWith(hmacSecret)), ""},
		"b64 without crit":              {bySecret, rawToken(`{"alg":"HS256","b64":true}`, text, hmacWith(hmacSecret)), ""},
		"logout token":                  {bySecret, rawToken(`{"alg":"HS256","typ":"logout+jwt"}`, text, hmacWith(hmacSecret)), rawToken(`{"alg":"HS256","typ":"at+jwt"}`, text, hmacWith(hmacSecret))},
		"type not a string":             {bySecret, rawToken(`{"alg":"HS256","typ":7}`, text, hmacWith(hmacSecret)), rawToken(`{"alg":"HS256","typ":"jwt"}`, text, hmacWith(hmacSecret))},
		"header not JSON":               {bySecret, rawToken(`{"alg":"HS256"`, text, hmacWith(hmacSecret)), ""},
		"header a list":                 {bySecret, rawToken(`["HS256"]`, text, hmacWith(hmacSecret)), ""},
		"huge header":                   {bySecret, rawToken(`{"alg":"HS256","x":"`+strings.Repeat("a", maxToken)+`"}`, text, hmacWith(hmacSecret)), rawToken(`{"alg":"HS256","x":"`+strings.Repeat("a", maxToken/2)+`"}`, text, hmacWith(hmacSecret))},
		"deep header":                   {bySecret, rawToken(`{"alg":"HS256","x":`+strings.Repeat("[", 2500)+`}`, text, hmacWith(hmacSecret)), ""},
		"token in a token":              {bySecret, rawToken(`{"alg":"HS256","cty":"JWT"}`, hs256(t, text), hmacWith(hmacSecret)), ""},
		"truncated":                     {bySecret, hs256(t, text)[:len(hs256(t, text))-2], hs256(t, text)},
		"signature cut off":             {bySecret, hs256(t, text)[:len(hs256(t, text))-3], ""},
		"four parts":                    {bySecret, hs256(t, text) + ".x", ""},
		"two parts":                     {bySecret, "e30.e30", ""},
		"JSON serialisation":            {bySecret, jsonToken(t, hs256(t, text)), ""},
		"line end in it":                {bySecret, strings.Replace(hs256(t, text), ".", ".\n", 1), ""},
		"padded":                        {bySecret, hs256(t, text) + "=", ""},
		"payload exchanged":             {bySecret, exchangedClaims(hs256(t, text), strings.Replace(text, "ann", "bob", 1)), ""},
		"signature of zeros":            {byFile, rawToken(`{"alg":"ES256"}`, text, func([]byte) []byte { return make([]byte, 64) }), ""}, // CVE-2022-21449
		"signature as DER":              {byFile, rawToken(`{"alg":"ES256"}`, text, func([]byte) []byte { return []byte("0\x06\x02\x01\x01\x02\x01\x01") }), ""},
		"encrypted":                     {bySecret, encryptedToken(t, hs256(t, text)), ""},
		"encrypted, to the public key":  {byFile, encryptedToken(t, rawToken(`{"alg":"none"}`, text, unsigned)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := tt.j.Verify(t.Context(), tt.attack, &Login{}); !errors.Is(err, ErrBadLogin) {
				t.Errorf("got %+v, %v; want ErrBadLogin", id, err)
			} else if strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 600 {
				t.Errorf("the log would have %q", err)
			}
			if tt.honest == "" {
				return
			}
			if _, err := tt.j.Verify(t.Context(), tt.honest, &Login{}); err != nil {
				t.Errorf("the honest one: %v", err)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker was asked for keys %d times", n)
	}
}

// sortedJSON orders the names of a JSON object.
func sortedJSON(t *testing.T, text string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func jsonToken(t *testing.T, token string) string {
	t.Helper()
	s, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	return s.FullSerialize()
}

func exchangedClaims(token, claims string) string {
	parts := strings.Split(token, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(claims))
	return strings.Join(parts, ".")
}

func encryptedToken(t *testing.T, token string) string {
	t.Helper()
	e, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: tokenRSA().Public()}, (&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.Encrypt([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	s, err := o.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Claims with a good signature that must not let in.
func TestJWTClaimsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		at := func(offset int64) string { return fmt.Sprint(now + offset) }
		o := JWTOptions{Issuer: "https://issuer", Audience: "lintel", Leeway: 10 * time.Second, RolesClaim: "roles"}
		j := newJWT(t, o)
		claims := func(change map[string]string) string { // JSON by name; empty takes one away
			c := map[string]json.RawMessage{
				"iss": json.RawMessage(`"https://issuer"`), "aud": json.RawMessage(`"lintel"`), "sub": json.RawMessage(`"ann"`),
				"exp": json.RawMessage(at(3600)),
			}
			for name, v := range change {
				if c[name] = json.RawMessage(v); v == "" {
					delete(c, name)
				}
			}
			b, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		type change = map[string]string
		for name, tt := range map[string]struct {
			claims string
			login  Login
			honest bool
		}{
			"honest":                  {claims: claims(nil), honest: true},
			"ended":                   {claims: claims(change{"exp": at(-10)})},
			"ends in the leeway":      {claims: claims(change{"exp": at(-9)}), honest: true},
			"ended long ago":          {claims: claims(change{"exp": "0"})},
			"no end":                  {claims: claims(change{"exp": ""})},
			"end null":                {claims: claims(change{"exp": "null"})},
			"end a string":            {claims: claims(change{"exp": `"` + at(3600) + `"`})},
			"end true":                {claims: claims(change{"exp": "true"})},
			"end a list":              {claims: claims(change{"exp": "[" + at(3600) + "]"})},
			"end with a fraction":     {claims: claims(change{"exp": at(3600) + ".75"}), honest: true},
			"ended by a fraction":     {claims: claims(change{"exp": at(-11) + ".75"})},
			"end negative":            {claims: claims(change{"exp": "-" + at(3600)})},
			"end huge":                {claims: claims(change{"exp": "1e300"})},
			"end too huge to read":    {claims: claims(change{"exp": "1e999"})},
			"end 2^63":                {claims: claims(change{"exp": "9223372036854775808"})},
			"end in milliseconds":     {claims: claims(change{"exp": "1767225600000"})},
			"end of 9999":             {claims: claims(change{"exp": "253402300799"}), honest: true},
			"begins later":            {claims: claims(change{"nbf": at(11)})},
			"begins in the leeway":    {claims: claims(change{"nbf": at(10)}), honest: true},
			"begin a string":          {claims: claims(change{"nbf": `"0"`})},
			"begin null":              {claims: claims(change{"nbf": "null"})},
			"issued later":            {claims: claims(change{"iat": at(11)})},
			"issued in the leeway":    {claims: claims(change{"iat": at(10)}), honest: true},
			"issued null":             {claims: claims(change{"iat": "null"})},
			"another issuer":          {claims: claims(change{"iss": `"https://issuer.evil"`})},
			"issuer in capitals":      {claims: claims(change{"iss": `"HTTPS://issuer"`})},
			"no issuer":               {claims: claims(change{"iss": ""})},
			"issuers":                 {claims: claims(change{"iss": `["https://issuer"]`})},
			"another audience":        {claims: claims(change{"aud": `"grafana"`})},
			"other audiences":         {claims: claims(change{"aud": `["grafana","lintel2"]`})},
			"one of the audiences":    {claims: claims(change{"aud": `["grafana","lintel"]`}), honest: true},
			"no audience":             {claims: claims(change{"aud": ""})},
			"empty audience":          {claims: claims(change{"aud": `""`})},
			"no audiences":            {claims: claims(change{"aud": `[]`})},
			"audience null":           {claims: claims(change{"aud": `null`})},
			"audiences with null":     {claims: claims(change{"aud": `[null,"lintel"]`})},
			"audiences with numbers":  {claims: claims(change{"aud": `[1,"lintel"]`})},
			"audience an object":      {claims: claims(change{"aud": `{"lintel":"lintel"}`})},
			"empty user":              {claims: claims(change{"sub": `""`})},
			"no user":                 {claims: claims(change{"sub": ""})},
			"user null":               {claims: claims(change{"sub": "null"})},
			"user a number":           {claims: claims(change{"sub": "7"})},
			"users":                   {claims: claims(change{"sub": `["ann"]`})},
			"user with a zero":        {claims: claims(change{"sub": `"ann\u0000"`})},
			"user with a line end":    {claims: claims(change{"sub": `"ann\nbob"`})},
			"user with half a pair":   {claims: claims(change{"sub": `"ann\ud800"`})},
			"user not UTF-8":          {claims: strings.Replace(claims(nil), "ann", "ann\xff", 1)},
			"long user":               {claims: claims(change{"sub": `"` + strings.Repeat("a", maxTokenName+1) + `"`})},
			"longest user":            {claims: claims(change{"sub": `"` + strings.Repeat("a", maxTokenName) + `"`}), honest: true},
			"user with wildcards":     {claims: claims(change{"sub": `"+/#"`}), honest: true},
			"another user":            {claims: claims(nil), login: Login{UserName: "admin"}},
			"the same user":           {claims: claims(nil), login: Login{UserName: "ann"}, honest: true},
			"the user in capitals":    {claims: claims(nil), login: Login{UserName: "ANN"}},
			"another client":          {claims: claims(change{"clientid": `"lamp"`}), login: Login{ClientID: "oven"}},
			"the same client":         {claims: claims(change{"clientid": `"lamp"`}), login: Login{ClientID: "lamp"}, honest: true},
			"no client id":            {claims: claims(change{"clientid": `"lamp"`})},
			"client id empty":         {claims: claims(change{"clientid": `""`})},
			"client id a number":      {claims: claims(change{"clientid": `7`}), login: Login{ClientID: "7"}},
			"client id null":          {claims: claims(change{"clientid": `null`})},
			"roles a number":          {claims: claims(change{"roles": `7`})},
			"roles with a number":     {claims: claims(change{"roles": `["viewer",7]`})},
			"roles with an empty one": {claims: claims(change{"roles": `["viewer",""]`})},
			"as many roles":           {claims: claims(change{"roles": `"` + strings.Repeat("r ", maxTokenRoles) + `"`}), honest: true},
			"too many roles":          {claims: claims(change{"roles": `"` + strings.Repeat("r ", maxTokenRoles+1) + `"`})},
			"user twice":              {claims: strings.Replace(claims(nil), `"sub":`, `"sub":"bob","sub":`, 1)},
			"end twice":               {claims: strings.Replace(claims(nil), `"exp":`, `"exp":9999999999,"exp":`, 1)},
			"user in another case":    {claims: strings.Replace(claims(nil), `"sub"`, `"SUB"`, 1)},
			"null":                    {claims: `null`},
			"empty":                   {claims: ``},
			"list":                    {claims: `[` + claims(nil) + `]`},
			"string":                  {claims: `"ann"`},
			"two objects":             {claims: claims(nil) + claims(nil)},
			"deep":                    {claims: strings.Repeat("[", 5000)},
		} {
			id, err := j.Verify(t.Context(), hs256(t, tt.claims), &tt.login)
			if tt.honest != (err == nil) || err != nil && !errors.Is(err, ErrBadLogin) {
				t.Errorf("%s: got %+v, %v", name, id, err)
			}
			if err != nil && (strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 600) {
				t.Errorf("%s: the log would have %q", name, err)
			}
		}
		// Who has not said who they are is not who a token is for (RFC 7519 §4.1.3).
		for _, audience := range []string{`"lintel"`, `""`, `["",""]`, `[]`} {
			if id, err := newJWT(t, JWTOptions{}).Verify(t.Context(), hs256(t, claims(change{"aud": audience})), &Login{}); !errors.Is(err, ErrBadLogin) {
				t.Errorf("audience %s, and none of ours: got %+v, %v", audience, id, err)
			}
		}
	})
}

// checkTokenIdentity fails if an identity is one that no token may make.
func checkTokenIdentity(t *testing.T, id *Identity) {
	t.Helper()
	if id.User == "" || id.Internal || len(id.Topics) > 0 || !id.Expires.After(time.Now()) || len(id.Rules) > maxTokenRules || len(id.Roles) > maxTokenRoles {
		t.Fatalf("got %+v", id)
	}
	for _, r := range id.Rules {
		if err := r.validate(); err != nil {
			t.Fatalf("rule %+v: %v", r, err)
		}
	}
}

// Whatever is sent as a token: nobody gets in without a signature.
func FuzzJWT(f *testing.F) {
	bySecret := newJWT(f, JWTOptions{RolesClaim: "roles", ACLClaim: "acl"})
	byKey := newJWT(f, JWTOptions{KeyFiles: []string{keyFile(f, "ed.pem", tokenPEM(f, tokenEd()))}})
	claims := `{"sub":"ann","exp":4000000000,"roles":["a"],"acl":{"pub":["a/#"]}}`
	f.Add(hs256(f, claims))
	f.Add(signedToken(f, jose.EdDSA, tokenEd(), claims, map[string]any{"typ": "JWT"}))
	f.Add(rawToken(`{"alg":"none"}`, claims, unsigned))
	f.Add(rawToken(`{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"x5c":["AAAA"]}`, claims, hmacWith([]byte{0, 0, 0})))
	f.Add("e30.e30.e30")
	honest := map[string]bool{ // parts that we signed
		signedPart(hs256(f, claims)): true,
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := bySecret.Verify(t.Context(), text, &Login{})
		if err == nil {
			checkTokenIdentity(t, id)
			if !honest[signedPart(text)] {
				parts := strings.Split(text, ".")
				sum, _ := base64.RawURLEncoding.DecodeString(parts[2])
				if !hmac.Equal(sum, hmacWith(hmacSecret)([]byte(signedPart(text)))) {
					t.Fatalf("%q lets %+v in", text, id)
				}
			}
		} else if !errors.Is(err, ErrBadLogin) {
			t.Fatalf("%q is in doubt: %v", text, err)
		}
		if id, err := byKey.Verify(t.Context(), text, &Login{}); err == nil {
			checkTokenIdentity(t, id)
			// The key differs from run to run: only the seed of this run is signed with it.
			if !strings.HasPrefix(text, signedPart(signedToken(t, jose.EdDSA, tokenEd(), claims, map[string]any{"typ": "JWT"}))) {
				t.Fatalf("%q lets %+v in", text, id)
			}
		}
	})
}

func signedPart(token string) string { return token[:max(0, strings.LastIndex(token, "."))] }

// Whatever an issuer says: what comes of it is in bounds.
func FuzzJWTClaims(f *testing.F) {
	j := newJWT(f, JWTOptions{RolesClaim: "roles", ACLClaim: "acl"})
	for _, s := range []string{
		`{"sub":"ann","exp":4000000000,"iat":1,"nbf":1.5,"roles":["a"],"acl":{"pub":["a/#"],"sub":["${username}"]}}`,
		`{"sub":"ann","exp":4000000000,"roles":"a b","acl":[{"permission":"allow","action":"publish","topic":"t/${clientid}","qos":[0,1],"retain":false}]}`,
		`{"sub":"ann","exp":-1e300,"aud":["a"],"clientid":"c"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := j.Verify(t.Context(), hs256(t, text), &Login{ClientID: "c"}); err == nil {
			checkTokenIdentity(t, id)
		} else if !errors.Is(err, ErrBadLogin) {
			t.Fatalf("%q is in doubt: %v", text, err)
		}
	})
}
