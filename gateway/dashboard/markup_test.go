package dashboard

import (
	"errors"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// checkMarkup checks that a page, or what is fixed of a template, has nothing that our
// policy would stop, and leads nobody astray. It returns where its links lead.
func checkMarkup(t *testing.T, what, text string) (links []string) {
	t.Helper()
	document, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return nil
	}
	for n := range document.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attributes := make(map[string]string)
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
		}
		switch n.Data {
		case "style", "base", "iframe", "frame", "object", "embed", "applet", "portal":
			t.Errorf("%s: <%s>", what, n.Data)
		case "script":
			if attributes["src"] == "" || n.FirstChild != nil {
				t.Errorf("%s: a script that is in the page", what)
			}
		}
		for key, value := range attributes {
			switch {
			case strings.HasPrefix(key, "on") || key == "style" || key == "srcdoc",
				key == "http-equiv" && (value != "refresh" || strings.Contains(attributes["content"], "url")):
				t.Errorf("%s: <%s %s=%q>", what, n.Data, key, value)
			case slices.Contains([]string{"src", "srcset", "href", "action", "formaction", "poster", "data", "ping", "background", "manifest"}, key):
				if err := checkURL(n.Data, attributes, value); err != nil {
					t.Errorf("%s: <%s %s=%q> %v", what, n.Data, key, value, err)
				} else if n.Data == "a" && strings.HasPrefix(value, "/") {
					links = append(links, value)
				}
			}
		}
	}
	return links
}

// checkURL says what is wrong with the URL of an element.
func checkURL(element string, attributes map[string]string, value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return err
	case strings.Contains(value, `\`):
		return errors.New("has what browsers take for a slash")
	case u.Scheme == "" && u.Host == "":
		return nil
	case element != "a":
		return errors.New("is of another origin")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is no page")
	case attributes["target"] != "" && !strings.Contains(attributes["rel"], "noopener"):
		return errors.New("can lead our page away")
	}
	return nil
}

// action is a part of a template that is not fixed.
var action = regexp.MustCompile(`\{\{.*?\}\}`)

func TestTemplatesHoldNothingThatRuns(t *testing.T) {
	files, err := fs.Glob(pageFiles, "html/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		text, err := pageFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkMarkup(t, file, action.ReplaceAllString(string(text), ""))
	}
}

func TestMarkupIsChecked(t *testing.T) {
	for _, evil := range []string{
		`<script>x</script>`, `<script src="https://evil.example/x.js"></script>`, `<img src="//evil.example/x">`, `<p style="top:0">`, `<style>p{}</style>`,
		`<p onclick="x">`, `<a href="javascript:x">`, `<a href=" jAvascript:x">`, `<form action="http://evil.example/">`, `<iframe src="/">`,
		`<link rel="stylesheet" href="http://evil.example/x.css">`, `<svg><use href="//evil.example#x"/></svg>`, `<a href="http://x/" target="_blank">`, `<a href="/\evil.example">`,
	} {
		probe := new(testing.T)
		if checkMarkup(probe, "", evil); !probe.Failed() {
			t.Errorf("%s is let through", evil)
		}
	}
}

func TestStaticFilesAreOwn(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)https?://|@import|url\(\s*["']?(//|data:)|\beval\(|new Function|document\.write|<script|from "[^.]`)
	err := fs.WalkDir(staticFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(staticFiles, path)
		if found := foreign.FindString(strings.ReplaceAll(string(text), `xmlns="http://www.w3.org/2000/svg"`, "")); found != "" {
			t.Errorf("%s holds %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
