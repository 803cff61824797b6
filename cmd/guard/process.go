package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// findProcess finds the process of a program that has a parent, the newest if there are
// more; zero: there is none. lintel starts itself once more to check its store: that one
// has another parent.
func findProcess(proc, program string, parent int) process {
	var newest process
	entries, err := os.ReadDir(proc)
	if err != nil {
		return newest
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join(proc, e.Name(), "cmdline"))
		if err != nil {
			continue
		}
		if name, _, _ := bytes.Cut(line, []byte{0}); string(name) != program {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(proc, e.Name(), "stat"))
		if err != nil {
			continue
		}
		// proc(5): the name of the program stands in brackets, and may hold any.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 20 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		started, err := strconv.ParseUint(fields[19], 10, 64)
		if err == nil && started >= newest.started {
			newest = process{pid, started}
		}
	}
	return newest
}
