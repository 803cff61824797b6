package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write NOTICE anew")

const noticeHead = `Lintel
Copyright The Lintel authors

Licensed under the Apache License, Version 2.0, see the file LICENSE.

Tables of Zigbee clusters, devices and their conversions, and test vectors, come from zigbee-herdsman and
zigbee-herdsman-converters (MIT). Their licences stand beside them, in the files LICENSE-zigbee-herdsman and
LICENSE-zigbee-herdsman-converters below serialbridge. The image holds Linux, firmware and gokrazy's programs
besides: its bill of materials names them with their licences, see gokrazy/README.md.

The programs lintel, lintelctl and guard are linked with the modules below. Of the Apache License, Version 2.0, LICENSE has
the text.
`

// ourselves has the folder of the module, from here.
const ourselves = "../.."

// TestNotice: NOTICE has the copyright and the licence of each module that a program is
// linked with. go test ./gokrazy/image -run TestNotice -update writes it.
func TestNotice(t *testing.T) {
	folders := map[string]string{} // by module
	for _, system := range []string{"linux", "darwin", "windows"} {
		programs := []string{"./cmd/lintelctl"}
		if system == "linux" {
			programs = append(programs, "./cmd/lintel", "./cmd/guard")
		}
		t.Setenv("GOOS", system)
		listed, err := goCommand(ourselves, append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Dir}}{{end}}"}, programs...)...)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(listed) {
			if path, folder, ok := strings.Cut(strings.TrimSpace(line), " "); ok && path != "lintel" {
				folders[path] = folder
			}
		}
	}
	root, err := goCommand("", "env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	folders["the standard library of Go"] = root
	want := noticeHead + licenceTexts(t, folders)
	name := filepath.Join(ourselves, "NOTICE")
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(name); err != nil || string(have) != want {
		t.Errorf("NOTICE does not tell what the programs are linked with (%v): go test ./gokrazy/image -run TestNotice -update writes it", err)
	}
}

var (
	copyrightLine = regexp.MustCompile(`(?i)^\s*(copyright (\(c\)|©|\d).*|all rights reserved\.?)\s*$`)
	titleLine     = regexp.MustCompile(`(?i)^\s*((the )?(mit|isc|bsd).*licen[cs]e.*)?:?\s*$`)
)

// licenceTexts has each text once, below the modules that it is of.
func licenceTexts(t *testing.T, folders map[string]string) string {
	t.Helper()
	type group struct{ modules, text string }
	groups := map[string]*group{} // by the words of the text
	for _, path := range slices.Sorted(maps.Keys(folders)) {
		found := licenceOf(folders[path])
		if found == nil {
			t.Errorf("%s has no licence that is known here", path)
			continue
		}
		id := found[0].License.ID
		var names []string
		for _, pattern := range []string{"LICENSE*", "LICENCE*", "License*", "COPYING*"} {
			more, _ := filepath.Glob(filepath.Join(folders[path], pattern))
			names = append(names, more...)
		}
		text, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		module := fmt.Sprintf("\n%s (%s)\n", path, id)
		lines := strings.Split(string(bytes.ReplaceAll(text, []byte("\r"), nil)), "\n")
		for len(lines) > 0 && (copyrightLine.MatchString(lines[0]) || titleLine.MatchString(lines[0])) {
			if line := strings.TrimSpace(lines[0]); copyrightLine.MatchString(line) && !strings.HasPrefix(strings.ToLower(line), "all") {
				module += "\t" + line + "\n"
			}
			lines = lines[1:]
		}
		body := strings.TrimSpace(strings.Join(lines, "\n")) + "\n"
		if strings.HasPrefix(body, "Apache License") {
			for _, line := range lines {
				if copyrightLine.MatchString(line) {
					module += "\t" + strings.TrimSpace(line) + "\n"
				}
			}
			body = ""
		}
		if notice, err := os.ReadFile(filepath.Join(folders[path], "NOTICE")); err == nil {
			for line := range strings.Lines(string(notice)) {
				module += strings.TrimRight("\t"+line, " \t\n") + "\n"
			}
		}
		words := strings.ToLower(strings.Join(strings.Fields(body), " "))
		g := groups[words]
		if g == nil {
			g = &group{text: body}
			groups[words] = g
		}
		g.modules += module
	}
	var out strings.Builder
	for _, g := range slices.SortedFunc(maps.Values(groups), func(a, b *group) int { return cmp.Compare(a.modules, b.modules) }) {
		fmt.Fprintf(&out, "\n%s\n%s", strings.Repeat("-", 100), g.modules)
		if g.text != "" {
			fmt.Fprintf(&out, "\n%s", g.text)
		}
	}
	return out.String()
}

// TestDependencies: each module that go.mod names by itself has its reason, and none that is gone has one.
func TestDependencies(t *testing.T) {
	modules, err := goCommand(ourselves, "mod", "edit", "-print")
	if err != nil {
		t.Fatal(err)
	}
	var want, have []string
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(modules, -1) {
		want = append(want, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^tool (\S+?)/cmd/`).FindAllStringSubmatch(modules, -1) {
		want = append(want, m[1])
	}
	guide, err := os.ReadFile(filepath.Join(ourselves, ".github/CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+\\.[^`]+/[^`]+)` \\|").FindAllStringSubmatch(string(guide), -1) {
		have = append(have, m[1])
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("go.mod names\n%s\nand .github/CONTRIBUTING.md gives a reason for\n%s", strings.Join(want, "\n"), strings.Join(have, "\n"))
	}
}
