//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestSupportOfABox(t *testing.T) {
	address, token := claimedBox(t, false)
	file := filepath.Join(t.TempDir(), "support.zip")
	var out bytes.Buffer
	if err := run([]string{"support", "--box", address, "--token", token, file}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), file+", ") {
		t.Error(out.String())
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	names := ""
	for _, f := range z.File {
		names += f.Name + " "
	}
	for _, name := range []string{"about.txt", "configuration.toml", "log.txt", "metrics.txt"} {
		if !strings.Contains(names, name) {
			t.Errorf("%s is not among %s", name, names)
		}
	}
	if err := run([]string{"support", "--box", address, "--token", token}, nil, &out, &out); err == nil {
		t.Error("without a file")
	}
}
