package mysensors

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxLine bounds a line: log lines of the gateway.
	maxLine = 256
	// maxPayload bounds what comes by radio (MAX_PAYLOAD_SIZE of the library).
	maxPayload = 25
)

// A command is what a message is for.
type command byte

const (
	presentation command = 0
	set          command = 1
	req          command = 2
	internal     command = 3
	stream       command = 4
)

// Types of internal messages that are of use here.
const (
	batteryLevel  = 0
	timeRequest   = 1
	idRequest     = 3
	idResponse    = 4
	configRequest = 6
	sketchName    = 11
	sketchVersion = 12
	gatewayReady  = 14
	present       = 19
	discover      = 20
)

const (
	wholeNode = 255 // as a child: the node itself
	nobody    = 255 // as a node: one without a number, or all
)

// A message is a line.
type message struct {
	node, child int
	command     command
	ack         bool // to a node: wanted; from a node: this is one
	typ         int
	payload     string
}

// parseMessage reads a line without its end.
func parseMessage(line string) (message, bool) {
	fields := strings.SplitN(line, ";", 6)
	if len(fields) != 6 {
		return message{}, false
	}
	var numbers [5]int
	for i, limit := range []int{255, 255, int(stream), 1, 255} {
		n, ok := number(fields[i], limit)
		if !ok {
			return message{}, false
		}
		numbers[i] = n
	}
	m := message{
		node: numbers[0], child: numbers[1], command: command(numbers[2]),
		ack: numbers[3] == 1, typ: numbers[4], payload: fields[5],
	}
	if m.command != stream && !text(m.payload) {
		return message{}, false
	}
	// More than a radio message holds, or as many semicolons as a line has,
	// is two lines that lost what stood between them.
	if (m.command == presentation || m.command == set) && (len(m.payload) > maxPayload || strings.Count(m.payload, ";") >= len(fields)-1) {
		return message{}, false
	}
	return m, true
}

func (m message) String() string {
	ack := 0
	if m.ack {
		ack = 1
	}
	return fmt.Sprintf("%d;%d;%d;%d;%d;%s\n", m.node, m.child, m.command, ack, m.typ, m.payload)
}

// number reads a number of up to three digits, at most limit. Nobody writes it
// with zeros before: that is two lines that lost what stood between them.
func number(s string, limit int) (int, bool) {
	if s == "" || len(s) > 3 || s[0] == '0' && s != "0" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= limit
}

// text tells whether s is something that a person can read.
func text(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
