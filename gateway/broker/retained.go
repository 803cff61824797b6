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
	mu      sync.RWMutex
	root    retainedNode
	started time.Time // of the broker; zero while the store is loaded
	count   int       // without those of $SYS, which no limit counts
	bytes   int64     // theirs

	maxCount int
	maxBytes int64

	// dirty are the topics whose QoS 0 message is not in the store yet:
	// only the latest of each is written, every few seconds.
	dirty     map[string]struct{}
	coalesced uint64 // bytes of those that were replaced before
}

type retainedNode struct {
	children map[string]*retainedNode
	message  *message
	expiry   *time.Timer   // removes message; nil: it does not expire
	since    time.Duration // after the start of the broker; 0: it was loaded
}

// retainedInterval is how long a retained message of QoS 0 may stay unwritten. Each
// time costs the card some blocks, however little there is to write.
const retainedInterval = 10 * time.Second

// set makes m the retained message of its topic; an empty payload removes what
// is there [v5 MQTT-3.3.1-6, MQTT-3.3.1-7]. A message of QoS 1 or 2 is handed
// to the store before set returns, in the lazy lane: it is committed with the batch
// that its publisher waits for, which comes after it. A volatile one is never stored.
//
// It reports false, and the limit, if m is one too many. If its publisher can be
// told all is as before. Else m goes to who is there now, and what was retained
// is removed: it is no longer the latest, and who comes later must not take it
// for that.
func (t *retainedStore) set(m *message, store *persist.Store) (over Limit, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	remove := len(m.Payload) == 0
	if over, ok = t.fits(m); !ok {
		if m.refusable {
			return over, false
		}
		remove = true
	}
	old := t.root.get(m.Topic)
	stored := old != nil && !old.Volatile
	if _, dirty := t.dirty[m.Topic]; dirty {
		if old != nil {
			t.coalesced += uint64(len(old.Topic) + len(old.Properties) + len(old.Payload))
		}
	}
	if remove {
		if !t.remove(m.Topic) {
			return over, ok
		}
	} else {
		t.put(m, store)
	}
	if ofSys(m.Topic) {
		return over, ok // of this run only
	}
	if m.Volatile && !remove && !stored {
		return over, ok
	}
	if m.QoS == 0 && !remove && !m.Volatile {
		t.dirty[m.Topic] = struct{}{}
		return over, ok
	}
	delete(t.dirty, m.Topic)
	var b persist.Batch
	if remove || m.Volatile { // what was stored before is not to come back
		b.DeleteRetained(m.Topic)
	} else {
		b.PutRetained(&m.Message)
	}
	store.AppendLazy(&b)
	return over, ok
}

// fits reports whether m may be retained, or the limit that is in its way. What
// takes the place of something as large always fits, also if the limits were
// higher when that came.
func (t *retainedStore) fits(m *message) (over Limit, ok bool) {
	if len(m.Payload) == 0 || ofSys(m.Topic) {
		return 0, true
	}
	more := retainedSize(m)
	old := t.root.get(m.Topic)
	if old != nil {
		more -= retainedSize(old)
	}
	switch {
	case old == nil && t.count >= t.maxCount:
		return LimitRetained, false
	case more > 0 && t.bytes+more > t.maxBytes:
		return LimitRetainedBytes, false
	}
	return 0, true
}

// retainedSize is what a retained message takes, about: the levels count too,
// because each may be a node of its own.
func retainedSize(m *message) int64 {
	return int64(len(m.Topic) + len(m.Payload) + len(m.Properties) + 64*levels(m.Topic))
}

func ofSys(topic string) bool { return strings.HasPrefix(topic, sysPrefix) }

// counted counts a message that is retained now, or with n -1 no more.
func (t *retainedStore) counted(m *message, n int) {
	if !ofSys(m.Topic) {
		t.count += n
		t.bytes += int64(n) * retainedSize(m)
	}
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
	t.counted(m, -1)
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
	if n.message != nil {
		t.counted(n.message, -1)
	}
	t.counted(m, 1)
	n.set(m)
	n.since = 0
	if !t.started.IsZero() {
		n.since = max(time.Since(t.started), 1)
	}
	if !m.Expires.IsZero() {
		n.expiry = time.AfterFunc(time.Until(m.expires()), func() { t.expire(m, store) })
	}
}

// retime sets the timers of messages whose end has changed: see Broker.off.
func (t *retainedStore) retime() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root.retime()
}

func (n *retainedNode) retime() {
	if n.expiry != nil && n.message.off != nil {
		n.expiry.Reset(time.Until(n.message.expires()))
	}
	for _, child := range n.children {
		child.retime()
	}
}

// set changes the message of a node; nil is none.
func (n *retainedNode) set(m *message) {
	if n.expiry != nil {
		n.expiry.Stop()
		n.expiry = nil
	}
	if n.message != nil {
		n.message.retained.Store(false)
	}
	if m != nil {
		m.retained.Store(true)
	}
	n.message = m
}

// flush writes the messages of QoS 0 that were set since the last time. They wait
// if the disk is nearly full.
func (t *retainedStore) flush(store *persist.Store) {
	if store.DiskLow() {
		return
	}
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
	if n = n.find(topic); n == nil {
		return nil
	}
	return n.message
}

// find returns the node of a topic, or nil.
func (n *retainedNode) find(topic string) *retainedNode {
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n
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

// walk finds the retained messages whose topic matches a valid filter without a
// share name, some at a time: who publishes meanwhile does not wait for all of them.
// It finds what is retained from its beginning to its end; what comes or goes
// between, it may find or not.
func (t *retainedStore) walk(filter string) *retainedWalk {
	return &retainedWalk{t, []retainedStep{{node: &t.root, filter: filter, first: true}}}
}

type retainedWalk struct {
	store *retainedStore
	steps []retainedStep // to be taken, the last one first
}

// retainedStep is a node whose filter is the rest of the one that is looked for.
type retainedStep struct {
	node   *retainedNode
	filter string // "" if end is set
	end    bool   // the filter ends with this node
	first  bool   // the node is the root: see [v5 MQTT-4.7.2-1]
}

// walkSteps is how many nodes are looked at before others may have the lock.
const walkSteps = 512

// next returns some more of the messages, and whether there may be others.
func (w *retainedWalk) next() (found []*message, more bool) {
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	for range walkSteps {
		if len(w.steps) == 0 {
			break
		}
		s := w.steps[len(w.steps)-1]
		w.steps = w.steps[:len(w.steps)-1]
		level, rest, deeper := strings.Cut(s.filter, "/")
		// '#' includes its parent level.
		if (s.end || level == "#") && s.node.message != nil {
			found = append(found, s.node.message)
		}
		switch {
		case s.end:
		case level == "#" || level == "+":
			for name, child := range s.node.children {
				if s.first && strings.HasPrefix(name, "$") {
					continue
				}
				step := retainedStep{node: child, filter: rest, end: !deeper}
				if level == "#" {
					step.filter, step.end = "#", false
				}
				w.steps = append(w.steps, step)
			}
		default:
			if child := s.node.children[level]; child != nil {
				w.steps = append(w.steps, retainedStep{node: child, filter: rest, end: !deeper})
			}
		}
	}
	return found, len(w.steps) > 0
}
