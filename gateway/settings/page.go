package settings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"lintel/gateway/access"
	"lintel/gateway/dashboard"
)

// PageOptions are the options of [NewPage].
type PageOptions struct {
	File    string // the configuration file; empty: there is none that could be written
	Running Config // what is in force
	Network bool   // the page of the network changes what belongs to it
	BoxID   string
	Restart func()       // asks for one, without waiting for it
	Logger  *slog.Logger // nil: silent
}

// Page is the configuration file for the pages. It is [dashboard.Settings].
type Page struct {
	o   PageOptions
	log *slog.Logger
	mu  sync.Mutex // held while the file is changed
}

// NewPage returns a Page.
func NewPage(o PageOptions) *Page {
	p := &Page{o: o, log: o.Logger}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// problem says why nothing can be changed.
func (s *Page) problem() string {
	if s.o.File == "" {
		return "This Lintel runs without a configuration file that it could write: start it with --data or --config, or change what starts it."
	}
	if err := unix.Access(filepath.Dir(s.o.File), unix.W_OK); err != nil {
		return fmt.Sprintf("The folder of %s cannot be written (%v): change the file where it is, and restart Lintel.", s.o.File, err)
	}
	return ""
}

// read returns the file as it is and what it says.
func (s *Page) read() (text string, c Config, err error) {
	if s.o.File == "" {
		return "", s.o.Running, nil
	}
	old, err := os.ReadFile(s.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return "", Default(), nil
	}
	if err != nil {
		return "", Default(), fmt.Errorf("read configuration: %w", err)
	}
	c, err = Parse(s.o.File, string(old))
	return string(old), c, err
}

func baseOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Current implements dashboard.Settings.
func (s *Page) Current() dashboard.SettingsState {
	state := dashboard.SettingsState{File: s.o.File, Problem: s.problem(), Sections: []dashboard.SettingsSection{}, Waiting: []string{}}
	text, c, err := s.read()
	if err != nil {
		state.Problem = "The configuration file has a mistake; mend it, or take an earlier version back: " + err.Error()
		return state
	}
	state.Base = baseOf(text)
	state.Waiting = s.waiting(c)
	is, usual := tree(c), tree(Default())
	byTable := make(map[string]int)
	for _, f := range settingFields {
		table := parentKey(f.key)
		if table == "" { // as uplink
			table = f.key
		}
		i, ok := byTable[table]
		if !ok {
			i = len(state.Sections)
			byTable[table] = i
			section := dashboard.SettingsSection{Key: table, About: settingDocs[table]}
			if s.o.Network && topOf(table) == "network" {
				section.Page = "/network"
			}
			state.Sections = append(state.Sections, section)
		}
		state.Sections[i].Settings = append(state.Sections[i].Settings, f.show(lookUp(is, f.key), lookUp(usual, f.key)))
	}
	return state
}

// waiting are the keys whose value in the file is not the one that is in force.
func (s *Page) waiting(c Config) []string {
	keys := []string{}
	if s.o.File == "" {
		return keys
	}
	running := copyOf(s.o.Running)
	running.Access.resolve(filepath.Dir(s.o.File)) // as main has done, or did not need to
	c = copyOf(c)
	c.Access.resolve(filepath.Dir(s.o.File))
	is, was := tree(c), tree(running)
	for _, f := range settingFields {
		if s.o.Network && strings.HasPrefix(f.key, "network.ethernet.") {
			continue // takes effect without
		}
		if !reflect.DeepEqual(lookUp(is, f.key), lookUp(was, f.key)) {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// Change implements dashboard.Settings.
func (s *Page) Change(change dashboard.SettingsChange) (dashboard.SettingsResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem() != "" {
		return dashboard.SettingsResult{}, dashboard.ErrNoSettingsFile
	}
	text, before, err := s.read()
	if err != nil {
		return dashboard.SettingsResult{}, &dashboard.SettingsError{Problems: []dashboard.SettingsProblem{{Text: err.Error()}}}
	}
	if change.Base != "" && change.Base != baseOf(text) {
		return dashboard.SettingsResult{}, dashboard.ErrSettingsChanged
	}
	after, err := s.changed(before, change.Settings)
	if err != nil {
		return dashboard.SettingsResult{}, err
	}
	next, err := changedConfig(s.o.File, text, func(c *Config) { *c = copyOf(after) })
	if err != nil {
		return dashboard.SettingsResult{}, &dashboard.SettingsError{Problems: []dashboard.SettingsProblem{{Text: err.Error()}}}
	}
	return s.write(text, next, change.By, change.Try)
}

// changed returns a configuration with other values for some keys.
func (s *Page) changed(before Config, values map[string]any) (Config, error) {
	was, want, usual := tree(before), tree(before), tree(Default())
	var ps []problem
	for key, value := range values {
		i := slices.IndexFunc(settingFields, func(f settingField) bool { return f.key == key })
		if i < 0 {
			text := "unknown key"
			if n := nearest(key, allKeys); n != "" {
				text += fmt.Sprintf("; did you mean %q?", n)
			}
			ps = append(ps, problem{key, text})
			continue
		}
		if s.o.Network && topOf(key) == "network" {
			ps = append(ps, problem{key, "is changed on the page Network, which tries it out first"})
			continue
		}
		f := settingFields[i]
		if value == nil {
			setAt(want, key, lookUp(usual, key))
			continue
		}
		value, err := f.take(value, lookUp(was, key))
		if err != nil {
			ps = append(ps, problem{key, err.Error()})
			continue
		}
		setAt(want, key, value)
	}
	if len(ps) == 0 {
		ps = checkTree(want, reflect.TypeFor[Config](), "", allKeys)
	}
	after := Default()
	if len(ps) == 0 {
		fill(&after, want)
		ps = after.problems()
	}
	if len(ps) == 0 {
		ps = s.startable(after)
	}
	if len(ps) > 0 {
		return Config{}, settingsError(ps)
	}
	return after, nil
}

func settingsError(ps []problem) error {
	e := new(dashboard.SettingsError)
	slices.SortFunc(ps, func(a, b problem) int { return strings.Compare(a.key, b.key) })
	for _, p := range ps[:min(len(ps), 20)] {
		e.Problems = append(e.Problems, dashboard.SettingsProblem{Key: p.key, Text: p.text})
	}
	return e
}

// startable tries out what could keep the house from starting again with another
// configuration: then there would be no page to mend it.
func (s *Page) startable(c Config) (ps []problem) {
	bad := func(key string, err error) { ps = append(ps, problem{key, err.Error()}) }
	var ours []string // ports
	for _, address := range s.o.Running.addresses {
		_, port, _ := net.SplitHostPort(address)
		ours = append(ours, port)
	}
	for key, address := range c.addresses {
		if _, port, _ := net.SplitHostPort(address); slices.Contains(ours, port) {
			continue // taken, by us
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			bad(indices.ReplaceAllString(key, ""), fmt.Errorf("cannot listen on %q: %w", address, err))
			continue
		}
		l.Close()
	}
	c = copyOf(c)
	c.Access.resolve(filepath.Dir(s.o.File))
	if c.Access.JWT.Enabled() {
		if _, err := access.NewJWT(c.Access.JWT.Options()); err != nil {
			bad("access.jwt", err)
		}
	}
	if _, err := c.Log.ReadCA(); err != nil {
		bad("log.syslog_ca", err)
	}
	for i, u := range c.Uplinks {
		if _, err := u.Options(s.o.BoxID); err != nil {
			bad(fmt.Sprintf("uplink[%d]", i), err)
		}
	}
	return ps
}

// write writes the file, unless this is a try.
func (s *Page) write(old, text, by string, try bool) (dashboard.SettingsResult, error) {
	c, err := Parse(s.o.File, text)
	if err != nil {
		return dashboard.SettingsResult{}, &dashboard.SettingsError{Problems: []dashboard.SettingsProblem{{Text: err.Error()}}}
	}
	result := dashboard.SettingsResult{Diff: diffLines(withoutSecrets(old), withoutSecrets(text)), Waiting: s.waiting(c)}
	if old != text && len(result.Diff) == 0 {
		result.Diff = []string{"+ " + secretChanged}
	}
	if try || old == text {
		return result, nil
	}
	if err := writeConfig(s.o.File, old, text, by); err != nil {
		return result, err
	}
	s.log.Info("configuration changed", "by", by)
	return result, nil
}

// secretChanged is what a diff says in which nothing else is to be seen.
const secretChanged = "# something that is not shown changes"

// Versions implements dashboard.Settings.
func (s *Page) Versions() ([]dashboard.SettingsVersion, error) {
	all := []dashboard.SettingsVersion{}
	if s.o.File == "" {
		return all, nil
	}
	versions, err := readVersions(s.o.File)
	if err != nil {
		return nil, err
	}
	after, err := os.ReadFile(s.o.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	next := withoutSecrets(string(after))
	for _, v := range versions {
		shown := withoutSecrets(v.Text)
		one := dashboard.SettingsVersion{Number: v.Number, Until: v.Until, By: v.By, Diff: diffLines(shown, next)}
		if len(one.Diff) == 0 {
			one.Diff = []string{"+ " + secretChanged}
		}
		if _, err := Parse(s.o.File, v.Text); err != nil {
			one.Error = err.Error()
		}
		all = append(all, one)
		next = shown
	}
	return all, nil
}

// Undo implements dashboard.Settings.
func (s *Page) Undo(number int, by string, try bool) (dashboard.SettingsResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem() != "" {
		return dashboard.SettingsResult{}, dashboard.ErrNoSettingsFile
	}
	v, err := readVersion(s.o.File, number)
	if errors.Is(err, fs.ErrNotExist) {
		return dashboard.SettingsResult{}, dashboard.ErrNoVersion
	}
	if err != nil {
		return dashboard.SettingsResult{}, err
	}
	old, err := os.ReadFile(s.o.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dashboard.SettingsResult{}, err
	}
	c, err := Parse(s.o.File, v.Text)
	if err != nil {
		return dashboard.SettingsResult{}, &dashboard.SettingsError{Problems: []dashboard.SettingsProblem{{Text: err.Error()}}}
	}
	if ps := s.startable(c); len(ps) > 0 {
		return dashboard.SettingsResult{}, settingsError(ps)
	}
	return s.write(string(old), v.Text, by, try)
}

// Shown returns what is in force, and what will be after a restart if that is something else, without
// secrets. There are no comments: nobody knows what is in them.
func (s *Page) Shown() (running, next string, err error) {
	show := func(c Config) string {
		shown, _ := hideSecrets("", tree(c)).(map[string]any)
		return encodeTOML(shown)
	}
	running = show(s.o.Running)
	_, c, err := s.read()
	if err == nil && len(s.waiting(c)) > 0 {
		next = show(c)
	}
	return running, next, err
}

// Secrets returns what is not to be shown of what is in force, and of what is in the file.
func (s *Page) Secrets() []string {
	secrets := secretsIn("", tree(s.o.Running))
	if _, c, err := s.read(); err == nil {
		secrets = append(secrets, secretsIn("", tree(c))...)
	}
	return secrets
}

// Restart implements dashboard.Settings.
func (s *Page) Restart() { s.o.Restart() }
