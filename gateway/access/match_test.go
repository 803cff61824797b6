package access

import (
	"strings"
	"testing"
	"unicode/utf8"

	"lintel/gateway/mqtt"
)

// naiveMatch is §4.7 of 5.0 once more, level by level, by recursion.
func naiveMatch(rule, topic []string) bool {
	switch {
	case len(rule) == 1 && rule[0] == "#":
		return true
	case len(rule) == 0 || len(topic) == 0:
		return len(rule) == len(topic)
	}
	return (rule[0] == "+" || rule[0] == topic[0]) && naiveMatch(rule[1:], topic[1:])
}

// naiveRule returns the levels of a rule for somebody; none if it never matches.
// The marks are bytes that no UTF-8 has.
func naiveRule(rule string, id *Identity) []string {
	names := strings.NewReplacer("%%", "", "%u", "\xf8", "%c", "\xf9", "%i", "\xfa").Replace(rule)
	for mark, name := range map[string]string{"\xf8": id.User, "\xf9": id.ClientID, "\xfa": id.Name} {
		if strings.Contains(names, mark) && (name == "" || strings.ContainsAny(name, "+#/\x00")) {
			return nil
		}
	}
	put := strings.NewReplacer("%%", "%", "%u", id.User, "%c", id.ClientID, "%i", id.Name)
	var levels []string
	for l := range strings.SplitSeq(rule, "/") {
		levels = append(levels, put.Replace(l))
	}
	if strings.HasPrefix(levels[0], "$") && !strings.HasPrefix(rule, "$") {
		return nil
	}
	return levels
}

// naiveCovers tries topics that asked matches: with a level that nobody has thought of
// for each +, and no, one and more levels than the rule has for a #.
func naiveCovers(rule, asked string, id *Identity) bool {
	levels := naiveRule(rule, id)
	if levels == nil {
		return false
	}
	const other = "\xff"
	var topic []string
	for l := range strings.SplitSeq(asked, "/") {
		if l == "+" {
			l = other
		}
		topic = append(topic, l)
	}
	topics := [][]string{topic}
	if last := len(topic) - 1; topic[last] == "#" {
		above := topic[:last:last]
		topics = [][]string{append(above, other), append(above, strings.Split(strings.Repeat(other+"/", len(levels)+1), "/")...)}
		if last > 0 {
			topics = append(topics, above)
		}
	}
	for _, t := range topics {
		if strings.HasPrefix(t[0], "$") != strings.HasPrefix(rule, "$") || !naiveMatch(levels, t) {
			return false
		}
	}
	return true
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][3]string{
		{"a/#", "a", "u"}, {"a/+", "a/#", "u"}, {"#", "$SYS/x", "u"}, {"+/#", "#", "u"}, {"s/%u/#", "s/u/x", "u"},
		{"%u/#", "$SYS/x", "$SYS"}, {"s/%u", "s/%c", "%c"}, {"s/%%u", "s/%u", "u"}, {"/+/", "//", ""}, {"+/+", "/", "+"},
		{"x%u.y/+", "xA/B.y/+", "A/B"}, {"$SYS/%u/#", "$SYS/u/#", "u"}, {"%i/%c/%u", "n/c/u", "u"}, {"a/%u/#", "a/#", "#"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, rule, asked, user string) {
		if checkFilter(rule) != nil || !mqtt.ValidFilter(asked) || !utf8.ValidString(user) {
			return
		}
		id := &Identity{User: user, ClientID: "c", Name: user + "n"}
		if got, want := newFilter(rule).covers(id, asked), naiveCovers(rule, asked, id); got != want {
			t.Errorf("rule %q covers %q for %q: %v, want %v", rule, asked, user, got, want)
		}
		if !strings.Contains(rule, "%") && mqtt.ValidTopicName(asked) {
			if got, want := newFilter(rule).covers(id, asked), mqtt.Match(rule, asked); got != want {
				t.Errorf("rule %q matches %q: %v, and the broker says %v", rule, asked, got, want)
			}
		}
		text, ok := newFilter(rule).expand(id)
		if levels := naiveRule(rule, id); ok != (levels != nil) || ok && text != strings.Join(levels, "/") {
			t.Errorf("rule %q is %q for %q, want %q", rule, text, user, levels)
		}
	})
}

// words returns all sequences of one to n levels.
func words(levels []string, n int, valid func(string) bool) []string {
	var all []string
	last := []string{""}
	for i := range n {
		var next []string
		for _, head := range last {
			for _, l := range levels {
				w := head + "/" + l
				if i == 0 {
					w = l
				}
				next = append(next, w)
			}
		}
		last = next
		for _, w := range next {
			if valid(w) {
				all = append(all, w)
			}
		}
	}
	return all
}

// TestCoversEnumerated holds covers and overlaps against their definition, for all
// filters of up to three levels, by all topics of up to five: one more than a filter
// can tell apart, and with a level that is in no filter.
func TestCoversEnumerated(t *testing.T) {
	filters := words([]string{"a", "b", "", "$s", "+", "#"}, 3, mqtt.ValidFilter)
	// No topic is empty, but the rules need not know: /# may as well match it.
	topics := words([]string{"a", "b", "", "$s", "other"}, 5, func(string) bool { return true })
	split := make([][]string, len(topics))
	for i, topic := range topics {
		split[i] = strings.Split(topic, "/")
	}
	matched := make([][]bool, len(filters))
	for i, f := range filters {
		matched[i] = make([]bool, len(topics))
		levels := strings.Split(f, "/")
		for j, topic := range topics {
			system := strings.HasPrefix(topic, "$") && (f[0] == '+' || f[0] == '#') // [v5 MQTT-4.7.2-1]
			matched[i][j] = !system && naiveMatch(levels, split[j])
		}
	}
	id, pairs, mistakes := &Identity{}, 0, 0
	for i, rule := range filters {
		for j, asked := range filters {
			covers, overlaps := true, false
			for k := range topics {
				covers = covers && (matched[i][k] || !matched[j][k])
				overlaps = overlaps || matched[i][k] && matched[j][k]
			}
			f := newFilter(rule)
			if got := f.covers(id, asked); got != covers {
				t.Errorf("%q covers %q: %v, want %v", rule, asked, got, covers)
				mistakes++
			}
			if got := f.overlaps(id, asked); got != overlaps {
				t.Errorf("%q overlaps %q: %v, want %v", rule, asked, got, overlaps)
				mistakes++
			}
			pairs++
			if mistakes > 20 {
				t.FailNow()
			}
		}
	}
	if pairs < 30_000 {
		t.Errorf("only %d pairs", pairs)
	}
}

func TestCheckFilter(t *testing.T) {
	for _, good := range []string{
		"a", "/", "a//b", "#", "+", "a/#", "+/+/#", "$SYS/#", "$SYS/%u", "%u", "%u/%c/%i", "x-%u-y/#", "100%%", "%%u", "%%%u", "ä/€/𝄞", "a b",
		"$shared/x", "share/x",
	} {
		if err := checkFilter(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, reason := range map[string]string{
		"":                         "empty",
		"a/#/b":                    "whole level",
		"a#":                       "whole level",
		"a/b+":                     "whole level",
		"%u#":                      "whole level",
		"+%u":                      "whole level",
		"a\x00":                    "no topic",
		"a\xc0\xaf":                "no topic", // an overlong /
		"\xed\xa0\x80":             "no topic", // a surrogate
		"$share/g/a":               "leave that out",
		"$share":                   "leave that out",
		"$share/#":                 "leave that out",
		"%":                        "%u (user)",
		"a/%":                      "%u (user)",
		"%x":                       "%u (user)",
		"%/u":                      "%u (user)",
		"%U":                       "%u (user)",
		"%u%c":                     "mistaken",
		"a/%u-%c/b":                "mistaken",
		"%u%u":                     "mistaken",
		"$%u":                      "begins with $",
		"$%u/a":                    "begins with $",
		"$SYS%c/#":                 "begins with $",
		strings.Repeat("a", 65536): "65,535",
	} {
		if err := checkFilter(bad); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40q: %v, want %q", bad, err, reason)
		}
	}
}

// attack is a try to do what the rules do not mean.
type attack struct {
	why    string
	rules  string // as in "allow publish a/#; deny subscribe b"
	id     Identity
	action Action
	topic  string
	allow  bool
}

// shortRules reads rules of a test.
func shortRules(t testing.TB, text string) []Rule {
	t.Helper()
	var rules []Rule
	for r := range strings.SplitSeq(text, ";") {
		w := strings.Fields(r)
		if len(w) != 3 {
			t.Fatalf("rule %q", r)
		}
		rule := Rule{Deny: w[0] == "deny", Topics: []string{w[2]}}
		for _, a := range everything {
			if w[1] == "all" || strings.Contains(w[1], a.String()) {
				rule.Actions = append(rule.Actions, a)
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

func TestAttacks(t *testing.T) {
	user := func(name string) Identity { return Identity{User: name, ClientID: "c1"} }
	for _, a := range []attack{
		// Wildcards that climb over rules.
		{"a filter wider than the rule", "allow subscribe a/b/#", user("u"), Subscribe, "a/#", false},
		{"a filter that is everything", "allow subscribe a/#", user("u"), Subscribe, "#", false},
		{"a + where the rule has a name", "allow subscribe a/b/c", user("u"), Subscribe, "a/+/c", false},
		{"a # where the rule has +", "allow subscribe a/+", user("u"), Subscribe, "a/#", false},
		{"a + beside the rule", "allow subscribe +/b", user("u"), Subscribe, "+/+", false},
		{"rules side by side do not add up", "allow subscribe a/b; allow subscribe a/c", user("u"), Subscribe, "a/+", false},
		{"the same filter", "allow subscribe a/+/c", user("u"), Subscribe, "a/+/c", true},
		{"+/# is #", "allow subscribe +/#", user("u"), Subscribe, "#", true},
		{"a/+/# is less than a/#", "allow subscribe a/+/#", user("u"), Subscribe, "a/#", false},
		{"denied whole", "deny subscribe a/#; allow subscribe #", user("u"), Subscribe, "a/b/+", false},
		{"denied whole, by its own parent", "deny subscribe a/#; allow subscribe #", user("u"), Subscribe, "a", false},
		{"denied in part: subscribed", "deny subscribe a/b; allow subscribe #", user("u"), Subscribe, "a/+", true},
		{"denied in part: not delivered", "deny subscribe a/b; allow subscribe #", user("u"), Receive, "a/b", false},
		{"denied in part: the rest is delivered", "deny subscribe a/b; allow subscribe #", user("u"), Receive, "a/c", true},
		{"receive alone is denied", "deny receive a/b; allow subscribe #", user("u"), Receive, "a/b", false},
		{"receive alone does not refuse", "deny receive a/b; allow subscribe #", user("u"), Subscribe, "a/b", true},
		{"receive is no right to subscribe", "allow receive #", user("u"), Subscribe, "a", false},
		{"publish is no right to receive", "allow publish #", user("u"), Receive, "a", false},
		{"subscribe is no right to publish", "allow subscribe #", user("u"), Publish, "a", false},
		{"the first rule decides", "allow subscribe a/#; deny subscribe a/b", user("u"), Receive, "a/b", true},
		// Topics that are filters.
		{"a + in a topic name", "allow publish a/+", user("u"), Publish, "a/+", false},
		{"a # in a topic name", "allow publish #", user("u"), Publish, "#", false},
		{"a + in part of a level", "allow subscribe #", user("u"), Subscribe, "a+", false},
		{"an empty topic", "allow all #", user("u"), Publish, "", false},
		{"an empty filter", "allow all #", user("u"), Subscribe, "", false},
		{"U+0000 in a topic", "allow all #", user("u"), Publish, "a\x00b", false},
		{"U+0000 cuts nothing off", "allow all a", user("u"), Subscribe, "a\x00", false},
		// The levels.
		{"the parent of #", "allow publish sport/tennis/#", user("u"), Publish, "sport/tennis", true},
		{"not the parent's brother", "allow publish sport/tennis/#", user("u"), Publish, "sport/tennis2", false},
		{"not with a slash behind", "allow publish sport/tennis", user("u"), Publish, "sport/tennis/", false},
		{"not with a slash before", "allow publish sport/tennis", user("u"), Publish, "/sport/tennis", false},
		{"+ takes an empty level", "allow publish a/+", user("u"), Publish, "a/", true},
		{"+ takes one level only", "allow publish a/+", user("u"), Publish, "a//", false},
		{"+/+ takes /", "allow publish +/+", user("u"), Publish, "/", true},
		{"a dot is no way up", "deny publish a/#; allow publish #", user("u"), Publish, "b/../a", true},
		{"empty levels count", "deny publish a/b; allow publish a/#", user("u"), Publish, "a//b", true},
		// Upper case, look-alikes, normal forms: other topics.
		{"upper case", "allow publish admin/#", user("u"), Publish, "Admin/x", false},
		{"a Cyrillic a", "allow publish admin/#", user("u"), Publish, "\u0430dmin/x", false},
		{"composed and decomposed", "allow publish caf\u00e9", user("u"), Publish, "cafe\u0301", false},
		{"a fullwidth slash", "allow publish a/b", user("u"), Publish, "a\uff0fb", false},
		{"a zero width space", "deny publish a/b; allow publish a/b", user("u"), Publish, "a/b\u200b", false},
		// $ topics.
		{"# does not take $SYS", "allow subscribe #", user("u"), Subscribe, "$SYS/broker/uptime", false},
		{"# does not take $SYS/#", "allow subscribe #", user("u"), Subscribe, "$SYS/#", false},
		{"+ does not take $SYS", "allow subscribe +/#", user("u"), Subscribe, "$SYS/#", false},
		{"+ does not take $SYS at delivery", "allow subscribe +/broker/#", user("u"), Receive, "$SYS/broker/uptime", false},
		{"# takes a $ further down", "allow subscribe #", user("u"), Subscribe, "a/$SYS/#", true},
		{"$SYS/# takes $SYS", "allow subscribe $SYS/#", user("u"), Subscribe, "$SYS", true},
		{"$SYS/# is not +/#", "allow subscribe $SYS/#", user("u"), Subscribe, "+/broker", false},
		{"nobody publishes to $SYS", "allow all $SYS/#", user("u"), Publish, "$SYS/broker/uptime", false},
		{"nor to $share", "allow all #", user("u"), Publish, "$share/g/a", false},
		{"$share is not taken off here", "allow all #", user("u"), Subscribe, "$share/g/a", false},
		{"a user named $SYS", "allow subscribe %u/#", user("$SYS"), Subscribe, "$SYS/#", false},
		{"a user named $SYS at delivery", "allow subscribe %u/#", user("$SYS"), Receive, "$SYS/broker/uptime", false},
		{"a user named $SYS further down", "allow subscribe a/%u/#", user("$SYS"), Subscribe, "a/$SYS/#", true},
		// User names.
		{"its own", "allow subscribe s/%u/#", user("u"), Subscribe, "s/u/x", true},
		{"somebody else's", "allow subscribe s/%u/#", user("u"), Subscribe, "s/v/x", false},
		{"a name that begins with its own", "allow subscribe s/%u/#", user("u"), Subscribe, "s/uu/x", false},
		{"a name that its own begins with", "allow subscribe s/%u/#", user("uu"), Subscribe, "s/u/x", false},
		{"a user named +", "allow subscribe s/%u/#", user("+"), Subscribe, "s/+/#", false},
		{"a user named + and a name", "allow subscribe s/%u/#", user("+"), Subscribe, "s/v/#", false},
		{"a user named #", "allow subscribe s/%u", user("#"), Subscribe, "s/#", false},
		{"a user with a slash", "allow publish s/%u/x", user("v/w"), Publish, "s/v/w/x", false},
		{"a user with a slash and +", "allow subscribe s/%u", user("v/+"), Subscribe, "s/v/+", false},
		{"a user with a # inside", "allow publish s/%u", user("a#b"), Publish, "s/a#b", false},
		{"no user", "allow publish s/%u/x", user(""), Publish, "s//x", false},
		{"no user with a text", "allow publish s/dev%u", user(""), Publish, "s/dev", false},
		{"no certificate", "allow publish s/%i/x", user("u"), Publish, "s//x", false},
		{"a user with U+0000", "allow publish s/%u", user("a\x00"), Publish, "s/a", false},
		{"a user named %c", "allow publish s/%u", user("%c"), Publish, "s/c1", false},
		{"a user named %c is %c", "allow publish s/%u", user("%c"), Publish, "s/%c", true},
		{"a user named %%", "allow publish s/%u", user("%%"), Publish, "s/%", false},
		{"%% is no pattern", "allow publish s/%%u", user("u"), Publish, "s/%u", true},
		{"%% is no pattern for the user", "allow publish s/%%u", user("u"), Publish, "s/u", false},
		{"a percent sign and the user", "allow publish s/%%%u", user("u"), Publish, "s/%u", true},
		{"part of a level", "allow publish s/x-%u.y", user("u"), Publish, "s/x-u.y", true},
		{"part of a level, too long", "allow publish s/x-%u.y", user("u"), Publish, "s/x-u.yy", false},
		{"client id", "allow publish s/%c", user("u"), Publish, "s/c1", true},
		{"upper case of the user", "allow publish s/%u", user("u"), Publish, "s/U", false},
		{"a + for a name", "allow subscribe s/%u", user("u"), Subscribe, "s/+", false},
		// Own topics are filters like those of rules.
		{"own topics", "deny all #", Identity{User: "u", Topics: []string{"dev/%u/#"}}, Publish, "dev/u/x", true},
		{"own topics do not take more", "deny all #", Identity{User: "u", Topics: []string{"dev/%u/#"}}, Subscribe, "dev/#", false},
		{"own topics and $", "deny all #", Identity{User: "u", Topics: []string{"#"}}, Subscribe, "$SYS/#", false},
		{"own topics that are none", "deny all #", Identity{User: "u", Topics: []string{"a/#/b", "a/%x", "$share/g/a", ""}}, Publish, "a/x/b", false},
		// Rules of a token come first.
		{"the token denies", "allow all #", Identity{Rules: []Rule{{Deny: true, Actions: []Action{Publish}, Topics: []string{"a"}}}, Topics: []string{"a"}}, Publish, "a", false},
		{"a rule of a token that is none", "allow all #", Identity{Rules: []Rule{{Deny: true, Actions: []Action{Publish}, Topics: []string{"a/#/b"}}}}, Publish, "x", false},
		{"a rule of a token without an action", "allow all #", Identity{Rules: []Rule{{Topics: []string{"a"}}}}, Publish, "a", false},
		{"a rule of a token that is none, behind the one that decides", "deny all #", Identity{Rules: []Rule{
			{Actions: []Action{Subscribe}, Topics: []string{"a/+"}}, {Deny: true, Actions: everything, Topics: []string{""}}}}, Subscribe, "a/+", true},
		{"a rule of a token that is none, behind a part", "allow all #", Identity{Rules: []Rule{
			{Actions: []Action{Subscribe}, Topics: []string{"a/b"}}, {Actions: everything, Topics: []string{""}}}}, Subscribe, "a/+", false},
		{"denied by name, for a name that cannot be in a topic", "deny publish s/%u; allow publish s/#", user(""), Publish, "s/x", true},
		{"a token that allows more", "deny all #", Identity{Rules: []Rule{{Actions: []Action{Publish}, Topics: []string{"a"}}}}, Publish, "a", true},
	} {
		t.Run(a.why, func(t *testing.T) {
			p, err := newPolicy([]Role{{"test", shortRules(t, a.rules)}})
			if err != nil {
				t.Fatal(err)
			}
			a.id.Roles = []string{"test"}
			permit := p.Permit(&a.id, a.action, a.topic)
			if permit.Allowed() != a.allow || permit.Denied() == a.allow {
				t.Errorf("%s %q: allowed %v", a.action, a.topic, permit.Allowed())
			}
			v := p.Explain(&a.id, a.action, a.topic, nil)
			if v.Allow != a.allow || v.Depends || v.Why == "" {
				t.Errorf("explained as %+v", v)
			}
		})
	}
}
