package dashboard

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"lintel/gateway/broker"
)

// traceWriters append an event as a line, by the name of the file.
var traceWriters = map[string]func([]byte, broker.TraceEvent) []byte{
	"trace.txt": func(b []byte, e broker.TraceEvent) []byte {
		return fmt.Appendf(b, "%s %-12s %-24s %s\n", e.Time.Format("2006-01-02T15:04:05.000000Z07:00"), e.Kind, plainly(e.Client), traceDetails(&e))
	},
	"trace.jsonl": func(b []byte, e broker.TraceEvent) []byte {
		line, err := json.Marshal(e)
		if err != nil {
			return b // of texts and numbers there is always one
		}
		return append(append(b, line...), '\n')
	},
}

// traceDetails writes what an event says, in one line. What clients have sent is quoted where
// it is not plain.
func traceDetails(e *broker.TraceEvent) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if e.Lost > 0 {
		add("[%d events before this one were lost]", e.Lost)
	}
	if e.Packet != "" {
		add("%s", e.Packet)
	}
	if e.Topic != "" {
		add("%s", plainly(e.Topic))
		add("QoS %d", e.QoS)
	}
	if e.Retain {
		add("retain")
	}
	if e.Dup {
		add("dup")
	}
	if e.PacketID != 0 {
		add("id %d", e.PacketID)
	}
	if e.Size > 0 {
		add("%d bytes", e.Size)
	}
	for _, text := range []string{e.Code, e.Detail} {
		if text != "" {
			add("%s", plainly(text))
		}
	}
	for _, p := range e.Properties {
		add("{%s}", plainly(p))
	}
	if len(e.Payload) > 0 {
		if utf8.Valid(e.Payload) {
			add("%q", e.Payload)
		} else {
			add("0x%x", e.Payload)
		}
		if more := e.Bytes - len(e.Payload); more > 0 {
			add("and %d bytes more", more)
		}
	}
	if e.Message != 0 {
		add("#%d", e.Message)
	}
	if e.Address != "" {
		add("(%s)", e.Address)
	}
	return strings.Join(parts, " ")
}

// plainly quotes a text that would do something to a terminal or to the line.
func plainly(text string) string {
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	if quoted := strconv.Quote(text); quoted[1:len(quoted)-1] != text {
		return quoted
	}
	return text
}
