package dashboard

import (
	"slices"
	"testing"
	"time"

	"lintel/gateway/broker"
)

func TestPulse(t *testing.T) {
	var p pulse
	begin := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	asked := 0
	var now []broker.ClientInfo
	clients := func() []broker.ClientInfo { asked++; return now }
	look := func(after time.Duration, received, dropped uint64) {
		p.look(begin.Add(after), broker.Stats{PublishReceived: received, PublishDropped: dropped}, clients)
	}
	now = []broker.ClientInfo{{ID: "old", Dropped: 5}, {ID: "calm"}}
	look(0, 100, 5)
	if got := p.perMinute(begin.Add(time.Second), 200); got >= 0 {
		t.Errorf("after a second there are %d messages a minute", got)
	}
	for i := range 12 {
		look(time.Duration(i+1)*10*time.Second, 100+uint64(i+1)*10, 5)
	}
	if got := p.perMinute(begin.Add(120*time.Second), 220); got != 60 {
		t.Errorf("%d messages a minute", got)
	}
	if dropped, slow := p.lately(); dropped != 0 || len(slow) != 0 {
		t.Errorf("left out before there was anybody to see it: %d by %v", dropped, slow)
	}
	if asked != 1 {
		t.Errorf("clients were asked for %d times, and nothing was left out", asked)
	}
	now = []broker.ClientInfo{{ID: "old", Dropped: 5}, {ID: "slow", Dropped: 2}, {ID: "calm"}}
	look(130*time.Second, 230, 7)
	if dropped, slow := p.lately(); dropped != 2 || !slices.Equal(slow, []string{"slow"}) {
		t.Errorf("left out: %d by %v", dropped, slow)
	}
	for i := range 400 {
		look(140*time.Second+time.Duration(i)*pulseInterval, 230, 7)
	}
	if dropped, slow := p.lately(); dropped != 0 || len(slow) != 0 {
		t.Errorf("an hour later: %d by %v", dropped, slow)
	}
	if most := int(pulseSpan/pulseInterval) + 2; len(p.beats) > most {
		t.Errorf("%d beats are remembered", len(p.beats))
	}
}
