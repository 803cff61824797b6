package raw

import (
	"errors"
	"fmt"
	"time"

	"lintel/serialbridge"
)

// The modes: what a message is.
const (
	Lines  = "lines"
	Frames = "frames"
)

const (
	defaultLine      = "115200 8N1"
	defaultGap       = 20 * time.Millisecond
	defaultMaxLength = 4096

	minGap       = time.Millisecond
	maxGap       = time.Minute
	maxMaxLength = 4096 // as long as a value may be
	maxDelimiter = 16   // bytes
	maxID        = 64   // bytes of a device's ID
)

// Options of Driver: how the bytes of one port are cut into messages. The zero
// value is lines at 115200 8N1.
type Options struct {
	Name      string        `toml:"name"`       // ID and name of the device; empty: raw and which stick it is
	Mode      string        `toml:"mode"`       // Lines or Frames; empty: Lines
	Delimiter string        `toml:"delimiter"`  // end of a line; empty: a line feed
	Gap       time.Duration `toml:"gap"`        // silence that ends a frame; 0: 20 ms
	MaxLength int           `toml:"max_length"` // bytes of a message; 0: 4096
	Line      string        `toml:"line"`       // setting of the serial line; empty: 115200 8N1
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	if len(o.Name) > maxID || o.Name == "gateway" || serialbridge.IDPart(o.Name) != o.Name {
		return fmt.Errorf("name %q: it becomes part of topics, so use at most %d letters, digits, _ and -, and not gateway", o.Name, maxID)
	}
	switch o.Mode {
	case "", Lines:
		if o.Gap != 0 {
			return errors.New("gap: lines end with the delimiter; the gap is of frames")
		}
	case Frames:
		if o.Delimiter != "" {
			return errors.New("delimiter: frames end with the gap; the delimiter is of lines")
		}
	default:
		return fmt.Errorf("mode %q: neither %s nor %s", o.Mode, Lines, Frames)
	}
	if len(o.Delimiter) > maxDelimiter {
		return fmt.Errorf("delimiter: longer than %d bytes", maxDelimiter)
	}
	if o.Gap != 0 && (o.Gap < minGap || o.Gap > maxGap) {
		return fmt.Errorf("gap %v: not between %v and %v (write it with its unit: \"20ms\")", o.Gap, minGap, maxGap)
	}
	if o.MaxLength < 0 || o.MaxLength > maxMaxLength {
		return fmt.Errorf("max_length %d: not between 1 and %d", o.MaxLength, maxMaxLength)
	}
	if o.Line != "" {
		if _, err := serialbridge.ParseLine(o.Line); err != nil {
			return fmt.Errorf("line: %w", err)
		}
	}
	return nil
}

// complete puts the defaults in.
func (o Options) complete() Options {
	if o.Mode == "" {
		o.Mode = Lines
	}
	if o.Delimiter == "" {
		o.Delimiter = "\n"
	}
	if o.Gap == 0 {
		o.Gap = defaultGap
	}
	if o.MaxLength == 0 {
		o.MaxLength = defaultMaxLength
	}
	if o.Line == "" {
		o.Line = defaultLine
	}
	return o
}
