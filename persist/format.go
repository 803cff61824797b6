package persist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// # The store, byte by byte
//
// Numbers in keys are big endian, so that Badger's order is the order of
// arrival. "name" is a client id, a topic filter or a topic of at most 512
// bytes; a longer one (MQTT allows 65,535, Badger 65,000) is replaced by 0xFF
// and its SHA-256, and stands in the value instead. 0xFF is in no UTF-8 text.
//
//	key                                   value: its fields
//	01                                    meta: schema, store uuid (16 bytes), lsn, stamp
//	01 01                                 boots: id of the present one, count, [number, beginning, first time up, last time up]
//	01 fe number(1)                       filler, see garbage.go; only for a moment
//	02 name of the client                 session: name, id, version, expiry interval, time offline, will delay, flags, [stamp], [will expiry], [will], [user]
//	03 session(4) name of the filter      subscription: name, options, identifier
//	04 body(8)                            body that several entries share: message
//	04 entry(8) session(4)                body of one entry: message
//	05 session(4) entry(8)                queue entry: flags, packet id, count, identifiers, [filter], [message or body]
//	06 session(4)                         reserved for the head of the queue
//	07 session(4) packet id(2)            incoming QoS 2 packet id: no fields
//	08 name of the topic                  retained message: message, its topic empty if it is in the key
//	09 name of the bucket 00 key          value of a Bucket: JSON
//
// A value is the codec version (1), the fields, and the CRC-32C of key, codec
// version and fields (4, little endian). Badger returns damaged values without
// an error; the key in the checksum also tells a value that came to a wrong key.
//
// Fields are unsigned varints, single bytes (options, flags, version), or texts:
// varint length and bytes. A name is empty if the key has it.
//
//	flags of an entry     bits 0-1 QoS, bit 2 retain, bits 3-4 where the message is
//	                      (0 here, 1 under 04 entry, as older stores have it, 2 under 04 entry session,
//	                      3 under 04 body), bits 5-6 state,
//	                      bit 7 the filter of a shared subscription follows the identifiers
//	flags of a session    1 a will follows, 2 its expiry interval and the will follow, 4 it is offline: a stamp follows,
//	                      8 its user follows, at the end
//	message               flags, topic, properties, payload, [time left, stamp]
//	flags of a message    bits 0-1 QoS, bit 2 retain, bits 3 and 4 it expires: the time left and a stamp follow
//	stamp                 number of a boot of the machine, for how long it was up
//
// All times are in milliseconds: see clock.go. A stamp tells when a time left or a
// time offline was right; that of meta is when the group was committed. The time
// offline has one more, so that 0 is a session that is connected; the beginning of a
// boot counts from 1970, 0 if it is not known.
//
// The first stores had no stamps: a message that expires has bit 3 alone then, and
// the time of storing since 1970 instead, and a session without bit 4 the time when
// it was disconnected since 1970 instead of the time offline.
//
// The lsn counts transactions; every one writes the meta record, so that a store
// which lost its last ones can be told from its lsn and the anchor.
//
// Files and folders that are not Badger's, NAME being the folder of the store:
//
//	NAME/anchor                 what the store must hold at least: anchor.go
//	NAME-ballast                zeros: space for opening a store on a full disk
//	NAME-quarantine-TIME        a store that was put aside, and in it the file why:
//	                            time, reason, what came in its place, one line each
//	NAME-recovery, -restored    only while another store takes its place

// schema is the major version of the layout above. Badger keeps it in its
// MANIFEST as well (external magic), so that an older binary does not even open.
const schema = 1

// codecVersion is the first byte of every value; it lets one kind of value
// change without a new schema.
const codecVersion = 1

var bootsKey = []byte{prefixMeta, 1}

const (
	prefixMeta byte = iota + 1
	prefixSession
	prefixSubscription
	prefixBody
	prefixEntry
	_ // head of the queue
	prefixIncoming
	prefixRetained
	prefixBucket
)

// kinds tells of each kind of record by its prefix: what people call such
// records, and whether they are small and precious, so that the hourly backup
// holds them. A kind that has no name is refused in a backup.
var kinds = [...]struct {
	name     string
	precious bool
}{
	prefixMeta:         {"meta", true},
	prefixSession:      {"sessions", true},
	prefixSubscription: {"subscriptions", true},
	prefixBody:         {"message bodies", false},
	prefixEntry:        {"queued messages", false},
	prefixIncoming:     {"incoming packet ids", true},
	prefixRetained:     {"retained messages", true},
	prefixBucket:       {"bucket values", true},
}

// kindOf names the kind of a key; empty: there is no such kind.
func kindOf(key []byte) string {
	if len(key) == 0 || int(key[0]) >= len(kinds) {
		return ""
	}
	return kinds[key[0]].name
}

// maxNameInKey keeps keys short: Badger refuses 65,000 bytes and keeps every
// key of a memtable in memory.
const maxNameInKey = 512

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendName(key []byte, name string) []byte {
	if len(name) <= maxNameInKey {
		return append(key, name...)
	}
	sum := sha256.Sum256([]byte(name))
	return append(append(key, 0xFF), sum[:]...)
}

// nameInValue is what a value has to hold of a name.
func nameInValue(name string) string {
	if len(name) <= maxNameInKey {
		return ""
	}
	return name
}

func appendSessionKey(key []byte, clientID string) []byte {
	return appendName(append(key, prefixSession), clientID)
}

func appendSubscriptionKey(key []byte, session uint32, filter string) []byte {
	key = binary.BigEndian.AppendUint32(append(key, prefixSubscription), session)
	return appendName(key, filter)
}

func appendBodyKey(key []byte, body uint64) []byte {
	return binary.BigEndian.AppendUint64(append(key, prefixBody), body)
}

func appendOwnBodyKey(key []byte, entry uint64, session uint32) []byte {
	return binary.BigEndian.AppendUint32(appendBodyKey(key, entry), session)
}

func appendEntryKey(key []byte, session uint32, entry uint64) []byte {
	key = binary.BigEndian.AppendUint32(append(key, prefixEntry), session)
	return binary.BigEndian.AppendUint64(key, entry)
}

func appendIncomingKey(key []byte, session uint32, packetID uint16) []byte {
	key = binary.BigEndian.AppendUint32(append(key, prefixIncoming), session)
	return binary.BigEndian.AppendUint16(key, packetID)
}

func appendRetainedKey(key []byte, topic string) []byte {
	return appendName(append(key, prefixRetained), topic)
}

// bucketKey is what follows prefixBucket: no name of a bucket holds 0x00.
func bucketKey(bucket, key string) string { return bucket + "\x00" + key }

// appendSum ends the value that begins at start with its checksum.
func appendSum(b []byte, start int, key []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b[start:])
	return binary.LittleEndian.AppendUint32(b, sum)
}

var (
	errChecksum = errors.New("checksum does not match")
	errFields   = errors.New("fields do not decode")
)

// checkSum checks the checksum of a value, whatever its codec version.
func checkSum(key, value []byte) error {
	if len(value) < 5 {
		return fmt.Errorf("value has %d bytes", len(value))
	}
	n := len(value) - 4
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[:n])
	if sum != binary.LittleEndian.Uint32(value[n:]) {
		return errChecksum
	}
	return nil
}

// fieldsOf returns the fields of a value after checking all that surrounds them.
func fieldsOf(key, value []byte) ([]byte, error) {
	if err := checkSum(key, value); err != nil {
		return nil, err
	}
	if value[0] != codecVersion {
		return nil, fmt.Errorf("codec version %d is unknown", value[0])
	}
	return value[1 : len(value)-4], nil
}

// keyString names a key for people.
func keyString(key []byte) string {
	if len(key) == 0 {
		return "empty key"
	}
	rest := key[1:]
	switch {
	case key[0] == prefixMeta && len(rest) == 0:
		return "meta"
	case string(key) == string(bootsKey):
		return "boots of the machine"
	case key[0] == prefixSession:
		return fmt.Sprintf("session %q", rest)
	case key[0] == prefixSubscription && len(rest) >= 4:
		return fmt.Sprintf("subscription %q of session %d", rest[4:], binary.BigEndian.Uint32(rest))
	case key[0] == prefixBody && len(rest) == 8:
		return fmt.Sprintf("body %d", binary.BigEndian.Uint64(rest))
	case key[0] == prefixBody && len(rest) == 12:
		return fmt.Sprintf("body of entry %d of session %d", binary.BigEndian.Uint64(rest), binary.BigEndian.Uint32(rest[8:]))
	case key[0] == prefixEntry && len(rest) == 12:
		return fmt.Sprintf("entry %d of session %d", binary.BigEndian.Uint64(rest[4:]), binary.BigEndian.Uint32(rest))
	case key[0] == prefixIncoming && len(rest) == 6:
		return fmt.Sprintf("incoming packet id %d of session %d", binary.BigEndian.Uint16(rest[4:]), binary.BigEndian.Uint32(rest))
	case key[0] == prefixRetained:
		return fmt.Sprintf("retained message %q", rest)
	case key[0] == prefixBucket:
		if bucket, name, ok := bytes.Cut(rest, []byte{0}); ok {
			return fmt.Sprintf("%q of bucket %q", name, bucket)
		}
	}
	return fmt.Sprintf("key %x", key)
}
