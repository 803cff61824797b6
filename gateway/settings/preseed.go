package settings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"lintel/gateway/access"
	"lintel/gateway/tomllines"
)

// preseed is what a file on the card asks for: a [PreseedFile], or one that Raspberry Pi Imager
// has written, in the words of a PreseedFile.
type preseed struct {
	name  string // path of the file
	owner access.Owner
	claim bool // it asks for owner

	tables map[string]any // of lintel.toml; only those without a mistake
	lines  map[string]int // by key
	err    error          // all mistakes; nothing secret is in it
	left   []string       // sentences: what the file asks for and this box does not have

	sum     [sha256.Size]byte // of the file
	secrets []string          // what is secret in it

	onCard bool // it is among the boot files, not in the data folder
	imager bool // Raspberry Pi Imager has written it
	failed bool // it could not be done, for reasons that are not its own
}

// claimTable is the table claim of a PreseedFile.
type claimTable struct {
	User         string `toml:"user"`          // the owner's name on the pages; empty: admin
	Password     string `toml:"password"`      // of that user
	PasswordHash string `toml:"password_hash"` // in its place
	Name         string `toml:"name"`          // of the box; empty: none
}

// homeAssistantPassword is the key of the table homeassistant that lintel.toml does not have.
const homeAssistantPassword = "homeassistant.password"

var preseedKeys = slices.Concat(allKeys, []string{"claim"},
	knownKeys(reflect.TypeFor[claimTable](), "claim"), []string{homeAssistantPassword})

// parsePreseed parses a PreseedFile.
func parsePreseed(name, text string) *preseed {
	s := &preseed{name: name, sum: sha256.Sum256([]byte(text))}
	if strings.TrimSpace(text) == "" { // as one that was blanked, and not removed any more
		return s
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		s.err = fmt.Errorf("%s: is no TOML", name)
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			s.err = fmt.Errorf("%s:%d: %s", name, pe.Position.Line, withoutQuotes(pe.Message))
		}
		return s
	}
	s.check(tree, tomllines.Of(text))
	if s.err == nil && !s.claim && len(s.tables) == 0 {
		s.err = fmt.Errorf("%s:1: says nothing; right is a table [claim] with password, or one of lintel.toml", name)
	}
	return s
}

// quoted is what the toml package quotes of a file that it cannot read: it may be secret.
var quoted = regexp.MustCompile(`"[^"]*("|$)|'[^']*('|$)|` + "`[^`]*(`|$)")

func withoutQuotes(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	return quoted.ReplaceAllString(message, "…")
}

// check takes what a file says. A table with a mistake is left out, the others count: a box
// that has its network can be reached, and shows what is wrong with the rest.
func (s *preseed) check(tree map[string]any, lines map[string]int) {
	s.lines = lines
	s.secrets = secretsOf(tree, false)
	var ps []problem

	claim, asked := tree["claim"]
	homeassistant := takeOut(tree, "homeassistant", "password")
	delete(tree, "claim")
	var c claimTable
	if asked {
		if ps = checkTree(claim, reflect.TypeFor[claimTable](), "claim", preseedKeys); len(ps) == 0 {
			fill(&c, claim.(map[string]any))
		}
	}
	if homeassistant != nil {
		ps = append(ps, checkTree(homeassistant, reflect.TypeFor[string](), homeAssistantPassword, nil)...)
	}
	s.claim = asked || homeassistant != nil
	if s.claim && len(ps) == 0 {
		s.owner = access.Owner{User: c.User, Password: c.Password, Hash: c.PasswordHash, BoxName: c.Name}
		s.owner.HomeAssistantPassword, _ = homeassistant.(string)
		ps = ownerProblems(s.owner)
	}

	wrong := checkTree(tree, reflect.TypeFor[Config](), "", preseedKeys)
	s.leaveOut(tree, wrong)
	config := Default()
	fill(&config, tree)
	if more := config.problems(); len(more) > 0 {
		s.leaveOut(tree, more)
		wrong = append(wrong, more...)
		config = Default()
		if fill(&config, tree); len(config.problems()) > 0 {
			clear(tree)
		}
	}
	s.tables = tree
	if ps = append(ps, wrong...); len(ps) > 0 {
		s.err = s.scrub(located(s.name, lines, ps))
	}
}

// leaveOut takes the tables out that have a problem.
func (s *preseed) leaveOut(tree map[string]any, ps []problem) {
	for _, p := range ps {
		delete(tree, indices.ReplaceAllString(topOf(p.key), ""))
	}
}

var hashKind = regexp.MustCompile(`^\$(argon2id|5|6|7|2[aby])\$`)

// ownerProblems checks what a box is to be claimed with.
func ownerProblems(o access.Owner) (ps []problem) {
	bad := func(key string, err error) {
		if err != nil {
			ps = append(ps, problem{key, err.Error()})
		}
	}
	bad("claim.user", access.Owner{User: o.User, Password: "sound enough"}.Check())
	switch {
	case o.Password != "" && o.Hash != "":
		bad("claim.password_hash", errors.New("there is claim.password too; right is one of them"))
	case o.Hash != "" && !hashKind.MatchString(o.Hash): // it may be a password
		bad("claim.password_hash", errors.New("is no hash of a kind that is known; right is one that begins with $argon2id$, $5$ or $6$, or password in its place"))
	case o.Hash != "":
		bad("claim.password_hash", access.CheckHash(o.Hash))
	default:
		bad("claim.password", access.CheckPassword([]byte(o.Password)))
	}
	bad("claim.name", access.CheckBoxName(o.BoxName))
	if o.HomeAssistantPassword != "" {
		bad(homeAssistantPassword, access.CheckPassword([]byte(o.HomeAssistantPassword)))
	}
	return ps
}

// apply writes the tables into a configuration file, over what is in it.
func (s *preseed) apply(file string) error {
	err := Change(file, PreseedFile, func(c *Config) {
		before := *c
		if table, ok := s.tables["serial"].(map[string]any); ok && table["ports"] != nil {
			c.Serial.Ports = nil
		}
		if s.tables["uplink"] == nil {
			fill(c, s.tables)
			return
		}
		c.Uplinks = []UplinkConfig{}
		fill(c, s.tables)
		// An uplink takes the place of the one of its name.
		for _, u := range slices.Backward(before.Uplinks) {
			if !slices.ContainsFunc(c.Uplinks, func(o UplinkConfig) bool { return o.Name == u.Name }) {
				c.Uplinks = slices.Insert(c.Uplinks, 0, u)
			}
		}
	})
	if err != nil {
		return s.scrub(fmt.Errorf("%s: its settings do not count: %w", s.name, err))
	}
	return nil
}

// takeOut takes a value out of a table, and the table too if there is nothing else in it.
func takeOut(tree map[string]any, table, key string) any {
	t, ok := tree[table].(map[string]any)
	if !ok {
		return nil
	}
	value := t[key]
	delete(t, key)
	if value != nil && len(t) == 0 {
		delete(tree, table)
	}
	return value
}

// secretName is how keys are called behind which something secret stands.
var secretName = regexp.MustCompile(`(?i)pass|secret|token|key|psk|hash`)

// secretsOf returns the texts in a tree that are secret.
func secretsOf(value any, secret bool) (all []string) {
	switch v := value.(type) {
	case string:
		if secret && v != "" {
			all = append(all, v)
		}
	case map[string]any:
		for name, sub := range v {
			all = append(all, secretsOf(sub, secret || secretName.MatchString(name))...)
		}
	case []map[string]any:
		for _, sub := range v {
			all = append(all, secretsOf(sub, secret)...)
		}
	case []any:
		for _, sub := range v {
			all = append(all, secretsOf(sub, secret)...)
		}
	}
	// The longest first: one may be part of another.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// scrub takes what is secret out of an error.
func (s *preseed) scrub(err error) error {
	text := err.Error()
	for _, secret := range s.secrets {
		if len(secret) >= 4 { // of less there is nothing to be told
			text = strings.ReplaceAll(text, secret, "…")
			if q := fmt.Sprintf("%q", secret); q != `"`+secret+`"` {
				text = strings.ReplaceAll(text, strings.Trim(q, `"`), "…")
			}
		}
	}
	return errors.New(text)
}
