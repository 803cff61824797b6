//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// A trace of a real box tells of its state, or of that of the meter behind its simulated stick.
func TestTraceOfABox(t *testing.T) {
	address, token := claimedBox(t, true)
	there := []string{"trace", "--box", address, "--token", token, "--topic", "lintel/+/state", "--payload"}
	read := func(args ...string) []byte {
		t.Helper()
		r, w := io.Pipe()
		go run(append(there, args...), nil, w, w)
		line, err := bufio.NewReader(r).ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		r.Close() // whoever reads it has enough
		return line
	}
	if line := string(read()); !strings.Contains(line, "received") || !strings.Contains(line, " lintel/") || !strings.Contains(line, `{\"`) {
		t.Errorf("told %s", line)
	}
	var event struct{ Kind, Topic string }
	if err := json.Unmarshal(read("--json"), &event); err != nil || event.Kind != "received" || !strings.HasSuffix(event.Topic, "/state") {
		t.Errorf("told %+v, %v", event, err)
	}
	var out bytes.Buffer
	if err := run(there[:5], nil, &out, &out); !errors.Is(err, errUsage) {
		t.Errorf("a trace of everything: %v", err)
	}
}
