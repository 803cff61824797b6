package lend

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTelnetLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{telnet: true})
		c := h.come("127.0.0.1:1000")
		// expect compares all that came since the last time.
		expect := func(what, want string) {
			t.Helper()
			if got, _ := c.received(); got != want {
				t.Errorf("%s: got % X, want % X", what, got, want)
			}
		}
		expect("offers", "\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03\xff\xfd\x2c")
		// Until both have agreed it is not eight bits wide.
		h.say("a\rb\xff")
		expect("not binary", "a\r\x00b\xff\xff")
		io.WriteString(c, "\r\x00\xff\xfd\x00\xff\xfb\x00\r\x00")
		if got := h.hear(t, 3); got != "\r\r\x00" {
			t.Errorf("stick got %q", got)
		}
		h.say("a\rb\xff")
		expect("binary", "a\rb\xff\xff")

		io.WriteString(c, "A\xff\xfa\x2c\x01\x00\x00\x25\x81\xff\xf0B\xff\xff")
		if got := h.hear(t, 3); got != "AB\xff" {
			t.Errorf("stick got %q", got)
		}
		expect("baud rate", "\xff\xfa\x2c\x65\x00\x00\x25\x81\xff\xf0")
		if got := h.line(); got != "9601 8N1" {
			t.Errorf("line %q", got)
		}

		// A client that wants to wait loses nothing.
		io.WriteString(c, "\xff\xfa\x2c\x08\xff\xf0")
		synctest.Wait()
		h.say("later")
		expect("suspended", "")
		io.WriteString(c, "\xff\xfa\x2c\x00\xff\xf0") // is answered nevertheless
		expect("signature", "\xff\xfa\x2c\x64Lintel\xff\xf0")
		io.WriteString(c, "\xff\xfa\x2c\x09\xff\xf0")
		expect("resumed", "later")

		// What is purged does not come behind the answer.
		io.WriteString(c, "\xff\xfa\x2c\x08\xff\xf0")
		synctest.Wait()
		h.say("stale ")
		go io.WriteString(h.far, "and more")
		synctest.Wait()
		io.WriteString(c, "\xff\xfa\x2c\x0c\x03\xff\xf0\xff\xfa\x2c\x09\xff\xf0")
		expect("purged", "\xff\xfa\x2c\x70\x03\xff\xf0")
		h.say("fresh")
		expect("after", "fresh")

		io.WriteString(c, "\xffA\xff\xfa"+strings.Repeat("x", 1000)+"\xff\xf0")
		synctest.Wait()
		if !slices.Equal(h.sink.soFar().Damage, []string{"telnet syntax", "telnet too long"}) {
			t.Errorf("damaged %q", h.sink.soFar().Damage)
		}

		// The next one finds the line as it is configured.
		c.hangUp()
		if got := h.line(); got != "9600 8N1" {
			t.Errorf("line %q", got)
		}
		if last := h.last(); last[keySent] != int64(6) || last[keyReceived] != int64(4+4+5+14+5) {
			t.Errorf("counted %v", last)
		}
		c = h.come("127.0.0.1:1001")
		expect("offers", "\xff\xfb\x00\xff\xfd\x00\xff\xfb\x03\xff\xfd\x03\xff\xfd\x2c")
		h.leave(t)
	})
}

// A client that only asks and never listens is held up, not served for ever.
func TestTelnetFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{telnet: true})
		defer h.leave(t)
		c := h.comeSilently("127.0.0.1:1000")
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write(bytes.Repeat([]byte("\xff\xfd\x01"), 1<<20))
			wrote <- err
		}()
		<-time.After(defaultTiming().stall)
		if err := <-wrote; err == nil || h.last()[keyClient] != "" {
			t.Errorf("%v; %v", err, h.last())
		}
	})
}
