//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is recorded of a box is decoded to what the stick said.
func TestRecordAndReplay(t *testing.T) {
	address, token := claimedBox(t, true)
	var captured, messages bytes.Buffer
	err := run([]string{"record", "--box", address, "--token", token, "--for", "3"}, nil, &captured, &messages)
	if err == nil || !strings.Contains(err.Error(), "the box has 2 sticks") {
		t.Fatal(err, messages.String())
	}
	// The error names them: here the one with the meter.
	_, stick, _ := strings.Cut(err.Error(), "(")
	stick, _, _ = strings.Cut(stick, ",")
	if err := run([]string{"record", "--box", address, "--token", token, "--for", "3", stick}, nil, &captured, &messages); err != nil {
		t.Fatal(err, messages.String())
	}
	if !strings.Contains(captured.String(), "\n# stick ") {
		t.Errorf("recorded\n%.300s", captured.String())
	}
	file := filepath.Join(t.TempDir(), "capture.txt")
	if err := os.WriteFile(file, captured.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var readings bytes.Buffer
	if err := run([]string{"decode", "dsmr", file}, nil, &readings, &messages); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(readings.String(), `{"device":"dsmr_LINTEL00000000000","values":{"`) {
		t.Errorf("decoded\n%.300s\n%s", readings.String(), messages.String())
	}
	for args, want := range map[string]string{
		"a b":              "capture takes one stick",
		"nobody":           `There is no stick "nobody"`,
		"--for 0 " + stick: "seconds is a number from 1 to 3600",
		"--for 1 a/b":      `There is no stick "a/b"`,
	} {
		err := run(append([]string{"record", "--box", address, "--token", token}, strings.Fields(args)...), nil, &captured, &messages)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestRecordSaysWhichSticks(t *testing.T) {
	address, token := claimedBox(t, false)
	err := run([]string{"record", "--box", address, "--token", token}, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "the box has 0 sticks") {
		t.Errorf("got %v", err)
	}
}
