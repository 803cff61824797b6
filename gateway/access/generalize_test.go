package access

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestGeneralize(t *testing.T) {
	id := &Identity{User: "garden", ClientID: "shelly-1", Name: "x509"}
	long := strings.Repeat("x", 150)
	for topic, want := range map[string]string{
		"garden/state":                      "%u/state",
		"a/garden/shelly-1":                 "a/%u/%c",
		"homeassistant/x/shelly-1_t/c":      "homeassistant/x/%c_t/c",
		"a/shelly-10/b":                     "a/shelly-10/b", // the name of another one
		"a/myshelly-1":                      "a/myshelly-1",
		"a/garden-shelly-1":                 "a/%u-shelly-1", // one name in a level
		"cert/x509":                         "cert/%i",
		"100%/garden %":                     "100%%/%u %%",
		"+/garden/#":                        "+/%u/#",
		"$SYS/broker/garden":                "$SYS/broker/%u",
		"$SYS/#":                            "$SYS/#",
		"$SYS":                              "$SYS",
		"$other/x":                          "",
		"$share/g/x":                        "",
		"/garden":                           "/%u",
		long + "/" + long + "/c":            long + "/#",
		long + long:                         "+",
		long + long + "/b":                  "+/#",
		"Garden/x":                          "Garden/x",
		"überall/garden/ü" + "garden" + "ü": "überall/%u/ügardenü",
	} {
		if got, ok := generalize(id, topic); got != want && (ok || want != "") {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	// A name that cannot stand in a topic is none.
	if got, ok := generalize(&Identity{User: "a/b", ClientID: "c+d"}, "a/b/c+d"); ok {
		t.Errorf("%q of what is no topic", got)
	}
	if got, _ := generalize(&Identity{User: "a#b"}, "x/y"); got != "x/y" {
		t.Errorf("%q", got)
	}
}

func seenTopics(list []ObservedTopic) (topics []string) {
	for _, o := range list {
		topics = append(topics, o.Topic)
	}
	slices.Sort(topics)
	return topics
}

func TestLearn(t *testing.T) {
	many := func(format string, n int) (topics []string) {
		for i := range n {
			topics = append(topics, fmt.Sprintf(format, i))
		}
		return topics
	}
	for _, tt := range []struct {
		name       string
		seen, want []string
	}{
		{"few stay apart", many("home/%d/state", maxSiblings), many("home/%d/state", maxSiblings)},
		{"many become one", many("home/%d/state", maxSiblings+1), []string{"home/+/state"}},
		{"the last level too", many("home/x/%d", 20), []string{"home/x/+"}},
		{"the first too, but for those of the broker", append(many("%d/x", 9), "$SYS/x"), []string{"$SYS/x", "+/x"}},
		{"nothing that is covered", []string{"a/b", "a/c", "a/#", "a/d/e"}, []string{"a/#"}},
		{"a filter is no sibling", append(many("a/%d", maxSiblings), "a/+/b"), append(many("a/%d", maxSiblings), "a/+/b")},
		{"filters", many("a/%d/#", 9), []string{"a/+/#"}},
	} {
		var list []ObservedTopic
		for i, topic := range tt.seen {
			learn(&list, topic, 100+i, 48)
		}
		slices.Sort(tt.want)
		if got := seenTopics(list); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		for _, topic := range tt.seen {
			if !slices.ContainsFunc(list, func(o ObservedTopic) bool { return coversGeneral(o.Topic, topic) }) {
				t.Errorf("%s: %s is not covered", tt.name, topic)
			}
		}
	}
	// What is too much becomes what has most in common.
	var list []ObservedTopic
	for i := range 1000 {
		learn(&list, fmt.Sprintf("house/%d/%d/%d", i%3, i, i*7%5), i, 10)
		learn(&list, fmt.Sprintf("%d/odd/%s", i, strings.Repeat("x/", i%7)), i, 10)
		if len(list) > 10 {
			t.Fatal(len(list))
		}
	}
	if list[0].Last != 999 || list[0].First != 0 {
		t.Errorf("days: %+v", list)
	}
}
