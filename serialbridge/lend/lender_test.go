package lend

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lintel/serialbridge"
)

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		if d, ok := h.sink.soFar().Devices["lend"]; !ok || len(d.Properties) != 3 || h.last()[keyClient] != "" {
			t.Fatalf("devices %+v, %v", h.sink.soFar().Devices, h.last())
		}
		h.say("nobody hears this")
		a := h.come("192.168.1.5:1000")
		if h.last()[keyClient] != "192.168.1.5:1000" {
			t.Errorf("lease %v", h.last())
		}
		h.say("one\xff\r\x00")
		if got, _ := a.received(); got != "one\xff\r\x00" {
			t.Errorf("client got %q", got)
		}
		io.WriteString(a, "\xff\xfbtwo\r\x00")
		if got := h.hear(t, 7); got != "\xff\xfbtwo\r\x00" {
			t.Errorf("stick got %q", got)
		}
		a.hangUp()
		if last := h.last(); last[keyClient] != "" || last[keyReceived] != int64(6) || last[keySent] != int64(7) {
			t.Errorf("after the lease: %v", last)
		}
		h.say("nor this")
		b := h.come("[fe80::1%eth0]:2000")
		if h.last()[keyClient] != "[fe80::1]:2000" {
			t.Errorf("lease %v", h.last())
		}
		h.say("three")
		if got, gone := b.received(); got != "three" || gone {
			t.Errorf("next client got %q", got)
		}
		h.leave(t)
		if _, gone := b.received(); !gone {
			t.Error("the client is still connected")
		}
		if len(h.sink.soFar().Damage)+len(h.sink.soFar().Overheard) != 0 {
			t.Errorf("damaged %q, ignored %q", h.sink.soFar().Damage, h.sink.soFar().Overheard)
		}
	})
}

func TestOneClientAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		defer h.leave(t)
		first := h.come("10.0.0.1:1000")
		second := h.come("10.0.0.2:1000")
		third := h.come("10.0.0.3:1000")
		if _, gone := third.received(); !gone {
			t.Error("the third client waits")
		}
		<-time.After(defaultTiming().handOver)
		if _, gone := second.received(); !gone {
			t.Error("the second client waits")
		}
		stranger := h.come("203.0.113.9:1000")
		if _, gone := stranger.received(); !gone {
			t.Error("a stranger waits")
		}
		want := []string{
			"a second client was refused: 10.0.0.1 has the port",
			"a second client was refused: 10.0.0.1 has the port",
			"a client was refused: 203.0.113.9 is not in an allowed network",
		}
		if !slices.Equal(h.sink.soFar().Overheard, want) {
			t.Errorf("ignored %q", h.sink.soFar().Overheard)
		}
		h.say("for the first")
		if got, gone := first.received(); got != "for the first" || gone {
			t.Errorf("the first client got %q", got)
		}

		// One who comes while the one before is leaving gets the port,
		// whether that one is heard before or after him.
		for range 2 {
			next := h.come("10.0.0.1:1001")
			first.Close()
			synctest.Wait()
			h.say("for the next")
			if got, gone := next.received(); got != "for the next" || gone || len(h.sink.soFar().Overheard) != 3 {
				t.Errorf("the next client got %q; ignored %q", got, h.sink.soFar().Overheard)
			}
			next.Close()
			synctest.Wait()
			first = h.come("10.0.0.1:1002")
			h.say("for the first")
			if got, gone := first.received(); got != "for the first" || gone || len(h.sink.soFar().Overheard) != 3 {
				t.Errorf("the first client got %q; ignored %q", got, h.sink.soFar().Overheard)
			}
			<-time.After(time.Minute)
			if _, gone := first.received(); gone {
				t.Error("the first client is gone")
			}
		}
	})
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{idle: time.Minute})
		defer h.leave(t)
		<-time.After(time.Hour)
		c := h.come("127.0.0.1:1000")
		for range 3 {
			<-time.After(time.Minute - 1)
			h.say("x")
			<-time.After(time.Minute - 1)
			io.WriteString(c, "y")
			h.hear(t, 1)
			synctest.Wait()
		}
		if _, gone := c.received(); gone {
			t.Fatal("an active client is gone")
		}
		<-time.After(time.Minute)
		if _, gone := c.received(); !gone || h.last()[keyClient] != "" {
			t.Error("an idle client is not gone")
		}
		c = h.come("127.0.0.1:1001")
		<-time.After(time.Minute - 1)
		if _, gone := c.received(); gone {
			t.Error("the next client is gone")
		}
	})
}

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		<-time.After(7 * time.Second)
		c := h.come("127.0.0.1:1000")
		start, before := time.Now(), len(h.sink.soFar().Readings)
		for range 600 {
			h.say("x")
			<-time.After(100 * time.Millisecond)
		}
		synctest.Wait()
		readings := h.sink.soFar().Readings[before:]
		if len(readings) != 6 {
			t.Errorf("%d readings in a minute", len(readings))
		}
		for i, r := range readings {
			if at := r.Time.Sub(start); at != time.Duration(i+1)*10*time.Second {
				t.Errorf("reading after %v", at)
			}
		}
		if last := h.last()[keyReceived]; last.(int64) < 599 {
			t.Errorf("received %v", last)
		}
		// Nothing new is nothing to tell.
		<-time.After(time.Hour)
		if n := len(h.sink.soFar().Readings) - before; n > 7 {
			t.Errorf("%d readings of nothing", n-7)
		}
		c.hangUp()
		if last := h.last(); last[keyReceived] != int64(600) || last[keyClient] != "" {
			t.Errorf("at the end %v", last)
		}
		h.leave(t)
	})
}

// The last words of a stick reach the client, and then the connection ends.
func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		c := h.come("127.0.0.1:1000")
		go func() {
			io.WriteString(h.far, strings.Repeat("x", 5000))
			h.stick.Close()
		}()
		if err := <-h.result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if got, gone := c.received(); len(got) != 5000 || !gone {
			t.Errorf("the client got %d bytes, gone %v", len(got), gone)
		}
		if last := h.last(); last[keyClient] != "" || last[keyReceived] != int64(5000) {
			t.Errorf("at the end %v", last)
		}

		// One who takes nothing does not hold up the end.
		h = lendIn(t, &lender{})
		h.comeSilently("127.0.0.1:1000")
		h.say("some")
		h.say("thing")
		start := time.Now()
		h.stick.Close()
		if err := <-h.result; !errors.Is(err, serialbridge.ErrUnplugged) {
			t.Error(err)
		}
		if d := time.Since(start); d > defaultTiming().stall {
			t.Errorf("ended after %v", d)
		}

		// Nor one who is being written for when the house ends.
		h = lendIn(t, &lender{})
		c = h.come("127.0.0.1:1000")
		io.WriteString(c, "nobody takes this")
		h.leave(t)
		if _, gone := c.received(); !gone {
			t.Error("the client is still connected")
		}
	})
}

func TestStalledClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		defer h.leave(t)
		h.comeSilently("127.0.0.1:1000")
		go func() {
			for range 100 {
				h.far.Write(make([]byte, 1024))
			}
		}()
		<-time.After(defaultTiming().stall - 1)
		if h.last()[keyClient] == "" {
			t.Fatal("gone too early")
		}
		// What waits is little.
		if n := h.last()[keyReceived].(int64); n > 4<<10 {
			t.Errorf("holds %d bytes", n)
		}
		<-time.After(1)
		if h.last()[keyClient] != "" || !slices.Equal(h.sink.soFar().Overheard, []string{"a client was disconnected: 127.0.0.1 took no data for 30s"}) {
			t.Errorf("%v, ignored %q", h.last(), h.sink.soFar().Overheard)
		}
		c := h.come("127.0.0.1:1001")
		h.say("and on")
		if got, _ := c.received(); !strings.HasSuffix(got, "and on") {
			t.Errorf("the next client got %q", got)
		}
	})
}

// A stick that takes no more data has failed, whoever has it.
func TestWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		c := h.come("127.0.0.1:1000")
		deaf := errors.New("the device took no data")
		h.heard.CloseWithError(deaf)
		io.WriteString(c, "x")
		if err := <-h.result; !errors.Is(err, deaf) {
			t.Error(err)
		}
		if _, gone := c.received(); !gone {
			t.Error("the client is still connected")
		}
		h.stick.Close()
	})
}

func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lendIn(t, &lender{})
		h.door.Close()
		if err := <-h.result; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		h.stick.Close()
	})
}
