package broker

import (
	"strings"
	"sync"
	"sync/atomic"

	"lintel/gateway/mqtt"
)

// subscription is one subscription of one session. It never changes: a
// SUBSCRIBE with the same filter puts another one in its place.
type subscription struct {
	session    *session
	filter     string // as the client wrote it, with $share/NAME/ if shared
	options    mqtt.SubscriptionOptions
	identifier uint32 // 0: none
}

// index finds the subscriptions that match a topic name. It is a trie of topic
// levels. Publishers do not walk it for every message: they keep the route
// that they found, and look again when generation has moved.
type index struct {
	generation atomic.Uint64 // after every change; read before a walk
	mu         sync.RWMutex
	root       node
	count      int // subscriptions
	shared     int // shared ones among them
}

type node struct {
	children map[string]*node // '+' and '#' among them
	plain    map[*session]*subscription
	shares   map[string]*share // by share name
}

// share is the group of a shared subscription (5.0 §4.8.2).
type share struct {
	members []*subscription // replaced, never changed in place
	next    *atomic.Uint32  // whose turn it is; the same through all replacements
}

// add puts sub into the trie, in the place of a subscription of the same
// session with the same filter [v5 MQTT-3.8.4-3].
func (x *index) add(sub *subscription) {
	name, filter, _ := mqtt.SplitShared(sub.filter)
	x.mu.Lock()
	defer x.mu.Unlock()
	n := &x.root
	for level := range strings.SplitSeq(filter, "/") {
		child := n.children[level]
		if child == nil {
			child = new(node)
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			n.children[level] = child
		}
		n = child
	}
	if name == "" {
		if n.plain == nil {
			n.plain = make(map[*session]*subscription)
		}
		if n.plain[sub.session] == nil {
			x.count++
		}
		n.plain[sub.session] = sub
	} else {
		if n.shares == nil {
			n.shares = make(map[string]*share)
		}
		old := n.shares[name]
		if old == nil {
			old = &share{next: new(atomic.Uint32)}
		}
		members := without(old.members, sub.session)
		x.count += 1 + len(members) - len(old.members)
		x.shared += 1 + len(members) - len(old.members)
		n.shares[name] = &share{append(members, sub), old.next}
	}
	x.generation.Add(1)
}

// remove takes the subscription of s with this filter out of the trie.
func (x *index) remove(s *session, subscribed string) {
	name, filter, _ := mqtt.SplitShared(subscribed)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.root.remove(x, s, name, strings.Split(filter, "/"))
	x.generation.Add(1)
}

// remove reports whether the node is empty afterwards.
func (n *node) remove(x *index, s *session, name string, levels []string) bool {
	if len(levels) > 0 {
		child := n.children[levels[0]]
		if child != nil && child.remove(x, s, name, levels[1:]) {
			delete(n.children, levels[0])
		}
	} else if name == "" {
		if n.plain[s] != nil {
			delete(n.plain, s)
			x.count--
		}
	} else if old := n.shares[name]; old != nil {
		members := without(old.members, s)
		x.count += len(members) - len(old.members)
		x.shared += len(members) - len(old.members)
		n.shares[name] = &share{members, old.next}
		if len(members) == 0 {
			delete(n.shares, name)
		}
	}
	return len(n.children) == 0 && len(n.plain) == 0 && len(n.shares) == 0
}

// without returns a copy of members without those of s, with room for one more.
func without(members []*subscription, s *session) []*subscription {
	kept := make([]*subscription, 0, len(members)+1)
	for _, m := range members {
		if m.session != s {
			kept = append(kept, m)
		}
	}
	return kept
}

// share returns the group of a shared subscription, nil if it has no members.
func (x *index) share(subscribed string) *share {
	name, filter, _ := mqtt.SplitShared(subscribed)
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := &x.root
	for level := range strings.SplitSeq(filter, "/") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n.shares[name]
}

// route is everybody who is to receive the messages of one topic.
type route struct {
	topic      string
	generation uint64
	publish    Permit // of the publisher
	receivers  []receiver
	shares     []group
}

// group is a share as a route sees it.
type group struct {
	*share
	members []*subscription            // those who may receive the topic
	judges  []func(*mqtt.Message) bool // of each of them, nil if no message need be asked about; nil: none
	asked   uint64                     // the generation when the rights were asked for
}

// receiver is one session on a route, all its matching subscriptions taken
// together: it gets one copy at the highest QoS with all identifiers
// (5.0 §3.3.4).
type receiver struct {
	session     *session
	share       string // filter of the shared subscription; empty: none
	qos         mqtt.QoS
	asPublished bool     // RETAIN stays as it was published
	identifiers []uint32 // of all matching subscriptions that have one
	noLocal     bool     // some of the subscriptions have No Local
	// own is what the session gets of its own messages if noLocal:
	// nil is nothing.
	own   *receiver
	asked uint64                   // the generation when its rights were asked for
	judge func(*mqtt.Message) bool // nil: no message need be asked about
}

// find walks the trie for a topic name.
func (x *index) find(topic string) *route {
	r := &route{topic: topic, generation: x.generation.Load(), publish: Allow}
	var found []*subscription
	x.mu.RLock()
	x.root.match(topic, topic, true, func(n *node) {
		for _, sub := range n.plain {
			found = append(found, sub)
		}
		for _, s := range n.shares {
			r.shares = append(r.shares, group{share: s, members: s.members, asked: r.generation})
		}
	})
	x.mu.RUnlock()
	bySession := make(map[*session]int, len(found))
	for _, sub := range found {
		i, ok := bySession[sub.session]
		if !ok {
			i = len(r.receivers)
			bySession[sub.session] = i
			r.receivers = append(r.receivers, receiver{session: sub.session})
		}
		r.receivers[i].merge(sub)
	}
	// What a session gets of its own messages leaves out the subscriptions
	// with No Local [v5 MQTT-3.8.3-3].
	for _, sub := range found {
		if to := &r.receivers[bySession[sub.session]]; to.noLocal && !sub.options.NoLocal() {
			if to.own == nil {
				to.own = &receiver{session: sub.session}
			}
			to.own.merge(sub)
		}
	}
	return r
}

func (r *receiver) merge(sub *subscription) {
	r.qos = max(r.qos, sub.options.QoS())
	r.asPublished = r.asPublished || sub.options.RetainAsPublished()
	r.noLocal = r.noLocal || sub.options.NoLocal()
	if sub.identifier != 0 {
		r.identifiers = append(r.identifiers, sub.identifier)
	}
}

// match calls found for each node whose filter matches the rest of a topic.
func (n *node) match(topic, rest string, first bool, found func(*node)) {
	level, below, deeper := strings.Cut(rest, "/")
	// [v5 MQTT-4.7.2-1]
	wild := !first || topic == "" || topic[0] != '$'
	if wild {
		if hash := n.children["#"]; hash != nil {
			found(hash)
		}
	}
	for _, key := range [2]string{level, "+"} {
		child := n.children[key]
		if child == nil || key == "+" && !wild || key == "+" && level == "+" {
			continue
		}
		if deeper {
			child.match(topic, below, false, found)
			continue
		}
		found(child)
		if hash := child.children["#"]; hash != nil { // '#' includes the parent level
			found(hash)
		}
	}
}
