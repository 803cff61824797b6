package update

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"
)

const (
	// MaxIndex bounds the index of a feed.
	MaxIndex = 1 << 20

	// indexPrefix stands before an index where it is signed, and nowhere else.
	indexPrefix = "lintel update feed 1\x00"
	maxEntries  = 1000
)

// A Channel is what a box follows.
type Channel string

// The channels. A box that follows beta takes stable releases too, whichever is newer.
const (
	Stable Channel = "stable"
	Beta   Channel = "beta"
)

// An Index says which releases a feed has.
type Index struct {
	Format  int       `json:"format"`
	Updated time.Time `json:"updated"`
	Entries []Entry   `json:"releases"`
}

// An Entry is a bundle in a feed.
type Entry struct {
	Channel  Channel  `json:"channel"`
	Percent  float64  `json:"percent"` // of the boxes may have it
	File     string   `json:"file"`    // address, relative to that of the index
	Bundle   Blob     `json:"bundle"`  // the whole file
	Manifest Manifest `json:"manifest"`
}

// envelope is the file of an index. The index is text in it, so that what was signed is
// known to the byte.
type envelope struct {
	Signatures []envelopeSignature `json:"signatures"`
	Index      string              `json:"index"`
}

type envelopeSignature struct {
	Key       KeyID  `json:"key"`
	Signature []byte `json:"signature"`
}

// ParseIndex reads the file of an index and verifies that one of the keys signed it.
func ParseIndex(b []byte, keys Keys) (*Index, error) {
	damaged := func(err error) error {
		return refuse(Malformed, "The feed's index is wrong (%v): tell whoever runs the feed.", err)
	}
	if len(b) > MaxIndex {
		return nil, refuse(TooLarge, "The feed's index has more than %d bytes: tell whoever runs the feed.", MaxIndex)
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, damaged(err)
	}
	if len(e.Signatures) == 0 || len(e.Signatures) > maxSignatures {
		return nil, damaged(fmt.Errorf("%d signatures, not 1 to %d", len(e.Signatures), maxSignatures))
	}
	signatures := make([]signature, len(e.Signatures))
	for i, s := range e.Signatures {
		if len(s.Signature) != ed25519.SignatureSize {
			return nil, damaged(fmt.Errorf("a signature of %d bytes", len(s.Signature)))
		}
		signatures[i] = signature{key: s.Key, bytes: [ed25519.SignatureSize]byte(s.Signature)}
	}
	if _, err := keys.verify("the feed", indexPrefix, []byte(e.Index), signatures); err != nil {
		return nil, err
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal([]byte(e.Index), &format); err != nil {
		return nil, damaged(err)
	}
	if format.Format != Format {
		return nil, refuse(UnknownFormat, "The feed is of format %d, and this box knows format %d: bring it a newer release by hand.", format.Format, Format)
	}
	x := new(Index)
	if err := x.decode([]byte(e.Index)); err != nil {
		return nil, damaged(err)
	}
	if err := x.check(); err != nil {
		return nil, damaged(err)
	}
	return x, nil
}

// decode leaves out releases of formats that this program does not know: they are for
// boxes that have a newer one already.
func (x *Index) decode(b []byte) error {
	var file struct {
		Index
		Entries []json.RawMessage `json:"releases"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return err
	}
	*x = file.Index
	for i, raw := range file.Entries {
		if i == maxEntries {
			return fmt.Errorf("more than %d releases", maxEntries)
		}
		var other struct {
			Manifest struct {
				Format int `json:"format"`
			} `json:"manifest"`
		}
		if err := json.Unmarshal(raw, &other); err != nil {
			return fmt.Errorf("release %d: %w", i+1, err)
		}
		if other.Manifest.Format != Format {
			continue
		}
		var e Entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("release %d: %w", i+1, err)
		}
		x.Entries = append(x.Entries, e)
	}
	return nil
}

// Encode returns the file of the index, signed by all signers.
func (x *Index) Encode(signers ...ed25519.PrivateKey) ([]byte, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the index: %w", err)
	}
	signatures, err := sign(indexPrefix, text, signers)
	if err != nil {
		return nil, err
	}
	e := envelope{Index: string(text)}
	for _, s := range signatures {
		e.Signatures = append(e.Signatures, envelopeSignature{Key: s.key, Signature: s.bytes[:]})
	}
	file, err := json.MarshalIndent(e, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the index: %w", err)
	}
	if len(file) > MaxIndex {
		return nil, fmt.Errorf("the index has %d bytes, more than %d: take old releases out", len(file), MaxIndex)
	}
	return append(file, '\n'), nil
}

func (x *Index) check() error {
	if x.Format != Format {
		return fmt.Errorf("format %d", x.Format)
	}
	if !sensibleTime(x.Updated) {
		return errors.New("updated: a time")
	}
	if len(x.Entries) > maxEntries {
		return fmt.Errorf("more than %d releases", maxEntries)
	}
	for i := range x.Entries {
		if err := x.Entries[i].check(); err != nil {
			return fmt.Errorf("release %d: %w", i+1, err)
		}
	}
	return nil
}

func (e *Entry) check() error {
	switch {
	case e.Channel != Stable && e.Channel != Beta:
		return fmt.Errorf("channel %.40q is neither stable nor beta", e.Channel)
	case math.IsNaN(e.Percent) || e.Percent < 0 || e.Percent > 100:
		return fmt.Errorf("percent %v", e.Percent)
	case e.Bundle.Size <= e.Manifest.Payload.Size || e.Bundle.Size > e.Manifest.Payload.Size+maxHead:
		return errors.New("the size of the bundle does not fit its payload")
	}
	if u, err := url.Parse(e.File); err != nil || e.File == "" || len(e.File) > maxURL || u.User != nil || (u.Scheme != "" && !isWebAddress(e.File)) {
		return fmt.Errorf("file %.80q is no address", e.File)
	}
	return e.Manifest.check()
}

// Share says at which percentage a box gets a version, from 0 to below 100. It is a hash of
// both: another version begins with other boxes.
func Share(box, version string) float64 {
	sum := sha256.Sum256([]byte(box + "\x00" + version))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53) * 100
}

// An Offer is what an index has for one box.
type Offer struct {
	Entry   *Entry // the newest that this box takes; nil: nothing newer
	Waiting *Entry // a newer one that does not come to this box yet; may be nil
	Refused error  // why a newer one than Entry is not for this box, a [Refusal]; may be nil
}

// Offer says what the index has for a release that runs on a box. now and room are those
// of [Release.Judge]. asked is whether a person asked: then staging does not hold back.
func (x *Index) Offer(r Release, channel Channel, box string, asked bool, now time.Time, room int64) Offer {
	var o Offer
	var refused *Entry
	for i := range x.Entries {
		e := &x.Entries[i]
		m := &e.Manifest
		if m.Board != r.Board || m.Counter <= r.Counter || (e.Channel == Beta && channel != Beta) {
			continue
		}
		switch err := r.Judge(m, now, room); {
		case err != nil:
			if refused == nil || refused.Manifest.Counter < m.Counter {
				refused, o.Refused = e, err
			}
		case !asked && Share(box, m.Version) >= e.Percent:
			if o.Waiting == nil || o.Waiting.Manifest.Counter < m.Counter {
				o.Waiting = e
			}
		case o.Entry == nil || o.Entry.Manifest.Counter < m.Counter:
			o.Entry = e
		}
	}
	if o.Entry != nil {
		if o.Waiting != nil && o.Waiting.Manifest.Counter <= o.Entry.Manifest.Counter {
			o.Waiting = nil
		}
		if refused != nil && refused.Manifest.Counter <= o.Entry.Manifest.Counter {
			o.Refused = nil
		}
	}
	return o
}
