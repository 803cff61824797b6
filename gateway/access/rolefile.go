package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Mistake is one in a role file.
type Mistake struct {
	Line int    `json:"line"`
	Text string `json:"text"`
	Rule int    `json:"rule,omitempty"` // of the role that was to be changed, from 1; 0: about none
}

// RoleFileError is all that is wrong with a role file.
type RoleFileError struct {
	Name     string
	Mistakes []Mistake
	More     int // that are not listed
}

func (e *RoleFileError) Error() string {
	var lines []string
	for _, m := range e.Mistakes {
		lines = append(lines, fmt.Sprintf("%s:%d: %s", e.Name, m.Line, m.Text))
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", e.Name, e.More))
	}
	return strings.Join(lines, "\n")
}

// Errors of changing the role file.
var (
	ErrNoRoleFile     = errors.New("there is no role file: set roles in the section [access] of the configuration")
	ErrNoRole         = errors.New("the role file has no role of this name")
	ErrRoleVersion    = errors.New("there is no such earlier version of the role file")
	ErrRoleFileOther  = errors.New("somebody has changed the role file meanwhile: look at it again")
	ErrRoleFileManual = errors.New("the role file is written in a way that only a person can change: change it as text")
)

// RoleFile is the text of a role file, and what tells it from other texts.
type RoleFile struct {
	Path    string
	Text    string
	Version string
}

// RoleFile reads the role file, which is empty where there is none yet.
func (c *Control) RoleFile() (RoleFile, error) {
	if c.o.RoleFile == "" {
		return RoleFile{}, ErrNoRoleFile
	}
	text, err := c.readRoles()
	if err != nil {
		return RoleFile{}, fmt.Errorf("role file: %w", err)
	}
	return RoleFile{c.o.RoleFile, string(text), roleVersion(text)}, nil
}

func roleVersion(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// TryRoles returns the rules that would be in force with a role file of this text. The
// error is a [*RoleFileError] if there are mistakes in it.
func (c *Control) TryRoles(text string) (*Policy, error) { return c.compile([]byte(text)) }

// WriteRoles replaces the role file by one without mistakes, and puts it in force. version is
// that of the file that was changed: another one is [ErrRoleFileOther]. What was there
// before is kept, see [Control.RoleVersions].
func (c *Control) WriteRoles(ctx context.Context, version, text string) error {
	if _, err := c.TryRoles(text); err != nil {
		return err
	}
	err := func() error {
		c.writing.Lock()
		defer c.writing.Unlock()
		now, err := c.RoleFile()
		switch {
		case err != nil:
			return err
		case now.Version != version:
			return ErrRoleFileOther
		case now.Text == text:
			return nil
		}
		if err := c.keepVersion(now.Text); err != nil {
			return fmt.Errorf("keep the role file as it was: %w", err)
		}
		if err := writeFile(c.o.RoleFile, []byte(text)); err != nil {
			return fmt.Errorf("write role file: %w", err)
		}
		return c.read(ctx)
	}()
	if err == nil && c.o.Changed != nil {
		c.o.Changed()
	}
	return err
}

// keptRoleFiles is how many earlier versions there are of a role file.
const keptRoleFiles = 9

// RoleVersion is an earlier version of the role file.
type RoleVersion struct {
	Number int       `json:"number"` // 1: the one before
	Until  time.Time `json:"until"`  // when another took its place, by the clock of the box
	Roles  []string  `json:"roles"`
}

func (c *Control) versionPath(number int) string {
	if number == 1 {
		return c.o.RoleFile + ".before"
	}
	return fmt.Sprintf("%s.before.%d", c.o.RoleFile, number)
}

// keepVersion makes a text the latest earlier version. A power cut loses no version that is
// not the oldest.
func (c *Control) keepVersion(text string) error {
	free := 1
	for ; free < keptRoleFiles; free++ {
		if _, err := os.Stat(c.versionPath(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for ; free > 1; free-- {
		if err := os.Rename(c.versionPath(free-1), c.versionPath(free)); err != nil {
			return err
		}
	}
	return writeFile(c.versionPath(1), []byte(text))
}

// RoleVersions lists the earlier versions of the role file, the latest first.
func (c *Control) RoleVersions() []RoleVersion {
	var list []RoleVersion
	for number := 1; number <= keptRoleFiles && c.o.RoleFile != ""; number++ {
		info, err := os.Stat(c.versionPath(number))
		if err != nil {
			continue
		}
		v := RoleVersion{Number: number, Until: info.ModTime().UTC().Truncate(time.Second), Roles: []string{}}
		if text, err := c.RoleVersion(number); err == nil {
			for _, b := range splitRoles(text) {
				if b.role != "" {
					v.Roles = append(v.Roles, b.role)
				}
			}
		}
		list = append(list, v)
	}
	return list
}

// RoleVersion returns an earlier version of the role file.
func (c *Control) RoleVersion(number int) (text string, err error) {
	if c.o.RoleFile == "" || number < 1 || number > keptRoleFiles {
		return "", ErrRoleVersion
	}
	b, err := readRoleFile(c.versionPath(number), MaxRoleFile)
	if err != nil {
		return "", ErrRoleVersion
	}
	return string(b), nil
}

// roleBlock is a part of a role file: a role with the comments above it, or what is there
// before all roles.
type roleBlock struct {
	role string // empty: not known, or none
	text string
}

// splitRoles takes a role file apart, of which the blocks together are the text. A role that is not
// written as [[role]] is not found.
func splitRoles(text string) []roleBlock {
	var blocks []roleBlock
	var b strings.Builder // the block
	comments := ""        // that may belong to the next one
	quotes := ""          // a text of many lines goes on until these
	flush := func() {
		if b.Len() > 0 {
			blocks = append(blocks, roleBlock{text: b.String()})
			b.Reset()
		}
	}
	for line := range strings.Lines(text) {
		l := strings.TrimSpace(line)
		switch {
		case quotes != "":
		case strings.HasPrefix(l, "#"):
			comments += line
			continue
		case isRoleHeader(l):
			flush()
		case l == "" && b.Len() == 0 && comments != "": // the comment is about the file
			comments += line
			b.WriteString(comments)
			comments = ""
			flush()
			continue
		}
		b.WriteString(comments)
		comments = ""
		b.WriteString(line)
		for _, q := range []string{`"""`, "'''"} {
			if strings.Count(l, q)%2 == 1 && (quotes == "" || quotes == q) {
				if quotes == "" {
					quotes = q
				} else {
					quotes = ""
				}
				break
			}
		}
	}
	b.WriteString(comments)
	flush()
	for i := range blocks {
		roles, _ := ParseRoles("", []byte(blocks[i].text))
		if len(roles) == 1 {
			blocks[i].role = roles[0].Name
		} else if name, ok := roleNameIn(blocks[i].text); ok {
			blocks[i].role = name
		}
	}
	return blocks
}

func isRoleHeader(line string) bool {
	rest, ok := strings.CutPrefix(line, "[[")
	name, _, closed := strings.Cut(rest, "]]")
	return ok && closed && plainKey(name) == "role"
}

// plainKey returns a key without the quotes and spaces that TOML allows.
func plainKey(key string) string {
	return strings.NewReplacer(`"`, "", "'", "", " ", "", "\t", "").Replace(key)
}

// roleNameIn finds the name of a role that has mistakes.
func roleNameIn(block string) (name string, ok bool) {
	for line := range strings.Lines(block) {
		l := strings.TrimSpace(line)
		if strings.HasPrefix(l, "[[") && !isRoleHeader(l) {
			return "", false
		}
		if key, value, ok := strings.Cut(l, "="); ok && plainKey(key) == "name" {
			p := positioner{rest: strings.TrimSpace(value)}
			return p.quoted(), p.rest != value
		}
	}
	return "", false
}

// EditRoles returns a role file in which a role is written anew, or with an empty role taken
// out. All else stays as it is, comments too. A role that is not there comes last.
func EditRoles(text, name, role string) (string, error) {
	blocks := splitRoles(text)
	i := slices.IndexFunc(blocks, func(b roleBlock) bool { return b.role == name })
	if i < 0 && role == "" {
		return "", ErrNoRole
	}
	if role != "" {
		role = strings.TrimRight(role, "\n") + "\n"
	}
	var b strings.Builder
	for j, block := range blocks {
		if j != i {
			b.WriteString(block.text)
			continue
		}
		if role != "" {
			b.WriteString(leadingComments(block.text, role))
			b.WriteString(role)
			if j+1 < len(blocks) {
				b.WriteString("\n")
			}
		}
	}
	edited := b.String()
	if i < 0 {
		if edited = strings.TrimRight(edited, "\n"); edited != "" {
			edited += "\n\n"
		}
		edited += role
	}
	edited = strings.TrimRight(edited, "\n")
	if edited != "" {
		edited += "\n"
	}
	return edited, nil
}

// EditRole returns the text of a role file in which a role is written anew, or with an empty
// role taken out, see [EditRoles]. The file may have mistakes that the role has no part in.
func (c *Control) EditRole(file RoleFile, name, role string) (text string, err error) {
	if text, err = EditRoles(file.Text, name, role); err != nil {
		return "", err
	}
	// Lines are all that splitRoles understands: a file may be written in other ways.
	found := slices.ContainsFunc(splitRoles(text), func(b roleBlock) bool { return b.role == name })
	before, bad := ParseRoles(file.Path, []byte(file.Text))
	after, worse := ParseRoles(file.Path, []byte(text))
	if found != (role != "") || bad == nil && worse == nil && others(before, name) != others(after, name) {
		return "", ErrRoleFileManual
	}
	return text, nil
}

// others is the text of all roles but one.
func others(roles []Role, but string) string {
	var b strings.Builder
	for i := range roles {
		if roles[i].Name != but {
			b.WriteString(WriteRole(roles[i].Name, roles[i].Specs()))
		}
	}
	return b.String()
}

// leadingComments are the comments above a role, unless the new one brings some.
func leadingComments(block, role string) string {
	if strings.HasPrefix(strings.TrimSpace(role), "#") {
		return ""
	}
	i := strings.Index(block, "[[")
	return block[:max(i, 0)]
}

// RoleText returns the part of a role file that is about a role, with its comments.
func RoleText(text, name string) (role string, ok bool) {
	for _, b := range splitRoles(text) {
		if b.role == name {
			return strings.TrimRight(b.text, "\n") + "\n", true
		}
	}
	return "", false
}

// RuleSpec is a [Rule] as it is written: in a role file, and as JSON.
type RuleSpec struct {
	Allow   []string     `json:"allow,omitempty"` // publish, subscribe, receive, or all
	Deny    []string     `json:"deny,omitempty"`  // likewise
	Topic   []string     `json:"topic"`
	QoS     []int        `json:"qos,omitempty"`
	Retain  *bool        `json:"retain,omitempty"`
	Payload *ContentSpec `json:"payload,omitempty"`
}

// ContentSpec is a [Content] as it is written.
type ContentSpec struct {
	MaxSize int    `json:"max_size,omitempty"`
	JSON    bool   `json:"json,omitempty"`
	Schema  string `json:"schema,omitempty"` // name of its file
	Where   string `json:"where,omitempty"`
}

// Spec returns a rule as it is written.
func (r *Rule) Spec() RuleSpec {
	var actions []string
	for _, a := range r.Actions {
		actions = append(actions, a.String())
	}
	if len(actions) == len(everything) {
		actions = []string{"all"}
	}
	s := RuleSpec{Allow: actions, Topic: slices.Clone(r.Topics), Retain: r.Retain}
	if r.Deny {
		s.Allow, s.Deny = nil, actions
	}
	for _, q := range r.QoS {
		s.QoS = append(s.QoS, int(q))
	}
	if c := r.Content; c != nil {
		s.Payload = &ContentSpec{MaxSize: c.MaxSize, JSON: c.JSON}
		if c.Schema != nil {
			s.Payload.Schema = c.Schema.name
		}
		if c.Where != nil {
			s.Payload.Where = c.Where.text
		}
	}
	return s
}

// Specs returns the rules of a role as they are written.
func (r *Role) Specs() []RuleSpec {
	specs := []RuleSpec{}
	for i := range r.Rules {
		specs = append(specs, r.Rules[i].Spec())
	}
	return specs
}

// WriteRole returns a role as a role file has it. What is wrong with the rules is wrong in
// the text, too.
func WriteRole(name string, rules []RuleSpec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[role]]\nname = %s\n", tomlText(name))
	for i := range rules {
		b.WriteString("\n[[role.rule]]\n")
		rules[i].write(&b)
	}
	return b.String()
}

func (s *RuleSpec) write(b *strings.Builder) {
	if len(s.Allow) > 0 {
		fmt.Fprintf(b, "allow = %s\n", tomlTexts(s.Allow))
	}
	if len(s.Deny) > 0 {
		fmt.Fprintf(b, "deny = %s\n", tomlTexts(s.Deny))
	}
	if len(s.Topic) > 0 {
		fmt.Fprintf(b, "topic = %s\n", tomlTexts(s.Topic))
	}
	if len(s.QoS) > 0 {
		fmt.Fprintf(b, "qos = [%s]\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(s.QoS), " ", ", "), "[]"))
	}
	if s.Retain != nil {
		fmt.Fprintf(b, "retain = %t\n", *s.Retain)
	}
	if p := s.Payload; p != nil {
		var parts []string
		if p.MaxSize != 0 {
			parts = append(parts, fmt.Sprint("max_size = ", p.MaxSize))
		}
		if p.JSON {
			parts = append(parts, "json = true")
		}
		if p.Schema != "" {
			parts = append(parts, "schema = "+tomlText(p.Schema))
		}
		if p.Where != "" {
			parts = append(parts, "where = "+tomlText(p.Where))
		}
		fmt.Fprintf(b, "payload = { %s }\n", strings.Join(parts, ", "))
	}
}

// tomlTexts is a text, or a list of them.
func tomlTexts(list []string) string {
	if len(list) == 1 {
		return tomlText(list[0])
	}
	var all []string
	for _, s := range list {
		all = append(all, tomlText(s))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// tomlText is a basic string of TOML, which has the escapes of JSON, and none of its own for
// what JSON may leave as it is but DEL.
func tomlText(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // of a string: no error
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\n"), "\x7f", `\u007f`)
}

// ParseRole reads the part of a role file that is about one role. The mistakes of a
// [*RoleFileError] tell which rule they are about. folder is that of the schemas.
func (c *Control) ParseRole(name, text string) (Role, error) {
	path := filepath.Join(filepath.Dir(c.o.RoleFile), "role")
	roles, err := ParseRoles(path, []byte(text))
	if e, ok := errors.AsType[*RoleFileError](err); ok {
		e.Name = "role " + name
		lines := positions(text)
		for i := range e.Mistakes {
			m := &e.Mistakes[i]
			for rule := 0; ; rule++ {
				line, ok := lines[fmt.Sprintf("role[0].rule[%d]", rule)]
				if !ok || line > m.Line {
					break
				}
				m.Rule = rule + 1
			}
		}
		return Role{}, e
	}
	switch {
	case err != nil:
		return Role{}, err
	case len(roles) != 1:
		return Role{}, &RoleFileError{Name: "role " + name, Mistakes: []Mistake{{Line: 1, Text: "right is one role, which begins with [[role]]"}}}
	case roles[0].Name != name:
		return Role{}, &RoleFileError{Name: "role " + name, Mistakes: []Mistake{{Line: 1, Text: fmt.Sprintf("the role is called %s here; a role keeps its name", tomlText(roles[0].Name))}}}
	}
	return roles[0], nil
}

// BuiltInRole reports whether a role is there without a file.
func BuiltInRole(name string) bool {
	return slices.ContainsFunc(BuiltIn(discoveryPrefix), func(r Role) bool { return r.Name == name })
}

// Role returns the rules of a role.
func (p *Policy) Role(name string) (Role, bool) {
	r := p.roles[name]
	if r == nil {
		return Role{}, false
	}
	role := Role{Name: name}
	for _, rule := range r.rules {
		role.Rules = append(role.Rules, rule.Rule)
	}
	return role, true
}
