//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBackupOfABox(t *testing.T) {
	address, token := claimedBox(t, false)
	t.Setenv("LINTEL_BOX", address)
	folder := t.TempDir()
	file, secret, other := filepath.Join(folder, "box.backup"), filepath.Join(folder, "secret"), filepath.Join(folder, "other")
	for name, text := range map[string]string{secret: "correct horse\n", other: "wrong horse\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	do := func(want string, args ...string) {
		t.Helper()
		out.Reset()
		err := run(args, strings.NewReader(""), &out, &out)
		said := out.String()
		if err != nil {
			said += err.Error()
		}
		if !strings.Contains(said, want) {
			t.Errorf("%q says %q, want %q", args, said, want)
		}
	}
	do("--token is missing", "backup", file)
	t.Setenv("LINTEL_TOKEN", "nonsense")
	do("Log in first", "backup", file)
	t.Setenv("LINTEL_TOKEN", token)
	do("name the file", "backup")
	do("no such file", "backup", filepath.Join(folder, "nowhere", "x"))
	do(file, "backup", "--passphrase-file", secret, file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("%v %v", info, err)
	}
	do("encrypted", "restore", file)
	do("passphrase is wrong", "restore", "--passphrase-file", other, file)
	do("no backup of a box", "restore", secret)
	do(`"restored":"Lintel`, "restore", "--json", "--passphrase-file", secret, file)
	if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}
