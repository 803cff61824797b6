package dashboard

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// topicStream is what one page has of a tree: the levels below those that are open on it.
// Each change is sent once, and no more than streamBudget bytes at a time: what changed
// longest ago goes first and the rest waits, so that however busy the broker is the page
// gets some kilobytes a second.
type topicStream struct {
	tree   *topicTree
	open   [][]string // paths by level; the root is one of no levels
	filter []string
	seen   uint64                // version of the tree that it has, but for what waits
	sent   map[*topicNode]uint64 // versions of what was sent and may still be shown
	waits  bool

	told uint64 // version up to which the page has everything
}

const (
	streamInterval = time.Second
	streamBudget   = 6 << 10  // bytes of an event
	streamFirst    = 96 << 10 // of the first one
	maxOpen        = 100      // levels that are open on a page
)

// TopicChanges are what has changed on a page.
type TopicChanges struct {
	Epoch   string              `json:"epoch,omitempty"` // of the first ones: versions of another one mean nothing
	Reset   bool                `json:"reset,omitempty"` // what the page has is old: these are all
	Version uint64              `json:"version"`         // to go on from
	Topics  int                 `json:"topics"`          // in all
	Omitted uint64              `json:"omitted"`         // messages of topics that there was no room for
	Nodes   []Topic             `json:"nodes,omitempty"` // levels that are new or changed
	Names   map[string][]string `json:"names,omitempty"` // what is left below a level that lost some; "" of Root below the root
	Root    []string            `json:"root,omitempty"`  // the same below the root, if it lost some
	More    map[string]int      `json:"more,omitempty"`  // how many are left out below a level
}

// changes returns what has changed since the last time; nil: nothing.
func (s *topicStream) changes(now time.Time, budget int) *TopicChanges {
	t := s.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version == s.seen && !s.waits {
		return nil
	}
	c := &TopicChanges{Topics: t.topics, Omitted: t.omitted}
	type change struct {
		node *topicNode
		had  uint64
	}
	var all []change
	shown := make(map[*topicNode]uint64, len(s.sent))
	for _, path := range s.open {
		n := t.find(path)
		if n == nil || n.version <= s.seen && !s.waits && s.sent != nil {
			if n != nil {
				for _, child := range n.byName() {
					if had, ok := s.sent[child]; ok {
						shown[child] = had
					}
				}
			}
			continue
		}
		var names []string
		more := 0
		for _, child := range n.byName() {
			if !matchesLevel(s.filter, len(path), child.name) {
				continue
			}
			if len(names) == maxBelow {
				more++
				continue
			}
			names = append(names, child.name)
			had, ok := s.sent[child]
			if ok {
				shown[child] = had
			}
			if !ok || child.version > had {
				all = append(all, change{child, had})
			}
		}
		topic := strings.Join(path, "/")
		if n.removed > s.seen && s.sent != nil {
			if len(path) == 0 {
				c.Root = names
			} else {
				if c.Names == nil {
					c.Names = make(map[string][]string)
				}
				c.Names[topic] = names
			}
		}
		if more > 0 && len(path) > 0 {
			if c.More == nil {
				c.More = make(map[string]int)
			}
			c.More[topic] = more
		}
	}
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(a.had, b.had) })
	s.sent, s.waits = shown, false
	for _, change := range all {
		o := change.node.show(now)
		b, err := json.Marshal(o)
		if err != nil { // a rate that is no number
			continue
		}
		if budget -= len(b) + 1; budget < 0 {
			s.waits = true
			break
		}
		c.Nodes = append(c.Nodes, o)
		s.sent[change.node] = change.node.version
	}
	s.seen = t.version
	if !s.waits {
		s.told = t.version
	}
	c.Version = s.told
	return c
}

// goOn makes the stream go on from a version up to which the page has everything.
func (s *topicStream) goOn(since uint64) {
	t := s.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	s.seen, s.told, s.sent = since, since, make(map[*topicNode]uint64)
	for _, path := range s.open {
		if n := t.find(path); n != nil {
			for _, child := range n.byName() {
				s.sent[child] = min(child.version, since)
			}
		}
	}
}
