package broker

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"lintel/gateway/mqtt"
)

// inProcess is the address of those who are not on a socket.
const inProcess = "in-process"

// houseUser is whom the sessions of Dial belong to. No user of a client on a socket can
// have U+0000 in the name [v5 MQTT-1.5.4-2].
const houseUser = "\x00house"

// Dial returns a connection in memory to the broker, for a part of the house that needs
// a session that outlives it: it says CONNECT like any client. Like the clients of
// NewClient it is trusted with its client id and not authenticated, and Authorize gets
// nothing but InProcess, ClientID and Version. A session of somebody else with this client
// id ends. It lasts until it is closed, or ctx or the broker ends.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	if !b.begin() {
		return nil, &mqtt.Error{Code: mqtt.ServerShuttingDown}
	}
	near, far := net.Pipe()
	go func() {
		defer b.running.Done()
		b.serveConn(ctx, houseConn{far}, "")
	}()
	return near, nil
}

// houseConn is the broker's end of a connection that Dial made.
type houseConn struct{ net.Conn }

func (houseConn) RemoteAddr() net.Addr { return houseAddr{} }

type houseAddr struct{}

func (houseAddr) Network() string { return "memory" }
func (houseAddr) String() string  { return inProcess }

// inHouse reports whether the connection was made by Dial.
func (c *connection) inHouse() bool {
	_, ok := c.net.(houseConn)
	return ok
}

// Session returns what is known of the session with a client id.
func (b *Broker) Session(clientID string) (info ClientInfo, ok bool) {
	b.mu.Lock()
	s := b.sessions[clientID]
	b.mu.Unlock()
	if s == nil {
		return info, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info(), true
}

// SessionFilters returns the filters that the session with a client id is subscribed to.
func (b *Broker) SessionFilters(clientID string) []string {
	b.mu.Lock()
	s := b.sessions[clientID]
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.subscriptions))
}

// MaxPacketSize is the limit of the options.
func (b *Broker) MaxPacketSize() int { return b.options.MaxPacketSize }

// HouseSessions returns the client ids of the sessions that were made over Dial.
func (b *Broker) HouseSessions() (ids []string) {
	b.eachSession(func(s *session) {
		if s.userName() == houseUser {
			ids = append(ids, s.id)
		}
	})
	return ids
}

// Takes reports whether a client may publish to a valid topic name at all.
func (b *Broker) Takes(topic string) bool {
	return !strings.HasPrefix(topic, "$") && levels(topic) <= b.options.MaxTopicLevels
}

// Retained returns the retained message of a topic.
func (b *Broker) Retained(topic string) (m mqtt.Message, ok bool) {
	found := b.retained.get(topic)
	if found == nil {
		return m, false
	}
	m = found.Message
	m.Expires, m.Provisional = found.expires(), false
	return m, true
}

// RetainedFor returns for how long a topic has had its retained message; false: there is
// none, or it was there at the start.
func (b *Broker) RetainedFor(topic string) (age time.Duration, known bool) {
	b.retained.mu.RLock()
	defer b.retained.mu.RUnlock()
	n := b.retained.root.find(topic)
	if n == nil || n.message == nil || n.since == 0 {
		return 0, false
	}
	return time.Since(b.started) - n.since, true
}

// RetainedTopics returns the topics that match a valid filter, without a share name, and
// have a retained message, in no order.
func (b *Broker) RetainedTopics(filter string) (topics []string) {
	w := b.retained.walk(filter)
	for more := true; more; {
		var found []*message
		found, more = w.next()
		for _, m := range found {
			topics = append(topics, m.Topic)
		}
	}
	return topics
}
