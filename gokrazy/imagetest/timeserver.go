package main

import (
	"encoding/binary"
	"net"
	"time"
)

// hostInside is where a machine finds the loopback interface of this one.
const hostInside = "10.0.2.2"

// serveTime tells machines the time until the returned function is called: where the test runs
// there may be no other server. Its port takes root; an error is that it is not there.
func serveTime() (stop func() error, err error) {
	l, err := net.ListenPacket("udp4", "127.0.0.1:123")
	if err != nil {
		return nil, err
	}
	go func() {
		for question := make([]byte, 512); ; {
			n, from, err := l.ReadFrom(question)
			if err != nil {
				return
			}
			if n >= 48 {
				l.WriteTo(timeAnswer(question, time.Now()), from)
			}
		}
	}()
	return l.Close, nil
}

// timeAnswer is the answer of an NTP server (RFC 5905, 7.3) with a clock of its own.
func timeAnswer(question []byte, now time.Time) []byte {
	a := make([]byte, 48)
	a[0] = 4<<3 | 4 // version 4, of a server, no leap second
	a[1] = 1        // stratum
	a[2] = 6        // to be asked each minute
	a[3] = 0xec     // precise to a microsecond
	copy(a[12:], "LOCL")
	const from1900to1970 = 2_208_988_800
	stamp := uint64(now.Unix()+from1900to1970)<<32 | uint64(now.Nanosecond())<<32/1e9
	binary.BigEndian.PutUint64(a[16:], stamp)
	copy(a[24:32], question[40:48]) // its own time, which proves that it was read
	binary.BigEndian.PutUint64(a[32:], stamp)
	binary.BigEndian.PutUint64(a[40:], stamp)
	return a
}
