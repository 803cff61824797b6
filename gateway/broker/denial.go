package broker

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"lintel/gateway/mqtt"
)

// Denial is something that a client was refused: to connect, to publish or to
// subscribe. What is refused again and again is one.
type Denial struct {
	ClientID string
	User     string // whom the session belongs to, or to connect, who the client said it was
	Address  string // where it came from; of the last time
	Action   Action // 0: to connect
	Topic    string // or filter, cut after 256 bytes; empty: to connect
	Code     mqtt.ReasonCode
	Reason   string    // for a person; empty: what Authorize says now
	At       time.Time // the last time
	Count    uint64
}

// What is remembered of what clients were refused. Who is refused a lot pushes out
// nothing but its own.
const (
	maxDenied      = 200 // clients
	maxDenials     = 16  // of one
	maxDenialTopic = 256 // bytes of a topic, and of a reason
)

// denials are what clients were refused lately, by client id.
type denials struct {
	mu      sync.Mutex
	clients map[string]*deniedClient
	turn    uint64
}

type deniedClient struct {
	turn uint64   // the higher the later it was refused something
	list []Denial // the latest last
}

// add remembers a denial. topic is copied if it is kept.
func (d *denials) add(n Denial, topic []byte) {
	topic, n.Reason = topic[:cutAt(topic)], n.Reason[:cutAt(n.Reason)]
	n.At, n.Count = time.Now(), 1
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.clients[n.ClientID]
	if c == nil {
		if d.clients == nil {
			d.clients = make(map[string]*deniedClient)
		}
		if len(d.clients) >= maxDenied {
			d.forgetOne()
		}
		c = new(deniedClient)
		d.clients[strings.Clone(n.ClientID)] = c
	}
	d.turn++
	c.turn = d.turn
	for i := range c.list {
		if old := &c.list[i]; old.Action == n.Action && old.Code == n.Code && old.Reason == n.Reason && old.Topic == string(topic) {
			n = *old
			n.At, n.Count = time.Now(), n.Count+1
			copy(c.list[i:], c.list[i+1:])
			c.list[len(c.list)-1] = n
			return
		}
	}
	n.Topic, n.Reason = string(topic), strings.Clone(n.Reason)
	n.ClientID, n.User = strings.Clone(n.ClientID), strings.Clone(n.User[:cutAt(n.User)])
	if len(c.list) == maxDenials {
		copy(c.list, c.list[1:])
		c.list = c.list[:maxDenials-1]
	}
	c.list = append(c.list, n)
}

// forgetOne forgets the client that was refused nothing for the longest time.
func (d *denials) forgetOne() {
	oldest, turn := "", d.turn+1
	for id, c := range d.clients {
		if c.turn < turn {
			oldest, turn = id, c.turn
		}
	}
	delete(d.clients, oldest)
}

// cutAt is where a text of UTF-8 is cut that is too long.
func cutAt[T string | []byte](s T) int {
	if len(s) <= maxDenialTopic {
		return len(s)
	}
	n := maxDenialTopic
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// of returns the denials of a client, the latest first.
func (d *denials) of(clientID string) []Denial {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.clients[clientID]
	if c == nil {
		return nil
	}
	list := make([]Denial, 0, len(c.list))
	now := time.Now()
	for i := len(c.list) - 1; i >= 0; i-- {
		n := c.list[i]
		n.At = now.Add(-now.Sub(n.At)) // by the wall clock as it is now
		list = append(list, n)
	}
	return list
}

// last returns the latest denial of each client, in no order.
func (d *denials) last() []Denial {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Denial, 0, len(d.clients))
	for _, c := range d.clients {
		list = append(list, c.list[len(c.list)-1])
	}
	return list
}

// Denials returns what a client was refused lately, the latest first: 16 things at most,
// of the 200 clients that were refused something last.
func (b *Broker) Denials(clientID string) []Denial { return b.denials.of(clientID) }

// LastDenials returns what each client was refused last, in no order.
func (b *Broker) LastDenials() []Denial { return b.denials.last() }

// denied remembers that a client was refused a topic or filter.
func (s *session) denied(action Action, topic []byte, address string) {
	s.broker.stats.notAuthorized.Add(1)
	s.broker.denials.add(Denial{ClientID: s.id, User: s.userName(), Address: address, Action: action, Code: mqtt.NotAuthorized}, topic)
}

// deniedConnect remembers that a client was not let in.
func (c *connection) deniedConnect(connect *mqtt.Connect, err error) {
	r := refusalOf(err)
	if r == nil || connect.ClientID == "" {
		return
	}
	n := Denial{ClientID: connect.ClientID, User: connect.UserName, Address: c.net.RemoteAddr().String(), Code: r.Code, Reason: r.why()}
	if r.Code == mqtt.ServerShuttingDown {
		return
	}
	if n.Reason == "" {
		n.Reason = err.Error()
	}
	c.broker.denials.add(n, nil)
}
