//go:build linux

package main

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lintel/gateway/mqtt"
)

// failed is the result of a row that could not be measured.
func failed(row string, err error) []result {
	return []result{{Row: row, Error: err.Error()}}
}

// open makes the event loop of a row over a transport. Without a listener for
// the transport the row is skipped, in words.
func (b *bench) open(row, transport string) (*loop, []result) {
	address, ok := b.addresses[transport]
	if !ok {
		return nil, []result{{Row: row, Skipped: "no --" + transport + " address"}}
	}
	l, err := newLoop(address, b.run)
	if err != nil {
		return nil, failed(row, err)
	}
	return l, nil
}

// client names a connection. The name tells runs apart: two of them at one
// broker would take over each other's sessions.
func (b *bench) client(kind string, i int) *conn {
	return &conn{id: fmt.Sprintf("bench%08x%s%d", uint32(b.run), kind, i)}
}

// topic names the topic i of a row.
func (b *bench) topic(i int) string { return fmt.Sprintf("bench/%08x/%d", uint32(b.run), i) }

// connectAll connects clients, not so many at a time that the broker's
// backlog overflows.
func (l *loop) connectAll(conns []*conn, transport string, clean bool) error {
	for len(conns) > 0 {
		group := conns[:min(len(conns), 100)]
		conns = conns[len(group):]
		want := l.ready + len(group)
		var dialling errgroup.Group
		if transport == "tcp" {
			dialling.SetLimit(1) // nothing to wait for
		}
		for _, c := range group {
			dialling.Go(func() error { return l.dial(c, transport) })
		}
		err := dialling.Wait()
		for _, c := range group {
			if err == nil {
				err = l.begin(c, clean)
			} else if c.fd > 0 {
				unix.Close(c.fd)
			}
		}
		if err != nil {
			return err
		}
		ok, err := l.until(benchPatience, func() bool { return l.ready == want })
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%d of %d clients got no answer to CONNECT or SUBSCRIBE", want-l.ready, len(group))
		}
	}
	return nil
}

// counts fills in what the checker saw. sent says how much went into each flow.
func (r *result) counts(l *loop, c *checker, sent func(flow int) int) {
	r.Duplicated += c.duplicated
	r.Reordered += c.reordered
	r.Stray += c.stray + l.unexpected
	for flow := range c.highest {
		r.Lost += c.lost(flow, sent(flow))
	}
}

// setup is publishers and receivers of one checker.
type setup struct {
	publishers []*publisher
	receivers  []*receiver
	conns      []*conn
	checker    *checker
}

// flood lets the publishers of s send as fast as their windows allow.
func (b *bench) flood(row, transport string, s setup, sent func(flow int) int) []result {
	l, no := b.open(row, transport)
	if l == nil {
		return no
	}
	defer l.close()
	if err := l.connectAll(s.conns, transport, true); err != nil {
		return failed(row, err)
	}
	m := b.measure(l)
	if _, err := l.drive(s.publishers, b.size.limit); err != nil {
		return failed(row, err)
	}
	r := m.end(row, l.heard, s.checker.received)
	r.counts(l, s.checker, sent)
	return []result{r}
}

// drive lets publishers send, for limit at most, and waits for what is on its
// way then. It reports whether all arrived.
func (l *loop) drive(publishers []*publisher, limit time.Duration) (bool, error) {
	for _, p := range publishers {
		p.start()
	}
	done := func() bool {
		for _, p := range publishers {
			if !p.done() {
				return false
			}
		}
		return true
	}
	l.publishers = publishers
	defer func() { l.publishers = nil }()
	ok, err := l.until(limit, done)
	if ok || err != nil {
		return ok, err
	}
	for _, p := range publishers {
		p.stopped = true
	}
	return l.until(6*benchPatience, done)
}

// pairs is one publisher to one subscriber, many times.
func (b *bench) pairs(transport string, qos mqtt.QoS, window int) []result {
	row := fmt.Sprintf("pairs-qos%d", qos)
	if transport != "tcp" {
		row += "-" + transport
	}
	n := b.size.pairs
	s := b.pairSetup(n, qos, b.size.deliveries/n)
	for _, p := range s.publishers {
		p.window, p.receivers = window, 1
	}
	return b.flood(row, transport, s, func(flow int) int { return s.publishers[flow].sent })
}

// pairSetup is n publishers and a receiver for each.
func (b *bench) pairSetup(n int, qos mqtt.QoS, count int) setup {
	s := setup{checker: newChecker(n, count)}
	for i := range n {
		p := &publisher{conn: b.client("p", i), qos: qos, topics: []string{b.topic(i)}, stream: uint32(i), count: count}
		r := &receiver{checker: s.checker, stream: uint32(i), span: 1, flow: i, owners: []*publisher{p}}
		c := b.client("s", i)
		c.filter, c.qos, c.receiver = p.topics[0], qos, r
		s.publishers, s.receivers = append(s.publishers, p), append(s.receivers, r)
		s.conns = append(s.conns, p.conn, c)
	}
	return s
}

// fanIn is many publishers to one subscriber.
func (b *bench) fanIn() []result {
	n := b.size.pairs
	count := b.size.deliveries / n
	s := setup{checker: newChecker(n, count)}
	c := b.client("s", 0)
	c.filter = fmt.Sprintf("bench/%08x/+", uint32(b.run))
	r := &receiver{checker: s.checker, span: uint32(n)}
	c.receiver = r
	s.conns = append(s.conns, c)
	for i := range n {
		p := &publisher{conn: b.client("p", i), topics: []string{b.topic(i)}, stream: uint32(i), count: count, window: 8, receivers: 1}
		r.owners = append(r.owners, p)
		s.publishers, s.conns = append(s.publishers, p), append(s.conns, p.conn)
	}
	return b.flood("fan-in", "tcp", s, func(flow int) int { return s.publishers[flow].sent })
}

// fanOut is one publisher to many subscribers.
func (b *bench) fanOut() []result {
	n := b.size.fanOut
	count := b.size.deliveries / n
	s := setup{checker: newChecker(n, count)}
	p := &publisher{conn: b.client("p", 0), topics: []string{b.topic(0)}, count: count, window: 20, receivers: n}
	s.publishers, s.conns = append(s.publishers, p), append(s.conns, p.conn)
	for i := range n {
		c := b.client("s", i)
		c.filter = p.topics[0]
		c.receiver = &receiver{checker: s.checker, span: 1, flow: i, owners: s.publishers}
		s.conns = append(s.conns, c)
	}
	return b.flood("fan-out", "tcp", s, func(int) int { return p.sent })
}

// calm is a house: few messages, and how long each takes.
func (b *bench) calm(transport string) []result {
	row := "calm"
	if transport != "tcp" {
		row += "-" + transport
	}
	l, no := b.open(row, transport)
	if l == nil {
		return no
	}
	defer l.close()
	total := int(b.size.calm.Seconds() * float64(b.size.rate))
	s := b.pairSetup(b.size.pairs, 1, total/b.size.pairs)
	var latency histogram
	for _, r := range s.receivers {
		r.latency = &latency
	}
	if err := l.connectAll(s.conns, transport, true); err != nil {
		return failed(row, err)
	}
	if err := l.rest(); err != nil {
		return failed(row, err)
	}
	stop := l.pace(s.publishers, b.size.rate)
	m := b.measure(l)
	_, err := l.until(b.size.calm+benchPatience, func() bool { return s.checker.received == s.checker.capacity() })
	if err != nil {
		return failed(row, err)
	}
	r := m.end(row, l.heard, s.checker.received)
	stop()
	r.counts(l, s.checker, func(flow int) int { return s.publishers[flow].sent })
	r.Latency = newLatencies(&latency)
	return []result{r}
}

// pace has publishers send rate messages a second together, until stop.
func (l *loop) pace(publishers []*publisher, rate int) (stop func()) {
	for _, p := range publishers {
		p.start()
	}
	l.paced = append(l.paced, &pacer{publishers: publishers, interval: time.Second / time.Duration(rate), next: l.now()})
	return func() { l.paced = nil }
}

// rest lets connections settle: what a broker that leaves Nagle's algorithm on
// sends within 40 ms after a SUBACK waits for the acknowledgement of that, which
// the receiver's kernel delays. That is not what a row is about.
func (l *loop) rest() error {
	_, err := l.until(200*time.Millisecond, func() bool { return false })
	return err
}

// bystander is a pair of clients that talk calmly while others do not: 500
// messages a second with QoS 1. Their latency shows what the others feel.
func (b *bench) bystander(l *loop) (result func() *latencies, err error) {
	const rate = 500
	count := rate * 120
	p := &publisher{conn: b.client("b", 0), qos: 1, topics: []string{b.topic(-1)}, stream: bystanderStream, count: count}
	c := b.client("b", 1)
	var latency histogram
	c.filter, c.qos = p.topics[0], 1
	c.receiver = &receiver{checker: newChecker(1, count), stream: p.stream, span: 1, latency: &latency}
	if err := l.connectAll([]*conn{p.conn, c}, "tcp", true); err != nil {
		return nil, err
	}
	stop := l.pace([]*publisher{p}, rate)
	if err := l.rest(); err != nil {
		return nil, err
	}
	latency = histogram{}
	return func() *latencies {
		stop()
		l.disconnect(p.conn)
		l.disconnect(c)
		return newLatencies(&latency)
	}, nil
}

// idle is many clients that say nothing.
func (b *bench) idle() []result {
	l, no := b.open("idle", "tcp")
	if l == nil {
		return no
	}
	defer l.close()
	if err := checkDescriptors(b.size.idle + 100); err != nil {
		return failed("idle", err)
	}
	var before int64
	if b.process != nil {
		before, _ = b.process.resident()
	}
	conns := make([]*conn, b.size.idle)
	for i := range conns {
		conns[i] = b.client("s", i)
		conns[i].filter = b.topic(i)
	}
	if err := l.connectAll(conns, "tcp", true); err != nil {
		return failed("idle", err)
	}
	m := b.measure(l)
	if _, err := l.until(b.size.settle, func() bool { return false }); err != nil {
		return failed("idle", err)
	}
	r := m.end("idle", l.now(), uint64(len(conns)))
	r.Rate, r.CPUPerMillion = 0, 0 // nothing was delivered
	r.ResidentBefore = before
	if before > 0 {
		r.KiBPerConnection = float64(r.Resident-before) / 1024 / float64(len(conns))
	}
	return []result{r}
}
