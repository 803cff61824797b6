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

// notYetShown are the statements that bind the broker and that no test shows,
// with what is missing. The list is to become empty.
var notYetShown = map[string]string{
	"3.1.1 MQTT-4.8.0-2": "no test makes the store fail under a packet",
	"5.0 MQTT-3.15.2-2":  "enhanced authentication exists as refusal only: the broker sends no AUTH",
	"5.0 MQTT-3.15.2-3":  "enhanced authentication exists as refusal only: the broker sends no AUTH",
	"5.0 MQTT-4.12.0-2":  "enhanced authentication exists as refusal only: the broker sends no AUTH",
	"5.0 MQTT-4.12.0-3":  "enhanced authentication exists as refusal only: no exchange in which a client could answer wrongly",
	"5.0 MQTT-4.12.0-4":  "enhanced authentication exists as refusal only: of its steps there is the first",
	"5.0 MQTT-4.12.0-5":  "enhanced authentication exists as refusal only: no method is ever accepted",
	"5.0 MQTT-4.12.1-1":  "enhanced authentication exists as refusal only: there is nothing to authenticate again",
	"5.0 MQTT-4.12.1-2":  "enhanced authentication exists as refusal only: there is nothing to authenticate again",
}

var testName = regexp.MustCompile(`\b((mqtt|persist|gateway)\.)?(Test|Fuzz)[A-Z]\w*`)

// TestStatements holds the table of the standards' normative statements to the
// tests: each row is shown by tests that exist, or says why none can show it. The
// column "shown by" is one of
//
//   - names of tests: TestName in this package, mqtt.TestName in the codec's,
//     TestName/subtest;
//   - "client: " and a reason, for a statement that binds clients only;
//   - "untestable: " and a reason, for one that this broker gives no occasion for;
//   - empty, if the statement is in notYetShown.
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
		missing, listed := notYetShown[id]
		kind, reason, _ := strings.Cut(shownBy, ": ")
		switch {
		case shownBy == "" && listed:
			kind, reason = "not yet shown", missing
			t.Logf("%s is not shown yet: %s", id, missing)
		case shownBy == "":
			t.Errorf("%s has no test: %s", id, f[3])
		case listed:
			t.Errorf("%s has an entry in the table and is in notYetShown", id)
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
	for id := range notYetShown {
		if !seen[id] {
			t.Errorf("there is no statement %s", id)
		}
	}
	for version, want := range map[string]int{"3.1.1": 141, "5.0": 251} {
		if rows[version] != want {
			t.Errorf("%d statements of %s, want %d", rows[version], version, want)
		}
	}
	t.Logf("%d statements are shown, %d bind clients only, %d are untestable, %d are not shown yet",
		kinds["shown"], kinds["client"], kinds["untestable"], kinds["not yet shown"])
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
