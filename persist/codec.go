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
	Boot   uint64        // number of the boot that wrote it, and
	Up     time.Duration // how long that was up
}

const (
	flagRetain  = 1 << 2
	flagExpires = 1 << 3
	flagStamped = 1 << 4 // of a message that expires: a stamp follows, not the time of storing
	flagShare   = 1 << 7 // of an entry
)

// maxTimeLeft is a bit more than the longest Message Expiry Interval.
const maxTimeLeft = (1<<32 + 1) * time.Second

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendMessage(b []byte, m *mqtt.Message, topic string, now moment) []byte {
	flags := m.QoS & 3
	if m.Retain {
		flags |= flagRetain
	}
	if !m.Expires.IsZero() {
		flags |= flagExpires | flagStamped
	}
	b = append(b, flags)
	b = appendText(b, topic)
	b = appendText(b, m.Properties)
	b = appendText(b, m.Payload)
	if flags&flagExpires != 0 {
		at, ago := now.stamp(m.Provisional)
		b = appendMilliseconds(b, min(m.Expires.Sub(now.Time)+ago, maxTimeLeft))
		b = appendStamp(b, at)
	}
	return b
}

// appendMilliseconds appends a time that is not negative, or else 0.
func appendMilliseconds(b []byte, d time.Duration) []byte {
	return binary.AppendUvarint(b, uint64(max(d, 0).Milliseconds()))
}

func appendStamp(b []byte, s stamp) []byte {
	return appendMilliseconds(binary.AppendUvarint(b, s.boot), min(s.up, maxUp*time.Millisecond))
}

// The flags of a session.
const (
	sessionWill        = 1 + iota // a will follows
	sessionWillExpires            // and before it its expiry interval
	sessionOffline     = 4        // a stamp follows, first
	sessionUser        = 8        // its user follows, last
)

func appendSession(b []byte, s *Session, now moment) []byte {
	b = appendText(b, nameInValue(s.ClientID))
	b = binary.AppendUvarint(b, uint64(s.ID))
	b = append(b, s.Version)
	b = binary.AppendUvarint(b, uint64(s.ExpiryInterval))
	var flags byte
	switch {
	case s.Will != nil && s.WillExpires:
		flags = sessionWillExpires
	case s.Will != nil:
		flags = sessionWill
	}
	var at stamp
	if s.Disconnected.IsZero() {
		b = append(b, 0)
	} else {
		var ago time.Duration
		at, ago = now.stamp(s.Provisional)
		flags |= sessionOffline
		b = appendMilliseconds(b, min(max(now.Sub(s.Disconnected)-ago, 0), maxAgo)+time.Millisecond)
	}
	if s.User != "" {
		flags |= sessionUser
	}
	b = binary.AppendUvarint(b, uint64(s.WillDelay))
	b = append(b, flags)
	if flags&sessionOffline != 0 {
		b = appendStamp(b, at)
	}
	if s.Will != nil {
		if s.WillExpires {
			b = binary.AppendUvarint(b, uint64(s.WillExpiry))
		}
		b = appendMessage(b, s.Will, s.Will.Topic, now)
	}
	if s.User != "" {
		b = appendText(b, s.User)
	}
	return b
}

func appendSubscription(b []byte, s *Subscription) []byte {
	b = appendText(b, nameInValue(s.Filter))
	b = append(b, s.Options)
	return binary.AppendUvarint(b, uint64(s.Identifier))
}

func appendEntry(b []byte, e *Entry, place bodyPlace, now moment) []byte {
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
	b = binary.AppendUvarint(b, m.LSN)
	return appendStamp(b, stamp{m.Boot, m.Up})
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

func (f *fields) milliseconds(limit uint64) time.Duration {
	return time.Duration(f.uint(limit)) * time.Millisecond
}

// wall is the time of storing as it was stored first.
func (f *fields) wall() time.Time { return time.UnixMilli(int64(f.uint(1 << 50))) }

func (f *fields) stamp() stamp {
	return stamp{f.uint(1<<64 - 1), f.milliseconds(maxUp)}
}

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
func (f *fields) message(now moment) *mqtt.Message {
	flags := f.byte()
	if flags&3 == 3 || flags&(flagExpires|flagStamped) == flagStamped || flags&^(3|flagRetain|flagExpires|flagStamped) != 0 {
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
		left := f.milliseconds(uint64(maxTimeLeft.Milliseconds()))
		var passed time.Duration
		if flags&flagStamped != 0 {
			passed, m.Provisional = now.since(f.stamp())
		} else {
			passed = now.sinceWall(f.wall())
		}
		m.Expires = now.Add(max(left-passed, 0))
	}
	return m
}

func decodeSession(b []byte, now moment) (Session, error) {
	f := fields{b: b}
	s := Session{
		ClientID:       string(f.text()),
		ID:             f.uint32(),
		Version:        f.byte(),
		ExpiryInterval: f.uint32(),
	}
	offline := f.uint(1 << 50)
	s.WillDelay = f.uint32()
	flags := f.byte()
	switch {
	case flags&sessionOffline != 0:
		ago := time.Duration(offline)*time.Millisecond - time.Millisecond
		if ago < 0 || ago > maxAgo+time.Millisecond {
			f.fail()
		}
		var passed time.Duration
		passed, s.Provisional = now.since(f.stamp())
		s.Disconnected = now.Add(-min(ago+passed, maxAgo))
	case offline != 0: // as it was stored first
		s.Disconnected = now.Add(-now.sinceWall(time.UnixMilli(int64(offline))))
	}
	switch flags &^ (sessionOffline | sessionUser) {
	case 0:
	case sessionWill:
		s.Will = f.message(now)
	case sessionWillExpires:
		s.WillExpires, s.WillExpiry = true, f.uint32()
		s.Will = f.message(now)
	default:
		f.fail()
	}
	if flags&sessionUser != 0 {
		if s.User = string(f.text()); s.User == "" {
			f.fail()
		}
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

func decodeMessage(b []byte, now moment) (*mqtt.Message, error) {
	f := fields{b: b}
	m := f.message(now)
	return m, f.end()
}

// decodeEntry leaves ID, which is in the key, to the caller, and Message if it is
// elsewhere.
func decodeEntry(b []byte, now moment) (Entry, bodyPlace, error) {
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
	if len(f.b) > 0 { // not in the first stores
		at := f.stamp()
		m.Boot, m.Up = at.boot, at.up
	}
	return m, f.end()
}
