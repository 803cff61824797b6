package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A mutation is one careless change of one file.
type mutation struct {
	name  string // in small letters, with hyphens
	in    string // folder of the package, from the root of the module
	old   string // stands in the package once, wherever
	new   string // takes its place
	tests string // package whose tests notice it, by its folder; empty: the same
	run   string // names of these tests, with | between, and behind the last one perhaps / and a subtest
	loses string // what it breaks and what somebody would lose by it, in a few words
}

// An area is a part of the house with its mutations.
type area struct {
	name      string
	mutations []mutation
}

// areas are all mutations.
var areas = []area{
	{"store", store},
	{"broker", broker},
	{"access", access},
	{"serial", serial},
	{"zigbee", zigbee},
	{"homeassistant", homeassistant},
	{"update", update},
	{"network", network},
	{"pages", pages},
}

// tested returns the package whose tests notice the mutation.
func (m *mutation) tested() string {
	if m.tests != "" {
		return m.tests
	}
	return m.in
}

// apply returns the file that the mutation changes, and its text with it.
func (m *mutation) apply(root string) (file, text string, err error) {
	names, err := filepath.Glob(filepath.Join(root, m.in, "*.go"))
	if err != nil {
		return "", "", err
	}
	times := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		if n := strings.Count(string(b), m.old); n > 0 {
			times += n
			file, text = name, strings.Replace(string(b), m.old, m.new, 1)
		}
	}
	switch {
	case times != 1:
		return "", "", fmt.Errorf("what is to be changed stands %d times in %s: %q", times, m.in, m.old)
	case m.old == m.new:
		return "", "", errors.New("it changes nothing")
	}
	return file, text, nil
}
