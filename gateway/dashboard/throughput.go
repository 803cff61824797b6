package dashboard

import (
	"sync"
	"time"

	"lintel/gateway/broker"
)

// Rates are what went through the broker in ten seconds, per second.
type Rates struct {
	Time        time.Time `json:"time"` // when they ended
	MessagesIn  float64   `json:"messages_in"`
	MessagesOut float64   `json:"messages_out"`
	BytesIn     float64   `json:"bytes_in"`
	BytesOut    float64   `json:"bytes_out"`
}

// rates returns those of the last hour, the oldest first. They run on monotonic time: the
// clock may be set meanwhile.
func (p *pulse) rates(now time.Time) []Rates {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []Rates{}
	for i := 1; i < len(p.beats); i++ {
		a, b := &p.beats[i-1], &p.beats[i]
		seconds := b.at.Sub(a.at).Seconds()
		if seconds <= 0 {
			continue
		}
		list = append(list, Rates{now.Add(-now.Sub(b.at)), float64(b.received-a.received) / seconds, float64(b.sent-a.sent) / seconds,
			float64(b.bytesReceived-a.bytesReceived) / seconds, float64(b.bytesSent-a.bytesSent) / seconds})
	}
	return list
}

// clientRates are the rates of clients while somebody looks: what they sent and got
// between the last two times that they were counted, five seconds apart at least.
type clientRates struct {
	mu       sync.Mutex
	now, was clientCounts
}

type clientCounts struct {
	at      time.Time
	clients map[string]clientCount
}

type clientCount struct{ received, sent uint64 }

// clientRate is messages per second; Known is false until there was time to find out.
type clientRate struct {
	In, Out float64
	Known   bool
}

const (
	clientRateLeast = 5 * time.Second
	clientRateMost  = time.Minute // what is older says nothing of now
)

// of returns the rate of each of clients, which are all that there are, and counts them if
// it is time.
func (c *clientRates) of(now time.Time, clients []broker.ClientInfo) func(id string) clientRate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.now.at) >= clientRateLeast {
		c.was, c.now = c.now, clientCounts{now, make(map[string]clientCount, len(clients))}
		for i := range clients {
			c.now.clients[clients[i].ID] = clientCount{clients[i].Received, clients[i].Sent}
		}
	}
	last, before := c.now, c.was
	span := last.at.Sub(before.at)
	return func(id string) clientRate {
		b, known := before.clients[id]
		a, there := last.clients[id]
		if !known || !there || span > clientRateMost || a.received < b.received || a.sent < b.sent {
			return clientRate{}
		}
		return clientRate{float64(a.received-b.received) / span.Seconds(), float64(a.sent-b.sent) / span.Seconds(), true}
	}
}
