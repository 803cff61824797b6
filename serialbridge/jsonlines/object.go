package jsonlines

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"lintel/serialbridge"
)

// maxDepth bounds how deep an object is nested.
const maxDepth = 8

// object returns the members of a line that are no objects and no arrays:
// string, json.Number, bool or nil.
func object(line []byte) (map[string]any, bool) {
	if !utf8.Valid(line) || tooDeep(line) || !json.Valid(line) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	members := make(map[string]any)
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] {
			return nil, false
		}
		seen[name] = true
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		switch value.(type) {
		case map[string]any, []any:
		default:
			members[name] = value
		}
	}
	if _, err := d.Token(); err != nil { // '}'
		return nil, false
	}
	_, err := d.Token()
	return members, err == io.EOF
}

// tooDeep reports whether brackets outside of strings are nested too deep. It
// need not be right for what is no JSON.
func tooDeep(line []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// identify returns the device that an object speaks of, with as much as the
// object tells.
func identify(members map[string]any) (serialbridge.Device, bool) {
	address, ok := address(cmp.Or(text(members, "id"), text(members, "mac")))
	if !ok {
		return serialbridge.Device{}, false
	}
	var pairs []string
	for i := 0; i < len(address); i += 2 {
		pairs = append(pairs, address[i:i+2])
	}
	return serialbridge.Device{
		ID:           "jsonlines_" + address,
		Name:         text(members, "name"),
		Vendor:       text(members, "brand"),
		Model:        cmp.Or(text(members, "model"), text(members, "model_id")),
		SerialNumber: strings.Join(pairs, ":"),
		// Buttons, and sensors for contact and motion.
		WhenUsed: text(members, "type") == "BTN" || text(members, "type") == "CTMO",
	}, true
}

// address returns the twelve digits of a Bluetooth address, with or without
// colons, in upper case.
func address(s string) (string, bool) {
	if len(s) == 17 {
		for i := 2; i < len(s); i += 3 {
			if s[i] != ':' {
				return "", false
			}
		}
		s = strings.ReplaceAll(s, ":", "")
	}
	s = strings.ToUpper(s)
	return s, len(s) == 12 && strings.Trim(s, "0123456789ABCDEF") == "" && s != "000000000000" && s != "FFFFFFFFFFFF"
}

// text returns a member that is a text fit to be shown.
func text(members map[string]any, name string) string {
	const limit = 64
	s, _ := members[name].(string)
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit])
	}
	return strings.TrimSpace(s)
}
