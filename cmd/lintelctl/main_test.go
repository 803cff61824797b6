//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The capture of the image test: an electricity meter and the gas meter behind it.
const capture = "../../gokrazy/imagetest/testdata/dsmr5.txt"

func TestDecode(t *testing.T) {
	telegram, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(telegram, []byte("000004.426"), []byte("000009.426"), 1)
	in := bytes.Join([][]byte{[]byte("garbage"), telegram, damaged, telegram}, []byte("\r\n"))
	file := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(file, in, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"standard input": {"decode", "dsmr"}, "file": {"decode", "dsmr", file}} {
		t.Run(name, func(t *testing.T) {
			var out, diagnostics bytes.Buffer
			if err := run(args, bytes.NewReader(in), &out, &diagnostics); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != 4 {
				t.Fatalf("%d lines, want two devices twice:\n%s", len(lines), out.String())
			}
			var first struct {
				Device string
				Values map[string]any
			}
			if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
				t.Fatal(err)
			}
			if first.Device != "dsmr_K8EG004046395507" || first.Values["energy_import_tariff_1"] != 4.426 || first.Values["power_import"] != 0.244 {
				t.Errorf("first line: %s", lines[0])
			}
			if got, want := diagnostics.String(), "4 readings, 1 damaged (checksum)\n"; got != want {
				t.Errorf("diagnostics %q, want %q", got, want)
			}
		})
	}
}

func TestCounted(t *testing.T) {
	for n, want := range []string{"0 readings", "1 reading", "2 readings"} {
		if got := counted(n, "reading"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWrongCalls(t *testing.T) {
	for _, args := range [][]string{nil, {"decdoe"}, {"decode"}, {"decode", "p1"}, {"decode", "dsmr", "a", "b"}} {
		var out bytes.Buffer
		if err := run(args, strings.NewReader(""), &out, &out); !errors.Is(err, errUsage) {
			t.Errorf("lintelctl %q: %v", args, err)
		}
	}
	if err := run([]string{"decode", "dsmr", "does-not-exist"}, nil, nil, nil); err == nil || errors.Is(err, errUsage) {
		t.Errorf("missing file: %v", err)
	}
}
