package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	home     = netip.MustParseAddr("192.168.1.10") // of Home Assistant
	attacker = netip.MustParseAddr("192.168.1.66")
)

// guess fails as often as it is let, and returns how often that was.
func guess(l *Lockout, address netip.Addr, user string, tries int) (failed int) {
	for range tries {
		if l.Wait(address, user) == 0 {
			l.Failed(address, user)
			failed++
		}
	}
	return failed
}

func wantWait(t *testing.T, l *Lockout, address netip.Addr, user string, want time.Duration) {
	t.Helper()
	if got := l.Wait(address, user); got != want {
		t.Errorf("%s as %.20q waits %v, want %v", address, user, got, want)
	}
}

func TestLockoutDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		if n := guess(l, attacker, "alice", 100); n != 5 {
			t.Errorf("%d tries without a wait", n)
		}
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
			want *= time.Second
			wantWait(t, l, attacker, "alice", want)
			time.Sleep(want - time.Nanosecond)
			wantWait(t, l, attacker, "alice", time.Nanosecond)
			time.Sleep(time.Nanosecond)
			if n := guess(l, attacker, "alice", 100); n != 1 {
				t.Errorf("after %v: %d tries", want, n)
			}
		}
		// Somebody else, and the user from elsewhere, do not wait.
		wantWait(t, l, attacker, "bob", 0)
		wantWait(t, l, home, "alice", 0)
		time.Sleep(failureMemory)
		if n := guess(l, attacker, "alice", 100); n != 5 {
			t.Errorf("an hour later: %d tries without a wait", n)
		}
	})
}

func TestLockoutSuccessEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		guess(l, home, "alice", 6)
		time.Sleep(time.Second)
		wantWait(t, l, home, "alice", 0)
		l.Succeeded(home, "alice")
		for range 50 {
			wantWait(t, l, home, "alice", 0)
		}
	})
}

// TestLockoutManyAtOnce opens connections side by side, before any of them has failed.
func TestLockoutManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		guess(l, attacker, "alice", 5)
		time.Sleep(time.Minute)
		through := 0
		for range 100 {
			if l.Wait(attacker, "alice") == 0 {
				through++
			}
		}
		if through != 1 {
			t.Errorf("%d are let through at once", through)
		}
		wantWait(t, l, attacker, "alice", time.Second) // it never was told how that went
		// Before there is a wait, clients that come all at once are let through.
		for i := range 200 {
			wantWait(t, l, home, fmt.Sprint("user", i), 0)
		}
	})
}

func TestLockoutOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		l.Succeeded(attacker, "mallory")
		n := 0
		for i := range 100 {
			n += guess(l, attacker, fmt.Sprint("user", i), 1)
			l.Succeeded(attacker, "mallory") // does not help
		}
		if n != addressFailures {
			t.Errorf("%d users were tried without a wait", n)
		}
		wantWait(t, l, attacker, "one more", time.Second)
		wantWait(t, l, attacker, "mallory", 0)
		wantWait(t, l, home, "one more", 0)
	})
}

// TestLockoutNeighbour has a device with an old password come back again and again.
func TestLockoutNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		for range 1000 {
			guess(l, home, "old device", 1)
			time.Sleep(5 * time.Second)
		}
		wantWait(t, l, home, "homeassistant", 0)
	})
}

// TestLockoutKeepsHomeAssistantIn attacks from everywhere.
func TestLockoutKeepsHomeAssistantIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		// Before it came for the first time.
		for i := range 100 {
			guess(l, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), "homeassistant", 10)
		}
		wantWait(t, l, home, "homeassistant", 0)
		l.Succeeded(home, "homeassistant")
		time.Sleep(30 * 24 * time.Hour)
		for i := range 3 * maxFailing {
			guess(l, netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), "homeassistant", 10)
			guess(l, home, fmt.Sprint("user", i), 1)
		}
		for i := range trustedFailures - 1 {
			if l.Wait(home, "homeassistant") != 0 {
				t.Fatalf("it waits after %d failures of its own", i)
			}
			l.Failed(home, "homeassistant")
		}
		wantWait(t, l, home, "homeassistant", 0)
		l.Succeeded(home, "homeassistant") // which begins anew
		if n := guess(l, home, "homeassistant", 1000); n < trustedFailures || n > trustedFailures+pairFailures {
			t.Errorf("%d guesses next to Home Assistant", n)
		}
	})
}

// TestLockoutOfAUser has an attacker with many addresses: each has one try.
func TestLockoutOfAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		n := 0
		for i := range 100 {
			n += guess(l, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), "alice", 10)
		}
		// Four have used all of theirs when that begins to count.
		if want := 4*pairFailures + 96; n != want {
			t.Errorf("%d guesses from 100 addresses, want %d", n, want)
		}
	})
}

func TestLockoutAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		a := netip.MustParseAddr
		guess(l, a("2001:db8:0:1::1"), "alice", 10)
		wantWait(t, l, a("2001:db8:0:1:ffff::2"), "alice", time.Second)
		wantWait(t, l, a("2001:db8:0:2::1"), "alice", 0)
		l.Succeeded(a("2001:db8:0:1::3"), "bob") // one address is trusted, not all the neighbours
		guess(l, a("2001:db8:0:1::1"), "bob", 10)
		wantWait(t, l, a("2001:db8:0:1::2"), "bob", time.Second)
		wantWait(t, l, a("2001:db8:0:1::3"), "bob", 0)
		guess(l, a("fe80::1%eth0"), "carol", 10)
		wantWait(t, l, a("fe80::2%wlan0"), "carol", time.Second)
		guess(l, a("192.168.1.1"), "dave", 10)
		wantWait(t, l, a("::ffff:192.168.1.1"), "dave", time.Second)
		l.Succeeded(a("::ffff:192.168.1.2"), "erin")
		guess(l, a("192.168.1.2"), "erin", 10)
		wantWait(t, l, a("192.168.1.2"), "erin", 0)
		guess(l, netip.Addr{}, "frank", 10) // a unix socket
		wantWait(t, l, netip.Addr{}, "frank", time.Second)
		guess(l, a("10.9.9.9"), strings.Repeat("u", 65535), 10)
		wantWait(t, l, a("10.9.9.9"), strings.Repeat("u", 65535), time.Second)
	})
}

// TestLockoutEviction makes so many others fail that there is no room for all.
func TestLockoutEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		guess(l, attacker, "alice", 5)
		for range 10 {
			time.Sleep(longestWait)
			guess(l, attacker, "alice", 1)
		}
		others := func(n int, from byte) {
			for i := range n {
				address := netip.AddrFrom4([4]byte{10, from, byte(i >> 8), byte(i)})
				l.Failed(address, fmt.Sprint("user", i))
			}
		}
		others(4*maxFailing, 1)
		if n := len(l.failing); n > maxFailing {
			t.Errorf("%d are remembered", n)
		}
		wantWait(t, l, attacker, "alice", longestWait)
		// Nor does anybody get rid of few failures.
		second := netip.MustParseAddr("192.168.1.67")
		guess(l, second, "bob", 4)
		others(4*maxFailing, 2)
		if guess(l, second, "bob", 10) > 1 {
			t.Error("there are free tries again after others have failed")
		}
		time.Sleep(failureMemory)
		l.Failed(second, "bob")
		if n := len(l.failing); n > 3 {
			t.Errorf("%d are remembered after an hour", n)
		}
	})
}

func TestLockoutTrustIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLockout()
		for i := range 2 * maxUsers {
			l.Succeeded(home, fmt.Sprint("user", i))
			time.Sleep(time.Second)
		}
		if n := len(l.trusted); n != maxUsers {
			t.Errorf("%d users are trusted", n)
		}
		last := fmt.Sprint("user", 2*maxUsers-1)
		for i := range 100 {
			l.Succeeded(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), last)
			l.Succeeded(home, last)
		}
		for user, all := range l.trusted {
			if len(all) > maxTrusted {
				t.Errorf("%d addresses of user %x", len(all), user)
			}
		}
		guess(l, home, last, 50)
		wantWait(t, l, home, last, 0)
	})
}
