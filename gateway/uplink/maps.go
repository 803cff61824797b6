package uplink

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lintel/gateway/mqtt"
)

// Direction is where the messages of a map go.
type Direction int

// The directions.
const (
	Out  Direction = iota + 1 // from the box to the remote
	In                        // from the remote to the box
	Both                      // either way
)

var directionNames = [...]string{Out: "out", In: "in", Both: "both"}

func (d Direction) String() string {
	if d < Out || d > Both {
		return "no direction"
	}
	return directionNames[d]
}

// MarshalText implements encoding.TextMarshaler.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Direction) UnmarshalText(text []byte) error {
	i := slices.Index(directionNames[1:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is none of out, in, both", text)
	}
	*d = Out + Direction(i)
	return nil
}

// Map says which topics go where. A topic of the map is LocalPrefix and a rest at the box,
// and RemotePrefix and the same rest at the remote; Filter is what the rest matches.
type Map struct {
	Direction    Direction
	Filter       string
	LocalPrefix  string
	RemotePrefix string
	QoS          mqtt.QoS // at most
	Plain        bool     // nothing is retained behind the map
}

// Validate reports what is wrong with the map.
func (m *Map) Validate() error {
	switch {
	case m.Direction < Out || m.Direction > Both:
		return errors.New("direction is missing; right is out, in or both")
	case m.QoS > 2:
		return fmt.Errorf("qos %d; right is 0, 1 or 2", m.QoS)
	case strings.ContainsAny(m.LocalPrefix+m.RemotePrefix, "+#\x00"):
		return errors.New("a prefix holds a wildcard; wildcards stand in filter")
	case !mqtt.ValidFilter(m.local()) || !mqtt.ValidFilter(m.remote()):
		return fmt.Errorf("%q is not a topic filter behind the prefixes; right is one such as \"sensors/#\"", m.Filter)
	case strings.HasPrefix(m.local(), "$"):
		return errors.New("topics that begin with $ are the broker's own")
	case strings.HasPrefix(m.remote(), "$share/"):
		return errors.New("a share has no order; leave out $share")
	}
	return nil
}

func (m *Map) local() string  { return m.LocalPrefix + m.Filter }
func (m *Map) remote() string { return m.RemotePrefix + m.Filter }

// options are those of the subscription of a map.
func (m *Map) options(most mqtt.QoS) mqtt.SubscriptionOptions {
	return mqtt.SubscriptionOptions(min(m.QoS, most)) | mqtt.NoLocal | mqtt.RetainAsPublished
}

// outward returns the map by which a topic of the box goes out, and its name at the remote.
// An in map takes its topics off the others.
func (u *Uplink) outward(topic string) (by *Map, remote string) {
	for i := range u.o.Maps {
		m := &u.o.Maps[i]
		rest, ok := strings.CutPrefix(topic, m.LocalPrefix)
		if !ok || !mqtt.Match(m.local(), topic) {
			continue
		}
		if m.Direction == In {
			return nil, ""
		}
		if by == nil {
			by, remote = m, m.RemotePrefix+rest
		}
	}
	if !mqtt.ValidTopicName(remote) {
		return nil, ""
	}
	return by, remote
}

// inward returns the map by which a topic of the remote comes in, and its name at the box.
func (u *Uplink) inward(topic string) (by *Map, local string) {
	for i := range u.o.Maps {
		m := &u.o.Maps[i]
		rest, ok := strings.CutPrefix(topic, m.RemotePrefix)
		if !ok || m.Direction == Out || !mqtt.Match(m.remote(), topic) {
			continue
		}
		local = m.LocalPrefix + rest
		if !mqtt.ValidTopicName(local) {
			return nil, ""
		}
		return m, local
	}
	return nil, ""
}

// subscriptions returns the filters of one direction, each once, at the highest QoS of its
// maps, most at most.
func (u *Uplink) subscriptions(not Direction, filter func(*Map) string, most mqtt.QoS) (all []mqtt.FilterRequest) {
	for i := range u.o.Maps {
		m := &u.o.Maps[i]
		if m.Direction == not {
			continue
		}
		f := mqtt.FilterRequest{Filter: filter(m), Options: m.options(most)}
		if at := slices.IndexFunc(all, func(g mqtt.FilterRequest) bool { return g.Filter == f.Filter }); at >= 0 {
			all[at].Options = max(all[at].Options, f.Options)
		} else {
			all = append(all, f)
		}
	}
	return all
}

// hop is the name of the user property with which a message tells by which uplinks it
// has come.
const hop = "lintel-hop"

// maxHops bounds by how many uplinks a message may have come.
const maxHops = 16

// pass returns the properties of a message with the mark of this uplink. It reports false
// if the message has been here already, or has come too far.
func (u *Uplink) pass(properties []byte) (marked []byte, ok bool) {
	if len(properties) > 0 {
		p, err := mqtt.DecodeProperties(properties)
		if err != nil {
			return nil, false
		}
		hops := 0
		for _, user := range p.User() {
			if user.Name != hop {
				continue
			}
			if hops++; user.Value == u.o.ClientID || hops >= maxHops {
				return nil, false
			}
		}
	}
	return append(properties[:len(properties):len(properties)], u.mark...), true
}
