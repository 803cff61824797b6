package access

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxSiblings = 6 // topics that differ in one level alone, before that level is a +
	leastName   = 4 // bytes of a name that is looked for within a level
)

// generalize makes of a topic, or of a filter, one of a rule that covers it for id: the names
// of id are %u, %c and %i. ok is false for topics of the broker but those below $SYS/, and
// where none can be made.
func generalize(id *Identity, topic string) (general string, ok bool) {
	if topic == "" || topic[0] == '$' && topic != "$SYS" && !strings.HasPrefix(topic, "$SYS/") {
		return "", false
	}
	general = GeneralTopic(id, topic)
	levels := strings.Split(general, "/")
	for len(general) > maxObservedTopic && len(levels) > 1 {
		levels = levels[:len(levels)-1]
		general = strings.Join(levels, "/") + "/#"
	}
	if len(general) > maxObservedTopic {
		general = "+"
		if strings.Contains(topic, "/") {
			general = "+/#"
		}
	}
	return general, checkFilter(general) == nil && newFilter(general).covers(id, topic)
}

// GeneralTopic returns the topic of a rule for a topic or a filter: the names of id are %u, %c
// and %i, and nothing else is wider.
func GeneralTopic(id *Identity, topic string) string {
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		if i > 0 || !strings.HasPrefix(topic, "$") {
			levels[i] = generalLevel(id, level)
		}
	}
	return strings.Join(levels, "/")
}

// generalLevel is GeneralTopic for a level. A name is found within it where it stands by itself.
func generalLevel(id *Identity, level string) string {
	if level == "+" || level == "#" || level == "" {
		return level
	}
	literal := func(s string) string { return strings.ReplaceAll(s, "%", "%%") }
	for _, code := range []byte("uci") {
		name, ok := id.name(code)
		if !ok {
			continue
		}
		if name == level {
			return "%" + string(code)
		}
		before, after, found := strings.Cut(level, name)
		last, _ := utf8.DecodeLastRuneInString(before)
		next, _ := utf8.DecodeRuneInString(after)
		if found && len(name) >= leastName && !isWord(last, before) && !isWord(next, after) {
			return literal(before) + "%" + string(code) + literal(after)
		}
	}
	return literal(level)
}

// isWord reports whether a character beside a name, if there is a text, makes it a part of a longer one.
func isWord(r rune, text string) bool {
	return text != "" && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// coversGeneral reports whether what a topic of a rule covers includes what another does, for
// anybody.
func coversGeneral(wide, narrow string) bool {
	f := newFilter(wide)
	f.pattern = false // %u is nothing but itself
	return f.covers(nil, narrow)
}

// learn adds a topic that was seen on a day to a list, which stays at most as long as it
// may be: then topics give way to a wider one. It reports whether the list is another one.
func learn(list *[]ObservedTopic, topic string, day, most int) (changed bool) {
	for i := range *list {
		if t := &(*list)[i]; coversGeneral(t.Topic, topic) {
			changed = t.Last < day
			t.Last = max(t.Last, day)
			return changed
		}
	}
	replace(list, ObservedTopic{topic, day, day})
	for {
		wider, ok := widen(*list, topic)
		if !ok {
			break
		}
		topic = wider
		replace(list, ObservedTopic{Topic: topic, First: day, Last: day})
	}
	for len(*list) > most {
		replace(list, ObservedTopic{Topic: widest(*list), First: day, Last: day})
	}
	return true
}

// replace adds a topic and takes out those that it covers.
func replace(list *[]ObservedTopic, t ObservedTopic) {
	*list = slices.DeleteFunc(*list, func(o ObservedTopic) bool {
		if !coversGeneral(t.Topic, o.Topic) {
			return false
		}
		t.First, t.Last = min(t.First, o.First), max(t.Last, o.Last)
		return true
	})
	*list = append(*list, t)
}

// widen returns a topic with a + for the level in which too many differ from it.
func widen(list []ObservedTopic, topic string) (wider string, ok bool) {
	levels := strings.Split(topic, "/")
	for i := range slices.Backward(levels) {
		if i == 0 && topic[0] == '$' || levels[i] == "#" || levels[i] == "+" {
			continue
		}
		alike := 0
		for _, o := range list {
			if differOnly(levels, o.Topic, i) {
				alike++
			}
		}
		if alike > maxSiblings { // the topic itself is in the list
			levels[i] = "+"
			return strings.Join(levels, "/"), true
		}
	}
	return "", false
}

// differOnly reports whether the levels of a topic are these but for one.
func differOnly(levels []string, topic string, at int) bool {
	if strings.Count(topic, "/") != len(levels)-1 {
		return false
	}
	i := 0
	for level := range strings.SplitSeq(topic, "/") {
		if i == at && (level == "#" || level[:min(1, len(level))] == "$" && i == 0) || i != at && level != levels[i] {
			return false
		}
		i++
	}
	return true
}

// widest returns what covers at least two topics of a list: what most of their levels have in
// common, else everything.
func widest(list []ObservedTopic) string {
	best, common := "", 0
	for i, a := range list {
		for _, b := range list[i+1:] {
			prefix, n := "", 0
			as, bs := strings.Split(a.Topic, "/"), strings.Split(b.Topic, "/")
			for n < min(len(as), len(bs)) && as[n] == bs[n] && as[n] != "#" {
				prefix += as[n] + "/"
				n++
			}
			if n > common {
				best, common = prefix+"#", n
			}
		}
	}
	if common == 0 {
		return "#"
	}
	return best
}
