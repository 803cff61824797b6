package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"lintel/gateway/access"
	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
)

// topicViews are the trees of those who look: admins have one together, which has all
// topics, anybody else one of what they may receive. A tree is a client in the process that
// subscribes to everything. There is none while nobody looks, and then no message costs
// anything.
type topicViews struct {
	mu      sync.Mutex
	open    map[string]*topicView // by who sees them
	version uint64                // where the next tree begins to count
	made    int
	closed  bool
}

const (
	maxTopicViews = 6
	topicsLinger  = time.Minute // after somebody looked last
)

// topicView is a tree that follows the broker.
type topicView struct {
	tree   *topicTree
	client *broker.Client
	end    *time.Timer
	using  int // streams; guarded by topicViews.mu, like end

	mu     sync.Mutex // of who may receive what
	policy *access.Policy
	id     *access.Identity // nil: everything
}

// identity is whose rights a request has with MQTT. An admin's API token has all of them,
// as it could make a user who has; other tokens have none.
func (s *Server) identity(r *request) *access.Identity {
	if r.session == "" {
		return &access.Identity{Internal: may(r.level, access.Admin)}
	}
	u, ok := s.o.Users.Get(r.user)
	if !ok {
		return &access.Identity{}
	}
	return s.o.Control.Identify(u, &access.Login{})
}

// topicView returns the tree for a request. The caller calls done when it does not look any
// more.
func (s *Server) topicView(r *request) (v *topicView, done func(), err error) {
	key, id := "user "+r.user, s.identity(r)
	switch {
	case may(r.level, admin):
		key, id = "everything", nil
	case r.session == "":
		key = "nothing"
	}
	views := &s.topics
	views.mu.Lock()
	defer views.mu.Unlock()
	if v = views.open[key]; v == nil {
		switch {
		case views.closed:
			return nil, nil, problemf(http.StatusServiceUnavailable, "", "The box is about to stop.")
		case len(views.open) >= maxTopicViews:
			return nil, nil, problemf(http.StatusServiceUnavailable, "", "Too many people look at the topics: try again in a minute.")
		}
		if v, err = s.followTopics(r.Context(), id); err != nil {
			return nil, nil, err
		}
		if views.open == nil {
			views.open = make(map[string]*topicView)
		}
		views.open[key] = v
		v.end = time.AfterFunc(topicsLinger, func() { views.leave(key, v) })
	}
	v.using++
	v.end.Stop()
	v.check(s, id)
	return v, func() {
		views.mu.Lock()
		defer views.mu.Unlock()
		if v.using--; v.using == 0 {
			v.end.Reset(topicsLinger)
		}
	}, nil
}

// leave ends a tree that nobody looks at.
func (t *topicViews) leave(key string, v *topicView) {
	t.mu.Lock()
	if v.using > 0 || t.open[key] != v {
		t.mu.Unlock()
		return
	}
	delete(t.open, key)
	v.tree.mu.Lock()
	t.version = max(t.version, v.tree.version)
	v.tree.mu.Unlock()
	t.mu.Unlock()
	v.client.Close()
}

// close ends all trees, and lets nobody begin another.
func (t *topicViews) close() {
	t.mu.Lock()
	open := t.open
	t.open, t.closed = nil, true
	t.mu.Unlock()
	for _, v := range open {
		v.end.Stop()
		v.client.Close()
	}
}

// followTopics makes a tree. What is retained is in it when it returns. Called with
// topics.mu held.
func (s *Server) followTopics(ctx context.Context, id *access.Identity) (*topicView, error) {
	s.topics.made++
	client, err := s.o.MQTT.NewClient(fmt.Sprint("lintel-topics-", s.topics.made))
	if err != nil {
		return nil, err
	}
	v := &topicView{tree: &topicTree{version: s.topics.version + 1}, client: client, id: id, policy: s.o.Control.Policy()}
	// Retained messages are looked up: the handler would get them some time.
	const options = mqtt.RetainAsPublished | mqtt.SubscriptionOptions(2<<4)
	for _, filter := range []string{"#", "$SYS/#"} {
		if err := client.Subscribe(ctx, filter, options, func(m mqtt.Message) { v.add(&m, time.Now(), false) }); err != nil {
			client.Close()
			return nil, err
		}
	}
	v.fill(s)
	return v, nil
}

// fill takes what is retained.
func (v *topicView) fill(s *Server) {
	for _, filter := range []string{"#", "$SYS/#"} {
		for _, topic := range s.o.MQTT.RetainedTopics(filter) {
			if m, ok := s.o.MQTT.Retained(topic); ok {
				v.add(&m, time.Time{}, true)
			}
		}
	}
}

// add takes a message, if it may be seen.
func (v *topicView) add(m *mqtt.Message, now time.Time, old bool) {
	v.mu.Lock()
	id, policy := v.id, v.policy
	v.mu.Unlock()
	if id != nil && !receives(policy, id, m) {
		return
	}
	v.tree.add(m, now, old)
}

// receives reports whether somebody may receive a message.
func receives(policy *access.Policy, id *access.Identity, m *mqtt.Message) bool {
	p := policy.Permit(id, access.Receive, m.Topic)
	return p.Allowed() || p.Depends() && p.Message(m.QoS, m.Retain, m.Payload)
}

// check begins anew if the user has other rights now.
func (v *topicView) check(s *Server, id *access.Identity) {
	policy := s.o.Control.Policy()
	v.mu.Lock()
	same := id == nil || v.policy == policy && reflect.DeepEqual(v.id.Roles, id.Roles) && reflect.DeepEqual(v.id.Topics, id.Topics)
	if !same {
		v.id, v.policy = id, policy
	}
	v.mu.Unlock()
	if same {
		return
	}
	t := v.tree
	t.mu.Lock()
	t.version++
	t.root, t.topics, t.bytes = topicNode{version: t.version, removed: t.version}, 0, 0
	t.mu.Unlock()
	v.fill(s)
}

// levelsOf splits a topic; none is the root.
func levelsOf(r *request, name string) []string {
	q := r.URL.Query()
	if !q.Has(name) {
		return nil
	}
	return strings.Split(q.Get(name), "/")
}
