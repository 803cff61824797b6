package broker_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// written is what the store wrote since.
func written(s *server, since persist.Stats) (groups, bytes uint64) {
	now := s.Stats().Store
	return now.Groups - since.Groups, now.BytesWritten - since.BytesWritten
}

// What all persistent subscribers have acknowledged is acknowledged to the publisher
// and never written, be they one or several, in the share or not: it needs no deadline.
func TestAcknowledgedIsNotWritten(t *testing.T) {
	forVersions(t, func(t *testing.T, v mqtt.Version) {
		s := startServerWith(t, t.TempDir(), broker.Options{}, persist.Options{Patience: time.Hour})
		from := connect(t, s, durable(v, "from"))
		var to []*rawClient
		for i := range 3 {
			c := connect(t, s, durable(v, strconv.Itoa(i)))
			c.subscribe(filter([]string{"t", "+", "$share/g/#"}[i], 1))
			to = append(to, c)
		}
		late := connect(t, s, clean(v, "late")) // has no session to keep for
		late.subscribe(filter("t", 1))
		before := s.Stats().Store
		const n = 20
		for i := range n {
			id := uint16(i + 1)
			from.send(pub("t", "x", 1, id))
			for _, c := range to {
				c.take(1, func(int, *mqtt.Publish) {})
			}
			from.wantAck(mqtt.PUBACK, id, mqtt.Success)
		}
		eventually(t, "nothing is pending", func() bool { return s.Stats().Store.PendingOperations == 0 })
		// On a machine that is very busy an acknowledgement may wait so long for the
		// next one that it has to be written.
		if groups, bytes := written(s, before); groups > n/4 {
			t.Errorf("%d bytes in %d groups written", bytes, groups)
		}
		now := s.Stats().Store
		if now.Elided-before.Elided < 2*3*n*3/4 || now.BytesElided == before.BytesElided {
			t.Errorf("elided: %+v, before %+v", now, before)
		}
	}, mqtt.V311, mqtt.V50)
}

// A subscriber that does not acknowledge, or goes away, holds nobody up for long, and
// gets its message again.
func TestNotAcknowledgedIsWritten(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprint("leaves=", leaves), func(t *testing.T) {
			l := newLasting(t, broker.Options{})
			from, to := connect(t, l.server, clean(mqtt.V50, "from")), connect(t, l.server, durable(mqtt.V50, "to"))
			to.subscribe(filter("t", 1))
			before := l.Stats().Store
			from.send(pub("t", "x", 1, 1))
			to.wantMessage("t", "x", 1)
			if leaves {
				to.drop()
			}
			from.wantAck(mqtt.PUBACK, 1, mqtt.Success)
			if now := l.Stats().Store; now.Entries != before.Entries+1 {
				t.Errorf("acknowledged with %d entries in the store", now.Entries)
			}
			if !leaves {
				to.drop()
			}
			l.restart()
			to = connect(t, l.server, durable(mqtt.V50, "to"))
			if m := to.wantMessage("t", "x", 1); !m.Dup {
				t.Error("sent again without DUP")
			}
		})
	}
}

// Only what is with the clients may wait for them: a message that is queued for one
// is written before it is acknowledged, with the entries of the others.
func TestQueuedIsWritten(t *testing.T) {
	s := newServer(t)
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("t", 1))
	away.bye()
	from, to := connect(t, s, clean(mqtt.V50, "from")), connect(t, s, durable(mqtt.V50, "to"))
	to.subscribe(filter("t", 1))
	before := s.Stats().Store
	const n = 10
	for i := range n {
		from.send(pub("t", "x", 1, uint16(i+1)))
		from.wantAck(mqtt.PUBACK, uint16(i+1), mqtt.Success)
	}
	now := s.Stats().Store
	if now.Groups-before.Groups != n || now.Entries-before.Entries != 2*n {
		t.Errorf("%d groups, %d entries", now.Groups-before.Groups, now.Entries-before.Entries)
	}
}

// A retained message and its deliveries are one commit.
func TestRetainedMessageIsOneCommit(t *testing.T) {
	s := newServer(t)
	from, to := connect(t, s, clean(mqtt.V50, "from")), connect(t, s, durable(mqtt.V50, "to"))
	to.subscribe(filter("t", 1))
	for _, topic := range []string{"t", "nobody"} {
		before := s.Stats().Store
		const n = 50
		for i := range n {
			m := pub(topic, "x", 1, uint16(i+1))
			m.Retain = true
			from.send(m)
			from.wantAck(mqtt.PUBACK, uint16(i+1), mqtt.Success)
		}
		if groups, _ := written(s, before); groups != n {
			t.Errorf("%s: %d commits of %d messages", topic, groups, n)
		}
	}
}

// Messages that wait for their subscribers, for the store and for nothing are
// acknowledged in their order.
func TestAcknowledgementsKeepTheirOrderWhenSomeAreWaitedFor(t *testing.T) {
	s := newServer(t)
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("stored", 1))
	away.bye()
	from, to := connect(t, s, clean(mqtt.V50, "from")), connect(t, s, durable(mqtt.V50, "to"))
	to.subscribe(filter("sent", 1))
	topics := []string{"sent", "nobody", "sent", "stored", "sent", "nobody"}
	for round := range 20 {
		for i, topic := range topics {
			from.send(pub(topic, "x", 1, uint16(i+1)))
		}
		if round%2 == 0 {
			to.take(3, func(int, *mqtt.Publish) {})
		}
		for i := range topics {
			from.wantAck(mqtt.PUBACK, uint16(i+1), mqtt.Success)
		}
		if round%2 == 1 {
			to.take(3, func(int, *mqtt.Publish) {})
		}
	}
}

// A retained message of QoS 0 that gives way to another before it is written counts
// as coalesced.
func TestCoalescedRetained(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V50, "from"))
	for _, payload := range []string{"123", "12345", "1"} {
		from.publish("topic", payload, 0, true)
	}
	// Should they be written in between, one of them is not replaced in time.
	if n := s.Stats().Store.BytesCoalesced; n != 5+3+5+5 && n != 5+3 && n != 5+5 {
		t.Errorf("%d bytes coalesced", n)
	}
}

// $SYS and the store count the same.
func TestStoreCountersOnSys(t *testing.T) {
	s := startServer(t, t.TempDir(), broker.Options{SysInterval: 1 << 40})
	stored := s.Stats().Store
	c := connect(t, s, clean(mqtt.V50, "c"))
	for topic, want := range map[string]uint64{
		"store/bytes/written":   stored.BytesWritten,
		"store/bytes/elided":    stored.BytesElided,
		"store/bytes/coalesced": stored.BytesCoalesced,
		"store/groups":          stored.Groups,
		"store/commit/p99":      uint64(stored.Commits.Quantile(0.99).Microseconds()),
	} {
		c.subscribe(filter("$SYS/broker/"+topic, 0))
		c.wantMessage("$SYS/broker/"+topic, strconv.FormatUint(want, 10), 0)
	}
}
