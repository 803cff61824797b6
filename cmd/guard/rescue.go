package main

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lintel/gateway/update"
)

const (
	maxVisitors = 16               // connections at a time
	readTime    = time.Minute      // for the next bytes of an upload
	longRescue  = 4                // times pace.rescue, while somebody is there
	visitTime   = 5 * time.Minute  // after which nobody is there any more
	listenTime  = 30 * time.Second // in which lintel has to give its port up
	lastAnswer  = 5 * time.Second  // for what is being answered when the page ends
)

// page is shown on the port of lintel's pages while lintel does not run.
type page struct {
	g     *guard
	about string
	again chan struct{} // lintel is to be tried again
	armed chan struct{} // the machine is to be restarted into a new version

	visited atomic.Int64 // Unix time
	install sync.Mutex
}

// rescue stops lintel, so that it does not want its port, and shows the page until
// somebody has updated the box or wants lintel to be tried again, or for a while. Then
// lintel is started.
func (g *guard) rescue(ctx context.Context, about string) {
	g.log.Error("the rescue page is shown", "why", about)
	if err := g.init.Stop(ctx, g.program); err != nil {
		g.log.Warn("lintel cannot be stopped", "err", err)
	}
	defer func() {
		if err := g.init.Restart(ctx, g.program); err != nil && ctx.Err() == nil {
			g.log.Warn("lintel cannot be started", "err", err)
		}
		g.watch = watch{pace: g.pace}
	}()
	p := &page{g: g, about: about, again: make(chan struct{}, 1), armed: make(chan struct{}, 1)}
	l, err := g.open(ctx)
	if err != nil {
		g.log.Error("there is no rescue page", "err", err)
		return
	}
	server := &http.Server{
		Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(&limited{Listener: l, free: make(chan struct{}, maxVisitors)})
	}()
	armed := p.wait(ctx)
	// Whoever ended the page is to read what came of it.
	last, cancel := context.WithTimeout(ctx, lastAnswer)
	defer cancel()
	if server.Shutdown(last) != nil {
		server.Close()
	}
	<-served
	if !armed {
		return
	}
	if err := g.reboot(ctx); err != nil && ctx.Err() == nil {
		g.log.Error("the machine was not restarted", "err", err)
	}
}

// wait waits until the page is to end, and returns whether a new version is to be started.
func (p *page) wait(ctx context.Context) (armed bool) {
	rescue := p.g.pace.rescue
	end := time.Now().Add(rescue)
	last := time.Now().Add(longRescue * rescue)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-p.again:
			return false
		case <-p.armed:
			return true
		case <-time.After(time.Until(end)):
			visited := time.Unix(p.visited.Load(), 0)
			if !p.install.TryLock() { // an update is being written
				end = time.Now().Add(rescue)
				continue
			}
			p.install.Unlock()
			if time.Since(visited) > visitTime || time.Now().After(last) {
				return false
			}
			end = time.Now().Add(rescue / 3)
		}
	}
}

// open opens the port of the page: lintel may still have it for a moment.
func (g *guard) open(ctx context.Context) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTime)
	defer cancel()
	for {
		l, err := net.Listen("tcp", g.listen)
		if err == nil {
			return l, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(g.pace.tick):
		}
	}
}

// limited accepts so many connections at a time.
type limited struct {
	net.Listener
	free chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: nc, done: sync.OnceFunc(func() { <-l.free })}, nil
}

type limitedConn struct {
	net.Conn
	done func()
}

func (c *limitedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}

// handler has the page. Anybody in the network may see it: who may install something is
// decided by the signature of the bundle alone.
func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		io.WriteString(w, rescueStyle)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) })
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, http.StatusOK, "Lintel is started again. Come back in a minute.")
		tell(p.again)
	})
	mux.HandleFunc("POST /update", p.upload)
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.visited.Store(time.Now().Unix())
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	}))
}

func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// shown is what the page says.
type shown struct {
	Title, About, Version string
	Record                *update.Record
	CanUpdate             bool
	Log                   []string
	LogError              string
}

func (p *page) show(w http.ResponseWriter, r *http.Request) {
	s := shown{Title: "Lintel does not run", About: p.about, Version: p.g.release.Version, CanUpdate: p.g.machine != nil}
	if p.g.machine != nil {
		s.Record, _ = p.g.machine.Record()
	}
	lines, err := p.g.init.Log(r.Context(), p.g.program)
	if s.Log = lines; err != nil {
		s.LogError = err.Error()
	}
	p.render(w, http.StatusOK, s)
}

func (p *page) render(w http.ResponseWriter, status int, s shown) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := rescueTemplate.Execute(w, s); err != nil {
		p.g.log.Debug("page not sent", "err", err)
	}
}

// answer says what came of something.
func (p *page) answer(w http.ResponseWriter, status int, text string) {
	p.render(w, status, shown{Title: "Lintel does not run", About: text, Version: p.g.release.Version})
}

// upload takes a bundle, as a form of the page sends it or as the whole body.
func (p *page) upload(w http.ResponseWriter, r *http.Request) {
	if !p.install.TryLock() {
		p.answer(w, http.StatusConflict, "Another update is being written: wait for it.")
		return
	}
	defer p.install.Unlock()
	if p.g.machine == nil {
		p.answer(w, http.StatusConflict, "This Lintel does not run from an image of its own: update it the way it was installed.")
		return
	}
	body, err := bundleIn(r)
	if err != nil {
		p.answer(w, http.StatusBadRequest, sentence(err.Error()))
		return
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(readTime))
	err = p.write(r.Context(), readerFunc(func(b []byte) (int, error) {
		control.SetReadDeadline(time.Now().Add(readTime))
		return body.Read(b)
	}))
	if err != nil {
		p.g.log.Warn("update not installed", "err", err)
		status := http.StatusInternalServerError
		if _, refused := errors.AsType[*update.Refusal](err); refused {
			status = http.StatusUnprocessableEntity
		}
		p.answer(w, status, "The update was not installed. "+sentence(err.Error()))
		return
	}
	p.answer(w, http.StatusOK, "The update is in place. The box starts with it now: come back in two minutes.")
	tell(p.armed)
}

// write verifies a bundle and has the next start try it.
func (p *page) write(ctx context.Context, body io.Reader) error {
	bundle, err := update.Open(body, p.g.release.Keys)
	if err != nil {
		return err
	}
	// Here the clock may show anything: nothing expires. Write knows how much room there is.
	if err := p.g.release.Judge(&bundle.Manifest, time.Time{}, 0); err != nil {
		return err
	}
	if err := p.g.machine.Write(ctx, &bundle.Manifest, bundle.Root(), nil); err != nil {
		return err
	}
	return p.g.machine.Arm(ctx, nil, int(rescueTrial/time.Second), nil)
}

// rescueTrial is how long a version may take to be found healthy that was installed here.
const rescueTrial = 15 * time.Minute

// bundleIn returns what was sent.
func bundleIn(r *http.Request) (io.Reader, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return r.Body, nil
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("this is no form with a file: %w", err)
	}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return nil, errors.New("there is no file in the form: choose a bundle, whose name ends in .lintel")
		}
		if part.FormName() == "bundle" {
			return part, nil
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// sentence makes one of an error.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

var rescueTemplate = template.Must(template.New("rescue").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<link rel="stylesheet" href="/style.css">
<h1>{{.Title}}</h1>
<p>{{.About}}</p>
<p>This is version {{.Version}}. What the box knows is untouched on its card.</p>
{{with .Record}}{{if .Reason}}<p>The last update, to version {{.Version}}: {{.Reason}}</p>{{end}}{{end}}
<form method="post" action="/restart"><button>Start Lintel again</button></form>
{{if .CanUpdate}}
<h2>Update</h2>
<p>A newer version may help. Choose a bundle, whose name ends in .lintel. The box tries it, and comes back to this version if it does not work.</p>
<form method="post" action="/update" enctype="multipart/form-data">
<input type="file" name="bundle" accept=".lintel" required aria-label="Bundle"><br>
<button>Install</button>
</form>
{{end}}
{{if .Log}}<h2>What Lintel said last</h2>
<pre>{{range .Log}}{{.}}
{{end}}</pre>{{end}}
{{with .LogError}}<p>What Lintel said last is not known: {{.}}</p>{{end}}
</html>
`))

const rescueStyle = `body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 1rem; color-scheme: light dark }
pre { overflow: auto; max-height: 24rem; border: 1px solid; padding: .5rem; white-space: pre-wrap; overflow-wrap: anywhere }
button, input { font: inherit; margin: .5rem 0; max-width: 100% }
`
