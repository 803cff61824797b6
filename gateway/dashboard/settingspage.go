package dashboard

import (
	"crypto/rand"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// drafts are changes of settings that people look at before they are saved. They stay here: a
// password that was typed does not go back to the browser.
type drafts struct {
	mu  sync.Mutex
	all map[string]draft // by an id that nobody can guess
}

type draft struct {
	session string // of who has made it
	until   time.Time
	change  SettingsChange
}

const (
	maxDrafts = 16
	draftTime = 10 * time.Minute
)

// keep keeps a change and returns its id.
func (d *drafts) keep(session string, c SettingsChange) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	oldest := ""
	for id, one := range d.all {
		if now.After(one.until) || one.session == session {
			delete(d.all, id) // each has one
		} else if oldest == "" || one.until.Before(d.all[oldest].until) {
			oldest = id
		}
	}
	if len(d.all) >= maxDrafts {
		delete(d.all, oldest)
	}
	if d.all == nil {
		d.all = make(map[string]draft)
	}
	id := rand.Text()
	d.all[id] = draft{session, now.Add(draftTime), c}
	return id
}

// take returns a change that somebody has made, once.
func (d *drafts) take(session, id string) (SettingsChange, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := d.all[id]
	if !ok || one.session != session || time.Now().After(one.until) {
		return SettingsChange{}, false
	}
	delete(d.all, id)
	return one.change, true
}

// settingsView is a page of the settings.
type settingsView struct {
	Frame    frame
	State    SettingsState
	Versions []SettingsVersion
	Error    *problem
	Saved    bool
	Restarts bool

	Section string // of a form
	About   string
	Fields  []settingsField

	Result SettingsResult // of what is to be saved
	Draft  string
	Number int // of a version that is to come back; 0: none
}

// settingsField is a setting in a form.
type settingsField struct {
	Setting
	Name  string // its key without that of the section
	Error *problem
}

// Rows is how many lines a field with several has.
func (f settingsField) Rows() int { return min(max(strings.Count(f.Text, "\n")+2, 3), 20) }

func (s *Server) settingsPage(w http.ResponseWriter, r *request) {
	s.showSettingsPage(w, r, http.StatusOK, nil)
}

func (s *Server) showSettingsPage(w http.ResponseWriter, r *request, code int, p *problem) {
	v := settingsView{Frame: s.frame(r, r.t("Settings")), State: s.o.Settings.Current(), Error: p,
		Saved: r.FormValue("saved") != "", Restarts: r.FormValue("restarts") != ""}
	var err error
	if v.Versions, err = s.o.Settings.Versions(); err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, code, "settings.html", v)
}

// sectionView returns the form of a section, filled with what is, or with what was typed.
func (s *Server) sectionView(r *request, name string) (settingsView, bool) {
	v := settingsView{Frame: s.frame(r, r.t("Settings")+" · "+name), State: s.o.Settings.Current(), Section: name}
	for _, section := range v.State.Sections {
		if section.Key != name || section.Page != "" {
			continue
		}
		v.About = section.About
		for _, one := range section.Settings {
			v.Fields = append(v.Fields, settingsField{Setting: one, Name: strings.TrimPrefix(one.Key, name+".")})
		}
		return v, true
	}
	return v, false
}

func (s *Server) settingsSectionPage(w http.ResponseWriter, r *request) {
	v, ok := s.sectionView(r, r.PathValue("section"))
	if !ok {
		s.refuse(w, r, http.StatusNotFound, "There are no settings of this name here.")
		return
	}
	s.show(w, r, http.StatusOK, "settingssection.html", v)
}

// settingsForm shows what the form of a section would change.
func (s *Server) settingsForm(w http.ResponseWriter, r *request) {
	v, ok := s.sectionView(r, r.PathValue("section"))
	if !ok {
		s.refuse(w, r, http.StatusNotFound, "There are no settings of this name here.")
		return
	}
	change := SettingsChange{Base: r.PostFormValue("base"), Settings: make(map[string]any), By: r.user, Try: true}
	for i := range v.Fields {
		v.Fields[i].read(r, change.Settings)
	}
	if len(change.Settings) == 0 {
		v.Error = wrong("", "Nothing is changed.")
		s.show(w, r, http.StatusOK, "settingssection.html", v)
		return
	}
	var err error
	v.Result, err = s.o.Settings.Change(change)
	if invalid, ok := errors.AsType[*SettingsError](err); ok {
		v.tell(invalid)
		s.show(w, r, http.StatusBadRequest, "settingssection.html", v)
		return
	}
	if err != nil {
		p := s.problemOf(r.Request, err)
		v.Error = p
		s.show(w, r, p.code, "settingssection.html", v)
		return
	}
	change.Try = false
	v.Draft = s.drafts.keep(r.session, change)
	s.show(w, r, http.StatusOK, "settingsdiff.html", v)
}

// tell puts each problem beside its field.
func (v *settingsView) tell(e *SettingsError) {
	for _, p := range e.Problems {
		i := slices.IndexFunc(v.Fields, func(f settingsField) bool {
			rest, ok := strings.CutPrefix(p.Key, f.Key)
			return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
		if i < 0 {
			v.Error = wrong("", "%s: %s", p.Key, p.Text)
			continue
		}
		f := &v.Fields[i]
		where := ""
		if p.Key != f.Key {
			where = strings.TrimPrefix(p.Key, f.Key) + ": "
		}
		if f.Error == nil {
			f.Error = wrong(f.Key, "%s", where+p.Text)
		}
	}
	if v.Error == nil {
		v.Error = wrong("", "Something is not right yet: see below.")
	}
}

// read puts what was typed into a field into changes, if it is something else, and shows it
// again.
func (f *settingsField) read(r *request, changes map[string]any) {
	typed := strings.ReplaceAll(r.PostFormValue(f.Key), "\r\n", "\n")
	var value any = typed
	switch f.Kind {
	case SecretSetting:
		if r.PostFormValue(f.Key+".remove") != "" {
			changes[f.Key] = ""
		} else if typed != "" {
			changes[f.Key] = typed
		}
		return
	case SwitchSetting:
		value = typed != ""
		if value != f.Value {
			changes[f.Key] = value
		}
		f.Value = value
		return
	case NumberSetting:
		if n, err := strconv.ParseInt(strings.TrimSpace(typed), 10, 64); err == nil {
			value = n
		}
	case FloatSetting:
		if n, err := strconv.ParseFloat(strings.TrimSpace(typed), 64); err == nil {
			value = n
		}
	case ListSetting:
		list := []any{}
		for line := range strings.Lines(typed) {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
		value = list
	case TOMLSetting:
		if strings.TrimSpace(typed) != strings.TrimSpace(f.Text) {
			changes[f.Key] = typed
		}
		f.Text = typed
		return
	}
	if !reflect.DeepEqual(value, f.Value) {
		changes[f.Key] = value
	}
	f.Text = typed
}

// saveSettingsForm saves what was looked at.
func (s *Server) saveSettingsForm(w http.ResponseWriter, r *request) {
	change, ok := s.drafts.take(r.session, r.PostFormValue("draft"))
	if !ok {
		s.showSettingsPage(w, r, http.StatusConflict, problemf(http.StatusConflict, "", "That was too long ago, or is saved already: change it once more."))
		return
	}
	if _, err := s.applySettings(r, change); err != nil {
		p := s.problemOf(r.Request, err)
		s.showSettingsPage(w, r, p.code, p)
		return
	}
	s.settingsSaved(w, r)
}

// settingsSaved leads back to the settings, and restarts if that is wanted.
func (s *Server) settingsSaved(w http.ResponseWriter, r *request) {
	if r.PostFormValue("restart") != "" {
		s.restartHouse(r)
		http.Redirect(w, r.Request, "/settings?saved=1&restarts=1", http.StatusSeeOther)
		return
	}
	http.Redirect(w, r.Request, "/settings?saved=1", http.StatusSeeOther)
}

// undoSettingsForm shows what the return of an earlier version would change, and then does it.
func (s *Server) undoSettingsForm(w http.ResponseWriter, r *request) {
	number, _ := strconv.Atoi(r.PostFormValue("number"))
	sure := r.PostFormValue("sure") != ""
	result, err := s.takeBack(r, number, !sure)
	if err != nil {
		p := s.problemOf(r.Request, err).nowhere()
		s.showSettingsPage(w, r, p.code, p)
		return
	}
	if sure {
		s.settingsSaved(w, r)
		return
	}
	s.show(w, r, http.StatusOK, "settingsdiff.html", settingsView{Frame: s.frame(r, r.t("Settings")), Result: result, Number: number})
}

func (s *Server) restartSettingsForm(w http.ResponseWriter, r *request) {
	s.restartHouse(r)
	http.Redirect(w, r.Request, "/settings?restarts=1", http.StatusSeeOther)
}
