package main

import (
	"bytes"
	"errors"
	"flag"
	"os/exec"
	"strings"
	"testing"
)

// It builds where people have their workstations.
func TestBuildsElsewhere(t *testing.T) {
	for _, goos := range []string{"darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			build := exec.Command("go", "vet", ".")
			build.Env = append(build.Environ(), "GOOS="+goos, "GOARCH=arm64", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestHelpOfEachCommand(t *testing.T) {
	for _, k := range commands() {
		for _, args := range [][]string{{"help", k.name}, {k.name, "--help"}} {
			var out, diagnostics bytes.Buffer
			if err := run(args, nil, &out, &diagnostics); err != nil {
				t.Errorf("%q: %v", args, err)
			}
			said := &out
			if args[0] != "help" {
				said = &diagnostics
			}
			if !strings.HasPrefix(said.String(), "lintelctl "+k.name) || strings.Contains(said.String(), "\n\n\n") {
				t.Errorf("%q says\n%s", args, said)
			}
		}
		if strings.HasSuffix(k.short, ".") || k.short == "" {
			t.Errorf("%s: %q", k.name, k.short)
		}
		for _, f := range k.flags() {
			if f.text == "" || !f.switches && f.value == "" {
				t.Errorf("%s --%s: value %q, text %q", k.name, f.name, f.value, f.text)
			}
		}
	}
}

func TestFlagsStandAnywhere(t *testing.T) {
	for args, want := range map[string]string{
		"--user a publish b":     "publish b",
		"publish --user a b":     "publish b",
		"publish b --user a":     "publish b",
		"publish -- --user a":    "publish --user a",
		"--user a -- publish -x": "publish -x",
	} {
		flags := flag.NewFlagSet("explain", flag.ContinueOnError)
		explain(flags)
		got, err := parse(flags, strings.Fields(args))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", args, got, err)
		}
	}
}

// The shells take what is written for them, and know each command and flag.
func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			var out bytes.Buffer
			if err := run([]string{"completion", shell}, nil, &out, &out); err != nil {
				t.Fatal(err)
			}
			for _, k := range commands() {
				if !strings.Contains(out.String(), k.name) {
					t.Errorf("%s is not in it", k.name)
				}
			}
			if path, err := exec.LookPath(shell); err == nil {
				check := exec.Command(path, "-n")
				check.Stdin = &out
				if said, err := check.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, said)
				}
			}
		})
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	var script bytes.Buffer
	if err := writeBash(&script); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{
		"lintelctl expl":          "explain",
		"lintelctl explain --use": "--user",
		"lintelctl users imp":     "import",
		"lintelctl completion z":  "zsh",
	} {
		try := exec.Command(bash)
		try.Stdin = strings.NewReader(script.String() + "COMP_WORDS=(" + words + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_lintelctl\necho \"${COMPREPLY[@]}\"\n")
		if said, err := try.CombinedOutput(); err != nil || strings.TrimSpace(string(said)) != want {
			t.Errorf("%s: %q, %v; want %s", words, said, err, want)
		}
	}
}

func TestManualPage(t *testing.T) {
	var page bytes.Buffer
	if err := run([]string{"man"}, nil, &page, &page); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(page.String()) {
		if strings.HasPrefix(line, "'") {
			t.Errorf("troff takes this line for a request: %s", line)
		}
	}
	if path, err := exec.LookPath("man"); err == nil {
		check := exec.Command(path, "--warnings", "-l", "-")
		check.Env = append(check.Environ(), "MANROFFSEQ=", "LC_ALL=C.UTF-8", "MANWIDTH=80", "TERM=dumb")
		check.Stdin = &page
		var out, diagnostics bytes.Buffer
		check.Stdout, check.Stderr = &out, &diagnostics
		if err := check.Run(); err != nil || diagnostics.Len() > 0 || !strings.Contains(out.String(), "--user NAME") {
			t.Errorf("%v\n%s\n%.500s", err, &diagnostics, &out)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		says   bool
	}{
		{nil, 0, false},
		{errUsage, 2, true},
		{errors.New("x"), 1, true},
		{&statusError{27, nil}, 27, false},
		{&statusError{5, errors.New("x")}, 5, true},
	} {
		if status, say := exitStatus(test.err); status != test.status || (say != nil) != test.says {
			t.Errorf("%v: status %d, %v", test.err, status, say)
		}
	}
}
