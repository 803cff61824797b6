package passphrase

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	longest := strings.Repeat("x", Max)
	for _, test := range []struct {
		text, want string // empty: it is refused
	}{
		{"secret", "secret"},
		{"secret\r\nand more", "secret"},
		{" secret \n", " secret "},
		{longest + "\r\n", longest},
		{longest + "x", ""},
		{"", ""},
		{"\nsecret", ""},
	} {
		name := filepath.Join(t.TempDir(), "passphrase")
		if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(name); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%.20q: %q, %v", test.text, got, err)
		}
	}
	if got, err := Read(""); got != "" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there")
	}
}
