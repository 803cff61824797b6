package syslog

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxMessage is what each receiver over UDP should take (RFC 5426, 3.2).
	maxMessage = 2048
	maxText    = 1024 // bytes of it that the text takes at most
	maxValue   = 256  // bytes of the value of an attribute
	maxName    = 32   // of a parameter (RFC 5424, 6: SD-NAME)

	facility = 3 // system daemons (RFC 5424, 6.2.1)

	// element is the SD-ID of our attributes. 32473 is the enterprise number for examples
	// (RFC 5612): we have none of our own.
	element = "lintel@32473"

	bom = "\uFEFF"
)

// severity of a level (RFC 5424, 6.2.1).
func severity(l slog.Level) int {
	switch {
	case l < slog.LevelInfo:
		return 7
	case l < slog.LevelWarn:
		return 6
	case l < slog.LevelError:
		return 4
	}
	return 3
}

// header is what is the same in all messages.
type header struct{ host, app, process string }

// attribute is a parameter of the structured data.
type attribute struct{ name, value string }

// appendMessage appends a message as RFC 5424, 6 has it. A zero time is that of a clock that
// is not known to be right.
func (h header) appendMessage(b []byte, at time.Time, level slog.Level, text string, attributes []attribute) []byte {
	start := len(b)
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(facility*8+severity(level)), 10)
	b = append(b, ">1 "...)
	if at.IsZero() || at.Year() < 1 || at.Year() > 9999 {
		b = append(b, '-')
	} else {
		b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z") // six digits at most
	}
	for _, field := range []struct {
		text string
		most int
	}{{h.host, 255}, {h.app, 48}, {h.process, 128}, {"", 32}} {
		b = append(b, ' ')
		b = appendASCII(b, field.text, field.most, "")
	}
	b = append(b, ' ')
	text = clean(text, maxText)
	left := maxMessage - (len(b) - start) - len(text) - len(bom) - 2
	data := len(b)
	for _, a := range attributes {
		before := len(b)
		if before == data {
			b = append(b, "["+element...)
		}
		b = append(b, ' ')
		b = appendASCII(b, a.name, maxName, "=]\"")
		b = append(b, `="`...)
		b = appendEscaped(b, clean(a.value, maxValue))
		b = append(b, '"')
		if len(b)-data+1 > left {
			b = b[:before]
			break
		}
	}
	if len(b) > data {
		b = append(b, ']')
	} else {
		b = append(b, '-')
	}
	if text != "" {
		b = append(b, ' ')
		if !isASCII(text) {
			b = append(b, bom...) // so that it is UTF-8 (RFC 5424, 6.4)
		}
		b = append(b, text...)
	}
	return b
}

// appendASCII appends what may stand in a field of the header or in a name: printable ASCII
// without spaces, and without what is in but.
func appendASCII(b []byte, s string, most int, but string) []byte {
	start := len(b)
	for i := range len(s) {
		if len(b)-start == most {
			break
		}
		if c := s[i]; c > ' ' && c < 0x7f && !strings.ContainsRune(but, rune(c)) {
			b = append(b, c)
		} else {
			b = append(b, '_')
		}
	}
	if len(b) == start {
		b = append(b, '-')
	}
	return b
}

// appendEscaped appends the value of a parameter (RFC 5424, 6.3.3).
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c == ']' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

// clean bounds a text and takes out of it what receivers take for the end of a line, or worse,
// and what is no UTF-8.
func clean(s string, most int) string {
	if len(s) > most {
		s = s[:most]
		for i := 0; i < utf8.UTFMax && s != ""; i++ {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	var changed strings.Builder
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		changed.WriteRune(r) // utf8.RuneError for what is none
	}
	if s = changed.String(); len(s) > most { // each of those takes three bytes
		s = s[:most]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
