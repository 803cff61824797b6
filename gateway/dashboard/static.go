package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// Style sheet, icon and ES modules. Their URLs are /static/VERSION-LANGUAGE/NAME, where
// VERSION is a hash of all of them: browsers keep them for as long as they like.

//go:embed static
var staticFiles embed.FS

// staticFile is what is served under a name.
type staticFile struct {
	kind         string
	plain, small []byte // small: with gzip; nil: that does not pay
}

// statics are all static files by LANGUAGE/NAME, and the version of them all.
var statics = sync.OnceValues(func() (map[string]staticFile, string) {
	files := make(map[string]staticFile)
	sum := sha256.New()
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		data, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum.Write(data)
		f := newStaticFile(e.Name(), data)
		for _, l := range languages {
			files[l.Code+"/"+e.Name()] = f
		}
	}
	for _, l := range languages {
		text := moduleTexts(l.Code)
		sum.Write(text)
		files[l.Code+"/text.js"] = newStaticFile("text.js", text)
	}
	return files, hex.EncodeToString(sum.Sum(nil)[:6])
})

func newStaticFile(name string, data []byte) staticFile {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // not as the machine's own tables have it
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	case ".json":
		kind = jsonType
	}
	f := staticFile{kind: kind, plain: data}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data) // to memory
	z.Close()
	if b.Len() < len(data)*9/10 {
		f.small = b.Bytes()
	}
	return f
}

// modules returns our ES modules by name.
func modules() map[string][]byte {
	all := make(map[string][]byte)
	names, err := fs.Glob(staticFiles, "static/*.js")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		if all[path.Base(name)], err = staticFiles.ReadFile(name); err != nil {
			panic(err)
		}
	}
	return all
}

// staticPath is the folder of the static files for who speaks a language.
func staticPath(lang string) string {
	_, version := statics()
	return "/static/" + version + "-" + lang
}

func (s *Server) serveStatic(w http.ResponseWriter, r *request) {
	version, lang, _ := strings.Cut(r.PathValue("version"), "-")
	files, current := statics()
	f, ok := files[lang+"/"+r.PathValue("name")]
	if !ok {
		s.refuse(w, r, http.StatusNotFound, "There is no such file.")
		return
	}
	kept := "no-cache" // a page of another version asks
	if version == current {
		kept = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", kept)
	f.serve(w, r.Request)
}

// serveIcon serves the icon where programs look for one.
func serveIcon(w http.ResponseWriter, r *request) {
	files, _ := statics()
	w.Header().Set("Cache-Control", "max-age=86400")
	files[english+"/icon.svg"].serve(w, r.Request)
}

func (f staticFile) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	if f.small != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		w.Write(f.small)
		return
	}
	w.Write(f.plain)
}
