package fakehome

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"lintel/gateway/mqtt"
)

// maxPerSubscribe is how many filters without wildcards go into one SUBSCRIBE.
const maxPerSubscribe = 500

// platforms are the components for which Home Assistant subscribes.
var platforms = strings.Fields(`alarm_control_panel binary_sensor button camera climate cover device_automation
	device_tracker event fan humidifier image lawn_mower light lock notify number scene siren select sensor
	switch tag text update vacuum valve water_heater`)

// integrations are the topics of other integrations that it subscribes to besides.
var integrations = []string{"drop_connect/discovery/#", "dsmr/#", "esphome/discover/#", "fully/deviceInfo/+", "inels/status/#",
	"pglab/discovery/#", "cloudapp/QBUSMQTTGW/state", "cloudapp/QBUSMQTTGW/config", "cloudapp/QBUSMQTTGW/+/state", "tasmota/discovery/#"}

// life is Home Assistant from a start to a stop. Home.mu guards all of it.
type life struct {
	h        *Home
	entry    Entry
	clientID string
	politely bool
	over     chan struct{} // closed when it is

	client        *client // nil: not connected
	connected     bool
	born          bool // online was said since
	lastDiscovery time.Time
	lastSubscribe time.Time

	subscriptions map[string][]*subscription // by filter, in the order of their making
	toSubscribe   map[string]bool            // filters that a SUBSCRIBE is due for
	subscribing   bool                       // that is planned

	loaded   map[string]time.Time // platforms, and from when on their code is there
	pending  map[component]*[]*document
	known    map[component]*entity // already discovered
	entities map[string]*entity    // by platform and unique id: all that were added
}

// subscription is one listener to a filter. Home Assistant gives it the retained message
// of a topic once for each connection.
type subscription struct {
	filter string
	got    func(message)
	seen   map[string]bool // topics whose retained message it had
}

type message struct {
	topic   string
	payload string
	retain  bool
}

func newLife(h *Home, e Entry) *life {
	l := &life{h: h, entry: e, clientID: clientID(), politely: true, over: make(chan struct{}),
		subscriptions: make(map[string][]*subscription), toSubscribe: make(map[string]bool),
		loaded: make(map[string]time.Time), pending: make(map[component]*[]*document),
		known: make(map[component]*entity), entities: make(map[string]*entity)}
	for _, prefix := range platforms {
		l.subscribe(h.o.Prefix+"/"+prefix+"/+/config", l.discovered)
		l.subscribe(h.o.Prefix+"/"+prefix+"/+/+/config", l.discovered)
	}
	l.subscribe(h.o.Prefix+"/device/+/config", l.discovered)
	l.subscribe(h.o.Prefix+"/device/+/+/config", l.discovered)
	l.subscribe(h.o.Prefix+"/status", func(message) {})
	for _, filter := range integrations {
		l.subscribe(filter, func(message) {})
	}
	return l
}

// run connects again and again until ctx ends, Home changes or the broker says "not authorized".
func (l *life) run(ctx context.Context, changed <-chan struct{}) {
	t := l.h.o.Timing
	for {
		l.connection(ctx, changed)
		l.h.mu.Lock()
		var retry <-chan time.Time
		if !l.h.stopped {
			retry = time.After(t.Retry)
		}
		l.h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			return
		case <-retry:
		}
	}
}

// connection is one connection from its beginning to its end.
func (l *life) connection(ctx context.Context, changed <-chan struct{}) {
	h := l.h
	status := mqtt.Message{Topic: h.o.Prefix + "/status", Payload: []byte("offline")}
	dialing, cancel := context.WithCancel(ctx)
	defer cancel()
	interrupted := make(chan struct{})
	go func() {
		defer close(interrupted)
		select {
		case <-changed:
			cancel()
		case <-dialing.Done():
		}
	}()
	c, code, err := dial(dialing, l.entry, clientOptions{l.clientID, h.o.Timing.KeepAlive, &status})
	cancel()
	<-interrupted
	if err != nil {
		h.log.Debug("not connected", "err", err)
		return
	}
	if code != 0 {
		c.close(false)
		h.mu.Lock()
		h.refusals++
		// For good: the codes for a wrong login and for "not authorized".
		h.stopped = h.stopped || code == 4 || code == 5
		h.mu.Unlock()
		h.log.Info("connection refused", "code", code)
		return
	}
	h.mu.Lock()
	l.client, l.connected = c, true
	for _, filter := range slices.Sorted(maps.Keys(l.subscriptions)) {
		l.toSubscribe[filter] = true
		for _, s := range l.subscriptions[filter] {
			clear(s.seen)
		}
	}
	l.lastDiscovery, l.lastSubscribe = time.Now(), time.Now()
	l.planSubscribe()
	h.mu.Unlock()
	h.log.Debug("connected")

	lost := make(chan struct{})
	go func() {
		defer close(lost)
		l.read(c)
	}()
	ping := time.NewTicker(h.o.Timing.KeepAlive)
	defer ping.Stop()
	birth := time.NewTimer(h.o.Timing.Cooldown)
	defer birth.Stop()
	politely := false
	for alive := true; alive; {
		select {
		case <-lost:
			alive = false
		case <-ping.C:
			c.send([]byte{byte(mqtt.PINGREQ) << 4, 0})
		case <-birth.C:
			if wait := l.birth(c); wait > 0 {
				birth.Reset(wait)
			}
		case <-ctx.Done():
			alive, politely = false, true
		case <-changed:
			h.mu.Lock()
			alive, politely = false, l.politely
			h.mu.Unlock()
		}
	}
	h.mu.Lock()
	if politely {
		c.publish(status)
	}
	l.client, l.connected, l.born = nil, false, false
	h.mu.Unlock()
	c.close(politely)
	<-lost
}

// birth says online if discovery and subscriptions have been quiet for long
// enough, or returns how long to wait. It extends the wait as client.py does.
func (l *life) birth(c *client) time.Duration {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	last := l.lastDiscovery
	if len(l.toSubscribe) > 0 {
		last = time.Now()
	} else if l.lastSubscribe.After(last) {
		last = l.lastSubscribe
	}
	if wait := time.Until(last.Add(l.h.o.Timing.Cooldown)); wait > 0 {
		return wait
	}
	l.born = true
	c.publish(mqtt.Message{Topic: l.h.o.Prefix + "/status", Payload: []byte("online")})
	return 0
}

func (l *life) read(c *client) {
	for {
		p, err := c.read()
		if err != nil {
			return
		}
		if p.Type != mqtt.PUBLISH {
			continue // the codes of a SUBACK are not looked at
		}
		var m mqtt.Publish
		if m.Decode(p, mqtt.V311) != nil {
			return
		}
		if m.QoS == 1 {
			ack := mqtt.Ack{Type: mqtt.PUBACK, PacketID: m.PacketID}
			c.send(ack.Append(nil, mqtt.V311))
		}
		l.h.mu.Lock()
		if l.client == c {
			l.deliver(message{string(m.Topic), string(m.Payload), m.Retain})
		}
		l.h.mu.Unlock()
	}
}

// deliver gives a message to all that listen. The caller holds the lock.
func (l *life) deliver(m message) {
	var to []*subscription
	for filter, list := range l.subscriptions {
		if mqtt.Match(filter, m.topic) {
			to = append(to, list...)
		}
	}
	for _, s := range to {
		if m.retain {
			if s.seen[m.topic] {
				continue
			}
			s.seen[m.topic] = true
		}
		s.got(m)
	}
}

// subscribe listens to a filter. The caller holds the lock.
func (l *life) subscribe(filter string, got func(message)) *subscription {
	s := &subscription{filter: filter, got: got, seen: make(map[string]bool)}
	l.subscriptions[filter] = append(l.subscriptions[filter], s)
	if l.connected {
		// Though the filter may be subscribed: the new listener gets what is retained.
		l.toSubscribe[filter] = true
		l.planSubscribe()
	}
	return s
}

// unsubscribe ends a subscription. The caller holds the lock.
func (l *life) unsubscribe(s *subscription) {
	rest := slices.DeleteFunc(l.subscriptions[s.filter], func(other *subscription) bool { return other == s })
	l.subscriptions[s.filter] = rest
	if len(rest) > 0 {
		return
	}
	delete(l.subscriptions, s.filter)
	delete(l.toSubscribe, s.filter)
	if l.client != nil {
		u := mqtt.Unsubscribe{PacketID: l.client.nextID(), Filters: []string{s.filter}}
		l.client.send(u.Append(nil, mqtt.V311))
	}
}

// after calls f under the lock, unless this life is over by then. The caller holds the lock.
func (l *life) after(wait time.Duration, f func()) {
	time.AfterFunc(wait, func() {
		l.h.mu.Lock()
		defer l.h.mu.Unlock()
		if l.h.life == l {
			f()
		}
	})
}

// planSubscribe has the subscriptions sent that gather until then. The caller holds the lock.
func (l *life) planSubscribe() {
	if l.subscribing {
		return
	}
	l.subscribing = true
	l.after(l.h.o.Timing.Subscribe, func() {
		l.subscribing = false
		if l.client == nil {
			return
		}
		var plain []string
		send := func(filters ...string) {
			s := mqtt.Subscribe{PacketID: l.client.nextID()}
			for _, f := range filters {
				s.Filters = append(s.Filters, mqtt.FilterRequest{Filter: f})
			}
			l.client.send(s.Append(nil, mqtt.V311))
		}
		for _, f := range slices.Sorted(maps.Keys(l.toSubscribe)) {
			if strings.ContainsAny(f, "+#") {
				send(f)
			} else {
				plain = append(plain, f)
			}
		}
		for part := range slices.Chunk(plain, maxPerSubscribe) {
			send(part...)
		}
		clear(l.toSubscribe)
		l.lastSubscribe = time.Now()
	})
}
