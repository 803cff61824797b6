//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestLogOfABox(t *testing.T) {
	address, token := claimedBox(t, false)
	there := []string{"log", "--box", address, "--token", token}
	var out bytes.Buffer
	if err := run(there, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO  \S`).MatchString(out.String()) {
		t.Errorf("the log:\n%s", &out)
	}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(append(there, "--follow", "--json", "--lines", "1"), nil, w, w) }()
	first, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var line logLine
	if err := json.Unmarshal(first, &line); err != nil || line.Message == "" || line.Number == 0 {
		t.Errorf("%s: %v", first, err)
	}
	r.Close() // whoever reads it has enough; with the next line that shows
	if err := run(append(there, "--level", "loud"), nil, &out, &out); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Error(err)
	}
}

// What strangers have a box log does nothing to a terminal.
func TestLogLineIsHarmless(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := writeLogLine(&out, logLine{Time: at, Message: "a\x1b[2Jb", Values: map[string]string{"client": "x\ny", "topic": "a/b", "none": ""}}); err != nil {
		t.Fatal(err)
	}
	want := at.Local().Format("2006-01-02 15:04:05.000") + " INFO  a\uFFFD[2Jb client=\"x\\ny\" none=\"\" topic=a/b\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
