package tomllines

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	text := "\ufeff# c\n" + `a = 1
b.c = [ 1, # x ] [[no]]
  2,
  [3, """
[[no]]
x = 1 \""""", 4],
]
'd' = { e = 1, f = [
{g = 'x = "'}] }
[t] # [u]
"x y" = 1979-05-27 07:32:00
[[l]]
k = '''
'''''
[[l]]
k = ""
[l.m]
n = 1
[[l.p]]
[[l.p]]
q = 1
`
	lines := Of(text)
	for path, want := range map[string]int{
		"a": 2, "b": 3, "b.c": 3, "b.c[0]": 3, "b.c[1]": 4, "b.c[2]": 5, "b.c[2][0]": 5, "b.c[2][1]": 5, "b.c[2][2]": 7,
		"d": 9, "d.e": 9, "d.f": 9, "d.f[0]": 10, "d.f[0].g": 10, "t": 11, "t.x y": 12, "l": 13, "l[0]": 13, "l[0].k": 14,
		"l[1]": 16, "l[1].k": 17, "l[1].m": 18, "l[1].m.n": 19, "l[1].p": 20, "l[1].p[0]": 20, "l[1].p[1]": 21, "l[1].p[1].q": 22,
	} {
		if lines[path] != want {
			t.Errorf("%s is in line %d, want %d", path, lines[path], want)
		}
		delete(lines, path)
	}
	if len(lines) > 0 {
		t.Errorf("and %v", lines)
	}
}

// A text that is nested as deeply as it can be does not take more room and time than others.
func TestBounds(t *testing.T) {
	const size = 64 << 10
	for _, unit := range []string{"[", "a.", "{a=", "[{a="} {
		text := "x = " + strings.Repeat(unit, size/len(unit)-2)
		if unit == "a." {
			text = strings.Repeat(unit, size/len(unit)-3) + "b = 1"
		}
		total := 0
		for path := range Of(text) {
			total += len(path)
		}
		if total > 100*size {
			t.Errorf("%s: the paths take %d bytes", unit, total)
		}
	}
}

// FuzzOf: no text hurts, and what is found is in the text.
func FuzzOf(f *testing.F) {
	f.Add("a = [[[[1], {b = \"\"\"x\"\"\"\"}]")
	f.Add("[[a]]\n[[a.b]]\n[a.b.c.\"d\"]\ne.f = '''\n''' # x")
	f.Add("[server]\nlisten = [\"x\"]\n[[user]]\nname = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n") + 1
		for path, line := range Of(text) {
			if line < 1 || line > lines {
				t.Errorf("%q is in line %d of %d", path, line, lines)
			}
		}
	})
}
