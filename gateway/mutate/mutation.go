package main

import (
	"fmt"
	"path"
	"strings"
)

// A mutation is one careless change of one file.
type mutation struct {
	name  string // in small letters, with hyphens
	file  string // from the root of the module
	old   string // stands in it once
	new   string // takes its place
	tests string // package whose tests notice it, by its folder; empty: that of the file
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
	return path.Dir(m.file)
}

// apply changes the text of the file.
func (m *mutation) apply(text string) (string, error) {
	if n := strings.Count(text, m.old); n != 1 {
		return "", fmt.Errorf("what is to be changed stands %d times in %s", n, m.file)
	}
	return strings.Replace(text, m.old, m.new, 1), nil
}
