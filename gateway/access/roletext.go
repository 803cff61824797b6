package access

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"lintel/gateway/tomllines"
)

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
		roles, _ := parseRoles("", []byte(blocks[i].text))
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
		if key, _, ok := strings.Cut(l, "="); ok && plainKey(key) == "name" {
			var role struct{ Name string }
			_, err := toml.Decode(l, &role)
			return role.Name, err == nil
		}
	}
	return "", false
}

// editRoles returns a role file in which a role is written anew, or with an empty role taken
// out. All else stays as it is, comments too. A role that is not there comes last.
func editRoles(text, name, role string) (string, error) {
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
// role taken out, see [editRoles]. The file may have mistakes that the role has no part in.
func (c *Control) EditRole(file RoleFile, name, role string) (text string, err error) {
	if text, err = editRoles(file.Text, name, role); err != nil {
		return "", err
	}
	// Lines are all that splitRoles understands: a file may be written in other ways.
	found := slices.ContainsFunc(splitRoles(text), func(b roleBlock) bool { return b.role == name })
	before, bad := parseRoles(file.Path, []byte(file.Text))
	after, worse := parseRoles(file.Path, []byte(text))
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

// ParseRole reads the part of a role file that is about one role. The mistakes of a
// [*RoleFileError] tell which rule they are about. folder is that of the schemas.
func (c *Control) ParseRole(name, text string) (Role, error) {
	path := filepath.Join(filepath.Dir(c.o.RoleFile), "role")
	roles, err := parseRoles(path, []byte(text))
	if e, ok := errors.AsType[*RoleFileError](err); ok {
		e.Name = "role " + name
		lines := tomllines.Of(text)
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
