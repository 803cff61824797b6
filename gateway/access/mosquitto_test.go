package access

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestImportMosquitto(t *testing.T) {
	text := "# a comment: with a colon\n\nalice:" + foreignHashes[0].hash + "\r\n" +
		" bob : " + foreignHashes[1].hash + " \n \t\ncarol:" + foreignHashes[3].hash + "\n" +
		"dave:pa$$ word\nérika:" + foreignHashes[2].hash // no line end
	users, err := ImportMosquitto("passwd", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range users {
		got = append(got, u.Name+" "+u.Hash+string(u.plain))
	}
	want := []string{"alice " + foreignHashes[0].hash, "bob " + foreignHashes[1].hash, "carol " + foreignHashes[3].hash,
		"dave pa$$ word", "érika " + foreignHashes[2].hash}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("read %q,\nwant %q", got, want)
	}
}

func TestImportMosquittoTellsAllMistakes(t *testing.T) {
	good := foreignHashes[0].hash
	lines := []struct{ line, mistake string }{
		{"alice:" + good, ""},
		{"no colon", "no colon"},
		{":" + good, "at least one character"},
		{"  :" + good, "at least one character"},
		{strings.Repeat("n", 129) + ":" + good, "128 bytes"},
		{"a/b:" + good, "+, # and /"},
		{"a+:" + good, "+, # and /"},
		{"$SYS:" + good, "begin with $"},
		{"a\x01b:" + good, "control"},
		{"a\x00b:" + good, "control"},
		{"a\u202eb:" + good, "invisible"},
		{"\ufeffalice:" + good, "invisible"},
		{"a\ufffeb:" + good, "invisible"},
		{"a\xffb:" + good, "UTF-8"},
		{"a\xed\xa0\x80b:" + good, "UTF-8"}, // a surrogate
		{"alice:" + good, "line 1"},
		{"x1:", "no password"},
		{"x2: ", "no password"},
		{"x3:$1$salt$abc", "$1$"},
		{"x4:" + good + ":extra", "key"},
		{"x5:$7$999999999$" + good[3:], "iterations"},
		{"x6:one:two", "more than one colon"},
		{"x7:" + strings.Repeat("p", MaxPassword+1), "1024 bytes"},
		{"x8:PBKDF2$sha512$100000$c2FsdA==$a2V5", "kind"},
	}
	var text, want strings.Builder
	for i, l := range lines {
		fmt.Fprintln(&text, l.line)
		if l.mistake != "" {
			fmt.Fprintln(&want, i+1, l.mistake)
		}
	}
	users, err := ImportMosquitto("some/passwd", []byte(text.String()))
	if users != nil || err == nil {
		t.Fatalf("%d users and %v", len(users), err)
	}
	told := strings.Split(err.Error(), "\n")
	i := 0
	for n, l := range lines {
		if l.mistake == "" {
			continue
		}
		if i == len(told) {
			t.Fatalf("line %d is not told", n+1)
		}
		if !strings.HasPrefix(told[i], fmt.Sprintf("some/passwd:%d: ", n+1)) || !strings.Contains(told[i], l.mistake) {
			t.Errorf("told %q, want line %d and %q", told[i], n+1, l.mistake)
		}
		i++
	}
	if i != len(told) {
		t.Errorf("more is told: %q", told[i:])
	}
}

func TestImportMosquittoIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range maxUsers {
		fmt.Fprintf(&text, "user%d:%s\n", i, foreignHashes[0].hash)
	}
	if users, err := ImportMosquitto("passwd", []byte(text.String())); err != nil || len(users) != maxUsers {
		t.Errorf("%d users: %v", len(users), err)
	}
	_, err := ImportMosquitto("passwd", []byte(text.String()+"one more:secret\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "passwd:2001: there can be 2000 users") {
		t.Errorf("one user more: %v", err)
	}
	if _, err := ImportMosquitto("passwd", make([]byte, maxPasswordFile+1)); err == nil {
		t.Error("a file of any length is read")
	}
	_, err = ImportMosquitto("passwd", []byte(strings.Repeat("mistake\n", 100_000)))
	if n := strings.Count(err.Error(), "\n"); n != maxUserMistakes || !strings.HasSuffix(err.Error(), "\nand 99900 more mistakes") {
		t.Errorf("%d lines of mistakes, the end of which is %q", n, err.Error()[len(err.Error())-60:])
	}
}

// TestMosquittoInterop has the real tool make the files.
func TestMosquittoInterop(t *testing.T) {
	if _, err := exec.LookPath("mosquitto_passwd"); err != nil {
		if os.Getenv("LINTEL_NEED_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd %q: %v\n%s", args, err, out)
		}
	}
	file := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(file, []byte("old one:secret of old\nold two: two words \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{"old one": "secret of old", "old two": "two words",
		"new6": "pass:word $6$ with, all sorts", "new7": "pässwörd \u00a0 ✓", "long": strings.Repeat("p", 200)}
	run("-U", file)
	run("-b", "-H", "sha512", file, "new6", passwords["new6"])
	run("-b", "-H", "sha512-pbkdf2", file, "new7", passwords["new7"])
	run("-b", file, "long", passwords["long"])
	now, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{"hashed": now, "plain": was} {
		users, err := ImportMosquitto(file, text)
		if err != nil {
			t.Fatal(err)
		}
		u := openUsers(t)
		if err := u.Import(t.Context(), users); err != nil {
			t.Fatal(err)
		}
		for _, user := range users {
			password := passwords[user.Name]
			if what == "hashed" && (user.plain != nil || user.Hash == "") || what == "plain" && user.plain == nil {
				t.Errorf("%s: %s is not taken for %s", what, user.Name, what)
			}
			if _, err := u.Verify(t.Context(), user.Name, []byte(password+"x"), "c"); err != ErrBadLogin {
				t.Errorf("%s: %s with a wrong password: %v", what, user.Name, err)
			}
			if _, err := u.Verify(t.Context(), user.Name, []byte(password), "c"); err != nil {
				t.Errorf("%s: %s with %q: %v", what, user.Name, password, err)
			}
			if stored, _ := u.Get(user.Name); !strings.HasPrefix(stored.Hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
				t.Errorf("%s: after the login of %s the hash is %s", what, user.Name, stored.Hash)
			}
		}
	}
}

func FuzzImportMosquitto(f *testing.F) {
	f.Add("alice:" + foreignHashes[0].hash + "\nbob:secret\n#\n\n")
	f.Add("a/b:x\n:\n$:$6$\r\n\ufeff:PBKDF2$\n")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := ImportMosquitto("f", []byte(text))
		if err != nil {
			if users != nil {
				t.Error("users in spite of mistakes")
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "f:") && !strings.HasPrefix(line, "and ") {
					t.Errorf("no line in %q", line)
				}
			}
			return
		}
		seen := make(map[string]bool)
		for _, u := range users {
			if err := u.validate(); err != nil || seen[u.Name] {
				t.Errorf("%q: %v", u.Name, err)
			}
			seen[u.Name] = true
			if (u.Hash == "") == (u.plain == nil) || u.plain != nil && (len(u.plain) == 0 || len(u.plain) > MaxPassword) {
				t.Errorf("%q has the hash %q and the password %q", u.Name, u.Hash, u.plain)
			}
		}
	})
}
