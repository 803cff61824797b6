package broker_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile(`\b((mqtt|persist|gateway)\.)?(Test|Fuzz)[A-Z]\w*`)

// TestStatements holds the table of the standards' normative statements to the
// tests: each row is shown by tests that exist, or says why none can show it. The
// column "shown by" is one of
//
//   - names of tests: TestName in this package, mqtt.TestName in the codec's,
//     TestName/subtest;
//   - "client: " and a reason, for a statement that binds clients only;
//   - "untestable: " and a reason, for one that this broker gives no occasion for.
//
// Nobody but a reader can tell whether a test shows what it is named for.
func TestStatements(t *testing.T) {
	tests := testFunctions(t, ".", "")
	for name := range testFunctions(t, "../mqtt", "mqtt.") {
		tests[name] = true
	}
	file, err := os.ReadFile("testdata/mqtt_statements.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	rows, kinds := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "version\t") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			t.Errorf("%d columns: %s", len(f), line)
			continue
		}
		id, who, shownBy := f[0]+" "+f[1], f[2], f[5]
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		rows[f[0]]++
		for _, name := range testName.FindAllString(shownBy, -1) {
			if !tests[name] {
				t.Errorf("%s: there is no test %s", id, name)
			}
		}
		kind, reason, _ := strings.Cut(shownBy, ": ")
		switch {
		case shownBy == "":
			t.Errorf("%s has no test: %s", id, f[3])
		case kind == "client" && who != "client":
			t.Errorf("%s binds %s, not clients only", id, who)
		case kind == "client" || kind == "untestable":
		default:
			kind, reason = "shown", ""
			for name := range strings.SplitSeq(shownBy, ", ") {
				function, _, _ := strings.Cut(name, "/")
				if testName.FindString(function) != function || function == "" {
					t.Errorf("%s: %q is neither a test nor a reason", id, name)
				}
			}
		}
		if kind != "shown" && len(strings.Fields(reason)) < 4 {
			t.Errorf("%s: %q is not a reason", id, reason)
		}
		kinds[kind]++
	}
	for version, want := range map[string]int{"3.1.1": 141, "5.0": 251} {
		if rows[version] != want {
			t.Errorf("%d statements of %s, want %d", rows[version], version, want)
		}
	}
	t.Logf("%d statements are shown, %d bind clients only, %d are untestable", kinds["shown"], kinds["client"], kinds["untestable"])
}

// testFunctions returns the names of the tests and fuzz tests in a folder.
func testFunctions(t *testing.T, dir, prefix string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && testName.FindString(f.Name.Name) == f.Name.Name {
				names[prefix+f.Name.Name] = true
			}
		}
	}
	return names
}
