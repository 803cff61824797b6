package persist

import (
	"encoding/binary"
	"time"

	"lintel/gateway/mqtt"
)

// bodyPlace tells where the message of an entry is stored.
type bodyPlace byte

const (
	bodyInline bodyPlace = iota // in the entry
	bodySame                    // as bodyShared, under the id of the entry: older stores have it
	bodyOwn                     // under its own key, for this entry
	bodyShared                  // under the id in Entry.Body, for several entries
)

// maxInline is the payload that an entry holds itself even if others hold it
// too: a key and a record of its own would cost more.
const maxInline = 128

// placeOf decides where the message of a new entry goes. The entry of a QoS 2
// message is written up to three times, its payload need not be.
func placeOf(e *Entry) bodyPlace {
	switch {
	case len(e.Message.Payload) <= maxInline:
		return bodyInline
	case e.Body != 0:
		return bodyShared
	case e.QoS == 2:
		return bodyOwn
	}
	return bodyInline
}

// meta is the record that describes the store.
type meta struct {
	Schema uint64
	UUID   [16]byte
	LSN    uint64
}

const (
	flagRetain  = 1 << 2
	flagExpires = 1 << 3
	flagShare   = 1 << 7 // of an entry
)

// maxTimeLeft is a bit more than the longest Message Expiry Interval.
const maxTimeLeft = (1<<32 + 1) * time.Second

// plausible tells whether a wall clock has been set: a Pi boots in 1970, or at
// the build date of its image, and both are before the first release.
func plausible(t time.Time) bool { return t.Year() >= 2026 }

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendMessage(b []byte, m *mqtt.Message, topic string, now time.Time) []byte {
	flags := m.QoS & 3
	if m.Retain {
		flags |= flagRetain
	}
	if !m.Expires.IsZero() {
		flags |= flagExpires
	}
	b = append(b, flags)
	b = appendText(b, topic)
	b = appendText(b, m.Properties)
	b = appendText(b, m.Payload)
	if flags&flagExpires != 0 {
		left := min(max(m.Expires.Sub(now), 0), maxTimeLeft)
		b = binary.AppendUvarint(b, uint64(left.Milliseconds()))
		b = binary.AppendUvarint(b, uint64(max(now.UnixMilli(), 0)))
	}
	return b
}

func appendSession(b []byte, s *Session, now time.Time) []byte {
	b = appendText(b, nameInValue(s.ClientID))
	b = binary.AppendUvarint(b, uint64(s.ID))
	b = append(b, s.Version)
	b = binary.AppendUvarint(b, uint64(s.ExpiryInterval))
	var disconnected int64
	if !s.Disconnected.IsZero() {
		disconnected = max(s.Disconnected.UnixMilli(), 1)
	}
	b = binary.AppendUvarint(b, uint64(disconnected))
	b = binary.AppendUvarint(b, uint64(s.WillDelay))
	if s.Will == nil {
		return append(b, 0)
	}
	if s.WillExpires {
		b = binary.AppendUvarint(append(b, 2), uint64(s.WillExpiry))
	} else {
		b = append(b, 1)
	}
	return appendMessage(b, s.Will, s.Will.Topic, now)
}

func appendSubscription(b []byte, s *Subscription) []byte {
	b = appendText(b, nameInValue(s.Filter))
	b = append(b, s.Options)
	return binary.AppendUvarint(b, uint64(s.Identifier))
}

func appendEntry(b []byte, e *Entry, place bodyPlace, now time.Time) []byte {
	flags := e.QoS&3 | byte(place)<<3 | byte(e.State&3)<<5
	if e.Retain {
		flags |= flagRetain
	}
	if e.Share != "" {
		flags |= flagShare
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(e.PacketID))
	b = binary.AppendUvarint(b, uint64(len(e.Identifiers)))
	for _, id := range e.Identifiers {
		b = binary.AppendUvarint(b, uint64(id))
	}
	if e.Share != "" {
		b = appendText(b, e.Share)
	}
	switch place {
	case bodyInline:
		b = appendMessage(b, e.Message, e.Message.Topic, now)
	case bodyShared:
		b = binary.AppendUvarint(b, e.Body)
	}
	return b
}

func appendMeta(b []byte, m *meta) []byte {
	b = binary.AppendUvarint(b, m.Schema)
	b = append(b, m.UUID[:]...)
	return binary.AppendUvarint(b, m.LSN)
}

// fields reads the fields of one value. After the first one that does not fit
// all others are zero, and end reports it.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) fail() {
	f.b, f.bad = nil, true
}

func (f *fields) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 || v > limit {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) uint32() uint32 { return uint32(f.uint(1<<32 - 1)) }

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.fail()
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) byte() byte {
	if v := f.take(1); v != nil {
		return v[0]
	}
	return 0
}

// text returns nil for an empty text, as a message without properties has it.
func (f *fields) text() []byte {
	n := f.uint(1 << 31)
	if n == 0 {
		return nil
	}
	return f.take(n)
}

func (f *fields) end() error {
	if f.bad || len(f.b) != 0 {
		return errFields
	}
	return nil
}

// message reads a message that points into the value.
func (f *fields) message(now time.Time) *mqtt.Message {
	flags := f.byte()
	if flags&3 == 3 || flags&^(3|flagRetain|flagExpires) != 0 {
		f.fail()
	}
	m := &mqtt.Message{
		QoS:        flags & 3,
		Retain:     flags&flagRetain != 0,
		Topic:      string(f.text()),
		Properties: f.text(),
		Payload:    f.text(),
	}
	if flags&flagExpires != 0 {
		left := time.Duration(f.uint(uint64(maxTimeLeft.Milliseconds()))) * time.Millisecond
		stored := time.UnixMilli(int64(f.uint(1 << 50)))
		// Nothing expires because a clock jumps: time off counts only if both
		// ends of it were told by a clock that was set.
		if plausible(stored) && plausible(now) {
			left = max(left-max(now.Round(0).Sub(stored), 0), 0)
		}
		m.Expires = now.Add(left)
	}
	return m
}

func decodeSession(b []byte, now time.Time) (Session, error) {
	f := fields{b: b}
	s := Session{
		ClientID:       string(f.text()),
		ID:             f.uint32(),
		Version:        f.byte(),
		ExpiryInterval: f.uint32(),
	}
	if ms := f.uint(1 << 50); ms != 0 {
		s.Disconnected = time.UnixMilli(int64(ms))
	}
	s.WillDelay = f.uint32()
	switch f.byte() {
	case 0:
	case 1:
		s.Will = f.message(now)
	case 2:
		s.WillExpires, s.WillExpiry = true, f.uint32()
		s.Will = f.message(now)
	default:
		f.fail()
	}
	return s, f.end()
}

func decodeSubscription(b []byte) (Subscription, error) {
	f := fields{b: b}
	s := Subscription{
		Filter:     string(f.text()),
		Options:    f.byte(),
		Identifier: f.uint32(),
	}
	return s, f.end()
}

func decodeMessage(b []byte, now time.Time) (*mqtt.Message, error) {
	f := fields{b: b}
	m := f.message(now)
	return m, f.end()
}

// decodeEntry leaves ID, which is in the key, to the caller, and Message if it is
// elsewhere.
func decodeEntry(b []byte, now time.Time) (Entry, bodyPlace, error) {
	f := fields{b: b}
	flags := f.byte()
	place := bodyPlace(flags >> 3 & 3)
	e := Entry{
		QoS:    flags & 3,
		Retain: flags&flagRetain != 0,
		State:  EntryState(flags >> 5 & 3),
	}
	if e.QoS == 3 || e.State > Released {
		f.fail()
	}
	e.PacketID = uint16(f.uint(1<<16 - 1))
	// An identifier takes at least one byte: no count can ask for more memory
	// than a few times the value.
	if n := f.uint(uint64(len(f.b))); n > 0 {
		e.Identifiers = make([]uint32, n)
		for i := range e.Identifiers {
			e.Identifiers[i] = f.uint32()
		}
	}
	if flags&flagShare != 0 {
		if e.Share = string(f.text()); e.Share == "" {
			f.fail()
		}
	}
	switch place {
	case bodyInline:
		e.Message = f.message(now)
	case bodyShared:
		e.Body = f.uint(1<<64 - 1)
	}
	return e, place, f.end()
}

func decodeMeta(b []byte) (meta, error) {
	f := fields{b: b}
	var m meta
	m.Schema = f.uint(1<<64 - 1)
	copy(m.UUID[:], f.take(16))
	m.LSN = f.uint(1<<64 - 1)
	return m, f.end()
}
