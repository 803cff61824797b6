package broker

import (
	"strings"
	"sync"
	"time"

	"lintel/persist"
)

// retainedStore holds the retained message of each topic, in a trie of topic
// levels so that a filter finds its matches without looking at all.
type retainedStore struct {
	mu    sync.RWMutex
	root  retainedNode
	count int
	bytes int64 // payloads
	// dirty are the topics whose QoS 0 message is not in the store yet:
	// only the latest of each is written, every few seconds.
	dirty map[string]struct{}
}

type retainedNode struct {
	children map[string]*retainedNode
	message  *message
	expiry   *time.Timer // removes message; nil: it does not expire
}

// retainedInterval is how long a retained message of QoS 0 may stay unwritten.
const retainedInterval = 3 * time.Second

// set makes m the retained message of its topic; an empty payload removes what
// is there [v5 MQTT-3.3.1-6, MQTT-3.3.1-7]. A message of QoS 1 or 2 is handed
// to the store before set returns, so that a batch appended later is committed
// after it.
func (t *retainedStore) set(m *message, store *persist.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	remove := len(m.Payload) == 0
	if remove {
		if !t.remove(m.Topic) {
			return
		}
	} else {
		t.put(m, store)
	}
	if strings.HasPrefix(m.Topic, sysPrefix) {
		return // of this run only
	}
	if m.QoS == 0 && !remove {
		t.dirty[m.Topic] = struct{}{}
		return
	}
	delete(t.dirty, m.Topic)
	var b persist.Batch
	if remove {
		b.DeleteRetained(m.Topic)
	} else {
		b.PutRetained(&m.Message)
	}
	store.Append(&b, nil)
}

// load puts in what the store held.
func (t *retainedStore) load(m *message, store *persist.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(m, store)
}

// expire removes m, if it is still the retained message of its topic.
func (t *retainedStore) expire(m *message, store *persist.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root.get(m.Topic) != m {
		return
	}
	t.remove(m.Topic)
	delete(t.dirty, m.Topic)
	var b persist.Batch
	b.DeleteRetained(m.Topic)
	store.AppendLazy(&b)
}

// remove reports whether there was a message.
func (t *retainedStore) remove(topic string) bool {
	m := t.root.remove(strings.Split(topic, "/"))
	if m == nil {
		return false
	}
	t.count--
	t.bytes -= int64(len(m.Payload))
	return true
}

func (t *retainedStore) put(m *message, store *persist.Store) {
	n := &t.root
	for level := range strings.SplitSeq(m.Topic, "/") {
		child := n.children[level]
		if child == nil {
			child = new(retainedNode)
			if n.children == nil {
				n.children = make(map[string]*retainedNode)
			}
			n.children[level] = child
		}
		n = child
	}
	if n.message == nil {
		t.count++
	} else {
		t.bytes -= int64(len(n.message.Payload))
	}
	t.bytes += int64(len(m.Payload))
	n.set(m)
	if !m.Expires.IsZero() {
		n.expiry = time.AfterFunc(time.Until(m.Expires), func() { t.expire(m, store) })
	}
}

// set changes the message of a node; nil is none.
func (n *retainedNode) set(m *message) {
	if n.expiry != nil {
		n.expiry.Stop()
		n.expiry = nil
	}
	n.message = m
}

// flush writes the messages of QoS 0 that were set since the last time.
func (t *retainedStore) flush(store *persist.Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b persist.Batch
	for topic := range t.dirty {
		if m := t.root.get(topic); m != nil {
			b.PutRetained(&m.Message)
		}
	}
	clear(t.dirty)
	if b.Len() > 0 {
		store.AppendLazy(&b)
	}
}

// get returns the retained message of a topic, or nil.
func (t *retainedStore) get(topic string) *message {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.get(topic)
}

func (n *retainedNode) get(topic string) *message {
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n.message
}

// remove returns the message that there was, or nil.
func (n *retainedNode) remove(levels []string) *message {
	if len(levels) == 0 {
		m := n.message
		n.set(nil)
		return m
	}
	child := n.children[levels[0]]
	if child == nil {
		return nil
	}
	m := child.remove(levels[1:])
	if child.message == nil && len(child.children) == 0 {
		delete(n.children, levels[0])
	}
	return m
}

// match returns the retained messages whose topic matches a valid filter
// without a share name.
func (t *retainedStore) match(filter string) []*message {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var found []*message
	t.root.match(filter, true, &found)
	return found
}

func (n *retainedNode) match(filter string, first bool, found *[]*message) {
	level, rest, more := strings.Cut(filter, "/")
	switch level {
	case "#":
		n.all(first, found)
	case "+":
		for name, child := range n.children {
			if !first || !strings.HasPrefix(name, "$") { // [v5 MQTT-4.7.2-1]
				child.matchRest(rest, more, found)
			}
		}
	default:
		if child := n.children[level]; child != nil {
			child.matchRest(rest, more, found)
		}
	}
}

func (n *retainedNode) matchRest(rest string, more bool, found *[]*message) {
	if more {
		n.match(rest, false, found)
	} else if n.message != nil {
		*found = append(*found, n.message)
	}
}

// all collects the node, which '#' includes as its parent level, and what is
// below it.
func (n *retainedNode) all(first bool, found *[]*message) {
	if n.message != nil {
		*found = append(*found, n.message)
	}
	for name, child := range n.children {
		if !first || !strings.HasPrefix(name, "$") {
			child.all(false, found)
		}
	}
}
