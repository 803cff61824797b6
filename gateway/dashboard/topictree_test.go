package dashboard

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

func message(topic, payload string, retain bool) *mqtt.Message {
	return &mqtt.Message{Topic: topic, Payload: []byte(payload), Retain: retain}
}

// shownAt is what a page has that takes all changes.
type shownAt map[string]string

func (p shownAt) take(c *TopicChanges) {
	if c == nil {
		return
	}
	keep := func(parent string, root bool, names []string) {
		for topic := range p {
			up := strings.LastIndexByte(topic, '/')
			if root && up >= 0 || !root && (up < 0 || topic[:up] != parent) {
				continue
			}
			found := false
			for _, name := range names {
				found = found || topic[up+1:] == name
			}
			if !found {
				delete(p, topic)
			}
		}
	}
	if c.Root != nil {
		keep("", true, c.Root)
	}
	for parent, names := range c.Names {
		keep(parent, false, names)
	}
	for _, o := range c.Nodes {
		value := ""
		if o.Value != nil {
			value = *o.Value
		}
		p[o.Topic] = value
	}
}

func size(t testing.TB, c *TopicChanges) int {
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

// What is not open on a page is not sent, what goes is taken away, and a page that comes
// back gets what it missed.
func TestTopicStream(t *testing.T) {
	tree, now := &topicTree{version: 1}, time.Now()
	for _, topic := range []string{"a/1", "a/2", "b/1/x", "c"} {
		tree.add(message(topic, "old", true), time.Time{}, true)
	}
	stream := &topicStream{tree: tree, open: [][]string{nil, {"a"}}}
	page := shownAt{}
	page.take(stream.changes(now, streamFirst))
	if len(page) != 5 || page["a/1"] != "old" || page["c"] != "old" {
		t.Errorf("%v", page)
	}
	if c := stream.changes(now, streamBudget); c != nil {
		t.Errorf("nothing has changed: %+v", c)
	}
	tree.add(message("b/1/x", "new", false), now, false)
	tree.add(message("a/2", "new", false), now, false)
	c := stream.changes(now, streamBudget)
	page.take(c)
	if len(c.Nodes) != 3 || page["a/2"] != "new" { // a, a/2 and b: not what is below b
		t.Errorf("%+v", c.Nodes)
	}
	told := stream.told
	tree.add(message("a/1", "", true), now, false)
	tree.add(message("c", "", true), now, false)
	tree.add(message("d", "x", false), now, false)
	page.take(stream.changes(now, streamBudget))
	later := shownAt{"a": "", "a/1": "old", "a/2": "new", "b": "", "c": "old"}
	again := &topicStream{tree: tree, open: stream.open}
	again.goOn(told)
	later.take(again.changes(now, streamBudget))
	for name, p := range map[string]shownAt{"page": page, "page that was away": later} {
		if _, gone := p["a/1"]; gone || len(p) != 4 || p["d"] != "x" {
			t.Errorf("%s: %v", name, p)
		}
	}
	tree.add(message("a/2", "", true), now, false) // and a with it
	page.take(stream.changes(now, streamBudget))
	if _, there := page["a"]; there {
		t.Errorf("%v", page)
	}
}

// TestTopicBudget: however much happens, a page gets some kilobytes at a time, and in the end
// everything.
func TestTopicBudget(t *testing.T) {
	tree, now := &topicTree{version: 1}, time.Now()
	stream := &topicStream{tree: tree, open: [][]string{nil}}
	const topics = 5000
	publish := func(round int) {
		for i := range topics {
			tree.add(message(fmt.Sprintf("house/%d/state/%d", i/100, i%100), fmt.Sprintf(`{"round":%d,"fill":"%0100d"}`, round, i), true), now, false)
		}
	}
	publish(0)
	for i := range 50 {
		stream.open = append(stream.open, []string{"house", fmt.Sprint(i), "state"})
	}
	stream.open = append(stream.open, []string{"house"})
	page := shownAt{}
	most := 0
	for i := range 10 {
		publish(i + 1)
		c := stream.changes(now, streamBudget)
		most = max(most, size(t, c))
		page.take(c)
	}
	for range 1000 {
		c := stream.changes(now, streamBudget)
		if c == nil {
			break
		}
		most = max(most, size(t, c))
		page.take(c)
	}
	if most > streamBudget+1024 {
		t.Errorf("%d bytes at a time", most)
	}
	for i := range topics {
		if topic := fmt.Sprintf("house/%d/state/%d", i/100, i%100); !strings.HasPrefix(page[topic], `{"round":10,`) {
			t.Fatalf("%s stays %q", topic, page[topic])
		}
	}
}

// The tree takes what it may and no more, whatever the topics look like.
func TestTopicTreeIsBounded(t *testing.T) {
	tree, now := &topicTree{version: 1}, time.Now()
	long := strings.Repeat("x/", 100) + strings.Repeat("y", 60_000)
	for i := range 300 {
		tree.add(message(fmt.Sprint(i, "/", long), strings.Repeat("\xff", 1000), false), now, false)
	}
	if tree.bytes > maxTreeBytes || tree.omitted == 0 || tree.topics == 0 {
		t.Errorf("%d bytes, %d topics, %d omitted", tree.bytes, tree.topics, tree.omitted)
	}
	before := tree.bytes
	for i := range 300 {
		tree.add(message(fmt.Sprint(i, "/", long), "", true), now, false)
	}
	if tree.topics != 0 || tree.bytes != 0 || len(tree.root.children) != 0 {
		t.Errorf("%d topics and %d of %d bytes are left", tree.topics, tree.bytes, before)
	}
	for i := range maxTreeTopics + 10 {
		tree.add(message(fmt.Sprint("t", i), "x", false), now, false)
	}
	if tree.topics != maxTreeTopics {
		t.Errorf("%d topics", tree.topics)
	}
}

// BenchmarkTopicChanges is what one second costs a page on which a level of 5,000 topics is
// open, all of which have changed: bytes are what is sent.
func BenchmarkTopicChanges(b *testing.B) {
	tree, now := &topicTree{version: 1}, time.Now()
	stream := &topicStream{tree: tree, open: [][]string{nil, {"house"}}}
	topics := make([]*mqtt.Message, 5000)
	for i := range topics {
		topics[i] = message(fmt.Sprintf("house/%d", i), `{"temperature":21.5,"humidity":40}`, true)
	}
	sent := 0
	for b.Loop() {
		b.StopTimer()
		for _, m := range topics {
			tree.add(m, now, false)
		}
		b.StartTimer()
		if c := stream.changes(now, streamBudget); c != nil {
			b.StopTimer()
			sent = max(sent, size(b, c))
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(sent), "bytes/s")
}

// BenchmarkTopicMessage is what a message costs while somebody looks.
func BenchmarkTopicMessage(b *testing.B) {
	tree, now := &topicTree{version: 1}, time.Now()
	m := message("zigbee2mqtt/living room/lamp/state", `{"state":"ON","brightness":254}`, false)
	b.ReportAllocs()
	for b.Loop() {
		tree.add(m, now, false)
	}
}

func FuzzTopicTree(f *testing.F) {
	f.Add("a/b\na/b/c\n/\n//\n$SYS/x", "a/+/#")
	f.Fuzz(func(t *testing.T, topics, filter string) {
		tree, now := &topicTree{version: 1}, time.Now()
		var levels []string
		if mqtt.ValidFilter(filter) {
			levels = strings.Split(filter, "/")
		}
		lines := strings.Split(topics, "\n")
		for _, topic := range lines {
			if mqtt.ValidTopicName(topic) {
				tree.add(message(topic, topic, true), now, false)
			}
		}
		tree.branch(nil, levels, 8, now)
		tree.search(filter, now)
		for _, topic := range lines {
			if mqtt.ValidTopicName(topic) {
				if n := tree.find(strings.Split(topic, "/")); n == nil || n.topic() != topic {
					t.Errorf("%q is not found", topic)
				}
			}
		}
		for _, topic := range lines {
			if mqtt.ValidTopicName(topic) {
				tree.add(message(topic, "", true), now, false)
			}
		}
		if tree.topics != 0 || tree.bytes != 0 || tree.root.topics != 0 {
			t.Errorf("%d topics, %d bytes are left", tree.topics, tree.bytes)
		}
	})
}

// TestTopicPages: a person without scripts goes from level to level, and deletes what is
// retained; nothing of strangers is markup.
func TestTopicPages(t *testing.T) {
	g := newBrokerGate(t)
	for _, topic := range []string{"garden/<script>alert(1)</script>/a b?c", "garden/pump", "house/x"} {
		g.publish(topic, `<script>alert(1)</script>`, true)
	}
	for _, path := range []string{"/topics", "/topics?topic=garden", "/topics?q=script", "/topics?topic=garden%2F%3Cscript%3Ealert(1)%3C%2Fscript%3E",
		"/topics/retained?topic=" + url.QueryEscape("garden/<script>alert(1)</script>/a b?c")} {
		if a := g.want(200, browse{path: path, as: "admin"}); strings.Contains(a.body, "<script>alert") || !strings.Contains(a.body, "garden") {
			t.Errorf("%s shows something else, or markup of strangers", path)
		}
	}
	if a := g.want(200, browse{path: "/topics", as: "nora"}); strings.Contains(a.body, "house") {
		t.Error("nora sees the house")
	}
	g.want(404, browse{path: "/topics?topic=no", as: "nora"})
	g.want(404, browse{path: "/topics/retained?topic=house/x", as: "nora"})
	g.want(404, browse{path: "/topics/delete", as: "nora", form: url.Values{"topic": {"house/x"}}})
	g.want(303, browse{path: "/topics/delete", as: "nora", form: url.Values{"topic": {"garden/pump"}}})
	g.want(403, browse{path: "/topics/delete", as: "nora", form: url.Values{"topic": {"garden"}, "below": {"yes"}}})
	g.want(303, browse{path: "/topics/delete", as: "admin", form: url.Values{"topic": {"garden"}, "below": {"yes"}}})
	if left := g.broker.RetainedTopics("#"); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
	g.want(303, browse{path: "/publish", as: "nora", form: url.Values{"topic": {"garden/x"}, "payload": {"1"}, "qos": {"2"}, "retain": {"yes"}}})
	if m, ok := g.broker.Retained("garden/x"); !ok || m.QoS != 2 {
		t.Errorf("%+v", m)
	}
	g.want(403, browse{path: "/publish", as: "nora", form: url.Values{"topic": {"house/x"}, "qos": {"0"}}})
}
