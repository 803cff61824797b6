package access

import (
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// foreignHashes are hashes that others have made.
var foreignHashes = []struct{ source, hash, password string }{
	{"mosquitto_passwd 2.0.11 -H sha512", "$6$e38NrVBQMZBrLvLC$c22efDB87Nhwkw4KXa4cklpVYrzGobNsH+kxO7luRG1oIdnk43qdhfs3n/zXBBvmk6UPeI8g0013gJ3kYf0p8g==", "secret one"},
	{"mosquitto_passwd 2.0.11 -H sha512-pbkdf2", "$7$101$O2CkmqkviFf/lrUK$aflEzkEozDB3w18Qnp9VTIYdNshAWfWMVJzAOctoZ29sf9fMecd5sOQu7qZCbDXUpkXm9FOdlsT1k9PsIoWApg==", "secret two"},

	// src/test.c of the reference implementation of argon2, which is what mosquitto 2.1
	// hashes with. It writes m=47104,t=1,p=1 and 64 bytes of salt and key.
	{"phc-winner-argon2", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},

	// crypt(3) of libxcrypt 4.4.33; "Hello world!" are vectors of the specification too
	{"crypt(3)", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"},
	{"crypt(3)", "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"},
	{"crypt(3)", "$5$rounds=1400$anotherlongsalts$V1WEm1S2.09qN/2ryZMihElzQSMSyRPD8waT8E4NLR7", strings.Repeat("a", 70)},
	{"openssl passwd -5", "$5$hH2NnnlZtG$gex1m2Wg/o9xeGibBF9V8LL1IsHFg0IZLVuRsYf4Tq9", "raspberry"},
	{"crypt(3)", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"},
	{"crypt(3)", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", "Hello world!"},
	{"crypt(3)", "$6$rounds=1400$anotherlongsalts$k1oInXD9kASIoe0MQYH5lwHVd0T6N1c9geCgQpIVa6CGV/zMzFpAYVJQe9.aPSJS1xoxRIPO6nn/8/CxbeiFI0", strings.Repeat("x", 130)},
	{"crypt(3)", "$6$.$zAnUw12LCH2W3Hk/DntR4PwOVrufxR8FNcTIKfKgs4MKghBLQavygPryKDqgn4xOcT6K1EqVxl1M1zpHCei4F1", "pässword ü"},

	// wrapper.c of crypt_blowfish
	{"crypt_blowfish", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	{"crypt_blowfish", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"},
	{"crypt_blowfish", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U"},
}

func TestForeignHashes(t *testing.T) {
	for _, c := range foreignHashes {
		h, err := parseHash(c.hash)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if !h.matches([]byte(c.password)) {
			t.Errorf("%s: %q does not match %s", c.source, c.password, c.hash)
		}
		if h.matches([]byte(c.password+"x")) || h.matches(nil) {
			t.Errorf("%s: another password matches %s", c.source, c.hash)
		}
		if h.own() {
			t.Errorf("%s is taken for an own hash", c.hash)
		}
	}
}

// as2x1 is a hash like those of mosquitto 2.1, of a password.
func as2x1(password string) string {
	h := &passwordHash{kind: argon2id, memory: 47104, time: 1, threads: 1, salt: randomBytes(64)}
	h.key = argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, 64)
	return h.String()
}

func TestOwnHash(t *testing.T) {
	text := newHash([]byte("secret"))
	if !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("an own hash is %s", text)
	}
	h, err := parseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	if !h.own() || !h.matches([]byte("secret")) || h.matches([]byte("Secret")) {
		t.Error("an own hash does not tell its password from others")
	}
	if newHash([]byte("secret")) == text {
		t.Error("two hashes have the same salt")
	}
	dummy, err := parseHash(dummyHash())
	if err != nil {
		t.Fatal(err)
	}
	if !dummy.own() {
		t.Error("the dummy is not as much work as an own hash")
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	six := strings.TrimPrefix(foreignHashes[0].hash, "$6$")
	for hash, reason := range map[string]string{
		"":                 "kind",
		"secret":           "kind",
		"$":                "kind",
		"$$$$":             "kind",
		"$1$salt$1234":     "$1$",
		"$5$salt$1234":     "43 characters",
		"$5$salt":          "43 characters",
		"$5$rounds=5000":   "43 characters",
		"$y$j9T$salt$1234": "$y$",
		"$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key:         "$argon2i$",
		"$argon2id$m=256,t=2,p=1$" + salt + "$" + key:             "form",
		"$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + key:        "version",
		"$argon2id$v=19$m=4294967295,t=2,p=1$" + salt + "$" + key: "m has to be",
		"$argon2id$v=19$m=65537,t=2,p=1$" + salt + "$" + key:      "m has to be",
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + key:          "m has to be",
		"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + key:          "t has to be",
		"$argon2id$v=19$m=8,t=5,p=1$" + salt + "$" + key:          "t has to be",
		"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + key:          "p has to be",
		"$argon2id$v=19$m=8192,t=1,p=9$" + salt + "$" + key:       "p has to be",
		"$argon2id$v=19$m=8,t=1,p=2$" + salt + "$" + key:          "parameters",
		"$argon2id$v=19$m=8,t=1,p=1,q=1$" + salt + "$" + key:      "parameters",
		"$argon2id$v=19$t=1,m=8,p=1$" + salt + "$" + key:          "m has to be",
		"$argon2id$v=19$m=08,t=1,p=1$" + salt + "$" + key:         "m has to be",
		"$argon2id$v=19$m=,t=1,p=1$" + salt + "$" + key:           "m has to be",
		"$argon2id$v=19$m=8,t=1,p=1$c2Fs$" + key:                  "salt",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$c2Fs":            "key",
		"$argon2id$v=19$m=8,t=1,p=1$" + salt + "==$" + key:        "salt",
		"$6$" + six[:10]:     "form",
		"$6$!" + six:         "salt",
		"$6$" + six + "AAAA": "key",
		"$6$rounds=999$" + strings.Repeat("a", 16) + "$" + strings.Repeat("a", 86):    "rounds",
		"$6$rounds=500001$" + strings.Repeat("a", 16) + "$" + strings.Repeat("a", 86): "rounds",
		"$6$rounds=5000$" + strings.Repeat("a", 16) + "$" + strings.Repeat("a", 85):   "86 characters",
		"$6$" + strings.Repeat("a", 17) + "$" + strings.Repeat("a", 86):               "salt",
		"$6$" + strings.Repeat("a", 16) + "$" + strings.Repeat("!", 86):               "86 characters",
		"$7$0$" + six:                       "iterations",
		"$7$500001$" + six:                  "iterations",
		"$7$99999999999999999999$" + six:    "iterations",
		"$7$-1$" + six:                      "iterations",
		"$7$101$" + six + "$":               "form",
		"$2b$13$" + strings.Repeat("a", 53): "cost",
		"$2b$03$" + strings.Repeat("a", 53): "cost",
		"$2b$5$" + strings.Repeat("a", 53):  "form",
		"$2b$05$" + strings.Repeat("a", 52): "form",
		"$2b$05$" + strings.Repeat("$", 53): "form",
		"$2x$05$" + strings.Repeat("a", 53): "$2x$",
		"$6$" + strings.Repeat("a", 600):    "bytes",
	} {
		_, err := parseHash(hash)
		if err == nil {
			t.Errorf("%s is taken", hash)
		} else if !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, which does not say %q in one line", hash, err, reason)
		}
	}
}

func TestLooksHashed(t *testing.T) {
	for text, want := range map[string]bool{
		"$6$a$b": true, "$7$": true, "$argon2id$x": true, "$2b$05$": true, "$y$j9T$": true, "PBKDF2$sha512$100000$a$b": true,
		"": false, "$": false, "$$": false, "$6": false, "secret": false, "pa$$word": false, "a$6$b": false, "$Big$": false,
	} {
		if got := looksHashed(text); got != want {
			t.Errorf("%q looks hashed: %t", text, got)
		}
	}
}

func FuzzHash(f *testing.F) {
	for _, c := range foreignHashes {
		f.Add(c.hash)
	}
	f.Add(dummyHash())
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		if !looksHashed(text) {
			t.Error("it is a hash and does not look like one")
		}
		if h.memory > maxMemory || h.kind == argon2id && h.time > maxTime || h.time > maxIterations || h.threads > maxThreads {
			t.Errorf("%s is too much work", text)
		}
		if h.kind == argon2id && h.String() != text {
			t.Errorf("%s is read as %s", text, h)
		}
		if h.memory > 64 || h.kind == pbkdf2SHA512 && h.time > 10 || h.time > shaCryptRounds {
			return
		}
		if cost, err := bcrypt.Cost([]byte(text)); h.kind == bcryptHash && (err != nil || cost > bcrypt.MinCost) {
			return
		}
		h.matches([]byte("password"))
	})
}
