package dashboard

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"lintel/gateway/mqtt"
)

// topicTree is what somebody may see of the topics: the last value of each, and how much
// comes below each level. It takes up to 20,000 topics and 8 MiB; what comes for others is
// counted.
type topicTree struct {
	mu      sync.Mutex
	root    topicNode
	version uint64 // of the last change
	topics  int
	bytes   int
	omitted uint64 // messages of topics that there was no room for
}

const (
	maxTreeTopics = 20_000
	maxTreeBytes  = 8 << 20
	maxPreview    = 100 // bytes of a value
	nodeBytes     = 300 // what a level takes, about, without its name
)

// topicNode is a level of topics.
type topicNode struct {
	name     string
	parent   *topicNode // nil: it is the root
	children map[string]*topicNode
	sorted   []*topicNode // the children by name; nil: to be sorted again
	topics   int          // at and below it
	messages uint64       // at and below it
	rate     float64      // of them, per second, at rateAt
	rateAt   time.Time
	version  uint64 // of the last change at or below it
	removed  uint64 // version when it lost a child
	value    *topicValue
}

// topicValue is the last message of a topic.
type topicValue struct {
	preview  string
	size     int
	qos      mqtt.QoS
	retained bool // there is a retained message
	at       time.Time
}

// rateTime is the time over which rates are averaged.
const rateTime = 10 * time.Second

// rateNow is the rate at a time.
func (n *topicNode) rateNow(now time.Time) float64 {
	if n.rateAt.IsZero() {
		return 0
	}
	return n.rate * math.Exp(-now.Sub(n.rateAt).Seconds()/rateTime.Seconds())
}

// add takes a message; old says that it is a retained one of before.
func (t *topicTree) add(m *mqtt.Message, now time.Time, old bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.Retain && len(m.Payload) == 0 {
		t.remove(m.Topic)
		return
	}
	n := t.make(m.Topic)
	if n == nil {
		t.omitted++
		return
	}
	if old && n.value != nil {
		return // a newer one has come
	}
	t.version++
	if n.value == nil {
		n.value = new(topicValue)
		t.topics++
		for up := n; up != nil; up = up.parent {
			up.topics++
		}
	}
	v := n.value
	t.bytes -= len(v.preview)
	v.preview, v.size, v.qos, v.at = preview(m.Payload), len(m.Payload), m.QoS, now
	v.retained = v.retained || m.Retain
	t.bytes += len(v.preview)
	for up := n; up != nil; up = up.parent {
		up.version = t.version
		if !old {
			up.messages++
			up.rate, up.rateAt = up.rateNow(now)+1/rateTime.Seconds(), now
		}
	}
}

// preview is the beginning of a payload, if it is text.
func preview(payload []byte) string {
	cut := payload[:min(len(payload), maxPreview)]
	return strings.ToValidUTF8(string(cut), "\ufffd")
}

// make returns the node of a topic; nil: there is no room.
func (t *topicTree) make(topic string) *topicNode {
	n := &t.root
	var fresh *topicNode // above the first level that is new
	var level string
	rest, more := topic, true
	for more {
		level, rest, more = strings.Cut(rest, "/")
		child := n.children[level]
		if child == nil {
			if fresh == nil {
				fresh = n
				if t.topics >= maxTreeTopics || t.bytes+len(topic)+nodeBytes*(strings.Count(topic, "/")+1) > maxTreeBytes {
					return nil
				}
			}
			child = &topicNode{name: strings.Clone(level), parent: n, removed: t.version + 1}
			if n.children == nil {
				n.children = make(map[string]*topicNode)
			}
			n.children[child.name], n.sorted = child, nil
			t.bytes += len(level) + nodeBytes
		}
		n = child
	}
	return n
}

// remove takes the retained message of a topic out, and the topic with it.
func (t *topicTree) remove(topic string) {
	n := t.find(strings.Split(topic, "/"))
	if n == nil || n.value == nil {
		return
	}
	t.version++
	t.topics--
	t.bytes -= len(n.value.preview)
	n.value = nil
	for up := n; up != nil; up = up.parent {
		up.topics--
		up.version = t.version
	}
	for n.parent != nil && n.topics == 0 {
		up := n.parent
		delete(up.children, n.name)
		up.sorted, up.removed = nil, t.version
		t.bytes -= len(n.name) + nodeBytes
		n = up
	}
}

// find returns the node below the root by its levels; nil: there is none.
func (t *topicTree) find(levels []string) *topicNode {
	n := &t.root
	for _, level := range levels {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n
}

// byName returns the children in their order.
func (n *topicNode) byName() []*topicNode {
	if n.sorted == nil && len(n.children) > 0 {
		n.sorted = slices.SortedFunc(maps.Values(n.children), func(a, b *topicNode) int { return compareNames(a.name, b.name) })
	}
	return n.sorted
}

// compareNames orders names as people do: 2 comes before 10.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			x, y := strings.TrimLeft(a[:i], "0"), strings.TrimLeft(b[:j], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(i, j)); c != 0 {
				return c
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) (n int) {
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// topic is the whole topic of a node.
func (n *topicNode) topic() string {
	if n.parent == nil || n.parent.parent == nil {
		return n.name
	}
	return n.parent.topic() + "/" + n.name
}

// Topic is a level of topics as GET /api/topics tells it.
type Topic struct {
	Topic    string     `json:"topic"`
	Name     string     `json:"name"`            // its last level
	Children int        `json:"children"`        // levels right below
	Topics   int        `json:"topics"`          // at and below it
	Messages uint64     `json:"messages"`        // at and below it, since somebody looks
	Rate     float64    `json:"rate"`            // of them, per second, over ten seconds
	Value    *string    `json:"value,omitempty"` // the beginning of the last one; none: there is no such topic
	Bytes    int        `json:"bytes,omitempty"` // of it
	QoS      mqtt.QoS   `json:"qos,omitempty"`   //
	Retained bool       `json:"retained"`        // there is a retained message
	Time     *time.Time `json:"time,omitempty"`  // when it came; none: it was retained before somebody looked
	Below    []Topic    `json:"below,omitempty"` // in a tree
	More     int        `json:"more,omitempty"`  // levels right below that are left out
}

func (n *topicNode) show(now time.Time) Topic {
	o := Topic{Topic: n.topic(), Name: n.name, Children: len(n.children), Topics: n.topics, Messages: n.messages,
		Rate: math.Round(n.rateNow(now)*100) / 100}
	if v := n.value; v != nil {
		o.Value, o.Bytes, o.QoS, o.Retained = &v.preview, v.size, v.qos, v.retained
		if !v.at.IsZero() {
			at := now.Add(-now.Sub(v.at))
			o.Time = &at
		}
	}
	return o
}

// What is shown of a tree.
const (
	maxBelow = 200  // levels right below one
	maxShown = 2000 // levels in one answer
	maxFound = 200  // topics in an answer to a search
)

// branch is a part of the tree: depth levels below a node, of those that match filter,
// the levels of a topic filter; nil: all.
func (t *topicTree) branch(levels, filter []string, depth int, now time.Time) (o Topic, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.find(levels)
	if n == nil {
		return o, false
	}
	room := maxShown
	o = n.show(now)
	o.Below, o.More = n.below(len(levels), filter, depth, now, &room)
	return o, true
}

func (n *topicNode) below(at int, filter []string, depth int, now time.Time, room *int) (list []Topic, more int) {
	if depth == 0 {
		return nil, 0
	}
	for _, child := range n.byName() {
		if !matchesLevel(filter, at, child.name) {
			continue
		}
		if len(list) >= maxBelow || *room == 0 {
			more++
			continue
		}
		*room--
		o := child.show(now)
		o.Below, o.More = child.below(at+1, filter, depth-1, now, room)
		list = append(list, o)
	}
	return list, more
}

// matchesLevel reports whether a level can be part of a topic that matches a filter, at
// being how many levels are before it.
func matchesLevel(filter []string, at int, name string) bool {
	if filter == nil {
		return true
	}
	if i := slices.Index(filter, "#"); i >= 0 && at >= i {
		return i > 0 || at > 0 || !strings.HasPrefix(name, "$") // [v5 MQTT-4.7.2-1]
	}
	if at >= len(filter) {
		return false
	}
	return filter[at] == name || filter[at] == "+" && (at > 0 || !strings.HasPrefix(name, "$"))
}

// search returns topics that have a text in them, in their order, and whether there are more.
func (t *topicTree) search(text string, now time.Time) (list []Topic, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text = strings.ToLower(text)
	var walk func(n *topicNode, path string) bool
	walk = func(n *topicNode, path string) bool {
		if n.value != nil && strings.Contains(strings.ToLower(path), text) {
			if len(list) == maxFound {
				return false
			}
			list = append(list, n.show(now))
		}
		for _, child := range n.byName() {
			below := child.name
			if n.parent != nil {
				below = path + "/" + child.name
			}
			if !walk(child, below) {
				return false
			}
		}
		return true
	}
	more = !walk(&t.root, "")
	return list, more
}
