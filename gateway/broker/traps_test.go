package broker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trapRows is how many rows of each kind testdata/traps.tsv has: the traps of the
// protocol, what is wrong with mochi-mqtt 2.7.9, what was seen in other brokers,
// and what their users report.
var trapRows = map[string]int{"trap": 144, "mochi": 19, "other": 15, "report": 11}

// TestTraps holds the table of the traps that brokers fall into to the tests: each
// row names tests that exist, or why none can show it. The column "shown by" is one
// of
//
//   - names of tests as in TestStatements, and TestName/subtest if it stands as
//     such in the test;
//   - "not applicable: " and a reason;
//   - "later: " and what the broker has to have first.
//
// A reason may name tests that show a part.
func TestTraps(t *testing.T) {
	tests := testFunctions(t, ".", "")
	for dir, prefix := range map[string]string{"../mqtt": "mqtt.", "../../persist": "persist.", "..": "gateway."} {
		for name := range testFunctions(t, dir, prefix) {
			tests[name] = true
		}
	}
	source := ""
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source += string(b)
	}
	file, err := os.ReadFile("testdata/traps.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows, kinds := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "trap\tsummary\tshown by" {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			t.Errorf("%d columns: %s", len(f), line)
			continue
		}
		id, shownBy := f[0], f[2]
		list, _, _ := strings.Cut(id, " ")
		if rows[list]++; id != fmt.Sprint(list, " ", rows[list]) {
			t.Errorf("%s is row %d of its list", id, rows[list])
		}
		if len(strings.Fields(f[1])) < 3 {
			t.Errorf("%s: %q is no summary", id, f[1])
		}
		for _, name := range testName.FindAllString(shownBy, -1) {
			if !tests[name] {
				t.Errorf("%s: there is no test %s", id, name)
			}
		}
		kind, reason, _ := strings.Cut(shownBy, ": ")
		switch kind {
		case "not applicable", "later":
			if len(strings.Fields(reason)) < 4 {
				t.Errorf("%s: %q is not a reason", id, reason)
			}
		default:
			kind = "shown"
			for name := range strings.SplitSeq(shownBy, ", ") {
				function, subtest, _ := strings.Cut(name, "/")
				if function == "" || testName.FindString(function) != function {
					t.Errorf("%s: %q is neither a test nor a reason", id, name)
				}
				if subtest != "" && !strings.Contains(source, `"`+subtest+`"`) {
					t.Errorf("%s: %s has no subtest %q", id, function, subtest)
				}
			}
		}
		kinds[kind]++
	}
	for list, want := range trapRows {
		if rows[list] != want {
			t.Errorf("%d rows of %s, want %d", rows[list], list, want)
		}
	}
	t.Logf("%d traps are shown, %d do not apply, %d are for later", kinds["shown"], kinds["not applicable"], kinds["later"])
}
