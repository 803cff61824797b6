package broker

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lintel/gateway/mqtt"
)

// randomLevels makes names or filters out of few levels, so that they collide.
func randomLevels(r *rand.Rand, levels []string) string {
	parts := make([]string, 1+r.IntN(4))
	for i := range parts {
		parts[i] = levels[r.IntN(len(levels))]
	}
	if s := strings.Join(parts, "/"); s != "" {
		return s
	}
	return "/"
}

func randomTopic(r *rand.Rand) string {
	return randomLevels(r, []string{"a", "b", "", "$x", "ab"})
}

func randomFilter(r *rand.Rand) string {
	f := randomLevels(r, []string{"a", "b", "", "$x", "+", "+"})
	if r.IntN(3) == 0 {
		f += "/#"
	}
	if r.IntN(20) == 0 {
		f = "#"
	}
	if r.IntN(4) == 0 {
		f = fmt.Sprintf("$share/%c/%s", 'f'+rune(r.IntN(2)), f)
	}
	return f
}

// want is what a session is to receive, worked out from its subscriptions one by
// one.
func want(subscriptions map[string]*subscription, topic string, skipNoLocal bool) (w receiver, matches bool) {
	for f, sub := range subscriptions {
		share, plain, _ := mqtt.SplitShared(f)
		if share != "" || !mqtt.Match(plain, topic) || skipNoLocal && sub.options.NoLocal() {
			continue
		}
		matches = true
		w.qos = max(w.qos, sub.options.QoS())
		w.asPublished = w.asPublished || sub.options.RetainAsPublished()
		w.noLocal = w.noLocal || sub.options.NoLocal()
		if sub.identifier != 0 {
			w.identifiers = append(w.identifiers, sub.identifier)
		}
	}
	slices.Sort(w.identifiers)
	return w, matches
}

func same(got *receiver, w receiver) bool {
	ids := slices.Sorted(slices.Values(got.identifiers))
	return got.qos == w.qos && got.asPublished == w.asPublished && got.noLocal == w.noLocal && slices.Equal(ids, w.identifiers)
}

// The trie says what mqtt.Match says of each subscription alone, through all
// kinds of changes, and is empty in the end.
func TestIndexAgainstMatch(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		var x index
		sessions := make([]*session, 6)
		subscribed := make(map[*session]map[string]*subscription)
		for i := range sessions {
			sessions[i] = &session{id: fmt.Sprint(i)}
			subscribed[sessions[i]] = make(map[string]*subscription)
		}
		cache := router{index: &x}
		check := func(topic string) {
			t.Helper()
			for _, route := range []*route{x.find(topic), cache.route([]byte(topic))} {
				receivers := make(map[*session]*receiver)
				for i := range route.receivers {
					if receivers[route.receivers[i].session] != nil {
						t.Fatalf("seed %d: session twice on the route of %q", seed, topic)
					}
					receivers[route.receivers[i].session] = &route.receivers[i]
				}
				wantShares := make(map[string]int)
				for _, s := range sessions {
					w, matches := want(subscribed[s], topic, false)
					got := receivers[s]
					if matches != (got != nil) {
						t.Fatalf("seed %d: %q with %v: on the route %t", seed, topic, slices.Collect(maps.Keys(subscribed[s])), got != nil)
					}
					if matches && !same(got, w) {
						t.Fatalf("seed %d: %q: %+v, want %+v", seed, topic, got, w)
					}
					if matches && w.noLocal {
						own, any := want(subscribed[s], topic, true)
						if any != (got.own != nil) || any && !same(got.own, own) {
							t.Fatalf("seed %d: %q: own %+v, want %+v", seed, topic, got.own, own)
						}
					}
					for f := range subscribed[s] {
						if share, plain, _ := mqtt.SplitShared(f); share != "" && mqtt.Match(plain, topic) {
							wantShares[f]++
						}
					}
				}
				if len(route.shares) != len(wantShares) {
					t.Fatalf("seed %d: %q: %d shares, want %v", seed, topic, len(route.shares), wantShares)
				}
				for _, g := range route.shares {
					if f := g.members[0].filter; wantShares[f] != len(g.members) {
						t.Fatalf("seed %d: %d members of %q, want %d", seed, len(g.members), f, wantShares[f])
					}
				}
			}
		}
		count := func() (n int) {
			for _, s := range sessions {
				n += len(subscribed[s])
			}
			return n
		}
		for range 400 {
			s := sessions[r.IntN(len(sessions))]
			f := randomFilter(r)
			if all := subscribed[s]; r.IntN(3) == 0 && len(all) > 0 {
				f = slices.Sorted(maps.Keys(all))[r.IntN(len(all))]
				delete(all, f)
				x.remove(s, f)
			} else if r.IntN(10) == 0 && all[f] == nil {
				x.remove(s, f) // of what is not there
			} else {
				sub := &subscription{session: s, filter: f, options: mqtt.SubscriptionOptions(r.IntN(16)), identifier: uint32(r.IntN(4))}
				if sub.options.QoS() == 3 {
					sub.options--
				}
				all[f] = sub
				x.add(sub)
			}
			if x.count != count() {
				t.Fatalf("seed %d: counted %d of %d subscriptions", seed, x.count, count())
			}
			check(randomTopic(r))
		}
		for s, all := range subscribed {
			for f := range all {
				x.remove(s, f)
			}
		}
		if x.count != 0 || len(x.root.children) != 0 {
			t.Fatalf("seed %d: %d subscriptions and %d nodes are left", seed, x.count, len(x.root.children))
		}
	}
}

// The retained store finds what a look at each message finds.
func TestRetainedAgainstMatch(t *testing.T) {
	b, _ := newBroker(t, Options{})
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		have := make(map[string]string)
		set := func(topic, payload string) {
			b.retained.set(&message{Message: mqtt.Message{Topic: topic, Payload: []byte(payload)}}, b.store)
			if have[topic] = payload; payload == "" {
				delete(have, topic)
			}
		}
		for i := range 300 {
			topic := randomTopic(r)
			if r.IntN(3) == 0 {
				set(topic, "")
			} else {
				set(topic, fmt.Sprint(i))
			}
			_, filter, _ := mqtt.SplitShared(randomFilter(r))
			got := make(map[string]string)
			for _, m := range b.retained.match(filter) {
				got[m.Topic] = string(m.Payload)
			}
			want := maps.Clone(have)
			maps.DeleteFunc(want, func(topic, _ string) bool { return !mqtt.Match(filter, topic) })
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d: %q finds %v, want %v", seed, filter, got, want)
			}
			if b.retained.count != len(have) {
				t.Fatalf("seed %d: counted %d of %d messages", seed, b.retained.count, len(have))
			}
		}
		for topic := range maps.Clone(have) {
			set(topic, "")
		}
		if len(b.retained.root.children) != 0 {
			t.Fatalf("seed %d: nodes are left", seed)
		}
	}
}

// A publisher that remembers many routes forgets some, and none is stale.
func TestRouterForgets(t *testing.T) {
	var x index
	s := &session{}
	x.add(&subscription{session: s, filter: "#"})
	r := router{index: &x}
	for i := range 3 * maxRoutes {
		if n := len(r.route(fmt.Append(nil, i)).receivers); n != 1 {
			t.Fatalf("%d receivers", n)
		}
	}
	if len(r.routes) > maxRoutes {
		t.Fatalf("%d routes are remembered", len(r.routes))
	}
	x.remove(s, "#")
	if n := len(r.route([]byte("1500")).receivers); n != 0 {
		t.Fatalf("%d receivers after UNSUBSCRIBE", n)
	}
}

// Members take turns. Those that are behind, and then those that are away, come
// into question only if there is nobody better.
func TestChoose(t *testing.T) {
	var x index
	b := &Broker{options: Options{}.withDefaults()}
	sessions := make([]*session, 4)
	for i := range sessions {
		sessions[i] = &session{broker: b, id: fmt.Sprint(i), persistent: true, peer: idlePeer{}, window: 10}
		x.add(&subscription{session: sessions[i], filter: "$share/g/t", options: mqtt.SubscriptionOptions(i % 3)})
	}
	turn := func() map[string]int {
		chosen := make(map[string]int)
		for range 1200 {
			if to := x.find("t").shares[0].choose(&message{}); to != nil {
				if int(to.qos) != int(to.session.id[0]-'0')%3 {
					t.Fatalf("member %s with QoS %d", to.session.id, to.qos)
				}
				chosen[to.session.id]++
			}
		}
		return chosen
	}
	wantTurn := func(want map[string]int) {
		t.Helper()
		if got := turn(); !maps.Equal(got, want) {
			t.Errorf("chosen %v, want %v", got, want)
		}
	}
	wantTurn(map[string]int{"0": 300, "1": 300, "2": 300, "3": 300})
	sessions[0].peer, sessions[1].active = nil, 10
	wantTurn(map[string]int{"2": 600, "3": 600}) // whoever is passed over, the others take turns
	sessions[2].ended, sessions[3].persistent, sessions[3].peer = true, false, nil
	wantTurn(map[string]int{"1": 1200})
	sessions[1].ended = true
	wantTurn(map[string]int{"0": 1200})
	sessions[0].ended = true
	wantTurn(map[string]int{})
}

// idlePeer takes everything.
type idlePeer struct{}

func (idlePeer) room() bool                                  { return true }
func (idlePeer) publish(*message, delivery, *flushList) bool { return true }
func (idlePeer) pubrel(uint16, *flushList)                   {}

// quitter is a peer whose session ends when it has just been chosen.
type quitter struct {
	idlePeer
	session *session
}

func (q quitter) room() bool { q.session.ended = true; return true }

// A message of a share does not get lost with a member that ends between the moment
// it is chosen and the delivery, nor with a route that is older than the members.
func TestShareWithVanishingMembers(t *testing.T) {
	b, _ := newBroker(t, Options{})
	join := func(id string) *session {
		s, _, err := b.claim(id, true, nobody{make(chan struct{})})
		if err != nil {
			t.Fatal(err)
		}
		var f flushList
		s.resume(idlePeer{}, 10, &f)
		b.index.add(&subscription{session: s, filter: "$share/g/t", options: 1})
		return s
	}
	first := join("first")
	first.peer = quitter{session: first}
	old := b.index.find("t")
	var f flushList
	var k keeping
	b.publish(&message{Message: mqtt.Message{Topic: "t", QoS: 1}}, old, &k, &f) // to nobody
	second := join("second")
	first.ended = false
	b.index.remove(first, "$share/g/t")
	b.publish(&message{Message: mqtt.Message{Topic: "t", QoS: 1}}, old, &k, &f)
	if n := second.inflight.count; n != 1 || first.inflight.count != 0 {
		t.Fatalf("%d messages are in flight to the member that is left", n)
	}
	third := join("third")
	third.peer = quitter{session: third}
	for range 2 {
		third.ended = false
		b.publish(&message{Message: mqtt.Message{Topic: "t", QoS: 1}}, b.index.find("t"), &k, &f)
	}
	if n := second.inflight.count; n != 3 || third.inflight.count != 0 {
		t.Fatalf("%d messages are in flight to the member that is left", n)
	}
}

// match walks to the end.
func (t *retainedStore) match(filter string) (found []*message) {
	w := t.walk(filter)
	for more := true; more; {
		var some []*message
		some, more = w.next()
		found = append(found, some...)
	}
	return found
}
