package broker

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"lintel/gateway/mqtt"
	"lintel/persist"
)

// recorder is a peer that remembers what it was sent.
type recorder struct {
	published []delivery
	released  []uint16
}

func (*recorder) room() bool { return true }

func (p *recorder) publish(_ *message, d delivery, _ *flushList) bool {
	p.published = append(p.published, d)
	return true
}

func (p *recorder) pubrel(id uint16, _ *flushList) { p.released = append(p.released, id) }

// nobody holds a session.
type nobody struct{ done chan struct{} }

func (nobody) kick(mqtt.ReasonCode)        {}
func (h nobody) released() <-chan struct{} { return h.done }

// persistentSession makes a session that is in the store.
func persistentSession(t *testing.T, b *Broker, ctx context.Context, id string, p peer, window int) *session {
	t.Helper()
	s, _, err := b.claim(id, false, nobody{make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.expiry, s.persistent, s.stored = mqtt.V50, persist.NeverExpires, true, true
	var f flushList
	s.resume(p, window, &f)
	var batch persist.Batch
	batch.PutSession(s.record())
	if err := b.commit(ctx, &batch); err != nil {
		t.Fatal(err)
	}
	return s
}

func qos2(b *Broker) *message {
	return &message{Message: mqtt.Message{Topic: "t", QoS: 2}, id: b.messageID.Add(1)}
}

// A message of QoS 2 that waits may get room in the window before its publisher
// has handed it to the store. Its packet id must not get there first: the older
// record would come on top of it, and after a crash the message would be sent
// once more under another id.
func TestPacketIDBehindMessage(t *testing.T) {
	b, ctx := newBroker(t, Options{})
	var p recorder
	s := persistentSession(t, b, ctx, "s", &p, 1)
	r := &receiver{session: s, qos: 2}
	var f flushList
	deliver := func() (*persist.Batch, []*entry) {
		var k keeping
		s.deliver(qos2(b), r, &k, &f)
		return &k.batch, k.held
	}
	commit := func(batch *persist.Batch, held []*entry) {
		done := make(chan struct{})
		b.store.Append(batch, func() {
			for _, e := range held {
				s.release(e, &f)
			}
			close(done)
		})
		<-done
	}
	commit(deliver())
	batch, held := deliver()
	// The window opens before the batch is handed over.
	s.mu.Lock()
	s.finish(s.inflight.get(1), nil)
	s.pump(&f)
	if len(p.published) != 1 {
		t.Fatalf("%d messages were sent", len(p.published))
	}
	s.mu.Unlock()
	commit(batch, held)
	if err := b.commit(ctx, new(persist.Batch)); err != nil { // the promotion
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p.published) != 2 || p.published[1].packetID != 2 {
		t.Fatalf("sent %+v", p.published)
	}
	state := load(t, b.store)
	if len(state.Sessions) != 1 || len(state.Sessions[0].Inflight) != 1 {
		t.Fatalf("the store holds %+v", state.Sessions)
	}
	if e := state.Sessions[0].Inflight[0]; e.State != persist.Sent || e.PacketID != 2 {
		t.Fatalf("the store holds packet id %d in state %d", e.PacketID, e.State)
	}
}

func load(t *testing.T, store *persist.Store) *persist.State {
	t.Helper()
	state, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// What waits for the store when a client comes back with a smaller window counts
// in the new window, in its place.
func TestHeldMessagesAndSmallerWindow(t *testing.T) {
	b, ctx := newBroker(t, Options{})
	var first, second recorder
	s := persistentSession(t, b, ctx, "s", &first, 10)
	var f flushList
	var k keeping
	for range 4 {
		s.deliver(qos2(b), &receiver{session: s, qos: 2}, &k, &f)
	}
	s.mu.Lock()
	s.suspend()
	s.resume(&second, 2, &f)
	s.mu.Unlock()
	for i := range slices.Backward(k.held) { // the order of the commits must not matter
		s.release(k.held[i], &f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(first.published) != 0 || len(second.published) != 2 || s.active != 2 {
		t.Fatalf("%d and %d messages were sent, %d count", len(first.published), len(second.published), s.active)
	}
	for i, d := range second.published {
		if d.packetID != uint16(i+1) || d.dup {
			t.Errorf("sent %+v", d)
		}
	}
}

// A session that ended while nobody looked is not there for who asks first.
func TestEndedSessionIsNotResumed(t *testing.T) {
	dir := t.TempDir()
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := store.Load(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var batch persist.Batch
	batch.PutSession(persist.Session{ID: 1, ClientID: "over", ExpiryInterval: 100, Disconnected: time.Now().Add(-time.Minute)})
	batch.PutSession(persist.Session{ID: 2, ClientID: "alive", ExpiryInterval: 100, Disconnected: time.Now().Add(-time.Minute)})
	batch.PutSession(persist.Session{ID: 3, ClientID: "connected", ExpiryInterval: 10})
	store.Append(&batch, func() { close(done) })
	<-done
	b := &Broker{options: Options{}.withDefaults(), store: store, log: Options{}.withDefaults().Logger, sessions: make(map[string]*session)}
	b.restore(load(t, store))
	over := b.sessions["over"]
	over.mu.Lock()
	over.since = time.Now().Add(-time.Hour) // its timer is late
	over.mu.Unlock()
	for id, want := range map[string]bool{"over": false, "alive": true, "connected": true} {
		if _, present, err := b.claim(id, false, nobody{}); present != want || err != nil {
			t.Errorf("%s: present %t, %v", id, present, err)
		}
	}
}

// A will that is due at the start goes to sessions that are loaded after it, too.
func TestWillIsDueAtTheStart(t *testing.T) {
	dir := t.TempDir()
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	load(t, store)
	put := func(s persist.Session, f persist.Subscription) {
		s.ExpiryInterval, s.Disconnected = 1000, time.Now()
		var batch persist.Batch
		batch.PutSession(s)
		batch.PutSubscription(s.ID, f)
		store.Append(&batch, nil)
	}
	put(persist.Session{ID: 1, ClientID: "a", Will: &mqtt.Message{Topic: "will", QoS: 1}}, persist.Subscription{Filter: "else"})
	for i := range uint32(3000) { // so that a timer is faster than the rest of the load
		put(persist.Session{ID: 2 + i, ClientID: fmt.Sprint("b", i)}, persist.Subscription{Filter: fmt.Sprint("b/", i)})
	}
	put(persist.Session{ID: 5000, ClientID: "c"}, persist.Subscription{Filter: "will", Options: 1})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = persist.Open(dir, persist.Options{}); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b, err := New(store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := b.sessions["a"]
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		a.mu.Lock()
		due := a.will != nil
		a.mu.Unlock()
		if !due {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the will did not come")
		}
	}
	b.running.Wait()
	if n := b.Stats().Queued; n != 1 {
		t.Errorf("%d messages wait, want the will", n)
	}
}

// The store has a will before it forgets that it is owed: a crash between must not
// lose it.
func TestWillIsStoredBeforeItIsForgotten(t *testing.T) {
	for name, end := range map[string]func(b *Broker, s *session){
		"connection": func(b *Broker, s *session) { b.detach(s, true) },
		"delay": func(b *Broker, s *session) {
			b.mu.Lock()
			s.owner = nil
			b.mu.Unlock()
			s.due()
		},
		"session": func(b *Broker, s *session) { b.endSession(s) },
	} {
		t.Run(name, func(t *testing.T) {
			b, ctx := newBroker(t, Options{})
			to, s := persistentSession(t, b, ctx, "to", nil, 10), persistentSession(t, b, ctx, "s", nil, 10)
			to.suspend()
			s.suspend()
			s.will = &will{message: mqtt.Message{Topic: "will", QoS: 1}}
			var first persist.Batch
			first.PutSession(s.record())
			to.subscribe([]mqtt.FilterRequest{{Filter: "will", Options: 1}}, 0, &first)

			// The committer waits for the done functions when two groups have
			// theirs before them. What waits for it meanwhile is just too much
			// for one group.
			committed := func(groups uint64) {
				for b.store.Stats().Groups < groups {
					runtime.Gosched()
				}
			}
			begun, one, other := make(chan struct{}), make(chan struct{}), make(chan struct{})
			defer close(other)
			b.store.Append(&first, func() { close(begun); <-one })
			<-begun
			groups := b.store.Stats().Groups
			for i := range uint64(2) {
				var next persist.Batch
				next.PutIncoming(s.number, uint16(1+i))
				b.store.Append(&next, func() { <-other })
				committed(groups + i + 1)
			}
			var fill persist.Batch
			for i := range 999 {
				fill.PutIncoming(s.number, uint16(3+i))
			}
			b.store.Append(&fill, nil)
			end(b, s)
			close(one)
			committed(groups + 3)
			kept := 0
			for _, stored := range load(t, b.store).Sessions {
				kept += len(stored.Inflight) + stored.Queued.Count
				if stored.Will != nil {
					kept++
				}
			}
			if kept == 0 {
				t.Error("the will is neither owed nor in a queue")
			}
		})
	}
}

// A client may subscribe between a publisher's look at the routes and the moment
// when its message is retained: then it is not among the retained messages yet,
// and must come live.
func TestSubscribeBeforeRetain(t *testing.T) {
	b, ctx := newBroker(t, Options{})
	var p recorder
	s := persistentSession(t, b, ctx, "s", &p, 10)
	route := b.index.find("t")
	var batch persist.Batch
	var f flushList
	_, made := s.subscribe([]mqtt.FilterRequest{{Filter: "t"}}, 0, &batch)
	s.sendRetained(made, &f)
	b.publish(&message{Message: mqtt.Message{Topic: "t", Payload: []byte("x"), Retain: true}}, route, nil, &f)
	if len(p.published) != 1 {
		t.Fatalf("%d messages were sent", len(p.published))
	}
}

// Two messages on their way into the retained store do not lose one: the end of
// the first must not take the second with it.
func TestRetainedExpiryOfReplaced(t *testing.T) {
	b, _ := newBroker(t, Options{})
	set := func(payload string, expires time.Time) *message {
		m := &message{Message: mqtt.Message{Topic: "t", Payload: []byte(payload), Expires: expires}}
		b.retained.set(m, b.store)
		return m
	}
	old := set("old", time.Now().Add(time.Hour))
	now := set("new", time.Time{})
	b.retained.expire(old, b.store)
	if b.retained.get("t") != now || b.retained.count != 1 {
		t.Error("the successor is gone")
	}
	b.retained.expire(now, b.store)
	if b.retained.get("t") != nil || b.retained.count != 0 {
		t.Error("the message is still there")
	}
}

// However many retained messages a subscription brings, they are looked for and sent
// in pieces: who publishes meanwhile waits for one of these at the most.
func TestRetainedInPieces(t *testing.T) {
	b, ctx := newBroker(t, Options{})
	const n = 10 * walkSteps
	for i := range n {
		b.retained.set(&message{Message: mqtt.Message{Topic: fmt.Sprintf("a/%d/b", i), Payload: []byte("x")}}, b.store)
	}
	w := b.retained.walk("#")
	var found []*message
	for more := true; more; {
		var some []*message
		if some, more = w.next(); len(some) > walkSteps {
			t.Fatalf("%d messages in one piece", len(some))
		}
		found = append(found, some...)
	}
	if len(found) != n {
		t.Fatalf("found %d of %d messages", len(found), n)
	}
	var p recorder
	s := persistentSession(t, b, ctx, "s", &p, 10)
	var f flushList
	var batch persist.Batch
	s.subscribe([]mqtt.FilterRequest{{Filter: "#"}}, 0, &batch)
	s.mu.Lock()
	for _, m := range found {
		s.backlog = append(s.backlog, owed{message: m, filter: "#"})
	}
	for sent := 0; ; {
		more := s.move(&f)
		if len(p.published)-sent > maxMoved {
			t.Fatalf("%d messages in one piece", len(p.published)-sent)
		}
		if sent = len(p.published); !more {
			break
		}
	}
	s.mu.Unlock()
	if len(p.published) != n {
		t.Fatalf("sent %d of %d messages", len(p.published), n)
	}
}

// A client goes while a page of its queue is read. The page stays in the store: else
// the other members of a share would not get it, and what comes behind it would. Who
// wanted to give the queue to them meanwhile does it then.
func TestClientGoesWhileItsQueueIsRead(t *testing.T) {
	b, ctx := newBroker(t, Options{QueueMemory: 1})
	s := persistentSession(t, b, ctx, "s", &recorder{}, 1)
	s.mu.Lock()
	s.suspend()
	s.mu.Unlock()
	r := &receiver{session: s, qos: 1}
	const n = 10
	for range n {
		var k keeping
		var f flushList
		s.deliver(&message{Message: mqtt.Message{Topic: "t", QoS: 1}}, r, &k, &f)
		done := make(chan struct{})
		b.keep(&k, func() { close(done) })
		<-done
	}
	state := func() (head, swapped int, waits bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.queue), s.swap.count, s.swap.waits
	}
	head, swapped, _ := state()
	if swapped == 0 || head+swapped != n {
		t.Fatalf("%d messages are in memory and %d in the store", head, swapped)
	}
	s.mu.Lock()
	s.swap.reader = make(chan struct{})
	s.mu.Unlock()
	s.reassignSwapped()
	if _, _, waits := state(); !waits {
		t.Error("who comes while somebody reads is forgotten")
	}
	s.read()
	if h, w, waits := state(); h != head || w != swapped || waits {
		t.Errorf("%d messages are in memory and %d in the store, %d and %d before; waits %t", h, w, head, swapped, waits)
	}
}
