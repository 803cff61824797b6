package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// topicsView is one level of the tree, or what a search has found. With scripts the page
// makes a tree of it.
type topicsView struct {
	Frame  frame
	Query  string
	Path   []Topic // the level that it is, from the first on
	List   []Topic
	Topics int
	More   bool
	Whole  bool // it is the root
}

func (s *Server) topicsPage(w http.ResponseWriter, r *request) {
	view, done, err := s.topicView(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer done()
	v := topicsView{Frame: s.frame(r, r.t("Topics")), Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	if v.Query != "" {
		v.List, v.More = view.tree.search(v.Query, time.Now())
		v.Topics = len(v.List)
		s.show(w, r, http.StatusOK, "topics.html", v)
		return
	}
	levels := levelsOf(r, "topic")
	branch, ok := view.tree.branch(levels, nil, 1, time.Now())
	if !ok {
		s.fail(w, r, noTopic(strings.Join(levels, "/")))
		return
	}
	v.List, v.Topics, v.More, v.Whole = branch.Below, branch.Topics, branch.More > 0, levels == nil
	for i := range levels {
		v.Path = append(v.Path, Topic{Topic: strings.Join(levels[:i+1], "/"), Name: levels[i]})
	}
	s.show(w, r, http.StatusOK, "topics.html", v)
}

// retainedView is the page of a retained message.
type retainedView struct {
	Frame   frame
	Topic   string
	Message *Retained // nil: there is none
	Error   string
}

func (s *Server) retainedPage(w http.ResponseWriter, r *request) {
	s.showRetainedPage(w, r, r.URL.Query().Get("topic"), nil)
}

func (s *Server) showRetainedPage(w http.ResponseWriter, r *request, topic string, err error) {
	v := retainedView{Frame: s.frame(r, r.t("Retained message")), Topic: topic}
	message, none := s.retained(r, topic)
	v.Message = message
	code := http.StatusOK
	if err == nil {
		err = none
	}
	if err != nil {
		p := s.problemOf(r.Request, err)
		v.Error, code = p.in(languageOf(r.Request)), p.code
	}
	s.show(w, r, code, "retained.html", v)
}

func (s *Server) deleteRetainedForm(w http.ResponseWriter, r *request) {
	topic := r.PostFormValue("topic")
	if _, err := s.deleteRetained(r, topic, r.PostFormValue("below") != ""); err != nil {
		s.showRetainedPage(w, r, topic, err)
		return
	}
	where := "/topics"
	if up := strings.LastIndexByte(topic, '/'); up >= 0 {
		parent := topic[:up]
		if view, done, err := s.topicView(r); err == nil {
			if _, ok := view.tree.branch(strings.Split(parent, "/"), nil, 0, time.Now()); ok {
				where += "?" + url.Values{"topic": {parent}}.Encode()
			}
			done()
		}
	}
	http.Redirect(w, r.Request, where, http.StatusSeeOther)
}
