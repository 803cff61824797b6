package dashboard

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The catalogue: English texts are its keys, with the verbs of package fmt where something
// is put in. What is not in it is shown in English.

//go:embed text
var textFiles embed.FS

// english is the language of the keys.
const english = "en"

// language is one that the pages speak.
type language struct {
	Code string // as in HTML's lang attribute
	Name string // in itself
}

var languages = []language{{english, "English"}, {"de", "Deutsch"}}

// catalogues are the translations, by the code of the language.
var catalogues = map[string]map[string]string{"de": readCatalogue("text/de")}

// readCatalogue reads the files of a language: one for each part of the pages.
func readCatalogue(dir string) map[string]string {
	all := make(map[string]string)
	files, err := fs.Glob(textFiles, dir+"/*.json")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		data, err := textFiles.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var texts map[string]string
		if err := json.Unmarshal(data, &texts); err != nil {
			panic(file + ": " + err.Error()) // embedded: a test would have failed
		}
		maps.Copy(all, texts)
	}
	return all
}

// translate returns a text in a language.
func translate(lang, key string, args ...any) string {
	if text, ok := catalogues[lang][key]; ok {
		key = text
	}
	if len(args) == 0 {
		return key
	}
	return fmt.Sprintf(key, args...)
}

// counted says how many there are of something: one is the key where it is 1.
func counted(lang, count, one, many string) string {
	if count != "1" {
		return translate(lang, many, count)
	}
	if strings.Contains(one, "%") {
		return translate(lang, one, count)
	}
	return translate(lang, one)
}

// rich is translate for a text with markup in it: arguments that are HTML stay that, all
// others and the text itself are escaped.
func rich(lang, key string, args ...any) template.HTML {
	escaped := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case template.HTML:
			escaped[i] = a
		case string:
			escaped[i] = template.HTMLEscapeString(a)
		case int, int64, uint64, float64:
			escaped[i] = a
		default:
			escaped[i] = template.HTMLEscapeString(fmt.Sprint(a))
		}
	}
	return template.HTML(fmt.Sprintf(template.HTMLEscapeString(translate(lang, key)), escaped...))
}

// code, strong and anchor make markup for [rich].
func code(s string) template.HTML {
	return template.HTML("<code>" + template.HTMLEscapeString(s) + "</code>")
}

func strong(s string) template.HTML {
	return template.HTML("<strong>" + template.HTMLEscapeString(s) + "</strong>")
}

// anchor leads to a path of ours.
func anchor(path, text string) template.HTML {
	return template.HTML(`<a href="` + template.HTMLEscapeString(path) + `">` + template.HTMLEscapeString(text) + "</a>")
}

const (
	languageCookie = "lintel-language"
	languageTime   = 365 * 24 * time.Hour
)

// languageOf returns the language for a request: the one that was chosen, else the one
// that the browser likes best (RFC 9110 §12.5.4).
func languageOf(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil && knownLanguage(c.Value) {
		return c.Value
	}
	best, most := english, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, parameter, _ := strings.Cut(part, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		quality := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameter), "q="); ok {
			var err error
			if quality, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if knownLanguage(primary) && quality > most {
			best, most = primary, quality
		}
	}
	return best
}

func knownLanguage(code string) bool {
	return slices.ContainsFunc(languages, func(l language) bool { return l.Code == code })
}

// t returns a text in the language of who asks.
func (r *request) t(key string, args ...any) string {
	return translate(languageOf(r.Request), key, args...)
}

// chooseLanguage keeps the language that somebody wants, and goes back to where they were.
func (s *Server) chooseLanguage(w http.ResponseWriter, r *request) {
	code := r.PostFormValue("language")
	if !knownLanguage(code) {
		s.fail(w, r, wrong("language", "The pages do not speak that language."))
		return
	}
	http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: code, Path: "/", MaxAge: int(languageTime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
	http.Redirect(w, r.Request, ownPath(r.PostFormValue("next")), http.StatusSeeOther)
}

// moduleText finds the keys that an ES module translates: t("key" and whatever follows.
var moduleText = regexp.MustCompile(`\bt\(("(?:[^"\\]|\\.)*")`)

// moduleTexts returns the texts of our modules in a language, as a module with the function t:
// it puts its further arguments in place of the verbs.
func moduleTexts(lang string) []byte {
	texts := make(map[string]string)
	for _, source := range modules() {
		for _, m := range moduleText.FindAllSubmatch(source, -1) {
			var key string
			if json.Unmarshal(m[1], &key) != nil {
				continue
			}
			if text, ok := catalogues[lang][key]; ok {
				texts[key] = text
			}
		}
	}
	b, err := json.Marshal(texts)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, "const texts = %s;\nexport const lang = %q;\nexport function t(key, ...args) {\n"+
		"  let i = 0;\n  return (texts[key] ?? key).replace(/%%[sd]/g, () => args[i++]);\n}\n", b, lang)
}
