package broker_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// pi is a machine without a battery: each start sets its clock to 1970.
type pi struct {
	mu      sync.Mutex
	boot    int
	started time.Time
	wall    time.Time // what the clock showed
	at      time.Time // then
}

func (p *pi) start() {
	p.mu.Lock()
	p.boot++
	p.started = time.Now()
	p.mu.Unlock()
	p.set(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
}

func (p *pi) set(wall time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wall, p.at = wall, time.Now()
}

// network tells the time, so many years wrong.
func (p *pi) network(years int) {
	p.set(time.Now().AddDate(27+years, 0, 0)) // bubbles begin in 2000
}

func (p *pi) read() persist.Reading {
	p.mu.Lock()
	defer p.mu.Unlock()
	return persist.Reading{Boot: fmt.Sprint("boot ", p.boot), Up: time.Since(p.started), Wall: p.wall.Add(time.Since(p.at)).Round(0)}
}

// A box is off for an hour and starts in 1970. Nothing ends before the network tells the
// time, and then what has ended in that hour: sessions, messages that wait, retained
// ones, and delays of wills. What is not over ends when it should, and wrong answers
// of the network, or steps of the clock, end nothing.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, box := t.TempDir(), new(pi)
		start := func() *server { return machineServer(t, dir, broker.Options{}, box.read) }
		// The first boots are there so that the store knows the time.
		for range 2 {
			box.start()
			s := start()
			box.network(0)
			time.Sleep(25 * time.Second)
			box.set(box.read().Wall.Add(30 * time.Millisecond)) // as every hour
			time.Sleep(25 * time.Second)
			s.stop()
		}
		s := start()
		from := pipe(t, s, clean(mqtt.V50, "from"))
		for _, x := range []struct {
			id      string
			seconds uint32
		}{{"over", 1800}, {"soon", 7200}, {"ever", persist.NeverExpires}} {
			c := pipe(t, s, expiring(mqtt.V50, x.id, x.seconds))
			c.subscribe(filter("q", 1))
			c.bye()
		}
		watch := pipe(t, s, durable(mqtt.V50, "watch"))
		watch.subscribe(filter("will/#", 1))
		watch.bye()
		pipe(t, s, willing(expiring(mqtt.V50, "early", 10_000), 1800)).vanish()
		pipe(t, s, willing(expiring(mqtt.V50, "late", 10_000), 7200)).vanish()
		for _, seconds := range []uint32{1800, 7200, 0} {
			for _, retain := range []bool{false, true} {
				m := pub("q", fmt.Sprint(seconds), 1, 1)
				if m.Retain = retain; retain {
					m.Topic = fmt.Append(nil, "r/", seconds)
				}
				m.HasExpiry, m.Expiry = seconds > 0, seconds
				from.exchange(m)
			}
		}
		s.stop()

		time.Sleep(time.Hour)
		box.start()
		s = start()
		up := time.Now()
		count := func(sessions, queued, retained int) {
			t.Helper()
			synctest.Wait()
			if n := s.Stats(); n.Sessions != sessions || n.Queued != queued || n.Retained != retained {
				t.Errorf("%v after the start: %d sessions, %d queued, %d retained, want %d, %d, %d", time.Since(up), n.Sessions, n.Queued, n.Retained, sessions, queued, retained)
			}
		}
		count(6, 9, 3)
		time.Sleep(20 * time.Minute)
		count(6, 9, 3)
		box.network(0)
		time.Sleep(25 * time.Second)
		// "over" is gone, and of the other two queues what had half an hour; the
		// will of "early" came for "watch".
		count(5, 5, 2)
		for _, years := range []int{1, -1, 40, 0} {
			box.network(years)
			time.Sleep(time.Minute)
		}
		box.set(box.read().Wall.Add(-5 * time.Minute))
		time.Sleep(time.Minute)
		count(5, 5, 2)

		watch = pipe(t, s, durable(mqtt.V50, "watch"))
		watch.wantWill("early")
		watch.barrier()
		ever := pipe(t, s, expiring(mqtt.V50, "ever", persist.NeverExpires))
		left := 7200 - 3600 - int(time.Since(up)/time.Second)
		ever.take(2, func(i int, m *mqtt.Publish) {
			if want := []string{"7200", "0"}[i]; string(m.Payload) != want {
				t.Errorf("received %s, want %s", m.Payload, want)
			}
			if i == 0 && (int(m.Expiry) < left-1 || int(m.Expiry) > left+1) {
				t.Errorf("expires in %d s, want %d", m.Expiry, left)
			}
		})
		ever.barrier()
		ever.bye()
		// The other two hours end when they should: two hours after they began.
		time.Sleep(time.Hour - time.Since(up) - time.Minute)
		count(5, 2, 2)
		time.Sleep(3 * time.Minute)
		count(4, 1, 1)
		watch.wantWill("late")
		watch.bye()
	})
}

// A session that is back before the time is known stays, and counts from when it
// goes.
func TestClockJumpsForWhoIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, box := t.TempDir(), new(pi)
		start := func() *server { return machineServer(t, dir, broker.Options{}, box.read) }
		box.start()
		s := start()
		box.network(0)
		time.Sleep(25 * time.Second)
		box.set(box.read().Wall.Add(30 * time.Millisecond))
		time.Sleep(25 * time.Second)
		back := pipe(t, s, expiring(mqtt.V50, "back", 1800))
		back.bye()
		s.stop()
		time.Sleep(time.Hour)
		box.start()
		s = start()
		here := pipe(t, s, expiring(mqtt.V50, "back", 1800))
		if !here.connack.SessionPresent {
			t.Error("the session was over before the time was known")
		}
		box.network(0)
		time.Sleep(time.Minute)
		here.barrier()
		here.bye()
		time.Sleep(20 * time.Minute)
		here = pipe(t, s, expiring(mqtt.V50, "back", 1800))
		if !here.connack.SessionPresent {
			t.Error("the session is over too early")
		}
		here.bye()
	})
}

// What is swapped out of a long queue ends with the rest.
func TestClockJumpsForALongQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, box := t.TempDir(), new(pi)
		start := func() *server { return machineServer(t, dir, broker.Options{}, box.read) }
		box.start()
		s := start()
		box.network(0)
		time.Sleep(25 * time.Second)
		box.set(box.read().Wall.Add(30 * time.Millisecond))
		time.Sleep(25 * time.Second)
		away := pipe(t, s, durable(mqtt.V50, "away"))
		away.subscribe(filter("q", 1))
		away.bye()
		from := pipe(t, s, clean(mqtt.V50, "from"))
		const n = 600
		for i := range n {
			m := pub("q", "x", 1, 1)
			m.HasExpiry, m.Expiry = true, 1800
			if i%100 == 99 {
				m.Expiry = 7200
			}
			from.exchange(m)
		}
		s.stop()
		time.Sleep(time.Hour)
		box.start()
		s = start()
		time.Sleep(20 * time.Minute)
		if got := s.Stats().Queued; got != n {
			t.Errorf("%d messages wait before the time is known", got)
		}
		box.network(0)
		time.Sleep(3 * time.Minute)
		if got := s.Stats().Queued; got != n/100 {
			t.Errorf("%d messages wait, want %d", got, n/100)
		}
		time.Sleep(time.Hour)
		if got := s.Stats().Queued; got != 0 {
			t.Errorf("%d messages wait after their time", got)
		}
	})
}

// The order of messages is that of their ids, whatever the clock shows when they come
// and are loaded.
func TestOrderDoesNotFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, box := t.TempDir(), new(pi)
		box.start()
		const n = 5
		for i, years := range []int{0, 2, -20, 1, -1} {
			s := machineServer(t, dir, broker.Options{}, box.read)
			if i == 0 {
				to := pipe(t, s, durable(mqtt.V50, "to"))
				to.subscribe(filter("q", 2))
				to.bye()
			}
			box.network(years)
			from := pipe(t, s, clean(mqtt.V50, "from"))
			from.publish("q", fmt.Sprint(2*i), 1, false)
			time.Sleep(time.Minute)
			from.publish("q", fmt.Sprint(2*i+1), 1, false)
			from.bye()
			s.stop()
			if i%2 == 1 {
				box.start()
			}
		}
		s := machineServer(t, dir, broker.Options{}, box.read)
		to := pipe(t, s, durable(mqtt.V50, "to"))
		to.take(2*n, func(i int, m *mqtt.Publish) {
			if string(m.Payload) != fmt.Sprint(i) {
				t.Errorf("message %d is %s", i, m.Payload)
			}
		})
		to.bye()
	})
}
