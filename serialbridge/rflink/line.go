package rflink

import "strings"

// maxLine bounds a line. The longest ones, of weather stations, stay below 200
// bytes; debug output may have more and is not wanted.
const maxLine = 512

// A message is a line from the gateway.
type message struct {
	protocol string // or what the gateway says of itself
	id       string // empty in lines of the gateway itself
	labels   []label
}

type label struct{ name, value string }

// get returns the value of a label.
func (m *message) get(name string) (string, bool) {
	for _, l := range m.labels {
		if l.name == name {
			return l.value, true
		}
	}
	return "", false
}

// parseLine reads a line without its end.
func parseLine(line string) (message, bool) {
	rest, ok := strings.CutPrefix(line, "20;")
	if !ok || !strings.HasSuffix(rest, ";") || !printable(rest) {
		return message{}, false
	}
	fields := strings.Split(strings.TrimSuffix(rest, ";"), ";")
	if len(fields) < 2 || len(fields[0]) != 2 || !isHex(fields[0]) || fields[1] == "" {
		return message{}, false
	}
	m := message{protocol: fields[1]}
	remark := false // such as the version in the first line
	for _, f := range fields[2:] {
		name, value, ok := strings.Cut(f, "=")
		if !ok {
			remark = true
			continue
		}
		if _, again := m.get(name); again {
			return message{}, false // two lines that lost what stood between them
		}
		if name == "ID" {
			m.id = strings.ToLower(value)
		}
		m.labels = append(m.labels, label{name, value})
	}
	// What devices say is labelled: a remark among it is the number of the next line,
	// and what stood between the two is lost.
	if m.id != "" && (!validID(m.id) || len(m.protocol) > 24 || remark) {
		return message{}, false
	}
	return m, true
}

// validID tells whether s may be the ID of a device.
func validID(s string) bool { return len(s) <= 16 && isHex(s) }

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// word makes a part of an ID or a key of a text: lower-case letters, digits and
// underscores.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(s))
}
