package journey

import (
	"encoding/hex"
	"time"
	"unicode/utf8"
)

// Kind is what happened at a stage.
type Kind string

// The kinds of the bridges. Those of the broker are called as in its traces.
const (
	Heard       Kind = "heard"       // Bytes came from a stick, or as a frame over the air
	Parsed      Kind = "parsed"      // a frame was understood, Detail says as what
	Converted   Kind = "converted"   // Text has the values that it tells
	Waits       Kind = "waits"       // the state is published later; Detail says why
	Joined      Kind = "joined"      // it is published together with a later one
	Unpublished Kind = "unpublished" // nothing is published; Detail says why
	Published   Kind = "published"   // Text is handed to the broker for Topic
	Command     Kind = "command"     // a bridge has understood a command
	Handed      Kind = "handed"      // the driver or the network has it
	Written     Kind = "written"     // Bytes went to the stick, or as a frame over the air
	Answer      Kind = "answer"      // Bytes came back
	Failed      Kind = "failed"      // Detail says why
)

const (
	maxBytes = 256
	maxText  = 1024
)

// Bytes are written as hexadecimal in JSON.
type Bytes []byte

// MarshalText implements [encoding.TextMarshaler].
func (b Bytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// Stage is one thing that happened to a message. Bytes and Text are what it says, and not for
// everybody: see [Journey.Discreet].
type Stage struct {
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Client string    `json:"client,omitempty"` // id, of what happened for one client
	Topic  string    `json:"topic,omitempty"`
	Detail string    `json:"detail,omitempty"` // for a person
	Bytes  Bytes     `json:"bytes,omitempty"`  // the first 256
	Size   int       `json:"size,omitempty"`   // of all bytes, or of the payload
	Text   string    `json:"text,omitempty"`   // values, or a payload

	// After is the time since the first stage, in microseconds.
	After int64 `json:"after_us"`
}

// bounded returns a stage that may be kept.
func (s Stage) bounded() Stage {
	if s.Time.IsZero() {
		s.Time = time.Now()
	}
	if s.Size == 0 {
		s.Size = len(s.Bytes)
	}
	if len(s.Bytes) > 0 {
		s.Bytes = append(Bytes(nil), s.Bytes[:min(len(s.Bytes), maxBytes)]...)
	}
	s.Text, s.Detail = clip(s.Text), clip(s.Detail)
	return s
}

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	text = text[:maxText]
	for !utf8.ValidString(text[len(text)-utf8.UTFMax:]) && len(text) > maxText-utf8.UTFMax {
		text = text[:len(text)-1]
	}
	return text + "…"
}

// Journey is what happened to one message, in the order in which it did.
type Journey struct {
	Number uint64    `json:"number"`
	Began  time.Time `json:"began"`
	Device string    `json:"device,omitempty"` // it began at; empty: at a client
	Topic  string    `json:"topic,omitempty"`  // the first one that it was published to
	Stages []Stage   `json:"stages"`
	More   int       `json:"more,omitempty"` // stages that are not kept
}

// Discreet returns the journey without what the message says.
func (j Journey) Discreet() Journey {
	stages := make([]Stage, len(j.Stages))
	for i, s := range j.Stages {
		s.Bytes, s.Text = nil, ""
		stages[i] = s
	}
	j.Stages = stages
	return j
}
