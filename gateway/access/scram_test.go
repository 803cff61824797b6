package access

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

// scramUsers are users by name.
type scramUsers map[string]User

func (u scramUsers) get(name string) (User, bool) {
	user, ok := u[name]
	return user, ok
}

// newSCRAMServer returns a server with the user ann, whose password is "open sesame",
// and eve, who is disabled.
func newSCRAMServer(t testing.TB) (*scramServer, scramUsers) {
	t.Helper()
	c, err := NewSCRAM([]byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	users := scramUsers{
		"ann": {Name: "ann", SCRAM: c, Roles: []string{"viewer"}},
		"bob": {Name: "bob"},
		"eve": {Name: "eve", SCRAM: c, Disabled: true},
		"odd": {Name: "odd", SCRAM: "SCRAM-SHA-256$1:AAAA$AAAA:AAAA"},
	}
	return &scramServer{secret: [32]byte{1}, user: users.get}, users
}

// scramClient is a client of another make.
func scramClient(t testing.TB, user, password, actsFor string) *scram.ClientConversation {
	t.Helper()
	c, err := scram.SHA256.NewClient(user, password, actsFor)
	if err != nil {
		t.Fatal(err)
	}
	return c.NewConversation()
}

// login makes a login; change changes what the client sends, by the number of the
// message. name is who tried.
func (s *scramServer) login(t testing.TB, client *scram.ClientConversation, change func(n int, message string) string) (user User, name string, err error) {
	t.Helper()
	c := s.start()
	var answer []byte
	for n := 1; n <= 2; n++ {
		m, err := client.Step(string(answer))
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			m = change(n, m)
		}
		var done bool
		if answer, done, err = c.Step([]byte(m)); err != nil {
			if u, ok := c.User(); ok || done || answer != nil {
				t.Errorf("with %v: user %+v, answer %q, %v", err, u, answer, done)
			}
			return User{}, c.Name(), err
		}
		if done != (n == 2) {
			t.Fatalf("after message %d: %v", n, done)
		}
	}
	if _, err := client.Step(string(answer)); err != nil || !client.Valid() {
		t.Errorf("the client does not believe %q: %v", answer, err)
	}
	user, ok := c.User()
	if !ok {
		t.Error("nobody was let in")
	}
	return user, c.Name(), nil
}

// RFC 7677 §3.
func TestSCRAMOfRFC7677(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	client, err := scram.SHA256.NewClient("user", "pencil", "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: 4096})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$%s:%s",
		base64.StdEncoding.EncodeToString(c.StoredKey), base64.StdEncoding.EncodeToString(c.ServerKey))
	s := &scramServer{
		user:  scramUsers{"user": {Name: "user", SCRAM: text}}.get,
		nonce: func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" },
	}
	conversation := s.start()
	for i, tt := range []struct{ message, answer string }{
		{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"},
		{"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	} {
		answer, done, err := conversation.Step([]byte(tt.message))
		if err != nil || string(answer) != tt.answer || done != (i == 1) {
			t.Fatalf("%s: got %q, %v, %v", tt.message, answer, done, err)
		}
	}
	if u, ok := conversation.User(); !ok || u.Name != "user" || conversation.Name() != "user" {
		t.Errorf("got %+v, %v", u, ok)
	}
}

// Credentials are read as they are written, and nothing else is.
func TestSCRAMCredentials(t *testing.T) {
	text, err := NewSCRAM([]byte("pencil"))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := parseSCRAM(text)
	if !ok || c.Iters != scramIterations || len(c.Salt) != scramSalt {
		t.Fatalf("%s: got %+v, %v", text, c, ok)
	}
	if again, _ := NewSCRAM([]byte("pencil")); again == text {
		t.Error("the same salt twice")
	}
	factors, keys, _ := strings.Cut(strings.TrimPrefix(text, "SCRAM-SHA-256$"), "$")
	_, salt, _ := strings.Cut(factors, ":")
	stored, server, _ := strings.Cut(keys, ":")
	for _, bad := range []string{
		"", "$", "$$", "SCRAM-SHA-256", "SCRAM-SHA-256$", "SCRAM-SHA-1$" + factors + "$" + keys, text + "A", text + ":", text + "$", text + "\n", text[1:],
		"SCRAM-SHA-256$4095:" + salt + "$" + keys,
		"SCRAM-SHA-256$-1:" + salt + "$" + keys,
		"SCRAM-SHA-256$1048577:" + salt + "$" + keys,
		"SCRAM-SHA-256$99999999999999999999:" + salt + "$" + keys,
		"SCRAM-SHA-256$x:" + salt + "$" + keys,
		"SCRAM-SHA-256$4096:AAAA$" + keys,
		"SCRAM-SHA-256$4096:" + strings.Repeat("AAAA", 22) + "$" + keys,
		"SCRAM-SHA-256$4096:" + strings.Repeat("AAAA", 1<<20) + "$" + keys,
		"SCRAM-SHA-256$" + factors + "$" + stored,
		"SCRAM-SHA-256$" + factors + "$" + stored + ":" + server[4:],
		"SCRAM-SHA-256$" + factors + "$:" + server,
	} {
		if c, ok := parseSCRAM(bad); ok {
			t.Errorf("%.100s: got %+v", bad, c)
		}
	}
}

func TestSCRAMLogin(t *testing.T) {
	s, users := newSCRAMServer(t)
	for _, tt := range []struct{ name, user, password, actsFor, want string }{
		{"good", "ann", "open sesame", "", "ann"},
		{"for herself", "ann", "open sesame", "ann", "ann"},
		{"wrong password", "ann", "open", "", ""},
		{"empty password", "ann", "", "", ""},
		{"for another", "ann", "open sesame", "bob", ""},
		{"without credentials", "bob", "open sesame", "", ""},
		{"with damaged credentials", "odd", "open sesame", "", ""},
		{"disabled", "eve", "open sesame", "", ""},
		{"unknown", "nobody", "open sesame", "", ""},
		{"no name", "", "open sesame", "", ""},
		{"long name", strings.Repeat("a", maxTokenName+1), "open sesame", "", ""},
		{"name with a comma", "a,b=c", "open sesame", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user, name, err := s.login(t, scramClient(t, tt.user, tt.password, tt.actsFor), nil)
			if tt.want == "" && !errors.Is(err, ErrBadLogin) || tt.want != "" && (err != nil || user.Name != tt.want || user.Roles == nil) {
				t.Fatalf("got %+v, %v", user, err)
			}
			if tt.user != "" && len(tt.user) <= maxTokenName && name != tt.user {
				t.Errorf("%q tried, not %q", name, tt.user)
			}
		})
	}
	// What SASLprep makes of a password, both sides make of it: a no-break space
	// is a space, a soft hyphen is nothing, ﬁ is fi.
	c, err := NewSCRAM([]byte("open\u00a0se\u00adsame"))
	if err != nil {
		t.Fatal(err)
	}
	users["ann"] = User{Name: "ann", SCRAM: c, Roles: []string{"viewer"}}
	if _, _, err := s.login(t, scramClient(t, "ann", "open sesame", ""), nil); err != nil {
		t.Errorf("prepared: %v", err)
	}
	// What it refuses is taken as it is.
	if _, err := NewSCRAM([]byte("open\xff")); err != nil {
		t.Error(err)
	}
}

func TestSCRAMAttacks(t *testing.T) {
	s, users := newSCRAMServer(t)
	for name, change := range map[string]func(n int, m string) string{
		"another nonce": func(n int, m string) string {
			if n == 2 {
				return strings.Replace(m, ",r=", ",r=x", 1)
			}
			return m
		},
		"a shorter nonce": func(n int, m string) string {
			if n == 2 {
				f := strings.Split(m, ",")
				return f[0] + "," + f[1][:len(f[1])-1] + "," + f[2]
			}
			return m
		},
		"another name": func(n int, m string) string {
			if n == 1 {
				return strings.Replace(m, "n=ann", "n=eve", 1)
			}
			return m
		},
		"another header": func(n int, m string) string {
			if n == 1 {
				return strings.Replace(m, "n,,", "y,,", 1)
			}
			return m
		},
		"channel binding": func(n int, m string) string {
			if n == 1 {
				return strings.Replace(m, "n,,", "p=tls-exporter,,", 1)
			}
			return m
		},
		"an extension that must be understood": func(n int, m string) string {
			if n == 1 {
				return strings.Replace(m, "n,,", "n,,m=x,", 1)
			}
			return m
		},
		"the proof of zeros": func(n int, m string) string {
			if n == 2 {
				return m[:strings.Index(m, ",p=")] + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
			}
			return m
		},
		"an empty proof": func(n int, m string) string {
			if n == 2 {
				return m[:strings.Index(m, ",p=")] + ",p="
			}
			return m
		},
		"a long proof": func(n int, m string) string {
			if n == 2 {
				return m[:strings.Index(m, ",p=")] + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 33))
			}
			return m
		},
		"a change of what is signed": func(n int, m string) string {
			if n == 2 {
				return strings.Replace(m, ",p=", ",x=y,p=", 1)
			}
			return m
		},
		"the first message large": func(n int, m string) string {
			if n == 1 {
				return m + ",x=" + strings.Repeat("x", maxSCRAMMessage)
			}
			return m
		},
		"the last message large": func(n int, m string) string {
			if n == 2 {
				return strings.Replace(m, ",p=", ",x="+strings.Repeat("x", maxSCRAMMessage)+",p=", 1)
			}
			return m
		},
		"a zero in the name": func(n int, m string) string { return strings.Replace(m, "n=ann", "n=ann\x00", 1) },
		"no UTF-8":           func(n int, m string) string { return strings.Replace(m, "n=ann", "n=ann\xff", 1) },
		"empty": func(n int, m string) string {
			if n == 1 {
				return ""
			}
			return m
		},
		"only commas": func(n int, m string) string { return ",,,,,,," },
	} {
		t.Run(name, func(t *testing.T) {
			if user, _, err := s.login(t, scramClient(t, "ann", "open sesame", ""), change); !errors.Is(err, ErrBadLogin) {
				t.Errorf("got %+v, %v", user, err)
			}
		})
	}

	for name, first := range map[string]string{
		"large":              "n,,n=ann,r=abc,x=" + strings.Repeat("x", maxSCRAMMessage),
		"a zero in the name": "n,,n=ann\x00,r=abc",
		"channel binding":    "p=tls-unique,,n=ann,r=abc",
		"no nonce":           "n,,n=ann",
		"a cut name":         "n,,n=ann=2,r=abc",
	} {
		t.Run("first message: "+name, func(t *testing.T) {
			if answer, done, err := s.start().Step([]byte(first)); !errors.Is(err, ErrBadLogin) || answer != nil || done {
				t.Errorf("got %q, %v, %v", answer, done, err)
			}
		})
	}

	t.Run("replay", func(t *testing.T) {
		var sent []string
		if _, _, err := s.login(t, scramClient(t, "ann", "open sesame", ""), func(n int, m string) string {
			sent = append(sent, m)
			return m
		}); err != nil {
			t.Fatal(err)
		}
		c := s.start()
		if _, _, err := c.Step([]byte(sent[0])); err != nil {
			t.Fatal(err)
		}
		if answer, done, err := c.Step([]byte(sent[1])); !errors.Is(err, ErrBadLogin) || done || answer != nil {
			t.Errorf("got %q, %v, %v", answer, done, err)
		}
		// In one conversation, too.
		client := scramClient(t, "ann", "open sesame", "")
		c = s.start()
		challenge, _, _ := c.Step([]byte(scramStep(t, client, "")))
		proof := scramStep(t, client, string(challenge))
		if _, done, err := c.Step([]byte(proof)); !done || err != nil {
			t.Fatal(done, err)
		}
		if answer, done, err := c.Step([]byte(proof)); !errors.Is(err, ErrBadLogin) || done || answer != nil {
			t.Errorf("got %q, %v, %v", answer, done, err)
		}
		if u, ok := c.User(); ok {
			t.Errorf("got %+v", u)
		}
	})

	t.Run("a second try", func(t *testing.T) {
		client := scramClient(t, "ann", "open sesame", "")
		c := s.start()
		challenge, _, _ := c.Step([]byte(scramStep(t, client, "")))
		proof := scramStep(t, client, string(challenge))
		if _, _, err := c.Step([]byte(strings.Replace(proof, "p=", "p=AAAA", 1))); !errors.Is(err, ErrBadLogin) {
			t.Fatal(err)
		}
		if _, done, err := c.Step([]byte(proof)); !errors.Is(err, ErrBadLogin) || done {
			t.Errorf("got %v, %v", done, err)
		}
	})

	for name, change := range map[string]func(){
		"disabled meanwhile": func() { u := users["ann"]; u.Disabled = true; users["ann"] = u },
		"deleted meanwhile":  func() { delete(users, "ann") },
		"another password meanwhile": func() {
			u := users["ann"]
			u.SCRAM, _ = NewSCRAM([]byte("open barley"))
			users["ann"] = u
		},
	} {
		t.Run(name, func(t *testing.T) {
			ann := users["ann"]
			defer func() { users["ann"] = ann }()
			if _, _, err := s.login(t, scramClient(t, "ann", "open sesame", ""), func(n int, m string) string {
				if n == 2 {
					change()
				}
				return m
			}); !errors.Is(err, ErrBadLogin) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func scramStep(t *testing.T, c *scram.ClientConversation, challenge string) string {
	t.Helper()
	m, err := c.Step(challenge)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What somebody gets who asks for a user who is not there is what they would get for
// one who is: the same again, also after a restart.
func TestSCRAMUnknownUser(t *testing.T) {
	s, _ := newSCRAMServer(t)
	challenge := func(s *scramServer, name string) (salt, rest string) {
		b, done, err := s.start().Step([]byte("n,,n=" + name + ",r=abc"))
		if err != nil || done {
			t.Fatal(done, err)
		}
		_, rest, _ = strings.Cut(string(b), ",s=")
		salt, rest, _ = strings.Cut(rest, ",")
		return salt, rest
	}
	again := &scramServer{secret: s.secret, user: s.user}
	otherBox := &scramServer{secret: [32]byte{2}, user: s.user}
	annSalt, annRest := challenge(s, "ann")
	for _, name := range []string{"nobody", "bob", "odd"} {
		salt, rest := challenge(s, name)
		if len(salt) != len(annSalt) || rest != annRest {
			t.Errorf("%s: got %q, %q; ann has %q, %q", name, salt, rest, annSalt, annRest)
		}
		if same, _ := challenge(again, name); same != salt {
			t.Errorf("%s: %q is %q after a restart", name, salt, same)
		}
		if other, _ := challenge(s, name+"x"); other == salt {
			t.Errorf("%s: the salt of another name is the same", name)
		}
		if other, _ := challenge(otherBox, name); other == salt {
			t.Errorf("%s: anybody can compute the salt", name)
		}
	}
	if salt, _ := challenge(again, "ann"); salt != annSalt {
		t.Error("ann's salt is not her own")
	}
}

// Whatever comes: no panic, and nobody gets in who does not know the password.
func FuzzSCRAM(f *testing.F) {
	s, _ := newSCRAMServer(f)
	s.nonce = func() string { return "server" }
	f.Add([]byte("n,,n=ann,r=abc"), []byte("c=biws,r=abcserver,p=AAAA"))
	f.Add([]byte("y,a=ann,n=ann,r=abc"), []byte("c=eSxhPWFubiw=,r=abcserver,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	f.Add([]byte("p=tls-unique,,n=a=2Cb=3D,r="), []byte(""))
	f.Add([]byte("n,,m=x,n=ann,r=abc"), []byte("e=no"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := s.start()
		answer, done, err := c.Step(first)
		if done || err == nil && !bytes.HasPrefix(answer, []byte("r=")) {
			t.Fatalf("%q: %q, %v, %v", first, answer, done, err)
		}
		answer, done, err = c.Step(second)
		if done || err == nil || answer != nil {
			t.Fatalf("%q, %q: %q, %v, %v", first, second, answer, done, err)
		}
		if u, ok := c.User(); ok {
			t.Fatalf("%q, %q: %+v", first, second, u)
		}
	})
}
