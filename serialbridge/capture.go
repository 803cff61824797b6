package serialbridge

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A capture is what went over a port and when, as text, so that a person can look
// at it, take out what is private, and put it into a report:
//
//	# lintel capture 1
//	# stick 0403:6001:A1B2C3D4:00
//	# protocol dsmr
//	# from 2026-11-22T11:30:00.000000Z
//	0.000000 = 115200 8N1
//	0.104233 < 2f4953
//	0.210000 > 5501
//	1.500000 ! unplugged
//
// Each line behind the head has the seconds since its beginning, what it is about,
// and that: bytes that the stick said (<) or was told (>) in hexadecimal, the
// setting of the line (=), or something that happened (!). What begins with # is for
// people, but the first line, which tells the format, and that with "from". Lines
// have at most 64 KiB.

// captureHead is the first line of a capture.
const captureHead = "# lintel capture 1"

const (
	maxCaptureLine = 64 << 10
	maxChunk       = 16 << 10 // bytes of one line, of which hexadecimal makes two each
)

// ChunkKind is what a line of a capture is about.
type ChunkKind byte

// The kinds, as they are written.
const (
	Received ChunkKind = '<' // Data came from the stick
	Sent     ChunkKind = '>' // Data went to the stick
	LineSet  ChunkKind = '=' // Data is a Line as text
	Happened ChunkKind = '!' // Data tells what, for a person
)

// Chunk is one line of a capture.
type Chunk struct {
	Time time.Time
	Kind ChunkKind
	Data []byte
}

// appendHead begins a capture.
func appendHead(b []byte, stick, protocol string, from time.Time) []byte {
	b = fmt.Appendf(b, "%s\n# stick %s\n", captureHead, cleanText(stick))
	if protocol != "" {
		b = fmt.Appendf(b, "# protocol %s\n", cleanText(protocol))
	}
	return fmt.Appendf(b, "# from %s\n", from.UTC().Format("2006-01-02T15:04:05.000000Z"))
}

// append adds a chunk to a capture that began at from.
func (c Chunk) append(b []byte, from time.Time) []byte {
	since := max(c.Time.Sub(from), 0)
	for {
		data := c.Data[:min(len(c.Data), maxChunk)]
		c.Data = c.Data[len(data):]
		b = fmt.Appendf(b, "%d.%06d %c ", since/time.Second, since%time.Second/time.Microsecond, c.Kind)
		if c.Kind == Received || c.Kind == Sent {
			b = hex.AppendEncode(b, data)
		} else {
			b = append(b, cleanText(string(data))...)
		}
		b = append(b, '\n')
		if len(c.Data) == 0 {
			return b
		}
	}
}

// IsCapture tells from its beginning whether a file is a capture: from as many
// bytes as there are, at least 18.
func IsCapture(beginning []byte) bool {
	return bytes.HasPrefix(beginning, []byte(captureHead))
}

// ReadCapture calls each with every chunk of a capture, in the order of the file. It
// fails with the first error of each, and with the line at which the file is no
// capture.
func ReadCapture(r io.Reader, each func(Chunk) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCaptureLine)
	number := 0
	var from time.Time
	for lines.Scan() {
		number++
		line := strings.TrimSuffix(lines.Text(), "\r")
		if number == 1 && line != captureHead {
			return fmt.Errorf("no capture: it does not begin with %q", captureHead)
		}
		if at, ok := strings.CutPrefix(line, "# from "); ok {
			t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(at))
			if err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			from = t
		}
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		c, err := parseChunk(line, from)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := each(c); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", number+1, err)
	}
	if number == 0 {
		return fmt.Errorf("no capture: it is empty")
	}
	return nil
}

func parseChunk(line string, from time.Time) (Chunk, error) {
	at, rest, _ := strings.Cut(line, " ")
	kind, data, _ := strings.Cut(rest, " ")
	since, err := strconv.ParseFloat(at, 64)
	if err != nil || !(since >= 0 && since < 1e9) {
		return Chunk{}, fmt.Errorf("%.20q are no seconds since the beginning", at)
	}
	c := Chunk{Time: from.Add(time.Duration(since*1e6+0.5) * time.Microsecond), Data: []byte(data)}
	switch kind {
	case "<", ">":
		c.Data, err = hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(data), " ", ""))
		if err != nil {
			return Chunk{}, fmt.Errorf("the bytes: %w", err)
		}
	case "=", "!":
	default:
		return Chunk{}, fmt.Errorf("%.20q is no kind of line: < and > are bytes, = and ! are text", kind)
	}
	c.Kind = ChunkKind(kind[0])
	return c, nil
}
