package dashboard

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
)

// Settings are the configuration file of the box. Its errors for people are of the types of
// this file.
type Settings interface {
	// Current returns what the file says.
	Current() SettingsState
	// Change changes it, or, to try it, does all but that. Keys are as in README.md of package
	// settings, as mqtt.max_inflight. A secret that is [NotShown] stays as it was.
	Change(c SettingsChange) (SettingsResult, error)
	// Versions returns what it was before, the newest first.
	Versions() ([]SettingsVersion, error)
	// Undo has the file be as an earlier version of it, or, to try it, does all but that.
	Undo(number int, by string, try bool) (SettingsResult, error)
	// Restart starts the house again.
	Restart()
}

// NotShown stands in the place of a secret.
const NotShown = "(not shown)"

// SettingsState is what GET /api/settings tells.
type SettingsState struct {
	File     string            `json:"file,omitempty"`
	Problem  string            `json:"problem,omitempty"` // why nothing can be changed here; empty: it can
	Base     string            `json:"base,omitempty"`    // stands for the text of the file
	Sections []SettingsSection `json:"sections"`
	Waiting  []string          `json:"waiting"` // keys that take a restart to have their effect
}

// SettingsSection is a table of the file.
type SettingsSection struct {
	Key      string    `json:"key"`
	About    string    `json:"about,omitempty"`
	Page     string    `json:"page,omitempty"` // on which it is changed, and not here
	Settings []Setting `json:"settings"`
}

// Unusual is how many of its settings are not as by default.
func (s SettingsSection) Unusual() (n int) {
	for _, one := range s.Settings {
		if one.Changed {
			n++
		}
	}
	return n
}

// SettingKind is what kind of value a setting has.
type SettingKind string

// The kinds.
const (
	TextSetting   SettingKind = "text"
	ChoiceSetting SettingKind = "choice"
	SwitchSetting SettingKind = "switch" // true or false
	NumberSetting SettingKind = "number" // a whole one
	FloatSetting  SettingKind = "float"
	ListSetting   SettingKind = "list" // of texts
	TOMLSetting   SettingKind = "toml" // tables: a value as in JSON, or the text as it would stand in the file
	SecretSetting SettingKind = "secret"
)

// Setting is a key of the file.
type Setting struct {
	Key     string      `json:"key"`
	Kind    SettingKind `json:"kind"`
	About   string      `json:"about"`
	Value   any         `json:"value"` // of a secret: null, or [NotShown] if there is one
	Default any         `json:"default"`
	Choices []string    `json:"choices,omitempty"`
	Changed bool        `json:"changed"` // it is not as by default
	Text    string      `json:"-"`       // of Value, for a form
	Usual   string      `json:"-"`       // of Default
}

// SettingsChange is what is to be changed.
type SettingsChange struct {
	Base     string         // as in SettingsState; empty: whatever the file says now
	Settings map[string]any // by key; nil is the default
	By       string
	Try      bool
}

// SettingsResult is what a change has come to, or would.
type SettingsResult struct {
	Diff    []string `json:"diff"`    // lines that begin with "-", "+" or " "; none: nothing changes
	Waiting []string `json:"waiting"` // as in SettingsState
}

// whole has lists where there is nothing in them.
func (r SettingsResult) whole() SettingsResult {
	return SettingsResult{append([]string{}, r.Diff...), append([]string{}, r.Waiting...)}
}

// SettingsVersion is what the file was before.
type SettingsVersion struct {
	Number int       `json:"number"`
	Until  time.Time `json:"until"`           // when it was changed, by the clock of the box then
	By     string    `json:"by"`              // who has done that
	Diff   []string  `json:"diff"`            // what that has changed
	Error  string    `json:"error,omitempty"` // why it is of no use any more
}

// SettingsError is what is wrong with a change.
type SettingsError struct{ Problems []SettingsProblem }

// SettingsProblem is what is wrong with a key; its text says what is right.
type SettingsProblem struct {
	Key  string `json:"key"` // as uplink[1].url
	Text string `json:"text"`
}

func (e *SettingsError) Error() string {
	text := ""
	for i, p := range e.Problems {
		if i > 0 {
			text += "; "
		}
		text += p.Key + ": " + p.Text
	}
	return text
}

// Errors of [Settings].
var (
	ErrSettingsChanged = errors.New("the configuration has been changed by somebody else meanwhile")
	ErrNoSettingsFile  = errors.New("there is no configuration file that can be written")
	ErrNoVersion       = errors.New("there is no such version")
)

// maxSettings bounds a change in bytes: tables may be long.
const maxSettings = 256 << 10

// settingsRoutes are those of the configuration file.
func (s *Server) settingsRoutes() []route {
	if s.o.Settings == nil {
		return nil
	}
	return []route{
		{pattern: "GET /settings", level: admin, serve: s.settingsPage},
		{pattern: "GET /settings/{section}", level: admin, serve: s.settingsSectionPage},
		{pattern: "POST /settings/{section}", level: admin, body: maxSettings, serve: s.settingsForm},
		{pattern: "POST /settings/save", level: admin, serve: s.saveSettingsForm},
		{pattern: "POST /settings/undo", level: admin, serve: s.undoSettingsForm},
		{pattern: "POST /settings/restart", level: admin, serve: s.restartSettingsForm},
		{pattern: "GET /api/settings", level: admin, call: gives(s, s.showSettings)},
		{pattern: "PATCH /api/settings", level: admin, body: maxSettings, call: takes(s, s.changeSettings)},
		{pattern: "GET /api/settings/versions", level: admin, call: gives(s, s.listSettingsVersions)},
		{pattern: "POST /api/settings/undo", level: admin, call: takes(s, s.undoSettings)},
		{pattern: "POST /api/settings/restart", level: admin, call: takes(s, s.restartCallSettings)},
	}
}

func (s *Server) showSettings(*request) (SettingsState, error) { return s.o.Settings.Current(), nil }

type settingsRequest struct {
	Base     string         `json:"base"` // that of the settings that were looked at; another is refused
	Settings map[string]any `json:"settings" api:"required"`
	Try      bool           `json:"try"`
}

func (s *Server) changeSettings(r *request, in settingsRequest) (SettingsResult, error) {
	if len(in.Settings) == 0 {
		return SettingsResult{}, wrong("settings", "Say what is to be changed, such as {%q: {%q: 50}}.", "settings", "mqtt.max_inflight")
	}
	return s.applySettings(r, SettingsChange{Base: in.Base, Settings: in.Settings, By: r.user, Try: in.Try})
}

// applySettings changes the configuration file, which the audit log hears of.
func (s *Server) applySettings(r *request, c SettingsChange) (SettingsResult, error) {
	keys := slices.Sorted(maps.Keys(c.Settings))
	result, err := s.o.Settings.Change(c)
	if err == nil && !c.Try && len(result.Diff) > 0 {
		s.note(r, access.SettingsChanged, "", ": %s", shorten(strings.Join(keys, ", ")))
	}
	return result.whole(), err
}

func (s *Server) listSettingsVersions(*request) ([]SettingsVersion, error) {
	return s.o.Settings.Versions()
}

type undoRequest struct {
	Number int  `json:"number" api:"required"`
	Try    bool `json:"try"`
}

func (s *Server) undoSettings(r *request, in undoRequest) (SettingsResult, error) {
	return s.takeBack(r, in.Number, in.Try)
}

// takeBack has the configuration be as it was.
func (s *Server) takeBack(r *request, number int, try bool) (SettingsResult, error) {
	result, err := s.o.Settings.Undo(number, r.user, try)
	if err == nil && !try && len(result.Diff) > 0 {
		s.note(r, access.SettingsChanged, "", ": back to version %d", number)
	}
	return result.whole(), err
}

func (s *Server) restartCallSettings(r *request, _ nothing) (nothing, error) {
	s.restartHouse(r)
	return nothing{}, nil
}

func (s *Server) restartHouse(r *request) {
	s.note(r, access.RestartAsked, "", "")
	s.o.Settings.Restart()
}

// settingsProblem says to people what an error of Settings means; nil: it is none.
func settingsProblem(err error) *problem {
	if e, ok := errors.AsType[*SettingsError](err); ok {
		p := problemf(http.StatusBadRequest, e.Problems[0].Key, "%s", sentence(e))
		for _, one := range e.Problems[:min(len(e.Problems), maxInputErrors)] {
			p.inputs = append(p.inputs, InputError{Pointer: pointerTo("#/settings", one.Key), Detail: sentence(errors.New(one.Text))})
		}
		return p
	}
	switch {
	case errors.Is(err, ErrSettingsChanged):
		return problemf(http.StatusConflict, "", "The configuration has been changed by somebody else meanwhile: look at it again, and change it then.")
	case errors.Is(err, ErrNoSettingsFile):
		return problemf(http.StatusConflict, "", "There is no configuration file that this Lintel could write: GET /api/settings says why.")
	case errors.Is(err, ErrNoVersion):
		return problemf(http.StatusNotFound, "", "There is no such version of the configuration; the oldest ones go.")
	}
	return nil
}
