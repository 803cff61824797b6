package persist

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

var timeZero = time.Unix(0, 0)

// Expiry goes on over a restart only as far as both clocks can be trusted.
func TestExpiryOverARestart(t *testing.T) {
	set := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	boot := time.Date(1970, 1, 1, 0, 0, 9, 0, time.UTC)
	for _, c := range []struct {
		name          string
		stored, now   time.Time
		left, leftNow time.Duration
	}{
		{"clock right both times", set, set.Add(10 * time.Second), time.Minute, 50 * time.Second},
		{"expired meanwhile", set, set.Add(time.Hour), time.Minute, 0},
		{"expired before", set, set, -time.Minute, 0},
		{"stored in 1970", boot, set, time.Minute, time.Minute},
		{"loaded in 1970", set, boot, time.Minute, time.Minute},
		{"both in 1970", boot, boot.Add(time.Hour), time.Minute, time.Minute},
		{"clock put back", set, set.Add(-time.Hour), time.Minute, time.Minute},
		{"before 1970", time.Unix(-5, 0), set, time.Minute, time.Minute},
		{"longest", set, set, (1<<32 - 1) * time.Second, (1<<32 - 1) * time.Second},
	} {
		m := &mqtt.Message{Topic: "t", Expires: c.stored.Add(c.left)}
		got, err := decodeMessage(appendMessage(nil, m, m.Topic, c.stored), c.now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if left := got.Expires.Sub(c.now); left != c.leftNow {
			t.Errorf("%s: %v left, want %v", c.name, left, c.leftNow)
		}
	}
	now := time.Now()
	m, err := decodeMessage(appendMessage(nil, &mqtt.Message{Topic: "t"}, "t", now), now)
	if err != nil || !m.Expires.IsZero() {
		t.Errorf("a message without expiry expires at %v, %v", m.Expires, err)
	}
}

// FuzzDecode gives bytes to the decoder of each kind of value. What it accepts
// must mean the same after encoding and decoding again.
func FuzzDecode(f *testing.F) {
	now := time.UnixMilli(1800000000000)
	m := &mqtt.Message{Topic: "t", Payload: []byte("p"), Properties: []byte{1, 1}, QoS: 2, Retain: true, Expires: now.Add(time.Minute)}
	f.Add(prefixMeta, appendMeta(nil, &meta{Schema: 1, UUID: [16]byte{1, 2, 3}, LSN: 300}))
	f.Add(prefixSession, appendSession(nil, &Session{ID: 1, ClientID: "c", Version: 5, ExpiryInterval: NeverExpires, Disconnected: now, Will: m, WillDelay: 5}, now))
	f.Add(prefixSession, appendSession(nil, &Session{ID: 1}, now))
	f.Add(prefixSubscription, appendSubscription(nil, &Subscription{Filter: "a/#", Options: 0x2D, Identifier: 268435455}))
	f.Add(prefixEntry, appendEntry(nil, &Entry{PacketID: 65535, State: Released, QoS: 2, Retain: true, Identifiers: []uint32{1, 2, 300}, Message: m}, bodyInline, now))
	f.Add(prefixEntry, appendEntry(nil, &Entry{QoS: 1}, bodyShared, now))
	f.Add(prefixEntry, appendEntry(nil, &Entry{QoS: 1, Identifiers: []uint32{1}, Share: "$share/g/#", Message: m}, bodyInline, now))
	f.Add(prefixRetained, appendMessage(nil, m, "", now))
	f.Add(prefixRetained, bytes.Repeat([]byte{0xFF}, 30))
	f.Fuzz(func(t *testing.T, prefix byte, b []byte) {
		again := func(first, second any, err error) {
			t.Helper()
			if err != nil || !reflect.DeepEqual(first, second) {
				t.Errorf("%+v became %+v, %v", first, second, err)
			}
		}
		switch prefix {
		case prefixMeta:
			if v, err := decodeMeta(b); err == nil {
				w, err := decodeMeta(appendMeta(nil, &v))
				again(v, w, err)
			}
		case prefixSession:
			if v, err := decodeSession(b, now); err == nil {
				w, err := decodeSession(appendSession(nil, &v, now), now)
				if len(v.ClientID) <= maxNameInKey { // the key has it
					w.ClientID = v.ClientID
				}
				again(v, w, err)
			}
		case prefixSubscription:
			if v, err := decodeSubscription(b); err == nil {
				w, err := decodeSubscription(appendSubscription(nil, &v))
				if len(v.Filter) <= maxNameInKey {
					w.Filter = v.Filter
				}
				again(v, w, err)
			}
		case prefixEntry:
			if v, place, err := decodeEntry(b, now); err == nil {
				w, place2, err := decodeEntry(appendEntry(nil, &v, place, now), now)
				again(v, w, err)
				again(place, place2, nil)
			}
		case prefixRetained:
			if v, err := decodeMessage(b, now); err == nil {
				w, err := decodeMessage(appendMessage(nil, v, v.Topic, now), now)
				again(v, w, err)
			}
		}
	})
}

// FuzzValue gives whole values to what Load does with a record.
func FuzzValue(f *testing.F) {
	key := appendRetainedKey(nil, "t")
	f.Add(key, seal(key, appendMessage(nil, message("t", 3), "", timeZero)))
	key = appendSessionKey(nil, "c")
	f.Add(key, seal(key, appendSession(nil, &Session{ID: 1, ClientID: "c"}, timeZero)))
	f.Add(appendEntryKey(nil, 1, 1), []byte("x"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		_ = keyString(key)
		if len(key) == 0 {
			return // not in Badger
		}
		fresh := func() *loader {
			return &loader{state: new(State), now: timeZero, sessions: map[uint32]*SessionState{0: {}}, bodies: make(map[bodyID]*storedBody)}
		}
		l := fresh()
		l.number(key)
		b, err := fieldsOf(key, value)
		if err != nil {
			// Behind a right checksum the fields are as foreign as before.
			b = value
		}
		if key[0] == prefixSession {
			l.session(key, b)
		} else {
			l.record(key, b)
		}
	})
}
