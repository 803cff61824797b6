package persist

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

// momentZero is a moment of a machine that was started for the third time 10 s ago
// and does not know the wall clock yet.
var momentZero = moment{time.UnixMilli(1_800_000_000_000), 10 * time.Second, testClock(func() Reading { return Reading{Boot: "third", Up: 9 * time.Second} })}

// testClock is a clock whose store has seen two boots: one that began in 2027 and
// was up for an hour, and one that was up for a minute.
func testClock(read func() Reading) *clock {
	began := time.Duration(time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return newClock(read, "second", []boot{{number: 1, began: began, up: time.Hour}, {number: 2}}, time.Minute, 2)
}

// FuzzDecode gives bytes to the decoder of each kind of value. What it accepts
// must mean the same after encoding and decoding again.
func FuzzDecode(f *testing.F) {
	now := momentZero
	m := &mqtt.Message{Topic: "t", Payload: []byte("p"), Properties: []byte{1, 1}, QoS: 2, Retain: true, Expires: now.Add(time.Minute)}
	f.Add(prefixMeta, appendMeta(nil, &meta{Schema: 1, UUID: [16]byte{1, 2, 3}, LSN: 300, Boot: 3, Up: time.Hour}))
	f.Add(prefixSession, appendSession(nil, &Session{ID: 1, ClientID: "c", Version: 5, ExpiryInterval: NeverExpires, Disconnected: now.Time, Will: m, WillDelay: 5}, now))
	f.Add(prefixSession, appendSession(nil, &Session{ID: 1}, now))
	f.Add(prefixSession, appendSession(nil, &Session{ID: 1, User: "u", Will: m}, now))
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
	f.Add(key, seal(key, appendMessage(nil, message("t", 3), "", momentZero)))
	key = appendSessionKey(nil, "c")
	f.Add(key, seal(key, appendSession(nil, &Session{ID: 1, ClientID: "c"}, momentZero)))
	f.Add(appendEntryKey(nil, 1, 1), []byte("x"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		_ = keyString(key)
		if len(key) == 0 {
			return // not in Badger
		}
		fresh := func() *loader {
			return &loader{state: new(State), now: momentZero, sessions: map[uint32]*SessionState{0: {}}, bodies: make(map[bodyID]*storedBody)}
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
