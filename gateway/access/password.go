package access

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The hashes that the box makes itself: argon2id with the parameters that the
// Password Storage Cheat Sheet of OWASP gives for the least memory but one. A
// board of 512 MB has no room for those of RFC 9106 §4.
const (
	ownMemory  = 19 << 10 // KiB
	ownTime    = 2
	ownThreads = 1
	ownSalt    = 16 // bytes
	ownKey     = 32 // bytes
)

// What a hash from elsewhere may ask for. Each of the bounds is some ten times the
// work of an own hash; mosquitto 2.1 asks for 46 MiB and one pass.
const (
	maxMemory     = 64 << 10 // KiB, of argon2id
	maxTime       = 4        // passes, of argon2id
	maxThreads    = 8        // of argon2id
	maxIterations = 500_000  // of PBKDF2, and rounds of crypt(3)
	maxCost       = 12       // of bcrypt
	maxHashText   = 512      // bytes
)

type hashKind byte

const (
	argon2id     hashKind = iota
	saltedSHA512          // $6$SALT$KEY of mosquitto up to 1.6, which is not that of crypt(3)
	pbkdf2SHA512          // $7$ITERATIONS$SALT$KEY of mosquitto 2.0
	bcryptHash            // $2a$, $2b$, $2y$
	cryptSHA256           // $5$SALT$KEY of crypt(3)
	cryptSHA512           // $6$SALT$KEY of crypt(3)
)

// passwordHash is what is stored of a password, read.
type passwordHash struct {
	kind    hashKind
	memory  uint32 // KiB, of argon2id
	time    uint32 // passes of argon2id, iterations of PBKDF2, rounds of crypt(3)
	threads uint8  // of argon2id
	salt    []byte
	key     []byte // of crypt(3) as it is written
	text    string // of bcrypt, whole
}

// newHash computes an own hash. Called by hashing alone, which bounds the memory.
func newHash(password []byte) string {
	h := &passwordHash{kind: argon2id, memory: ownMemory, time: ownTime, threads: ownThreads, salt: randomBytes(ownSalt)}
	h.key = argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, ownKey)
	return h.String()
}

// dummyHash returns a hash that no password is known for. To compare with it is as
// much work as with an own hash.
func dummyHash() string {
	h := &passwordHash{kind: argon2id, memory: ownMemory, time: ownTime, threads: ownThreads, salt: randomBytes(ownSalt), key: randomBytes(ownKey)}
	return h.String()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// String returns an argon2id hash as a PHC string.
func (h *passwordHash) String() string {
	e := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, e(h.salt), e(h.key))
}

// own reports whether the box would make the hash like this today.
func (h *passwordHash) own() bool {
	return h.kind == argon2id && h.memory == ownMemory && h.time == ownTime && h.threads == ownThreads &&
		len(h.salt) == ownSalt && len(h.key) == ownKey
}

// matches computes the hash of a password and compares. Called by hashing alone,
// which bounds the memory.
func (h *passwordHash) matches(password []byte) bool {
	var key []byte
	switch h.kind {
	case argon2id:
		key = argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	case saltedSHA512:
		s := sha512.New()
		s.Write(password)
		s.Write(h.salt)
		key = s.Sum(nil)
	case pbkdf2SHA512:
		// A string is an immutable copy of the password, which lives until it is collected.
		var err error
		if key, err = pbkdf2.Key(sha512.New, string(password), h.salt, int(h.time), len(h.key)); err != nil {
			return false // FIPS 140 mode does not like the length of the salt
		}
	case cryptSHA256, cryptSHA512:
		key = shaCrypt(h.kind, password, h.salt, int(h.time))
	case bcryptHash:
		return bcrypt.CompareHashAndPassword([]byte(h.text), password) == nil
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// looksHashed reports whether what stands for a password in a file is meant to be
// a hash, of whatever kind: no password is taken to be one of these.
func looksHashed(text string) bool {
	if strings.HasPrefix(text, "PBKDF2$") { // mosquitto-go-auth
		return true
	}
	id, _, ok := strings.Cut(strings.TrimPrefix(text, "$"), "$")
	if !ok || text[0] != '$' || id == "" || len(id) > 16 {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// CheckHash says what is wrong with the hash of a password: it must be of a kind that
// is known and not ask for too much work. No error holds a part of it that is secret.
func CheckHash(text string) error {
	_, err := parseHash(text)
	return err
}

// parseHash reads a hash of any kind and refuses one that asks for too much work.
func parseHash(text string) (*passwordHash, error) {
	if len(text) > maxHashText {
		return nil, fmt.Errorf("the hash has more than %d bytes", maxHashText)
	}
	if strings.ContainsAny(text, "\r\n") { // encoding/base64 overlooks them
		return nil, errors.New("the hash has a line end in it")
	}
	field := strings.Split(text, "$")
	if len(field) < 3 || field[0] != "" {
		return nil, errors.New("the hash is of a kind that is not known: set a new password")
	}
	switch field[1] {
	case "argon2id":
		return parseArgon2id(field)
	case "5":
		return parseShaCrypt(cryptSHA256, field[2:])
	case "6":
		if looksShaCrypt(field[2:]) {
			return parseShaCrypt(cryptSHA512, field[2:])
		}
		return parseMosquitto(&passwordHash{kind: saltedSHA512}, field[2:])
	case "7":
		n, err := strconv.ParseUint(field[2], 10, 32)
		if err != nil || n < 1 || n > maxIterations {
			return nil, fmt.Errorf("the hash has %.20q iterations, not 1 to %d: set a new password", field[2], maxIterations)
		}
		return parseMosquitto(&passwordHash{kind: pbkdf2SHA512, time: uint32(n)}, field[3:])
	case "2a", "2b", "2y":
		return parseBcrypt(text, field)
	}
	return nil, fmt.Errorf("the hash is of the kind %.18q, which is not known: set a new password", "$"+field[1]+"$")
}

// parseArgon2id reads the PHC string format. mosquitto leaves its writing to the
// reference implementation.
func parseArgon2id(field []string) (*passwordHash, error) {
	if len(field) != 6 {
		return nil, errors.New("the hash is not of the form $argon2id$v=19$m=M,t=T,p=P$SALT$KEY")
	}
	if want := "v=" + strconv.Itoa(argon2.Version); field[2] != want {
		return nil, fmt.Errorf("the hash is of argon2id version %.20q, not %q: set a new password", field[2], want)
	}
	h := &passwordHash{kind: argon2id}
	rest := field[3]
	number := func(name string, least, most uint64) (n uint64, err error) {
		var value string
		value, rest, _ = strings.Cut(rest, ",")
		value, ok := strings.CutPrefix(value, name+"=")
		if n, err = strconv.ParseUint(value, 10, 32); !ok || err != nil || value[0] == '0' || n < least || n > most {
			return 0, fmt.Errorf("the hash has %.40q, where %s has to be %d to %d: set a new password", field[3], name, least, most)
		}
		return n, nil
	}
	m, err := number("m", 8, maxMemory)
	t, err2 := number("t", 1, maxTime)
	p, err3 := number("p", 1, maxThreads)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if rest != "" || m < 8*p { // RFC 9106 §3.1
		return nil, fmt.Errorf("the hash has parameters %.40q, which are not those of argon2id", field[3])
	}
	h.memory, h.time, h.threads = uint32(m), uint32(t), uint8(p)
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(field[4]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return nil, errors.New("the salt of the hash is not base64 of 8 to 64 bytes without padding")
	}
	if h.key, err = base64.RawStdEncoding.Strict().DecodeString(field[5]); err != nil || len(h.key) < 16 || len(h.key) > 64 {
		return nil, errors.New("the key of the hash is not base64 of 16 to 64 bytes without padding")
	}
	return h, nil
}

// parseMosquitto reads salt and key as mosquitto writes them in $6$ and $7$: the salt has
// 12 bytes and since 2.1 64.
func parseMosquitto(h *passwordHash, field []string) (_ *passwordHash, err error) {
	if len(field) != 2 {
		return nil, errors.New("the hash is not of the form $6$SALT$KEY or $7$ITERATIONS$SALT$KEY")
	}
	if h.salt, err = base64.StdEncoding.Strict().DecodeString(field[0]); err != nil || len(h.salt) < 8 || len(h.salt) > 64 {
		return nil, errors.New("the salt of the hash is not base64 of 8 to 64 bytes, as mosquitto_passwd writes it")
	}
	if h.key, err = base64.StdEncoding.Strict().DecodeString(field[1]); err != nil || len(h.key) != sha512.Size {
		return nil, fmt.Errorf("the key of the hash is not base64 of %d bytes, as mosquitto_passwd writes it", sha512.Size)
	}
	return h, nil
}

func parseBcrypt(text string, field []string) (*passwordHash, error) {
	cost, err := strconv.Atoi(field[2])
	if len(field) != 4 || len(field[2]) != 2 || len(field[3]) != 53 || err != nil ||
		strings.Trim(field[3], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, errors.New("the hash is not of the form $2b$COST$ and 53 characters")
	}
	if cost < bcrypt.MinCost || cost > maxCost {
		return nil, fmt.Errorf("the hash has the cost %d, not %d to %d: set a new password", cost, bcrypt.MinCost, maxCost)
	}
	return &passwordHash{kind: bcryptHash, text: text}, nil
}
