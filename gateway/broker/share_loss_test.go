package broker_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel/gateway/mqtt"
)

// receipts are the messages that the members of a share received, and who did.
type receipts struct {
	mu      sync.Mutex
	by      map[string][]string // payload: client ids, one for each time
	missing map[string]bool     // what await waits for
	all     chan struct{}
}

func (r *receipts) add(payload, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = make(map[string][]string)
	}
	r.by[payload] = append(r.by[payload], id)
	if r.missing[payload] {
		if delete(r.missing, payload); len(r.missing) == 0 {
			close(r.all)
		}
	}
}

// await waits until each of the payloads was received by somebody.
func (r *receipts) await(t *testing.T, payloads []string) {
	t.Helper()
	r.mu.Lock()
	r.missing, r.all = make(map[string]bool), make(chan struct{})
	for _, p := range payloads {
		if r.by[p] == nil {
			r.missing[p] = true
		}
	}
	if len(r.missing) == 0 {
		close(r.all)
	}
	r.mu.Unlock()
	select {
	case <-r.all:
	case <-time.After(30 * time.Second):
		r.mu.Lock()
		defer r.mu.Unlock()
		for p := range r.missing {
			t.Fatalf("%d of %d acknowledged messages are lost, %s among them", len(r.missing), len(payloads), p)
		}
	}
}

// work takes messages, and acknowledges those that acks wants, until the connection
// ends or its deadline passes.
func (r *receipts) work(c *rawClient, id string, acks func() bool) {
	for {
		p, err := c.next()
		if err != nil {
			return
		}
		var m mqtt.Publish
		var a mqtt.Ack
		switch p.Type {
		case mqtt.PUBREL:
			if err = a.Decode(p, c.version); err == nil {
				_, err = c.net.Write((&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: a.PacketID}).Append(nil, c.version))
			}
		case mqtt.PUBLISH:
			if err = m.Decode(p, c.version); err != nil {
				break
			}
			r.add(string(m.Payload), id)
			if m.QoS > 0 && acks() {
				typ := map[mqtt.QoS]mqtt.PacketType{1: mqtt.PUBACK, 2: mqtt.PUBREC}[m.QoS]
				_, err = c.net.Write((&mqtt.Ack{Type: typ, PacketID: m.PacketID}).Append(nil, c.version))
			}
		}
		if err != nil {
			return
		}
	}
}

func always() bool { return true }

// Members of all kinds come and go while messages are published. Each message is
// received by one of them at least, as long as one session is there all the time:
// one that is always connected, or one that lasts.
func TestShareComesAndGoes(t *testing.T) {
	for seed, lasts := range []bool{false, true} {
		t.Run(fmt.Sprintf("session that stays lasts %t", lasts), func(t *testing.T) {
			s := newServer(t)
			var got receipts
			turns, stop := make(chan struct{}, 5), make(chan struct{})
			var working sync.WaitGroup
			packet := clean(mqtt.V50, "stays")
			if lasts {
				packet = durable(mqtt.V50, "stays")
			}
			stays := connect(t, s, packet)
			stays.subscribe(filter("$share/g/t", 1))
			stays.net.SetDeadline(time.Now().Add(time.Minute))
			if !lasts {
				go got.work(stays, "stays", always)
			} else {
				stays.drop()
				working.Go(func() { comeAndGo(t, s, &got, turns, stop, rand.New(rand.NewPCG(uint64(seed), 99)), "stays", true) })
			}
			for i := range 5 {
				working.Go(func() {
					comeAndGo(t, s, &got, turns, stop, rand.New(rand.NewPCG(uint64(seed), uint64(i))), fmt.Sprint("member", i), false)
				})
			}
			from := connect(t, s, clean(mqtt.V50, "from"))
			from.net.SetDeadline(time.Now().Add(time.Minute))
			const n, batch = 2000, 10
			var acknowledged []string
			for len(acknowledged) < n {
				var b []byte
				for i := range batch {
					payload := fmt.Sprint(len(acknowledged) + i)
					b = pub("t", payload, 1, uint16(i+1)).Append(b, from.version)
				}
				from.raw(b)
				select {
				case turns <- struct{}{}:
				default: // all are busy
				}
				for i := range batch {
					from.wantAck(mqtt.PUBACK, uint16(i+1), mqtt.Success)
					acknowledged = append(acknowledged, fmt.Sprint(len(acknowledged)))
				}
			}
			close(stop)
			working.Wait()
			for i := range 5 {
				connect(t, s, clean(mqtt.V50, fmt.Sprint("member", i))).bye()
			}
			if lasts {
				go got.work(connect(t, s, packet), "stays", always)
			}
			got.await(t, acknowledged)
		})
	}
}

// comeAndGo is a client that joins the share for a moment whenever it has a turn. What
// it does at its end is up to chance; if its session is to last it never ends it.
func comeAndGo(t *testing.T, s *server, got *receipts, turns, stop <-chan struct{}, r *rand.Rand, id string, lasts bool) {
	var earlier []*rawClient
	for {
		select {
		case <-stop:
			for _, c := range earlier { // the broker may not even have read all of them
				c.net.(*net.TCPConn).CloseWrite()
				c.end()
			}
			return
		case <-turns:
		}
		v := []mqtt.Version{mqtt.V311, mqtt.V50}[r.IntN(2)]
		packet := durable(v, id)
		if !lasts && r.IntN(2) == 0 {
			packet = clean(v, id)
		}
		if v == mqtt.V50 {
			packet = window(packet, uint32(1+r.IntN(50)))
		}
		c := openRaw(t, s, v)
		c.net.Write(packet.Append(nil))
		c.net.Write((&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterRequest{filter("$share/g/t", 1)}}).Append(nil, v))
		c.net.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(30)) * time.Millisecond))
		some := r.IntN(4)
		got.work(c, id, func() bool { return r.IntN(4) < some })
		switch r.IntN(3) {
		case 0:
			c.net.(*net.TCPConn).CloseWrite()
		case 1:
			c.net.Write((&mqtt.Disconnect{Type: mqtt.DISCONNECT}).Append(nil, v))
		case 2: // stays, until it is taken over
		}
		c.net.SetReadDeadline(time.Now().Add(time.Minute))
		earlier = append(earlier, c)
	}
}

// The broker is killed while messages move from one member to another. None that was
// acknowledged is lost, and one of QoS 2 does not come to both.
func TestKillWhileShareMoves(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 2
	}
	const n = 120
	dir := t.TempDir()
	moved, stayed := 0, 0
	for round := range rounds {
		addr, kill := startVictim(t, dir)
		s := &server{Addr: addr}
		var got receipts
		for _, id := range []string{"m", "o"} { // of the round before
			connect(t, s, clean(mqtt.V50, id)).bye()
		}
		m := connect(t, s, window(durable(mqtt.V50, "m"), 4))
		m.subscribe(filter("$share/g/t", 2))
		from := connect(t, s, clean(mqtt.V50, "from"))
		from.net.SetDeadline(time.Now().Add(time.Minute))
		fill := strings.Repeat("x", rand.IntN(2)*500)
		var acknowledged []string
		var b []byte
		for i := range n {
			payload := fmt.Sprintf("%d/%d/%s", round, i, fill)
			acknowledged = append(acknowledged, payload)
			b = pub("t", payload, mqtt.QoS(1+i%2), uint16(i+1)).Append(b, from.version)
		}
		from.raw(b)
		for i := range n {
			from.expect([]mqtt.PacketType{mqtt.PUBACK, mqtt.PUBREC}[i%2])
		}
		for range 4 {
			got.add(string(m.message().Payload), "m")
		}
		end := round%2 == 0 // of the session; else it only goes offline
		if end {
			m.drop()
		}
		o := connect(t, s, durable(mqtt.V50, "o"))
		o.subscribe(filter("$share/g/t", 2))
		var working sync.WaitGroup
		working.Go(func() { got.work(o, "o", func() bool { return rand.IntN(2) == 0 }) })
		if end {
			packet := clean(mqtt.V50, "m")
			m = openRaw(t, s, mqtt.V50)
			m.raw(packet.Append(nil))
		} else {
			m.net.Close()
		}
		<-time.After(time.Duration(rand.IntN(12)) * time.Millisecond)
		kill()
		working.Wait()
		before := len(got.by)
		addr, kill = startVictim(t, dir)
		s = &server{Addr: addr}
		for _, id := range []string{"m", "o"} {
			c := connect(t, s, durable(mqtt.V50, id))
			working.Go(func() { got.work(c, id, always) })
		}
		got.await(t, acknowledged)
		kill()
		working.Wait()
		for i, payload := range acknowledged {
			ids := got.by[payload]
			times := map[string]int{}
			for _, id := range ids {
				times[id]++
			}
			if len(times) == 2 && i%2 == 1 {
				t.Errorf("%.8s of QoS 2 came to %s", payload, ids)
			}
			moved += min(times["o"], 1)
			stayed += min(times["m"], 1)
		}
		t.Logf("round %d: %d of %d messages had come when the broker was killed", round, before, n)
	}
	t.Logf("%d messages moved, %d stayed", moved, stayed)
	if moved == 0 {
		t.Error("nothing moved: the test shows nothing")
	}
}

// What the store keeps for an offline session, while one that is not in the store
// has it, comes back if the broker is killed before that one acknowledges it, and
// only then.
func TestKillWithLentMessages(t *testing.T) {
	dir := t.TempDir()
	addr, kill := startVictim(t, dir)
	s := &server{Addr: addr}
	from := connect(t, s, clean(mqtt.V50, "from"))
	c := connect(t, s, window(durable(mqtt.V50, "m"), 1))
	c.subscribe(filter("$share/g/t", 1), filter("mine", 1))
	publishShared(from, "t", "a1", "b1", "c1", "d1")
	c.wantMessage("t", "a1", 1)
	other := connect(t, s, window(clean(mqtt.V50, "o"), 2))
	other.subscribe(filter("$share/g/t", 1))
	c.drop()
	other.ack(mqtt.PUBACK, other.wantMessage("t", "b1", 1).PacketID)
	other.wantMessage("t", "c1", 1)
	other.wantMessage("t", "d1", 1)
	other.barrier()
	publishShared(from, "mine", "e1") // takes the acknowledgement of b1 along into the store
	kill()
	for _, want := range [][]string{{"t a1", "t c1", "t d1", "mine e1"}, {}} {
		addr, kill = startVictim(t, dir)
		s = &server{Addr: addr}
		c = connect(t, s, window(durable(mqtt.V50, "m"), 1))
		c.take(len(want), func(i int, m *mqtt.Publish) {
			if got := string(m.Topic) + " " + string(m.Payload); got != want[i] || m.Dup != (i == 0) {
				t.Errorf("received %s with DUP %t, want %s", got, m.Dup, want[i])
			}
		})
		c.barrier()
		connect(t, s, clean(mqtt.V50, "from")).publish("mine", "last1", 1, false)
		c.ack(mqtt.PUBACK, c.wantMessage("mine", "last1", 1).PacketID)
		c.barrier()
		c.publish("r", "x", 1, true) // rides with it
		kill()
	}
}
