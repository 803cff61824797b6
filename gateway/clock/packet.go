package clock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	packetSize  = 48
	maxStratum  = 15                      // 16 is unsynchronised [RFC 5905, figure 11]
	maxDistance = 1500 * time.Millisecond // MAXDIST of RFC 5905, figure 27, and a bit
	maxDelay    = 2 * time.Second
)

// kiss is a kiss of death: what a server says instead of the time [RFC 5905, figure 13].
type kiss string

func (k kiss) Error() string {
	switch k {
	case "DENY", "RSTR":
		return "it does not serve this box"
	case "RATE":
		return "it is asked too often"
	}
	return fmt.Sprintf("it says %q in place of the time", string(k))
}

// request is what a client asks. Nothing but the transmit timestamp is filled in, with random bits: a
// server returns them, and learns nothing of the clock here.
func request(cookie uint64) []byte {
	b := make([]byte, packetSize)
	b[0] = 4<<3 | 3 // version 4, client
	binary.BigEndian.PutUint64(b[40:], cookie)
	return b
}

// reply is what of an answer counts.
type reply struct {
	received, sent time.Time     // by the server
	error          time.Duration // by which the server itself may be off
}

var errNotOurs = errors.New("this is no answer to what was asked")

// parseReply parses the answer to a request with that cookie.
func parseReply(b []byte, cookie uint64) (reply, error) {
	// Without the cookie nothing else of it is believed, no kiss of death either.
	if len(b) < packetSize || b[0]&7 != 4 || binary.BigEndian.Uint64(b[24:]) != cookie {
		return reply{}, errNotOurs
	}
	leap, version, stratum := b[0]>>6, b[0]>>3&7, int(b[1])
	if version < 3 || version > 4 {
		return reply{}, errNotOurs
	}
	if stratum == 0 {
		k := []byte{}
		for _, c := range b[12:16] {
			if c >= 'A' && c <= 'Z' {
				k = append(k, c)
			}
		}
		return reply{}, kiss(k)
	}
	if leap == 3 || stratum > maxStratum {
		return reply{}, errors.New("it does not know the time itself")
	}
	r := reply{
		received: timestamp(binary.BigEndian.Uint64(b[32:])),
		sent:     timestamp(binary.BigEndian.Uint64(b[40:])),
		error:    short(b[4:])/2 + short(b[8:]),
	}
	switch {
	case binary.BigEndian.Uint64(b[32:]) == 0 || binary.BigEndian.Uint64(b[40:]) == 0 || !plausible(r.received) || !plausible(r.sent):
		return reply{}, errors.New("it tells a time that cannot be")
	case r.sent.Before(r.received) || r.sent.Sub(r.received) > maxDelay:
		return reply{}, errors.New("its answer was sent before the question came")
	case r.error > maxDistance:
		return reply{}, errors.New("it is not sure of the time")
	}
	return r, nil
}

// timestamp reads seconds since 1900 and their fraction. The seconds begin anew in 2036: those with the
// highest bit clear are of the next era [RFC 4330 §3].
func timestamp(v uint64) time.Time {
	const from1900 = 2_208_988_800
	seconds := int64(v >> 32)
	if seconds < 1<<31 {
		seconds += 1 << 32
	}
	return time.Unix(seconds-from1900, int64((v&0xffff_ffff)*1_000_000_000>>32))
}

// short reads 16 bits of seconds and 16 of their fraction.
func short(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Second >> 16
}

// plausible reports whether that can be the present.
func plausible(t time.Time) bool { return t.Year() >= 2026 && t.Year() < 2100 }
