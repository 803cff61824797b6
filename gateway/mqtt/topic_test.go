package mqtt

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestValidTopicName(t *testing.T) {
	long := strings.Repeat("x", 65535)
	for name, want := range map[string]bool{
		"a": true, "a/b": true, "/": true, "//": true, " ": true, "a b": true, "$SYS/x": true, "$": true, "ä/漢/𠀋": true,
		"\ufeffa": true, "a\x01": true, long: true, strings.Repeat("/", 65535): true,
		"": false, "+": false, "#": false, "a/+": false, "a/#": false, "a+b": false, "a#": false, "a\x00": false, long + "x": false,
	} {
		if ValidTopicName(name) != want || ValidTopicName([]byte(name)) != want {
			t.Errorf("ValidTopicName(%.40q) = %v", name, !want)
		}
	}
}

func TestValidFilter(t *testing.T) {
	long := strings.Repeat("x", 65535)
	for filter, want := range map[string]bool{
		"a": true, "/": true, "//": true, "#": true, "+": true, "+/+": true, "+/#": true, "/#": true, "/+": true, "+/": true,
		"a/#": true, "a/+": true, "a/+/b": true, "a/+/#": true, "a//#": true, "$SYS/#": true, " ": true, long: true,
		strings.Repeat("+/", 32767) + "#": true, // no limit to the levels
		"":                                false, "a#": false, "#a": false, "#/": false, "a/#/b": false, "##": false, "#/#": false, "a/##": false,
		"a+": false, "+a": false, "++": false, "a/b+": false, "a/+b": false, "a/b+/c": false, "+#": false, "#+": false,
		"a\x00": false, long + "x": false,
	} {
		if ValidFilter(filter) != want {
			t.Errorf("ValidFilter(%.40q) = %v", filter, !want)
		}
	}
}

func TestSplitShared(t *testing.T) {
	for _, x := range []struct {
		f, share, filter string
		ok               bool
	}{
		{"a/#", "", "a/#", true},
		{"a#", "", "a#", false},
		{"", "", "", false},
		{"$share/g/a", "g", "a", true},
		{"$share/g/a/b/#", "g", "a/b/#", true},
		{"$share/g/#", "g", "#", true},
		{"$share/g//t", "g", "/t", true}, // the filter is /t
		{"$share/g//", "g", "/", true},
		{"$share/g/+/$SYS", "g", "+/$SYS", true},
		{"$share/a b/t", "a b", "t", true},
		{"$share", "", "$share", false},
		{"$share/", "", "", false},
		{"$share/g", "", "", false},
		{"$share/g/", "", "", false},
		{"$share//t", "", "", false},
		{"$share///t", "", "", false},
		{"$share/+/t", "", "", false},
		{"$share/#", "", "", false},
		{"$share/g#/t", "", "", false},
		{"$share/+g/t", "", "", false},
		{"$share/g/a#", "", "", false},
		{"$share/g/#/a", "", "", false},
		{"$Share/g/a", "", "$Share/g/a", true}, // case counts
		{"$queue/a", "", "$queue/a", true},
		{"/$share/g/a", "", "/$share/g/a", true},
	} {
		share, filter, ok := SplitShared(x.f)
		if share != x.share || filter != x.filter || ok != x.ok {
			t.Errorf("SplitShared(%q) = %q, %q, %v", x.f, share, filter, ok)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, x := range []struct {
		filter, topic string
		want          bool
	}{
		// '#' stands for any number of levels, the parent included.
		{"#", "a", true}, {"#", "a/b/c", true}, {"#", "/", true}, {"#", "/a", true},
		{"a/#", "a", true}, {"a/#", "a/", true}, {"a/#", "a/b", true}, {"a/#", "a/b/c", true}, {"a/#", "ab", false}, {"a/#", "b/a", false},
		{"a/b/#", "a", false}, {"a/b/#", "a/b", true},
		{"/#", "/", true}, {"/#", "/a", true}, {"/#", "a", false},
		{"+/#", "foo", true}, {"+/#", "foo/bar", true}, {"+/#", "/", true},
		{"a/+/#", "a/b", true}, {"a/+/#", "a", false}, {"a/+/#", "a/", true}, {"a/+/#", "a/b/c/d", true},
		{"+/+/#", "a/b", true}, {"+/+/#", "a", false},
		// '+' stands for one level, which may be empty.
		{"+", "a", true}, {"+", "/a", false}, {"+", "a/", false}, {"+", "/", false},
		{"+/+", "/a", true}, {"+/+", "a/", true}, {"+/+", "/", true}, {"+/+", "a", false}, {"/+", "/a", true}, {"/+", "a", false},
		{"a/+", "a", false}, {"a/+", "a/", true}, {"a/+", "a/b", true}, {"a/+", "a/b/c", false},
		{"a/+/c", "a/b/c", true}, {"a/+/c", "a//c", true}, {"a/+/c", "a/c", false}, {"a/+/c", "a/b/c/d", false},
		{"house/+/room", "house/1/room/x", false}, {"house/+/room/+", "house/1/room/x", true},
		// Empty levels count, and nothing is folded.
		{"a", "a", true}, {"a", "/a", false}, {"/a", "a", false}, {"a/", "a", false}, {"a", "a/", false},
		{"a//b", "a//b", true}, {"a//b", "a/b", false}, {"a/b", "a//b", false}, {"/", "/", true}, {"/", "//", false}, {"//", "//", true},
		{"a", "A", false}, {"a", "a ", false}, {"caf\u00e9", "cafe\u0301", false},
		// A wildcard in the first level does not match a name that begins with $.
		{"#", "$SYS/a", false}, {"+", "$SYS", false}, {"+/a", "$SYS/a", false}, {"+/#", "$SYS/a", false}, {"+/+", "$SYS/a", false},
		{"#", "$", false}, {"$SYS/#", "$SYS/a", true}, {"$SYS/#", "$SYS", true}, {"$SYS/+", "$SYS/a", true}, {"$SYS/a", "$SYS/a", true},
		{"/#", "/$SYS", true}, {"+/+", "a/$SYS", true}, {"a/#", "a/$x", true}, {"$", "$", true},
	} {
		if Match(x.filter, x.topic) != x.want {
			t.Errorf("Match(%q, %q) = %v", x.filter, x.topic, !x.want)
		}
		if got := ValidFilter(x.filter) && ValidTopicName(x.topic); !got {
			t.Errorf("%q or %q is not valid", x.filter, x.topic)
		}
	}
}

// naiveFilter is ValidFilter level by level.
func naiveFilter(f string) bool {
	levels := strings.Split(f, "/")
	for i, level := range levels {
		if level == "#" && i == len(levels)-1 || level == "+" {
			continue
		}
		if strings.ContainsAny(level, "#+\x00") {
			return false
		}
	}
	return f != "" && len(f) <= 65535
}

// naiveMatch is Match by the letter of §4.7.
func naiveMatch(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "#" || f[0] == "+") {
		return false
	}
	return matchLevels(f, t)
}

func matchLevels(f, t []string) bool {
	switch {
	case len(f) == 0:
		return len(t) == 0
	case f[0] == "#":
		return true
	case len(t) == 0:
		return false
	}
	return (f[0] == "+" || f[0] == t[0]) && matchLevels(f[1:], t[1:])
}

var sharedFilter = regexp.MustCompile(`(?s)^\$share/([^/+#]+)/(.+)$`)

func FuzzMatch(f *testing.F) {
	for _, filter := range []string{"#", "+", "a", "a/#", "a/+", "+/#", "/", "//", "/#", "+/+", "a/+/#", "$SYS/#", "$share/g/a/+", "$share/+/a", "a#", "a/#/b", "\x00"} {
		for _, topic := range []string{"a", "/", "a/b", "/a", "a/", "$SYS/a", "$", "a//b"} {
			f.Add(filter, topic)
		}
	}
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if got := ValidFilter(filter); got != naiveFilter(filter) {
			t.Fatalf("ValidFilter(%q) = %v", filter, got)
		}
		if got, want := ValidTopicName(topic), topic != "" && len(topic) <= 65535 && !strings.ContainsAny(topic, "+#\x00"); got != want {
			t.Fatalf("ValidTopicName(%q) = %v", topic, got)
		}
		if got, want := Match(filter, topic), naiveMatch(filter, topic); ValidFilter(filter) && ValidTopicName(topic) && got != want {
			t.Fatalf("Match(%q, %q) = %v", filter, topic, got)
		}
		share, inner, ok := SplitShared(filter)
		switch m := sharedFilter.FindStringSubmatch(filter); {
		case filter == "$share" || strings.HasPrefix(filter, "$share/"):
			if want := m != nil && naiveFilter(m[2]); ok != want || ok && (share != m[1] || inner != m[2]) {
				t.Fatalf("SplitShared(%q) = %q, %q, %v", filter, share, inner, ok)
			}
		case share != "" || inner != filter || ok != naiveFilter(filter):
			t.Fatalf("SplitShared(%q) = %q, %q, %v", filter, share, inner, ok)
		}
	})
}

// TestMatchAll tries every filter against every topic of up to three levels.
func TestMatchAll(t *testing.T) {
	var names []string
	levels := []string{"", "a", "b", "+", "#", "$a"}
	for n, last := 0, []string{""}; n < 3; n++ {
		var next []string
		for _, head := range last {
			for _, level := range levels {
				next = append(next, head+level+"/")
			}
		}
		for _, s := range next {
			names = append(names, strings.TrimSuffix(s, "/"))
		}
		last = next
	}
	topics := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !ValidTopicName(s) })
	for _, filter := range names {
		if ValidFilter(filter) != naiveFilter(filter) {
			t.Errorf("ValidFilter(%q) = %v", filter, ValidFilter(filter))
		}
		if !ValidFilter(filter) {
			continue
		}
		for _, topic := range topics {
			if got, want := Match(filter, topic), naiveMatch(filter, topic); got != want {
				t.Errorf("Match(%q, %q) = %v", filter, topic, got)
			}
		}
	}
}
