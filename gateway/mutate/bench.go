package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// testTime is what the tests of a mutation may take; one that waits for ever for
	// what the mutation has taken away has noticed it.
	testTime = 2 * time.Minute
	// buildTime is for the slowest package with nothing in the cache, twice at once.
	buildTime = 15 * time.Minute
)

// bench is where mutations are tried.
type bench struct {
	root string // of the module
	dir  string // for what is made here
}

func newBench(ctx context.Context) (*bench, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "lintel-mutate-")
	if err != nil {
		return nil, err
	}
	return &bench{root: strings.TrimSpace(string(root)), dir: dir}, nil
}

func (b *bench) close() { os.RemoveAll(b.dir) }

// verdict is what came out of tests.
type verdict int

const (
	green    verdict = iota // nobody has noticed anything
	red                     // a test has
	broken                  // it does not compile
	untested                // the tests were not run, or skipped
)

// result is what came out, and of which tests.
type result struct {
	verdict verdict
	detail  string
	took    time.Duration
}

func (r result) String() string {
	switch r.verdict {
	case red:
		return r.detail
	case broken:
		return "DOES NOT COMPILE: " + r.detail
	case untested:
		return "NOT TESTED: " + r.detail
	}
	return "SURVIVES"
}

// tryAsItIs runs the tests of all mutations on the tree as it is, and returns those that
// are red.
func (b *bench) tryAsItIs(ctx context.Context, list []mutation) (notGreen []string, err error) {
	tests := make(map[string][]string)
	for _, m := range list {
		for test := range strings.SplitSeq(m.run, "|") {
			if !slices.Contains(tests[m.tested()], test) {
				tests[m.tested()] = append(tests[m.tested()], test)
			}
		}
	}
	packages := slices.Sorted(maps.Keys(tests))
	var mu sync.Mutex
	each(len(packages), func(i int) {
		r := b.test(ctx, fmt.Sprintf("as-it-is-%d", i), "", packages[i], strings.Join(tests[packages[i]], "|"))
		if r.verdict != green {
			mu.Lock()
			notGreen = append(notGreen, packages[i]+": "+r.String())
			mu.Unlock()
		}
	})
	return notGreen, ctx.Err()
}

// try runs the tests of a mutation with it.
func (b *bench) try(ctx context.Context, m mutation) result {
	overlay, err := b.overlay(m)
	if err != nil {
		return result{verdict: broken, detail: err.Error()}
	}
	return b.test(ctx, m.name, overlay, m.tested(), m.run)
}

// overlay writes the mutated file, and the file that tells the go command of it.
func (b *bench) overlay(m mutation) (name string, err error) {
	original, mutated, err := m.apply(b.root)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, m.name+".go")
	if err := os.WriteFile(file, []byte(mutated), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err != nil {
		return "", err
	}
	name = filepath.Join(b.dir, m.name+".json")
	return name, os.WriteFile(name, list, 0o600)
}

// test compiles the tests of a package, with an overlay if it is not empty, and runs those
// that match. That is done in two steps so that what does not compile is not taken for
// a test that fails.
func (b *bench) test(ctx context.Context, name, overlay, pkg, run string) (r result) {
	began := time.Now()
	defer func() { r.took = time.Since(began) }()
	env := os.Environ()
	if overlay != "" { // for what tests compile themselves, too
		env = append(env, strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	program := filepath.Join(b.dir, name+".test")
	defer os.Remove(program)
	build := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program, "./"+pkg)
	build.Dir, build.Env = b.root, env
	if out, err := finish(ctx, build, buildTime); err != nil {
		return result{verdict: broken, detail: oneLine(out)}
	}
	test := exec.Command(program, "-test.run", pattern(run), "-test.v", "-test.timeout", testTime.String())
	test.Dir, test.Env = filepath.Join(b.root, pkg), env
	out, err := finish(ctx, test, testTime+time.Minute)
	return judge(out, err)
}

// pattern has each of the tests match as a whole. The part behind a slash is that of
// subtests.
func pattern(run string) string {
	top, sub, found := strings.Cut(run, "/")
	if top = "^(" + top + ")$"; found {
		top += "/" + sub
	}
	return top
}

var (
	failed  = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	skipped = regexp.MustCompile(`(?m)^--- SKIP: (\S+)`)
	passed  = regexp.MustCompile(`(?m)^--- PASS: (\S+)`)
	begun   = regexp.MustCompile(`(?m)^=== RUN +(\S+)`)
)

// judge reads what tests have printed.
func judge(out []byte, err error) result {
	var names []string
	for _, m := range failed.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	switch {
	case err == nil && skipped.Match(out):
		return result{verdict: untested, detail: "skipped " + string(skipped.FindSubmatch(out)[1])}
	case err == nil && !passed.Match(out):
		return result{verdict: untested, detail: "there is no such test"}
	case err == nil:
		return result{verdict: green}
	case bytes.Contains(out, []byte("panic: test timed out")), errors.Is(err, context.DeadlineExceeded):
		return result{verdict: red, detail: last(out) + " (waits for ever)"}
	case len(names) == 0:
		return result{verdict: red, detail: last(out) + " (the program ends)"}
	}
	return result{verdict: red, detail: strings.Join(names, ", ")}
}

// last returns the test that began last.
func last(out []byte) string {
	all := begun.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return "the start of the tests"
	}
	top, _, _ := strings.Cut(string(all[len(all)-1][1]), "/")
	return top
}

// finish runs a program and whatever that starts, and returns what they print.
func finish(ctx context.Context, c *exec.Cmd, within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.WaitDelay = 10 * time.Second // for a grandchild that holds the output
	if err := c.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	err := c.Wait()
	stop()
	syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // what tests have left behind
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.Bytes(), err
}

func oneLine(out []byte) string {
	line := strings.Join(strings.Fields(string(out)), " ")
	return strings.ReplaceAll(line[:min(len(line), 300)], "|", "\\|")
}
