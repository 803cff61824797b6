package broker_test

import (
	"strings"
	"testing"

	"lintel/gateway/mqtt"
)

// A session whose end CONNACK has told of does not come back, though the store has
// much to write before it gets there.
func TestKilledAfterSessionEnded(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V50} {
		t.Run(versionName(v), func(t *testing.T) {
			dir := t.TempDir()
			addr, kill := startVictim(t, dir)
			s := &server{Addr: addr}
			for _, id := range []string{"ended", "away"} {
				c := connect(t, s, durable(v, id))
				c.subscribe(filter("t", 1))
				c.bye()
			}
			from := connect(t, s, clean(v, "from"))
			for i := range 100 {
				from.send(pub("t", strings.Repeat("x", 30<<10), 1, uint16(i+1)))
			}
			connect(t, s, clean(v, "ended"))
			kill()
			addr, _ = startVictim(t, dir)
			if c := connect(t, &server{Addr: addr}, durable(v, "ended")); c.connack.SessionPresent {
				t.Error("the session is there again")
			}
		})
	}
}
