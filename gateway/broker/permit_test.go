package broker

import (
	"testing"

	"lintel/gateway/mqtt"
)

func TestPermit(t *testing.T) {
	small := &mqtt.Message{Payload: []byte("x")}
	large := &mqtt.Message{Payload: make([]byte, 100)}
	depends := If(func(m *mqtt.Message) bool { return len(m.Payload) < 10 })
	for i, x := range []struct {
		p                    Permit
		denied, small, large bool
	}{
		{Allow, false, true, true}, {Deny, true, false, false}, {Permit{}, true, false, false}, {If(nil), true, false, false}, {depends, false, true, false},
	} {
		if x.p.denied() != x.denied || x.p.allows(small) != x.small || x.p.allows(large) != x.large {
			t.Errorf("%d: denied %t, small %t, large %t", i, x.p.denied(), x.p.allows(small), x.p.allows(large))
		}
	}
}

// A route that was found before the rights changed delivers nothing by the old ones once
// AccessChanged has returned, and a share gives to a member that still may.
func TestRouteIsOlderThanRights(t *testing.T) {
	withheld := make(map[string]bool) // what is not there is allowed
	b, _ := newBroker(t, Options{Authorize: func(r *ConnectRequest, action Action, _ string) Permit {
		return Permitted(action != Receive || !withheld[r.ClientID])
	}})
	peers := make(map[string]*recorder)
	for id, filter := range map[string]string{"plain": "t", "first": "$share/g/t", "second": "$share/g/t", "third": "$share/g/t"} {
		s, _, err := b.claim(id, true, nobody{make(chan struct{})})
		if err != nil {
			t.Fatal(err)
		}
		s.request.Store(&ConnectRequest{ClientID: id})
		peers[id] = new(recorder)
		var f flushList
		s.resume(peers[id], 100, &f)
		s.subscriptions[filter] = &subscription{session: s, filter: filter, options: 1}
		b.index.add(s.subscriptions[filter])
	}
	dropped := uint64(0)
	for _, denied := range [][]string{nil, {"plain", "first"}, {"second", "first"}, {"second", "first", "third"}, nil} {
		old := b.find("t")
		clear(withheld)
		for _, id := range denied {
			withheld[id] = true
		}
		b.AccessChanged()
		for _, r := range []*route{old, b.find("t")} {
			const n = 12
			for i := range n {
				var k keeping
				var f flushList
				b.publish(&message{Message: mqtt.Message{Topic: "t", QoS: mqtt.QoS(i % 2)}}, r, &k, &f)
			}
			got := make(map[string]int)
			for id, p := range peers {
				if got[id] = len(p.published); got[id] > 0 && withheld[id] {
					t.Errorf("%v are denied, old route %t: %s got %d", denied, r == old, id, got[id])
				}
				p.published = nil
			}
			if shared := got["first"] + got["second"] + got["third"]; len(denied) == 3 {
				dropped += n
			} else if shared != n {
				t.Errorf("%v are denied, old route %t: the share got %d", denied, r == old, shared)
			}
			// Who may more now gets it with the next route.
			if want := n * len(r.receivers); got["plain"] != want && !withheld["plain"] {
				t.Errorf("%v are denied, old route %t: the plain subscriber got %d", denied, r == old, got["plain"])
			}
			if d := b.stats.publishDropped.Load(); d != dropped {
				t.Errorf("%v are denied, old route %t: %d dropped, want %d", denied, r == old, d, dropped)
			}
		}
	}
}
