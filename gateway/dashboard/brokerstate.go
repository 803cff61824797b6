package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lintel/gateway/broker"
	"lintel/gateway/uplink"
)

// brokerRoutes are those of the broker as a whole.
func (s *Server) brokerRoutes() []route {
	if s.o.MQTT == nil {
		return nil
	}
	return []route{
		{pattern: "GET /broker", level: viewer, serve: s.live(s.brokerPage())},
		{pattern: "GET /api/broker", level: viewer, call: gives(s, s.showBroker)},
	}
}

// BrokerListener is where the broker is reached.
type BrokerListener struct {
	Scheme      string `json:"scheme"` // mqtt, mqtts, ws, wss or unix
	Address     string `json:"address"`
	Name        string `json:"-"` // as [broker.ConnectRequest] has it
	Connections int    `json:"connections"`
}

// BrokerState is what GET /api/broker tells.
type BrokerState struct {
	Counters
	SubscriptionsShared int              `json:"subscriptions_shared"`
	RetainedBytes       int64            `json:"retained_bytes"`
	Queued              int              `json:"queued"` // messages that wait in sessions, those in flight included
	QueuedBytes         int64            `json:"queued_bytes"`
	QueuedMemory        int64            `json:"queued_bytes_in_memory"`
	SessionsOffline     int              `json:"sessions_offline"`
	SessionsExpired     uint64           `json:"sessions_expired"`
	NotAuthorized       uint64           `json:"not_authorized"`
	Limits              []Counter        `json:"limits"`     // what went over, by limit
	Throughput          []Rates          `json:"throughput"` // of the last hour, the oldest first
	Listeners           []BrokerListener `json:"listeners"`
	Slow                []BrokerClient   `json:"slow"` // who does not keep up, the worst first
	Shares              []Share          `json:"shares"`
	Uplinks             []uplink.Status  `json:"uplinks"`
}

// Share is the group of a shared subscription.
type Share struct {
	Name    string        `json:"name"`
	Filter  string        `json:"filter"`
	Members []ShareMember `json:"members"`
	Waiting int           `json:"waiting"` // messages that came by it and wait in memory
	More    bool          `json:"more"`    // others may wait in the store
}

// ShareMember is a client that takes part.
type ShareMember struct {
	Client    string `json:"client"`
	Connected bool   `json:"connected"`
	QoS       byte   `json:"qos"`
	Queued    int    `json:"queued"` // messages that wait for it, however they came
}

const (
	maxBehind = 20 // clients that do not keep up
)

// brokerState asks the broker.
func (s *Server) brokerState() BrokerState {
	stats, now := s.o.Stats(), time.Now()
	clients := s.o.MQTT.Clients()
	b := BrokerState{
		Counters: counters(stats), SubscriptionsShared: stats.SharedSubscriptions, RetainedBytes: stats.RetainedBytes,
		Queued: stats.Queued, QueuedBytes: stats.QueuedBytes, QueuedMemory: stats.QueuedMemory,
		SessionsOffline: stats.SessionsOffline, SessionsExpired: stats.SessionsExpired, NotAuthorized: stats.NotAuthorized,
		Limits: []Counter{}, Throughput: s.pulse.rates(now), Listeners: s.brokerListeners(clients),
		Slow: slowClients(clients, s.rates.of(now, clients)), Shares: []Share{}, Uplinks: []uplink.Status{},
	}
	for limit, n := range stats.Exceeded {
		if n > 0 {
			b.Limits = append(b.Limits, Counter{broker.Limit(limit).String(), n})
		}
	}
	for _, g := range s.o.MQTT.Shares() {
		name, filter, _ := strings.Cut(strings.TrimPrefix(g.Filter, "$share/"), "/")
		share := Share{Name: name, Filter: filter, Members: []ShareMember{}, Waiting: g.Waiting, More: g.More}
		for _, m := range g.Members {
			share.Members = append(share.Members, ShareMember{m.ClientID, m.Connected, m.QoS, m.Queued})
		}
		b.Shares = append(b.Shares, share)
	}
	b.Uplinks = append(b.Uplinks, s.o.Uplinks()...)
	return b
}

// brokerListeners counts who came by each.
func (s *Server) brokerListeners(clients []broker.ClientInfo) []BrokerListener {
	list := append([]BrokerListener{}, s.o.MQTTListeners()...)
	for i := range clients {
		if !clients[i].Connected {
			continue
		}
		if at := slices.IndexFunc(list, func(l BrokerListener) bool { return l.Name == clients[i].Listener }); at >= 0 {
			list[at].Connections++
		}
	}
	return list
}

// slowClients returns those who do not keep up: their socket takes nothing, messages were
// dropped for them, or many wait.
func slowClients(clients []broker.ClientInfo, rate func(string) clientRate) []BrokerClient {
	waits := func(c *broker.ClientInfo) int {
		if c.Connected {
			return c.Queued - c.InFlight
		}
		return c.Queued
	}
	slow := slices.Clone(clients)
	slow = slices.DeleteFunc(slow, func(c broker.ClientInfo) bool { return !c.Blocked && c.Dropped == 0 && waits(&c) == 0 })
	slices.SortFunc(slow, func(a, b broker.ClientInfo) int {
		return cmp.Or(first(a.Blocked, b.Blocked), cmp.Compare(waits(&b), waits(&a)), cmp.Compare(b.Dropped, a.Dropped), cmp.Compare(a.ID, b.ID))
	})
	list := []BrokerClient{}
	for i := range slow[:min(len(slow), maxBehind)] {
		list = append(list, brokerClient(&slow[i], rate(slow[i].ID)))
	}
	return list
}

func (s *Server) showBroker(*request) (BrokerState, error) { return s.brokerState(), nil }
