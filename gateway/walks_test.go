package gateway

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// A step of a walk in README.md: `path/file.go`: `Identifier`, of a method `Type.Method`.
var (
	numbered = regexp.MustCompile("^[0-9]+\\. `")
	step     = regexp.MustCompile("^[0-9]+\\. `([^`]+\\.go)`: `([^`]+)`")
)

// What the walks through the house lead past is there.
func TestWalks(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]map[string]bool) // by file
	steps := 0
	for line := range strings.Lines(string(readme)) {
		if !numbered.MatchString(line) {
			continue
		}
		m := step.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no step of a walk: %s", line)
			continue
		}
		steps++
		file, identifier := m[1], m[2]
		if declared[file] == nil {
			declared[file] = identifiers(t, "../"+file)
		}
		if !declared[file][identifier] {
			t.Errorf("%s does not declare %s: %s", file, identifier, line)
		}
	}
	if steps < 10 {
		t.Errorf("%d steps: the walks are missing", steps)
	}
}

// identifiers returns what a file declares, a method behind its type and a dot.
func identifiers(t *testing.T, path string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return found
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				if of, ok := receiver.(*ast.Ident); ok {
					name = of.Name + "." + name
				}
			}
			found[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					found[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						found[name.Name] = true
					}
				}
			}
		}
	}
	return found
}
