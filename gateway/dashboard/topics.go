package dashboard

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lintel/gateway/mqtt"
)

// topicRoutes are those of the topics and of retained messages.
func (s *Server) topicRoutes() []route {
	if s.o.MQTT == nil || s.o.Control == nil {
		return nil
	}
	return []route{
		{pattern: "GET /topics", level: viewer, serve: s.topicsPage},
		{pattern: "GET /topics/retained", level: viewer, serve: s.retainedPage},
		{pattern: "POST /topics/delete", level: operator, serve: s.deleteRetainedForm},
		{pattern: "GET /api/topics", level: viewer, serve: s.listTopics},
		{pattern: "GET /api/retained/{topic...}", level: viewer, call: gives(s, s.showRetained)},
		{pattern: "DELETE /api/retained/{topic...}", level: operator, call: gives(s, s.deleteRetainedCall)},
	}
}

const maxLevelsDeep = 8 // levels of a tree

// topicFilter reads ?filter=; nil: everything.
func topicFilter(r *request) ([]string, error) {
	text := r.URL.Query().Get("filter")
	if text == "" || text == "#" && !r.URL.Query().Has("strict") {
		return nil, nil
	}
	if !mqtt.ValidFilter(text) {
		return nil, wrong("filter", "This is no topic filter: + stands for one level and # for all that are below, at the end.")
	}
	return strings.Split(text, "/"), nil
}

// listTopics answers with a part of the tree, or as server-sent events with what changes in
// it:
//
//	GET /api/topics?topic=zigbee2mqtt&depth=2&filter=+/lamp/%23
//	GET /api/topics?q=lamp
//	GET /api/topics?open=zigbee2mqtt&open=zigbee2mqtt/lamp    with Accept: text/event-stream
func (s *Server) listTopics(w http.ResponseWriter, r *request) {
	filter, err := topicFilter(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream") {
		s.followTree(w, r, filter)
		return
	}
	depth := 1
	if text := r.URL.Query().Get("depth"); text != "" {
		if depth, err = strconv.Atoi(text); err != nil || depth < 1 || depth > maxLevelsDeep {
			s.fail(w, r, wrong("depth", "depth is a number from 1 to %d.", maxLevelsDeep))
			return
		}
	}
	v, done, err := s.topicView(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	if text := r.URL.Query().Get("q"); text != "" {
		list, more := v.tree.search(text, time.Now())
		s.answer(w, http.StatusOK, struct {
			Found []Topic `json:"found"`
			More  bool    `json:"more"` // there are others
		}{append([]Topic{}, list...), more})
		return
	}
	branch, ok := v.tree.branch(levelsOf(r, "topic"), filter, depth, time.Now())
	if !ok {
		s.fail(w, r, noTopic(r.URL.Query().Get("topic")))
		return
	}
	s.answer(w, http.StatusOK, branch)
}

func noTopic(topic string) error {
	return problemf(http.StatusNotFound, "", "Nothing came to %s, and nothing is retained there.", shorten(topic))
}

// treeEpoch tells the versions of this start from those of others.
var treeEpoch = rand.Text()[:8]

// followTree sends what changes on a page, until its reader goes or may not see it any more.
func (s *Server) followTree(w http.ResponseWriter, r *request, filter []string) {
	q := r.URL.Query()
	if len(q["open"]) > maxOpen {
		s.fail(w, r, wrong("open", "%d levels can be open at most.", maxOpen))
		return
	}
	v, done, err := s.topicView(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	stream := &topicStream{tree: v.tree, filter: filter, open: [][]string{nil}}
	for _, topic := range q["open"] {
		stream.open = append(stream.open, strings.Split(topic, "/"))
	}
	since, _ := strconv.ParseUint(q.Get("since"), 10, 64)
	goesOn := since > 0 && q.Get("epoch") == treeEpoch
	if goesOn {
		stream.goOn(since)
	}
	events := s.newEvents(w, r, streamInterval)
	defer events.end()
	budget := streamFirst
	for first := true; ; first = false {
		c := stream.changes(time.Now(), budget)
		if c == nil && first {
			c = &TopicChanges{Version: stream.told}
		}
		if first {
			c.Epoch, c.Reset = treeEpoch, !goesOn
		}
		if c != nil {
			events.send(c)
		}
		budget = streamBudget
		if !events.wait(nil) {
			return
		}
		if !may(r.level, admin) {
			v.check(s, s.identity(r))
		}
	}
}
