package broker_test

import (
	"strconv"
	"testing"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/mqtt"
	"lintel/persist"
)

// quiet returns when the store has answered nobody for so long that who comes next is
// not taken for one who sends one message after the other.
func (c *rawClient) quiet() {
	c.t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Millisecond; {
		c.barrier()
	}
}

// What several clients say to one who is away shares a commit.
func TestMessagesToOneAwayShareACommit(t *testing.T) {
	s := startServerWith(t, t.TempDir(), broker.Options{}, persist.Options{Sparing: time.Hour})
	away := connect(t, s, durable(mqtt.V50, "away"))
	away.subscribe(filter("t", 1))
	away.bye()
	var from []*rawClient
	for i := range 8 {
		from = append(from, connect(t, s, clean(mqtt.V311, strconv.Itoa(i))))
	}
	// Who has just been answered is not waited with: that the session is away has to be stored.
	eventually(t, "the session to be away", func() bool {
		info, _ := s.Session("away")
		return !info.Connected && s.Stats().Store.PendingOperations == 0
	})
	from[0].quiet()
	before := s.Stats().Store
	for _, c := range from {
		c.send(pub("t", "x", 1, 1))
	}
	for _, c := range from {
		c.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	}
	if groups, _ := written(s, before); groups != 1 {
		t.Errorf("%d commits", groups)
	}
}

// A client that is there does not wait for a message because another is away.
func TestNobodyWaitsForAMessageToShareACommit(t *testing.T) {
	s := startServerWith(t, t.TempDir(), broker.Options{}, persist.Options{Sparing: time.Hour})
	away, there := connect(t, s, durable(mqtt.V50, "away")), connect(t, s, durable(mqtt.V50, "there"))
	away.subscribe(filter("t", 1))
	away.bye()
	there.subscribe(filter("t", 2))
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.quiet()
	from.send(pub("t", "x", 2, 1))
	there.wantMessage("t", "x", 2)
	from.wantAck(mqtt.PUBREC, 1, mqtt.Success)
	from.quiet()
	from.send(pub("t", "y", 1, 2))
	there.wantMessage("t", "y", 1)
}

// A retained message that nobody else waits for is on the disk when it is acknowledged.
func TestRetainedIsStoredWhenAcknowledged(t *testing.T) {
	s := newServer(t)
	from := connect(t, s, clean(mqtt.V311, "from"))
	from.quiet()
	before := s.Stats().Store
	m := pub("t", "x", 1, 1)
	m.Retain = true
	from.send(m)
	from.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	if now := s.Stats().Store; now.Groups != before.Groups+1 || now.PendingOperations != 0 {
		t.Errorf("acknowledged after %d commits with %d operations to be written", now.Groups-before.Groups, now.PendingOperations)
	}
}
