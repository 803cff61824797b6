package update

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// Format is the format of manifests that this program writes and reads.
	Format = 1
	// MaxRoot is the size of the partitions for roots, which gokrazy fixes.
	MaxRoot = 500 << 20
	// MaxManifest bounds the JSON of a manifest.
	MaxManifest = 64 << 10

	maxLabel   = 128
	maxSummary = 16 << 10
	maxURL     = 2 << 10
)

// Hash is a SHA-256, in JSON in hexadecimal.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes a hash in hexadecimal.
func (h *Hash) UnmarshalText(text []byte) error { return unhex(h[:], text) }

// A Blob is a run of bytes: how many, and which.
type Blob struct {
	Size   int64 `json:"size"`
	SHA256 Hash  `json:"sha256"`
}

// A Payload is what stands behind the manifest in a bundle.
type Payload struct {
	Kind PayloadKind `json:"kind"`
	Blob
}

// PayloadKind says how the root is made from the payload.
type PayloadKind string

// RootPayload is the root itself.
const RootPayload PayloadKind = "root"

// Notes tell people what a release brings.
type Notes struct {
	Summary string `json:"summary,omitempty"`
	URL     string `json:"url,omitempty"`
}

// A Manifest says what a bundle brings, and for whom.
type Manifest struct {
	Format         int       `json:"format"`
	Version        string    `json:"version"`
	Counter        int64     `json:"counter"`
	MinimumCounter int64     `json:"minimum_counter,omitempty"` // the oldest release that can be updated to this one
	Board          string    `json:"board"`
	Kernel         string    `json:"kernel"`
	Released       time.Time `json:"released"`
	Expires        time.Time `json:"expires,omitzero"`
	Keys           []KeyID   `json:"keys"` // who signs
	Root           Blob      `json:"root"`
	Payload        Payload   `json:"payload"`
	Notes          Notes     `json:"notes,omitzero"`
}

// parseManifest reads a manifest whose signature has been verified. What is in it is
// bounded all the same: a signature says who wrote it, not that it is right.
func parseManifest(b []byte) (*Manifest, error) {
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &format); err != nil {
		return nil, refuse(Malformed, "The manifest of the bundle is not JSON: whoever made it has to make it again.")
	}
	if format.Format != Format {
		return nil, refuse(UnknownFormat, "The bundle is of format %d, and this box knows format %d: install a version in between first.", format.Format, Format)
	}
	m := new(Manifest)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, refuse(Malformed, "The manifest of the bundle is wrong (%v): whoever made it has to make it again.", err)
	}
	if err := m.check(); err != nil {
		return nil, refuse(Malformed, "The manifest of the bundle is wrong (%v): whoever made it has to make it again.", err)
	}
	return m, nil
}

// check says what is wrong in a manifest.
func (m *Manifest) check() error {
	switch {
	case m.Format != Format:
		return fmt.Errorf("format %d", m.Format)
	case !isLabel(m.Version):
		return errors.New("version: 1 to 128 printable characters")
	case m.Counter <= 0:
		return errors.New("counter: a positive number")
	case m.MinimumCounter < 0 || m.MinimumCounter > m.Counter:
		return errors.New("minimum_counter: not negative, not above the counter")
	case !boardName.MatchString(m.Board):
		return errors.New("board: lower case letters, digits and -")
	case !isLabel(m.Kernel):
		return errors.New("kernel: 1 to 128 printable characters")
	case !sensibleTime(m.Released):
		return errors.New("released: a time")
	case !m.Expires.IsZero() && (!sensibleTime(m.Expires) || m.Expires.Before(m.Released)):
		return errors.New("expires: a time after released")
	case len(m.Keys) == 0 || len(m.Keys) > maxSignatures:
		return fmt.Errorf("keys: 1 to %d", maxSignatures)
	case m.Root.Size <= 0 || m.Root.Size > MaxRoot:
		return fmt.Errorf("size of the root: 1 to %d", MaxRoot)
	case !utf8.ValidString(m.Notes.Summary) || len(m.Notes.Summary) > maxSummary:
		return fmt.Errorf("summary: at most %d bytes of UTF-8", maxSummary)
	case m.Notes.URL != "" && !isWebAddress(m.Notes.URL):
		return errors.New("address of the notes: http or https")
	}
	return m.Payload.check(m.Root)
}

func (p *Payload) check(root Blob) error {
	switch {
	case p.Kind != RootPayload:
		return fmt.Errorf("payload of kind %.40q", p.Kind)
	case p.Blob != root:
		return errors.New("the payload is the root, and has other bytes")
	}
	return nil
}

func isLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// sensibleTime says whether t can be written as RFC 3339 wants it.
func sensibleTime(t time.Time) bool {
	return t.Year() >= 2020 && t.Year() <= 9999
}

func isWebAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
