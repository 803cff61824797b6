package gateway

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"

	"lintel/gateway/access"
	"lintel/gateway/dashboard"
)

// configPage is the configuration file for the pages.
type configPage struct {
	g    *gateway
	file string     // empty: there is none that could be written
	mu   sync.Mutex // held while it is changed
}

// newConfigPage returns that of a house.
func newConfigPage(g *gateway) *configPage { return &configPage{g: g, file: g.o.ConfigFile} }

// problem says why nothing can be changed.
func (s *configPage) problem() string {
	if s.file == "" {
		return "This Lintel runs without a configuration file that it could write: start it with --data or --config, or change what starts it."
	}
	if err := unix.Access(filepath.Dir(s.file), unix.W_OK); err != nil {
		return fmt.Sprintf("The folder of %s cannot be written (%v): change the file where it is, and restart Lintel.", s.file, err)
	}
	return ""
}

// read returns the file as it is and what it says.
func (s *configPage) read() (text string, c Config, err error) {
	if s.file == "" {
		return "", s.g.config, nil
	}
	old, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", DefaultConfig(), nil
	}
	if err != nil {
		return "", DefaultConfig(), fmt.Errorf("read configuration: %w", err)
	}
	c, err = parseConfig(s.file, string(old))
	return string(old), c, err
}

func baseOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Current implements dashboard.Settings.
func (s *configPage) Current() dashboard.SettingsState {
	state := dashboard.SettingsState{File: s.file, Problem: s.problem(), Sections: []dashboard.SettingsSection{}, Waiting: []string{}}
	text, c, err := s.read()
	if err != nil {
		state.Problem = "The configuration file has a mistake; mend it, or take an earlier version back: " + err.Error()
		return state
	}
	state.Base = baseOf(text)
	state.Waiting = s.waiting(c)
	is, usual := tree(c), tree(DefaultConfig())
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
			if s.g.network != nil && topOf(table) == "network" {
				section.Page = "/network"
			}
			state.Sections = append(state.Sections, section)
		}
		state.Sections[i].Settings = append(state.Sections[i].Settings, f.show(lookUp(is, f.key), lookUp(usual, f.key)))
	}
	return state
}

// waiting are the keys whose value in the file is not the one that is in force.
func (s *configPage) waiting(c Config) []string {
	keys := []string{}
	if s.file == "" {
		return keys
	}
	running := copyOf(s.g.config)
	running.Access.resolve(filepath.Dir(s.file)) // as main has done, or did not need to
	c = copyOf(c)
	c.Access.resolve(filepath.Dir(s.file))
	is, was := tree(c), tree(running)
	for _, f := range settingFields {
		if s.g.network != nil && strings.HasPrefix(f.key, "network.ethernet.") {
			continue // takes effect without
		}
		if !reflect.DeepEqual(lookUp(is, f.key), lookUp(was, f.key)) {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// copyOf returns a configuration that shares nothing with c.
func copyOf(c Config) Config {
	made := DefaultConfig()
	fill(&made, tree(c))
	return made
}

// Change implements dashboard.Settings.
func (s *configPage) Change(change dashboard.SettingsChange) (dashboard.SettingsResult, error) {
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
	next, err := changedConfig(s.file, text, func(c *Config) { *c = copyOf(after) })
	if err != nil {
		return dashboard.SettingsResult{}, &dashboard.SettingsError{Problems: []dashboard.SettingsProblem{{Text: err.Error()}}}
	}
	return s.write(text, next, change.By, change.Try)
}

// changed returns a configuration with other values for some keys.
func (s *configPage) changed(before Config, values map[string]any) (Config, error) {
	was, want, usual := tree(before), tree(before), tree(DefaultConfig())
	var ps []problem
	for key, value := range values {
		i := slices.IndexFunc(settingFields, func(f settingField) bool { return f.key == key })
		if i < 0 {
			text := "unknown key"
			if n := nearest(key, knownKeys(reflect.TypeFor[Config](), "")); n != "" {
				text += fmt.Sprintf("; did you mean %q?", n)
			}
			ps = append(ps, problem{key, text})
			continue
		}
		if s.g.network != nil && topOf(key) == "network" {
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
		t := reflect.TypeFor[Config]()
		ps = checkTree(want, t, "", knownKeys(t, ""))
	}
	after := DefaultConfig()
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
func (s *configPage) startable(c Config) (ps []problem) {
	bad := func(key string, err error) { ps = append(ps, problem{key, err.Error()}) }
	listeners := func(c Config) map[string]string { // keys by address
		all := make(map[string]string)
		for key, addresses := range map[string][]string{"mqtt.listen": c.MQTT.Listen, "mqtt.tls": c.MQTT.TLS, "mqtt.websocket": c.MQTT.WebSocket,
			"mqtt.websocket_tls": c.MQTT.WebSocketTLS, "http.listen": {c.HTTP.Listen}, "http.tls": {c.HTTP.TLS}} {
			for _, a := range addresses {
				if a != "" {
					all[a] = key
				}
			}
		}
		return all
	}
	var ours []string // ports
	for address := range listeners(s.g.config) {
		_, port, _ := net.SplitHostPort(address)
		ours = append(ours, port)
	}
	for address, key := range listeners(c) {
		if _, port, _ := net.SplitHostPort(address); slices.Contains(ours, port) {
			continue // taken, by us
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			bad(key, fmt.Errorf("cannot listen on %q: %w", address, err))
			continue
		}
		l.Close()
	}
	c = copyOf(c)
	c.Access.resolve(filepath.Dir(s.file))
	if c.Access.JWT.enabled() {
		if _, err := access.NewJWT(c.Access.JWT.options()); err != nil {
			bad("access.jwt", err)
		}
	}
	if _, err := c.Log.readCA(); err != nil {
		bad("log.syslog_ca", err)
	}
	for i, u := range c.Uplinks {
		if _, err := u.options(s.g.box.ID); err != nil {
			bad(fmt.Sprintf("uplink[%d]", i), err)
		}
	}
	return ps
}

// write writes the file, unless this is a try.
func (s *configPage) write(old, text, by string, try bool) (dashboard.SettingsResult, error) {
	c, err := parseConfig(s.file, text)
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
	if err := writeConfig(s.file, old, text, by); err != nil {
		return result, err
	}
	s.g.log.Info("configuration changed", "by", by)
	return result, nil
}

// secretChanged is what a diff says in which nothing else is to be seen.
const secretChanged = "# something that is not shown changes"

// Versions implements dashboard.Settings.
func (s *configPage) Versions() ([]dashboard.SettingsVersion, error) {
	all := []dashboard.SettingsVersion{}
	if s.file == "" {
		return all, nil
	}
	versions, err := readVersions(s.file)
	if err != nil {
		return nil, err
	}
	after, err := os.ReadFile(s.file)
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
		if _, err := parseConfig(s.file, v.Text); err != nil {
			one.Error = err.Error()
		}
		all = append(all, one)
		next = shown
	}
	return all, nil
}

// Undo implements dashboard.Settings.
func (s *configPage) Undo(number int, by string, try bool) (dashboard.SettingsResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem() != "" {
		return dashboard.SettingsResult{}, dashboard.ErrNoSettingsFile
	}
	v, err := readVersion(s.file, number)
	if errors.Is(err, fs.ErrNotExist) {
		return dashboard.SettingsResult{}, dashboard.ErrNoVersion
	}
	if err != nil {
		return dashboard.SettingsResult{}, err
	}
	old, err := os.ReadFile(s.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dashboard.SettingsResult{}, err
	}
	c, err := parseConfig(s.file, v.Text)
	if err != nil {
		return dashboard.SettingsResult{}, &dashboard.SettingsError{Problems: []dashboard.SettingsProblem{{Text: err.Error()}}}
	}
	if ps := s.startable(c); len(ps) > 0 {
		return dashboard.SettingsResult{}, settingsError(ps)
	}
	return s.write(string(old), v.Text, by, try)
}

// Restart implements dashboard.Settings.
func (s *configPage) Restart() { s.g.restartSoon() }

// readmeText is where each key is explained.
//
//go:embed README.md
var readmeText string

// settingDocs are what the README says of each key and table.
var settingDocs = readDocs(readmeText)

// readDocs reads the comments of the first block of TOML.
func readDocs(readme string) map[string]string {
	_, block, _ := strings.Cut(readme, "```toml\n")
	block, _, _ = strings.Cut(block, "```")
	docs := make(map[string]string)
	table := ""
	for line := range strings.Lines(block) {
		code, about, _ := strings.Cut(strings.TrimSpace(line), " # ")
		code, about = strings.TrimSpace(code), strings.TrimSpace(about)
		if header, ok := strings.CutPrefix(code, "["); ok {
			table = strings.TrimSuffix(header, "]")
			docs[table] = about
		} else if key, _, ok := strings.Cut(code, "="); ok {
			docs[joinKey(table, strings.TrimSpace(key))] = about
		}
	}
	return docs
}

func topOf(key string) string {
	top, _, _ := strings.Cut(key, ".")
	return top
}

// lookUp returns what is at a dotted key; nil: nothing.
func lookUp(tree map[string]any, key string) any {
	first, rest, deeper := strings.Cut(key, ".")
	if !deeper {
		return tree[first]
	}
	table, _ := tree[first].(map[string]any)
	return lookUp(table, rest)
}

// setAt puts a value at a dotted key.
func setAt(tree map[string]any, key string, value any) {
	first, rest, deeper := strings.Cut(key, ".")
	if !deeper {
		if value == nil {
			delete(tree, first)
		} else {
			tree[first] = value
		}
		return
	}
	table, ok := tree[first].(map[string]any)
	if !ok {
		table = make(map[string]any)
		tree[first] = table
	}
	setAt(table, rest, value)
}

// encodeTOML writes a table as it would stand in a file.
func encodeTOML(table map[string]any) string {
	var b bytes.Buffer
	encoder := toml.NewEncoder(&b)
	encoder.Indent = ""
	if err := encoder.Encode(table); err != nil {
		return "" // what came from a file can be written to one
	}
	return strings.TrimLeft(b.String(), "\n")
}
