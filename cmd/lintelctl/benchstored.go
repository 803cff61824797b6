//go:build linux

package main

import (
	"fmt"
	"syscall"
	"time"
)

// storePublishers send what is to be kept, each with so many on their way.
const (
	storePublishers = 10
	storeWindow     = 100
	durableWindow   = 10 // of each of the publishers of the row durable
)

// settleTime is enough for a broker to write what nobody waits for, such as the
// acknowledgements of the last messages.
const settleTime = 500 * time.Millisecond

// stored is messages for sessions whose clients are away, then their coming
// back. Two results.
func (b *bench) stored(row string, sessions int) []result {
	l, no := b.open(row, "tcp")
	if l == nil {
		return no
	}
	defer l.close()
	// Each publisher sends to the topics of all sessions in turn.
	senders, window := storePublishers, storeWindow
	durable := row == "durable"
	if durable {
		senders, window = b.size.pairs, durableWindow
	}
	each := b.size.stored / senders
	streams := senders * sessions
	check := newChecker(streams, (each+sessions-1)/sessions)
	var away []*conn
	var topics []string
	for i := range sessions {
		topics = append(topics, b.topic(i))
		c := b.client("s", i)
		c.filter, c.qos = topics[i], 1
		away = append(away, c)
	}
	if err := l.connectAll(away, "tcp", false); err != nil {
		return failed(row+"-store", err)
	}
	for _, c := range away {
		l.disconnect(c)
	}
	publishers, conns := b.storers(senders, each, topics)
	var latency histogram
	for _, p := range publishers {
		p.window, p.latency = window, &latency
	}
	if err := l.connectAll(conns, "tcp", true); err != nil {
		return failed(row+"-store", err)
	}
	m := b.measure(l)
	if _, err := l.drive(publishers, 60*time.Second); err != nil {
		return failed(row+"-store", err)
	}
	last := l.heard
	if err := l.settle(durable); err != nil {
		return failed(row+"-store", err)
	}
	store := m.end(row+"-store", last, acknowledged(publishers))
	if durable {
		store.Latency = newLatencies(&latency)
	}
	for _, p := range publishers {
		store.Lost += uint64(p.sent - p.acked)
	}
	store.Stray = l.unexpected

	drain, err := b.drain(l, row+"-drain", away, publishers, check, durable)
	if err != nil {
		return append([]result{store}, failed(row+"-drain", err)...)
	}
	return []result{store, drain}
}

// durable is stored for the sake of the disk: what is measured includes the
// writing of what nobody waits for.
func (b *bench) durable() []result { return b.stored("durable", b.size.sessions) }

// settle waits, if it matters, until the broker has written what nobody waits for.
func (l *loop) settle(matters bool) error {
	if !matters {
		return nil
	}
	_, err := l.until(settleTime, func() bool { return false })
	return err
}

// storers are n publishers of rows in which the broker keeps something. All
// send to the same topics, and each is a stream of its own in each of them.
func (b *bench) storers(n, each int, topics []string) (publishers []*publisher, conns []*conn) {
	for i := range n {
		p := &publisher{conn: b.client("p", i), qos: 1, topics: topics, stream: uint32(i * len(topics)), count: each}
		publishers, conns = append(publishers, p), append(conns, p.conn)
	}
	return publishers, conns
}

func acknowledged(publishers []*publisher) (n uint64) {
	for _, p := range publishers {
		n += uint64(p.acked)
	}
	return n
}

// drain has the clients come back for what waits for them, all at once. Then
// their sessions are ended. In the row durable nobody stands by, whose messages
// would cost something too.
func (b *bench) drain(l *loop, row string, away []*conn, publishers []*publisher, check *checker, durable bool) (result, error) {
	sessions := len(away)
	var back []*conn
	for i, gone := range away {
		c := &conn{id: gone.id, filter: gone.filter, qos: gone.qos}
		// The streams of a topic are a stride apart: one of each publisher.
		c.receiver = &receiver{checker: check, stream: uint32(i), span: uint32(len(publishers) * sessions), stride: uint32(sessions), flow: i}
		back = append(back, c)
	}
	latency := func() *latencies { return nil }
	if !durable {
		var err error
		if latency, err = b.bystander(l); err != nil {
			return result{}, err
		}
	}
	stored := acknowledged(publishers)
	m := b.measure(l)
	for _, c := range back {
		if err := l.connect(c, "tcp", false); err != nil {
			return result{}, err
		}
	}
	last, err := l.collect(check, stored)
	if err != nil {
		return result{}, err
	}
	if err := l.settle(durable); err != nil {
		return result{}, err
	}
	r := m.end(row, last, check.received)
	r.Bystander = latency()
	r.counts(l, check, func(flow int) int { return publishers[flow/sessions].sentIn(flow % sessions) })
	for _, c := range back {
		if !c.present {
			r.Error = "a session was gone when its client came back"
		}
		l.disconnect(c)
	}
	var ending []*conn
	for _, c := range back {
		ending = append(ending, &conn{id: c.id})
	}
	return r, l.connectAll(ending, "tcp", true)
}

// retained is messages that a broker keeps for who comes later. A result for
// setting them and one for each way of getting them all.
func (b *bench) retained() []result {
	l, no := b.open("retained", "tcp")
	if l == nil {
		return no
	}
	defer l.close()
	each := b.size.retained / storePublishers
	var publishers, clearing []*publisher
	var conns []*conn
	for i := range storePublishers {
		p := &publisher{conn: b.client("p", i), qos: 1, retain: true, stream: uint32(i * each), count: each, window: storeWindow}
		for t := range each {
			p.topics = append(p.topics, b.topic(i*each+t))
		}
		publishers, conns = append(publishers, p), append(conns, p.conn)
		again := *p
		again.empty = true
		clearing = append(clearing, &again)
	}
	if err := l.connectAll(conns, "tcp", true); err != nil {
		return failed("retained-set", err)
	}
	m := b.measure(l)
	if _, err := l.drive(publishers, 60*time.Second); err != nil {
		return failed("retained-set", err)
	}
	set := m.end("retained-set", l.heard, acknowledged(publishers))
	for _, p := range publishers {
		set.Lost += uint64(p.sent - p.acked)
	}
	set.Stray = l.unexpected
	results := []result{set}
	for i, way := range []struct {
		row  string
		qos  byte
		slow bool
	}{{"retained-qos0", 0, false}, {"retained-qos1", 1, false}, {"retained-slow", 0, true}} {
		r, err := b.receiveRetained(l, way.row, i, way.qos, way.slow, publishers)
		if err != nil {
			return append(results, failed(way.row, err)...)
		}
		results = append(results, r)
	}
	if _, err := l.drive(clearing, 60*time.Second); err != nil {
		return append(results, failed("retained-clear", err)...)
	}
	return results
}

// receiveRetained subscribes to everything.
func (b *bench) receiveRetained(l *loop, row string, number int, qos byte, slow bool, publishers []*publisher) (result, error) {
	each := len(publishers[0].topics)
	streams := len(publishers) * each
	check := newChecker(streams, 1)
	latency, err := b.bystander(l)
	if err != nil {
		return result{}, err
	}
	c := b.client("s", number)
	c.filter, c.qos = "#", qos
	c.receiver = &receiver{checker: check, span: uint32(streams)}
	if slow {
		l.slow = c
		defer func() { l.slow = nil }()
	}
	want := acknowledged(publishers)
	m := b.measure(l)
	if err := l.connect(c, "tcp", true); err != nil {
		return result{}, err
	}
	last, err := l.collect(check, want)
	if err != nil {
		return result{}, err
	}
	r := m.end(row, last, check.received)
	r.Bystander = latency()
	r.counts(l, check, func(flow int) int { return publishers[flow/each].sentIn(flow % each) })
	l.disconnect(c)
	return r, nil
}

// collect waits until so many messages have arrived, or none for a while: the
// bystander keeps the loop from seeing that the broker is silent. It returns when
// the last came.
func (l *loop) collect(check *checker, want uint64) (last time.Duration, err error) {
	received := check.received
	last = l.now()
	_, err = l.until(60*time.Second, func() bool {
		if now := l.now(); check.received != received {
			received, last = check.received, now
		} else if now-last > benchPatience/2 {
			return true
		}
		return received >= want
	})
	return last, err
}

// checkDescriptors says what to do if this process may not open n descriptors.
func checkDescriptors(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("%d connections need as many descriptors and the limit is %d: raise it (ulimit -Hn %d) and try again", n, limit.Max, n)
	}
	return nil // the Go runtime has raised the soft limit to the hard one
}
