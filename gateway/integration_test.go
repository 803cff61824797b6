package gateway

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The custom integration and what it is tested with.
const (
	integrationRoot  = "homeassistant" // of custom_components
	integrationTests = "homeassistant/integration_tests"
)

// python returns an interpreter that has what the integration's tests import, which is
// Debian's python3-aiohttp and python3-voluptuous.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import aiohttp, voluptuous").Run() == nil {
			return name
		}
	}
	missing(t, "python3 with aiohttp and voluptuous")
	return ""
}

// missing skips a test that needs another program, unless all have to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("LINTEL_NEED_ALL") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

// pythonEnvironment is that of a program that reads the integration and leaves nothing there.
func pythonEnvironment(t *testing.T, more ...string) []string {
	t.Helper()
	root, err := filepath.Abs(integrationRoot)
	if err != nil {
		t.Fatal(err)
	}
	path := root + ":" + filepath.Join(root, "integration_tests")
	return append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+path,
		"MYPYPATH="+path+":"+filepath.Join(root, "integration_tests", "stubs")), more...)
}

// TestIntegrationFlow proves the custom integration and the box on each other: its tests
// go the measured way from the card to both entries, on stubs of what they call in Home
// Assistant, with the pairing and the broker of real boxes.
func TestIntegrationFlow(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	claimed, stop := startWith(t, closedConfig(), t.TempDir(), false)
	defer stop()
	unclaimed, stopUnclaimed := startWith(t, closedConfig(), t.TempDir(), false)
	defer stopUnclaimed()
	owner := claim(t, claimed)
	var token struct{ Token string }
	owner.call("POST", "/api/tokens", map[string]string{"name": "test", "level": "admin"}, &token)
	for _, home := range []struct{ name, old string }{{"since 2025.2", ""}, {"before 2025.2", "1"}} {
		t.Run(home.name, func(t *testing.T) {
			tests := exec.CommandContext(t.Context(), interpreter, "-W", "error", "-m", "unittest", "-v", "test_api", "test_entry", "test_flow")
			tests.Dir = integrationTests
			tests.Env = pythonEnvironment(t, "LINTEL_URL="+owner.url, "LINTEL_UNCLAIMED_URL="+visit(t, unclaimed).url,
				"LINTEL_TOKEN="+token.Token, "LINTEL_OLD_HOME_ASSISTANT="+home.old)
			out, err := tests.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "\nOK\n") {
				t.Errorf("%v\n%s", err, out)
			}
			t.Log(string(out))
		})
	}
}

// TestIntegrationTypes checks the types of the integration and of its tests.
func TestIntegrationTypes(t *testing.T) {
	t.Parallel()
	checkPython(t, "mypy", "--strict", "--cache-dir=/dev/null", "--namespace-packages", "--explicit-package-bases")
}

// TestIntegrationLint looks for what is no good Python.
func TestIntegrationLint(t *testing.T) {
	if testing.Short() {
		t.Skip("computes for long: make race")
	}
	t.Parallel()
	checkPython(t, "pylint", "--rcfile=pylintrc", "--persistent=n", "--score=n")
}

func checkPython(t *testing.T, program string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(t, program)
	}
	tests, err := filepath.Glob(integrationTests + "/*.py")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	for _, name := range tests {
		args = append(args, filepath.Base(name))
	}
	check := exec.CommandContext(t.Context(), program, append(args, "homeassistant", "../custom_components/lintel")...)
	check.Dir, check.Env = integrationTests, pythonEnvironment(t)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
}
