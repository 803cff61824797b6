package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/scram"
)

// scramIterations is how often a client hashes for a login. RFC 7677 §4 asks for
// 4,096 at least and names 15,000 as what a computer does in a tenth of a second. It is the client that pays,
// here perhaps a small one: but one that is in a WPA2 network has done 8,192 such
// steps to get there, and it may keep the result, since the salt stays. Checking
// costs the box a few hashes, however many iterations there are.
//
// Who has stolen the credentials tries passwords at that price, which is far below that of
// argon2id. So they are made for those who want SCRAM, not for everybody.
const scramIterations = 15000

// Bounds of credentials and messages.
const (
	minSCRAMIterations = 4096
	maxSCRAMIterations = 1 << 20 // the clients pay
	minSCRAMSalt       = 8
	maxSCRAMSalt       = 64
	scramSalt          = 16
	maxSCRAMMessage    = 2 << 10
)

// NewSCRAM returns the credentials for a password, which is as much as it takes to check
// it and not enough to log in with:
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// This is how PostgreSQL writes them, and RFC 5803 nearly so.
func NewSCRAM(password []byte) (string, error) {
	salt := make([]byte, scramSalt)
	rand.Read(salt)
	// Clients prepare the password with SASLprep and the server has to do it as
	// they do (RFC 5802 §2.2). What it refuses is taken as it is, as PostgreSQL does.
	client, err := scram.SHA256.NewClient("", string(password), "")
	if err != nil {
		client, err = scram.SHA256.NewClientUnprepped("", string(password), "")
	}
	if err != nil {
		return "", fmt.Errorf("scram: %w", err)
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
	if err != nil {
		return "", fmt.Errorf("scram: %w", err)
	}
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", c.Iters, text([]byte(c.Salt)), text(c.StoredKey), text(c.ServerKey)), nil
}

// parseSCRAM reads credentials.
func parseSCRAM(text string) (c scram.StoredCredentials, ok bool) {
	kind, rest, _ := strings.Cut(text, "$")
	factors, keys, _ := strings.Cut(rest, "$")
	iterations, salt, _ := strings.Cut(factors, ":")
	stored, server, _ := strings.Cut(keys, ":")
	n, err := strconv.Atoi(iterations)
	if kind != "SCRAM-SHA-256" || err != nil || n < minSCRAMIterations || n > maxSCRAMIterations {
		return c, false
	}
	var parts [3][]byte
	for i, s := range []string{salt, stored, server} {
		if len(s) > 2*maxSCRAMSalt {
			return c, false
		}
		parts[i], err = base64.StdEncoding.DecodeString(s)
		if err != nil || base64.StdEncoding.EncodeToString(parts[i]) != s { // it overlooks line ends
			return c, false
		}
	}
	if n := len(parts[0]); n < minSCRAMSalt || n > maxSCRAMSalt || len(parts[1]) != sha256.Size || len(parts[2]) != sha256.Size {
		return c, false
	}
	c.Salt, c.Iters, c.StoredKey, c.ServerKey = string(parts[0]), n, parts[1], parts[2]
	return c, true
}

// scramServer is the server of SCRAM-SHA-256 (RFC 5802, RFC 7677), with which a client shows
// that it knows a password without sending it, and the server that it knows the
// client. In MQTT 5.0 it is an authentication method (5.0 §4.12).
//
// Channel binding is not offered. It would have to be with the certificate of the server
// (tls-server-end-point), which every client of TLS checks anyhow, or with the keys of
// the connection (RFC 9266), and then fail behind whatever ends TLS in front of the box; and
// there is no list of methods in MQTT that would tell a client about it.
//
// It does not change and may be used from any goroutine.
type scramServer struct {
	// secret makes up the salts of users who are not there. They stay the same as those
	// of users do, so the secret belongs to the box and outlasts restarts.
	secret [32]byte

	// user returns a user. It is called twice in a login: who was deleted, was disabled or has got
	// another password meanwhile is not let in.
	user func(name string) (User, bool)

	nonce scram.NonceGeneratorFcn // nil: a random one
}

// start begins a login.
func (s *scramServer) start() *scramConversation {
	c := &scramConversation{s: s}
	server, err := scram.SHA256.NewServer(c.credentials)
	if err != nil {
		c.err = fmt.Errorf("scram: %w", err)
		return c
	}
	if s.nonce != nil {
		server.WithNonceGenerator(s.nonce)
	}
	c.server = server.NewConversation()
	return c
}

// scramConversation is one login: two messages of the client, and an answer to each. In
// MQTT the first message comes with CONNECT, the second with AUTH after the first answer, and
// the second answer goes with CONNACK. It belongs to one goroutine.
type scramConversation struct {
	s      *scramServer
	server *scram.ServerConversation
	name   string
	user   User
	real   bool // it is about a user who is there and has credentials
	done   bool
	err    error
}

// Name returns the user name that the client claims; empty until it has named one.
func (c *scramConversation) Name() string { return c.name }

// User returns the user that was let in; ok is false until then.
func (c *scramConversation) User() (user User, ok bool) {
	return c.user, c.done && c.err == nil
}

// Step takes a message of the client and returns the answer. When done is set the user is let
// in, and the answer proves to the client that the server knows it. After an error the
// login has failed for good; it is ErrBadLogin, whether the user is there or not.
func (c *scramConversation) Step(message []byte) (answer []byte, done bool, err error) {
	if c.err == nil && c.done {
		c.err = ErrBadLogin // a message after the last
	}
	if c.err == nil && (len(message) > maxSCRAMMessage || !utf8.Valid(message)) {
		c.err = ErrBadLogin
	}
	if c.err != nil {
		return nil, false, c.err
	}
	text, err := c.server.Step(string(message))
	if err != nil {
		c.err = ErrBadLogin // what it says in detail is for nobody
		return nil, false, c.err
	}
	if !c.server.Done() {
		if id := c.server.AuthzID(); id != "" && id != c.name { // nobody acts for somebody else
			c.err = ErrBadLogin
			return nil, false, c.err
		}
		return []byte(text), false, nil
	}
	now, ok := c.s.user(c.name)
	if !c.real || !c.server.Valid() || !ok || now.Disabled || now.SCRAM != c.user.SCRAM {
		c.err = ErrBadLogin
		return nil, false, c.err
	}
	c.user, c.done = now, true
	return []byte(text), true, nil
}

// credentials returns those of a user. For who is not there, or has none, it makes up some
// that nobody can tell from real ones and that no password fits.
func (c *scramConversation) credentials(name string) (scram.StoredCredentials, error) {
	if name == "" || len(name) > maxTokenName || strings.ContainsRune(name, 0) {
		return scram.StoredCredentials{}, errors.New("no user name")
	}
	c.name = name
	made := c.s.madeUp(name) // always, for it takes time
	user, ok := c.s.user(name)
	if !ok {
		return made, nil
	}
	own, ok := parseSCRAM(user.SCRAM)
	if !ok {
		return made, nil
	}
	c.user, c.real = user, true
	return own, nil
}

// madeUp returns the credentials of nobody.
func (s *scramServer) madeUp(name string) scram.StoredCredentials {
	derive := func(what string) []byte {
		mac := hmac.New(sha256.New, s.secret[:])
		mac.Write([]byte(what + "\x00" + name))
		return mac.Sum(nil)
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(derive("salt")[:scramSalt]), Iters: scramIterations},
		StoredKey:  derive("stored key"),
		ServerKey:  derive("server key"),
	}
}
