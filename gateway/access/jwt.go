package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// What a token is at most.
const (
	maxToken      = 8 << 10 // bytes, as it is sent
	maxTokenRules = 100
	maxTokenRoles = 32
	maxTokenName  = 256 // bytes of a user or role
	maxLeeway     = 10 * time.Minute
)

// JWTOptions says whose tokens are taken, and what they say. Exactly one of
// SecretFile, KeyFiles, JWKSFile and JWKSURL is set: a key that everybody may know
// and one that nobody may know are never asked about the same token.
type JWTOptions struct {
	// Algorithms that a token may be signed with: HS256 with SecretFile, else any of
	// RS256, ES256 and EdDSA. Empty: those of the keys.
	Algorithms []string

	SecretFile string   // the secret of HS256, 32 bytes or more; a line end behind it does not belong to it
	KeyFiles   []string // PEM: public keys or certificates
	JWKSFile   string   // JSON Web Key Set (RFC 7517)
	JWKSURL    string   // of such a set, by https, or by http from this machine
	JWKSCA     string   // PEM file: the authorities for the certificate of JWKSURL; empty: the system's

	// JWKSRefresh is how often JWKSURL is read, at least a minute; 0: every 10 minutes.
	JWKSRefresh time.Duration

	Issuer   string        // what "iss" must say; empty: anything
	Audience string        // who "aud" must name; empty: the token must be for nobody in particular
	Leeway   time.Duration // by how much the clocks may differ, up to 10 minutes; tokens end that much later

	UserClaim  string // claim that names the user; empty: "sub"
	RolesClaim string // claim that names roles, as a list or in a string with spaces between them; empty: none
	ACLClaim   string // claim with rules as EMQX has them; empty: none

	// ClientIDClaims must equal the Client Identifier, those that the token has; nil:
	// "clientid". In tokens of OAuth 2.0 "client_id" is something else, the
	// application that got it (RFC 9068 §2.2).
	ClientIDClaims []string

	AnyUserName bool // the user name beside the token is ignored; else it is empty or the user's
	NoExpiry    bool // tokens without "exp" are taken, and never end

	ClockKnown func() bool // whether the clock of the box is right; nil: it is
	Logger     *slog.Logger
}

// JWT lets in who shows a JSON Web Token (RFC 7519) as the password. RFC 8725, Best
// Current Practices, is followed: only the algorithms of the keys are taken, each key is for
// one algorithm, and keys and addresses of keys in the token itself are ignored.
//
// Its methods may be called from any goroutine.
type JWT struct {
	o          JWTOptions
	algorithms []jose.SignatureAlgorithm
	keys       keySource
}

// NewJWT reads the files that are named. The keys of a JWKSURL are read by Run.
func NewJWT(o JWTOptions) (*JWT, error) {
	if o.UserClaim == "" {
		o.UserClaim = "sub"
	}
	if o.ClientIDClaims == nil {
		o.ClientIDClaims = []string{"clientid"}
	}
	if o.ClockKnown == nil {
		o.ClockKnown = func() bool { return true }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		return nil, fmt.Errorf("a leeway of %v for tokens: choose one from 0 to %v", o.Leeway, maxLeeway)
	}
	j := &JWT{o: o}
	var err error
	if j.algorithms, err = o.algorithms(); err != nil {
		return nil, err
	}
	if j.keys, err = o.openKeys(j.algorithms); err != nil {
		return nil, err
	}
	return j, nil
}

// algorithms returns those that a token may be signed with.
func (o *JWTOptions) algorithms() ([]jose.SignatureAlgorithm, error) {
	possible := []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
	if o.SecretFile != "" {
		possible = []jose.SignatureAlgorithm{jose.HS256}
	}
	if len(o.Algorithms) == 0 {
		return possible, nil
	}
	var allowed []jose.SignatureAlgorithm
	for _, a := range o.Algorithms {
		if !slices.Contains(possible, jose.SignatureAlgorithm(a)) {
			return nil, fmt.Errorf("algorithm %.20q of tokens: with keys from there it may be %v", a, possible)
		}
		allowed = append(allowed, jose.SignatureAlgorithm(a))
	}
	return allowed, nil
}

// looksLikeJWT reports whether a password can be meant as a token: three parts in
// base64url, the first of them a JSON object. It says nothing about who made it.
func looksLikeJWT(password []byte) bool {
	parts := bytes.SplitN(password, []byte("."), 4)
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		for _, c := range p {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	header, err := base64.RawURLEncoding.AppendDecode(nil, parts[0])
	return err == nil && bytes.HasPrefix(bytes.TrimLeft(header, " \t\r\n"), []byte("{"))
}

// Verify returns who shows a token. An error that is ErrBadLogin says that the token
// is definitely not good; with any other, because keys are not there yet or the clock
// is not right, the question is open.
func (j *JWT) Verify(ctx context.Context, token string, l *Login) (*Identity, error) {
	payload, err := j.open(ctx, token)
	if err != nil {
		return nil, err
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil { // refuses names that come twice (RFC 8725 §2.4)
		return nil, badToken("its claims are not one JSON object")
	}
	return j.identify(c, l)
}

// open returns the payload of a token with a good signature.
func (j *JWT) open(ctx context.Context, token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, badToken("it has %d bytes, more than %d", len(token), maxToken)
	}
	if !looksLikeJWT([]byte(token)) { // the decoder overlooks line ends
		return nil, badToken("it is none")
	}
	signed, err := jose.ParseSignedCompact(token, j.algorithms)
	if other := new(jose.ErrUnexpectedSignatureAlgorithm); errors.As(err, &other) {
		return nil, badToken("algorithm %.20q is not allowed", other.Got)
	}
	if err != nil || len(signed.Signatures) != 1 {
		return nil, badToken("it cannot be read")
	}
	header := signed.Signatures[0].Protected
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	tried := j.keys.keys()
	payload, ok := verify(signed, tried)
	if ok {
		return payload, nil
	}
	// The issuer may have changed its keys.
	keys, err := j.keys.newer(ctx, tried, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if payload, ok := verify(signed, keys); ok {
		return payload, nil
	}
	return nil, badToken("no key of the issuer has signed it")
}

// checkHeader refuses what would change the meaning of a token, and tokens that are
// for something else. What names keys (jku, jwk, x5u, x5c) is ignored: keys do not come
// from whom they are to check.
func checkHeader(h jose.Header) error {
	for _, name := range []jose.HeaderKey{"crit", "b64"} { // nothing critical is known (RFC 7515 §4.1.11), and b64 is not for tokens (RFC 7797 §7)
		if _, ok := h.ExtraHeaders[name]; ok {
			return badToken("its header has %q", name)
		}
	}
	typ, ok := h.ExtraHeaders[jose.HeaderType]
	if !ok {
		return nil
	}
	// RFC 7519 §5.1, RFC 9068 §2.1. Others are of the same issuer and no
	// permission, as that of a logout (RFC 8725 §3.11).
	name, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(name), "application/") {
	case "jwt", "at+jwt":
		return nil
	}
	return badToken("its type is %.40q", fmt.Sprint(typ))
}

// verify returns the payload if one of the keys has signed it.
func verify(signed *jose.JSONWebSignature, keys []tokenKey) ([]byte, bool) {
	header := signed.Signatures[0].Protected
	for _, k := range keys {
		if string(k.algorithm) != header.Algorithm || header.KeyID != "" && k.id != "" && k.id != header.KeyID {
			continue
		}
		if payload, err := signed.Verify(k.key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// Run keeps the keys fresh until ctx ends.
func (j *JWT) Run(ctx context.Context) error {
	j.keys.run(ctx)
	return nil
}

// badToken is the error for a token that is definitely not good.
func badToken(format string, a ...any) error {
	return fmt.Errorf("token refused: %s: %w", fmt.Sprintf(format, a...), ErrBadLogin)
}
