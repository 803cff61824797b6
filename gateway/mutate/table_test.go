package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// TestTable looks whether the mutations still fit the tree, without compiling any.
func TestTable(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	known := make(map[string]bool)
	for _, a := range areas {
		for _, m := range a.mutations {
			if !name.MatchString(m.name) || known[m.name] {
				t.Errorf("%s: not a name, or there are two of it", m.name)
			}
			known[m.name] = true
			if m.loses == "" || strings.ContainsAny(m.loses, "|\n") {
				t.Errorf("%s: say in a line of the table what is lost", m.name)
			}
			file, text, err := m.apply(root)
			if err != nil {
				t.Errorf("%s: %v", m.name, err)
			} else if _, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution); err != nil {
				t.Errorf("%s is no Go: %v", m.name, err)
			}
			functions := testsOf(t, m.tested())
			top, _, _ := strings.Cut(m.run, "/")
			for test := range strings.SplitSeq(top, "|") {
				if !functions[test] {
					t.Errorf("%s: %s has no test %s", m.name, m.tested(), test)
				}
			}
		}
	}
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w*)\(t \*testing\.T\)`)

// testsOf returns the test functions of a package.
func testsOf(t *testing.T, folder string) map[string]bool {
	names, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunction.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
	}
	return found
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		out  string
		fail bool
		want string
	}{
		"passes":        {out: "=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\n", want: "SURVIVES"},
		"fails":         {out: "=== RUN   TestA\n--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\nFAIL\n", fail: true, want: "TestA"},
		"two fail":      {out: "--- FAIL: TestA (0.00s)\n--- PASS: TestC (0.00s)\n--- FAIL: TestB (0.00s)\nFAIL\n", fail: true, want: "TestA, TestB"},
		"panics":        {out: "=== RUN   TestA\n=== RUN   TestB/x\npanic: oh\n", fail: true, want: "TestB (the program ends)"},
		"waits":         {out: "=== RUN   TestA\npanic: test timed out after 1s\n", fail: true, want: "TestA (waits for ever)"},
		"skips":         {out: "=== RUN   TestA\n--- SKIP: TestA (0.00s)\nPASS\n", want: "NOT TESTED: skipped TestA"},
		"not there":     {out: "testing: warning: no tests to run\nPASS\n", want: "NOT TESTED: there is no such test"},
		"does not even": {fail: true, want: "the start of the tests (the program ends)"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if c.fail {
				err = os.ErrInvalid
			}
			if got := judge([]byte(c.out), err).String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
