package dashboard

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"lintel/gateway/access"
)

// livePage is a page of which parts change while it is open.
//
// Asked as usual it is the page. Asked for text/event-stream the same URL sends those
// fragments whose HTML has changed, as {"id": "html"}: the template of a fragment has the
// name of the element that holds it.
type livePage struct {
	template  string
	fragments []string
	// data is what the page shows. It is called about once a second for each URL, user and
	// language with somebody who looks: it has to be quick.
	data func(r *request) (any, error)
}

const (
	liveInterval = time.Second
	// A page takes a thousandth of a processor at most: one that takes long to make is made
	// less often.
	liveShare       = 1000
	maxLiveInterval = 15 * time.Second
	maxLive         = 40 // pages that are open
)

// live serves a page and what changes on it.
func (s *Server) live(p livePage) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		if strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream") {
			s.follow(w, r, p)
			return
		}
		r.live = true
		data, err := p.data(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.show(w, r, http.StatusOK, p.template, data)
	}
}

// views are the pages that somebody looks at. Those that are the same are made once for all
// who look.
type views struct {
	interval time.Duration // at which they are made anew

	mu    sync.Mutex
	open  map[viewKey]*view
	count int // of those who look
}

type viewKey struct {
	url, user, lang string
	level           access.Level
	tls             bool
}

// view is a page that somebody looks at.
type view struct {
	lookers int // views.mu guards it
	stop    context.CancelFunc

	mu        sync.Mutex
	n         uint64 // of the last change
	fragments map[string]liveFragment
	changed   chan struct{} // closed with the next change
}

type liveFragment struct {
	html string
	n    uint64 // of its last change
}

// look joins those who look at a page; nil: there are too many.
func (s *Server) look(r *request, p livePage) (*view, func()) {
	key := viewKey{r.URL.RequestURI(), r.user, languageOf(r.Request), r.level, r.TLS != nil}
	s.views.mu.Lock()
	defer s.views.mu.Unlock()
	if s.views.count >= maxLive {
		return nil, nil
	}
	v := s.views.open[key]
	if v == nil {
		ctx, stop := context.WithCancel(context.WithoutCancel(r.Context()))
		v = &view{stop: stop, fragments: make(map[string]liveFragment), changed: make(chan struct{})}
		s.views.open[key] = v
		own := *r
		own.Request = r.Request.Clone(ctx)
		go s.keep(ctx, v, p, &own)
	}
	v.lookers++
	s.views.count++
	return v, func() {
		s.views.mu.Lock()
		defer s.views.mu.Unlock()
		s.views.count--
		if v.lookers--; v.lookers == 0 {
			v.stop()
			delete(s.views.open, key)
		}
	}
}

// keep makes the fragments anew as long as somebody looks.
func (s *Server) keep(ctx context.Context, v *view, p livePage, r *request) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var b bytes.Buffer
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ending:
			return
		case <-timer.C:
		}
		began := time.Now()
		// What cannot be made stays as it is: the next full page says why.
		if data, err := p.data(r); err == nil {
			for _, name := range p.fragments {
				b.Reset()
				if err := pages(languageOf(r.Request)).ExecuteTemplate(&b, name, data); err != nil {
					s.log.Error("fragment not made", "fragment", name, "err", err)
					continue
				}
				v.set(name, b.Bytes())
			}
			v.tell()
		}
		timer.Reset(min(max(s.views.interval, time.Since(began)*liveShare), maxLiveInterval))
	}
}

// set keeps a fragment, if it is another than before.
func (v *view) set(name string, html []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.fragments[name]; !ok || old.html != string(html) {
		v.fragments[name] = liveFragment{string(html), v.n + 1}
	}
}

// tell wakes those who look if something has changed since the last time.
func (v *view) tell() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.fragments {
		if f.n > v.n {
			v.n++
			close(v.changed)
			v.changed = make(chan struct{})
			return
		}
	}
}

// since returns what has changed after the change n, and what tells of the next.
func (v *view) since(n uint64) (changed map[string]string, last uint64, next <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, f := range v.fragments {
		if f.n > n && f.n <= v.n {
			if changed == nil {
				changed = make(map[string]string)
			}
			changed[name] = f.html
		}
	}
	return changed, v.n, v.changed
}

// follow sends what changes on a page, until its reader goes or may not see it any more.
func (s *Server) follow(w http.ResponseWriter, r *request, p livePage) {
	v, leave := s.look(r, p)
	if v == nil {
		w.Header().Set("Retry-After", "60")
		s.refuse(w, r, http.StatusServiceUnavailable, "Too many pages are open: this one does not change by itself.")
		return
	}
	defer leave()
	events := s.newEvents(w, r, s.heartbeat)
	defer events.end()
	var changed map[string]string
	var last uint64
	var next <-chan struct{}
	for on := true; on; on = events.wait(next) {
		if changed, last, next = v.since(last); changed != nil {
			events.send(changed)
		}
	}
}
