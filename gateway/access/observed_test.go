package access

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
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

func newObservations(t *testing.T, o ObservationsOptions) *Observations {
	t.Helper()
	if o.Store == nil {
		store, err := persist.Open(t.TempDir(), persist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		o.Store = store
	}
	l, err := NewObservations(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestObservationsLast: they outlive a restart, are forgotten after 30 days, and everybody is
// asked about again each day.
func TestObservationsLast(t *testing.T) {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	day, known := 20000, true
	var l *Observations
	id := &Identity{User: "ann", ClientID: "c"}
	asked := 0
	o := ObservationsOptions{Store: store, ClockKnown: func() bool { return known },
		Now:      func() time.Time { return time.Unix(int64(day)*24*3600+60, 0) },
		AskAgain: func() { asked++; l.Saw(id, Publish, "a/daily") }}
	l = newObservations(t, o)
	l.Saw(id, Publish, "a/once")
	l.Saw(id, Publish, "a/daily")
	l.Saw(id, Subscribe, "b/#")
	l.Saw(&Identity{User: "bob"}, Publish, "a")
	l.Saw(&Identity{}, Publish, "nobody")
	l.Saw(&Identity{User: "house", Internal: true}, Publish, "a")

	again := func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
		l = newObservations(t, o)
	}
	again()
	if users := l.Users(); !slices.Equal(users, []string{"ann", "bob"}) {
		t.Fatal(users)
	}
	seen, ok := l.Of("ann", 0)
	if !ok || len(seen.Publish) != 2 || len(seen.Subscribe) != 1 || seen.Publish[0].First != day || len(seen.Clients) != 1 {
		t.Fatalf("%+v", seen)
	}
	for range observedDays + 1 {
		day++
		if !l.turn() {
			t.Fatal("the day is the same")
		}
		o.AskAgain()
	}
	seen, _ = l.Of("ann", 0)
	if got := seenTopics(seen.Publish); !slices.Equal(got, []string{"a/daily"}) || len(seen.Subscribe) != 0 || seen.Publish[0].Last != day {
		t.Errorf("after a month: %+v", seen)
	}
	again()
	if users := l.Users(); !slices.Equal(users, []string{"ann"}) {
		t.Errorf("after a month there are %q", users)
	}
	// A clock that nobody has set makes nothing old.
	known = false
	l.turn()
	l.Saw(id, Publish, "a/dark")
	day, known = day+1, true
	l.turn()
	if seen, ok := l.Of("ann", 7); !ok || !slices.Contains(seenTopics(seen.Publish), "a/dark") {
		t.Errorf("what was seen in the dark: %+v", seen)
	}
	l.Forget("ann")
	again()
	if len(l.Users()) != 0 {
		t.Error("who was deleted is remembered")
	}
	if asked != observedDays+1 {
		t.Errorf("asked %d times", asked)
	}
}

// unstored returns observations that are never written.
func unstored(o ObservationsOptions) *Observations {
	l := &Observations{o: o, seed: maphash.MakeSeed(), users: make(map[string]*Observed), changed: make(map[string]bool)}
	l.today = l.day()
	return l
}

// TestObservationsWriteRarely: a user who does what he always does is written once a day.
func TestObservationsWriteRarely(t *testing.T) {
	store, err := persist.Open(t.TempDir(), persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	synctest.Test(t, func(t *testing.T) {
		l := unstored(ObservationsOptions{Now: time.Now})
		writes := 0
		for range 48 {
			time.Sleep(time.Hour)
			l.turn()
			for i := range 100 {
				l.Saw(&Identity{User: "ann", ClientID: "c"}, Publish, fmt.Sprint("a/", i))
			}
			if len(l.changed) > 0 {
				writes++
			}
			clear(l.changed)
		}
		if writes > 3 {
			t.Errorf("%d writes in two days", writes)
		}
	})
}

func TestObservationsAreBounded(t *testing.T) {
	l := newObservations(t, ObservationsOptions{})
	for i := range 3 * maxObservedUsers {
		l.Saw(&Identity{User: fmt.Sprint("user ", i), ClientID: fmt.Sprint(i)}, Publish, "a")
	}
	for i := range 1000 {
		l.Saw(&Identity{User: "loud", ClientID: fmt.Sprint("client ", i)}, Action(1+i%3), fmt.Sprintf("%d/%s/%d", i%100, strings.Repeat("x", i%500), i*i%17))
	}
	if n := len(l.Users()); n > maxObservedUsers {
		t.Errorf("%d users", n)
	}
	seen, _ := l.Of("loud", 0)
	if len(seen.Publish) > 48 || len(seen.Subscribe) > 48 || len(seen.Receive) > 24 || len(seen.Clients) > maxObservedClients {
		t.Errorf("%d, %d, %d topics of %d clients", len(seen.Publish), len(seen.Subscribe), len(seen.Receive), len(seen.Clients))
	}
}

// TestSawAllocatesNothing: nearly all of what is seen was seen before.
func TestSawAllocatesNothing(t *testing.T) {
	l := newObservations(t, ObservationsOptions{})
	id := &Identity{User: "ann", ClientID: "c"}
	l.Saw(id, Publish, "a/b/c")
	if n := testing.AllocsPerRun(100, func() { l.Saw(id, Publish, "a/b/c") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSaw compares what is seen again with the question that is asked before it.
func BenchmarkSaw(b *testing.B) {
	roles, err := ParseRoles("r.toml", []byte("[[role]]\nname = \"r\"\n[[role.rule]]\nallow = \"all\"\ntopic = [\"sensors/%u/#\", \"home/%c/state\"]\n"))
	if err != nil {
		b.Fatal(err)
	}
	p, err := NewPolicy(roles)
	if err != nil {
		b.Fatal(err)
	}
	store, err := persist.Open(b.TempDir(), persist.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	l, err := NewObservations(ObservationsOptions{Store: store})
	if err != nil {
		b.Fatal(err)
	}
	id := &Identity{User: "ann", ClientID: "shelly", Roles: []string{"r"}}
	b.Run("permit", func(b *testing.B) {
		for b.Loop() {
			p.Permit(id, Publish, "home/shelly/state")
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			l.Saw(id, Publish, "home/shelly/state")
		}
	})
	b.Run("forgotten", func(b *testing.B) {
		for b.Loop() {
			l.note(id, Publish, "home/shelly/state")
		}
	})
}

func TestPropose(t *testing.T) {
	roles, err := ParseRoles("roles.toml", []byte(`[[role]]
name = "garden"
[[role.rule]]
deny = "publish"
topic = "garden/valve/secret"
[[role.rule]]
deny = "publish"
topic = "attic/#"
[[role.rule]]
allow = "all"
topic = "garden/#"
[[role.rule]]
allow = "subscribe"
topic = "weather/now"
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPolicy(roles)
	if err != nil {
		t.Fatal(err)
	}
	id := &Identity{User: "ann", ClientID: "pump", Roles: []string{"garden"}, Topics: []string{"ann/#"}}
	l := newObservations(t, ObservationsOptions{})
	for i := range 10 {
		l.Saw(id, Publish, fmt.Sprintf("garden/valve/%d", i))
	}
	l.Saw(id, Publish, "ann/pump")
	l.Saw(id, Subscribe, "ann/pump")
	l.Saw(id, Subscribe, "weather/now")
	l.Saw(id, Receive, "weather/now")
	l.Saw(id, Receive, "odd/one")
	seen, _ := l.Of("ann", 7)
	got := p.Propose(id, "ann", &seen)
	var rules []string
	for _, r := range got.Role.Rules {
		rules = append(rules, r.String())
	}
	want := []string{"deny publish to garden/valve/secret", "allow publish and subscribe on %u/%c", "allow publish to garden/valve/+",
		"allow subscribe to weather/now", "allow receive odd/one"}
	if !slices.Equal(rules, want) {
		t.Errorf("%q\nwant %q", rules, want)
	}
	if len(got.Denied) > 0 {
		t.Errorf("denied: %+v", got.Denied)
	}
	if len(got.Beyond) != 2 || got.Beyond[0].Rule != "own topic" || !strings.Contains(got.Beyond[1].Rule, "rule 3") {
		t.Errorf("beyond: %+v", got.Beyond)
	}
}

func TestOver(t *testing.T) {
	roles, err := ParseRoles("roles.toml", []byte(`[[role]]
name = "r"
[[role.rule]]
deny = "publish"
topic = "a/secret"
[[role.rule]]
deny = "receive"
topic = "a/kept"
[[role.rule]]
allow = "all"
topic = "a/#"
[[role.rule]]
allow = "publish"
topic = "small/#"
qos = [0]
[[role.rule]]
allow = "publish"
topic = "own/%c"
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPolicy(roles)
	if err != nil {
		t.Fatal(err)
	}
	id := &Identity{User: "u", ClientID: "c", Roles: []string{"r"}}
	for _, tt := range []struct {
		action Action
		topic  string
		want   Answer
	}{
		{Publish, "a/b", Allowed}, {Publish, "a/+", Partly}, {Publish, "a/secret", Refusal}, {Publish, "#", Partly}, {Publish, "b", Refusal},
		{Subscribe, "a/b", Allowed}, {Subscribe, "a/#", Partly}, {Subscribe, "#", Refusal}, {Subscribe, "a/kept", Partly},
		{Receive, "a/b", Allowed}, {Receive, "a/kept", Refusal},
		{Publish, "small/x", Partly}, {Publish, "small/+", Partly},
		{Publish, "own/%c", Allowed}, {Publish, "own/c", Allowed}, {Publish, "own/%u", Refusal}, {Publish, "$SYS/x", Refusal},
	} {
		if got := p.Over(id, tt.action, tt.topic); got != tt.want {
			t.Errorf("%v %s: %s, want %s", tt.action, tt.topic, got, tt.want)
		}
	}
}

// FuzzPropose: whatever somebody was seen to do, the proposal allows it, and a role file can
// hold it.
func FuzzPropose(f *testing.F) {
	f.Add("ann", "shelly-1", "\x00a/b\x01a/#\x02a/c\x00x/shelly-1/y")
	f.Add("%u", "a%", "\x00%u/x%\x01+/%/#")
	f.Add("", "", "\x01$SYS/#\x01$share/a/b\x00/")
	f.Add("a", "aa", strings.Repeat("\x00a/b/c/aa", 20)+"\x00"+strings.Repeat("x/", 150))
	f.Fuzz(func(t *testing.T, user, client, acts string) {
		if len(acts) > 4000 {
			return
		}
		id := &Identity{User: user, ClientID: client, Roles: []string{"admin"}}
		everythingGoes, err := NewPolicy(nil)
		if err != nil {
			t.Fatal(err)
		}
		l := unstored(ObservationsOptions{Now: time.Now})
		type act struct {
			a     Action
			topic string
		}
		var done []act
		for i := 0; i < len(acts); {
			a := Action(acts[i]%3 + 1)
			end := strings.IndexAny(acts[i+1:], "\x00\x01\x02")
			if end < 0 {
				end = len(acts) - i - 1
			}
			topic := acts[i+1 : i+1+end]
			i += 1 + end
			valid := mqtt.ValidTopicName(topic)
			if a == Subscribe {
				valid = mqtt.ValidFilter(topic)
			}
			if !valid || len(user) == 0 || len(user) > maxUserName || !everythingGoes.Permit(id, a, topic).Allowed() {
				continue
			}
			if _, ok := generalize(id, topic); !ok {
				if topic[0] != '$' && mqtt.ValidFilter(topic) && checkFilter(strings.ReplaceAll(topic, "%", "%%")) == nil {
					t.Fatalf("%q is left out", topic)
				}
				continue
			}
			l.Saw(id, a, topic)
			done = append(done, act{a, topic})
		}
		seen, ok := l.Of(user, 7)
		if !ok {
			return
		}
		proposal := everythingGoes.Propose(id, "proposed", &seen)
		if len(proposal.Denied) > 0 {
			t.Fatalf("denied %+v of %+v", proposal.Denied, seen)
		}
		p, err := NewPolicy([]Role{proposal.Role})
		if err != nil {
			t.Fatal(err)
		}
		alone := &Identity{User: user, ClientID: client, Roles: []string{"proposed"}}
		for _, d := range done {
			if !p.Permit(alone, d.a, d.topic).Allowed() {
				t.Errorf("%v %q of %q, %q is not allowed by %+v", d.a, d.topic, user, client, proposal.Role.Rules)
			}
		}
	})
}
