package witness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel/gateway/mqtt"
)

// lastMessage is the sender of what is published last after a crash: with it
// everything that waited has come.
const lastMessage = "last"

// pace is how long a client rests at the most.
type pace struct{ max time.Duration }

func (p pace) pause(ctx context.Context, r *rand.Rand) error {
	t := time.NewTimer(time.Duration(r.Int64N(int64(p.max))))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Load makes all sessions anew at the broker and plays their clients, who rest
// for up to pause between two of their acts, until ctx ends or the first of them
// fails. That is no error after ctx has ended. The report is of what is wrong
// without any crash.
func Load(ctx context.Context, addr string, l *Ledger, seed uint64, pause time.Duration) (Report, error) {
	if err := setUp(ctx, addr); err != nil {
		return Report{}, fmt.Errorf("set up: %w", err)
	}
	l.begin()
	clients, inner := errgroup.WithContext(ctx)
	var n uint64
	goWith := func(f func(*rand.Rand) error) {
		n++
		r := rand.New(rand.NewPCG(seed, n))
		clients.Go(func() error { return f(r) })
	}
	w := newWorld(l.run)
	pace := pace{pause}
	for _, kind := range publishers {
		p := &publisher{publisherKind: kind, run: l.run, state: w.publishers[kind.name], ledger: l}
		goWith(func(r *rand.Rand) error { return p.publish(inner, addr, r, pace) })
	}
	var receivers []*subscriber
	for _, kind := range subscribers {
		s := &subscriber{subscriberKind: kind, run: l.run, state: w.subscribers[kind.name], ledger: l}
		receivers = append(receivers, s)
		goWith(func(r *rand.Rand) error { return s.receive(inner, addr, r) })
	}
	for i := range 2 {
		goWith(func(r *rand.Rand) error { return retain(inner, addr, i, l, r, pace) })
	}
	h := &host{run: l.run, state: w.rooms, ledger: l}
	goWith(func(r *rand.Rand) error { return h.work(inner, addr, r, pace) })
	err := clients.Wait()
	report := h.report
	for _, s := range receivers {
		report.Add(s.report)
	}
	if ctx.Err() != nil {
		err = nil
	}
	return report, err
}

// setUp brings the broker into the state that newWorld describes.
func setUp(ctx context.Context, addr string) error {
	forget := func(id string, v mqtt.Version) error {
		c, err := connect(ctx, addr, id, v, true, false)
		if err != nil {
			return err
		}
		defer c.close()
		return c.send(&mqtt.Disconnect{Type: mqtt.DISCONNECT})
	}
	for _, p := range publishers {
		if err := forget(p.name, p.version); err != nil {
			return err
		}
	}
	for i := range guests {
		if err := forget(guestName(i), mqtt.V50); err != nil {
			return err
		}
	}
	for _, s := range subscribers {
		if err := forget(s.name, s.version); err != nil {
			return err
		}
		c, err := connect(ctx, addr, s.name, s.version, false, true)
		if err != nil {
			return err
		}
		err = c.subscribe("m/#", s.qos, nil)
		c.close()
		if err != nil {
			return err
		}
	}
	c, err := connect(ctx, addr, "retainer-0", mqtt.V311, true, false)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range slots {
		if err := c.publish(slotTopic(i), nil, true); err != nil {
			return err
		}
	}
	return nil
}

// Check goes on where the clients stopped, against a broker that came back. It
// changes the world and is for one call.
func (w *World) Check(ctx context.Context, addr string) Report {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all Report
	failed := func(err error) {
		if err != nil {
			all.note(&all.Broken, "%v", err)
		}
	}
	failed(w.checkRetained(ctx, addr, &all))
	h := &host{run: w.run, state: w.rooms}
	failed(h.check(ctx, addr))
	all.Add(h.report)

	var wait sync.WaitGroup
	told := make(chan struct{})
	receivers := make([]*subscriber, len(subscribers))
	errs := make([]error, len(subscribers))
	for i, kind := range subscribers {
		s := &subscriber{subscriberKind: kind, run: w.run, state: w.subscribers[kind.name]}
		receivers[i] = s
		wait.Go(func() { errs[i] = s.finish(ctx, addr, told, w.publishers) })
	}
	for _, kind := range publishers {
		if kind.qos == 2 {
			failed(w.finish(ctx, addr, kind))
		}
	}
	failed(w.publishLast(ctx, addr))
	close(told)
	wait.Wait()
	for i, s := range receivers {
		failed(errs[i])
		all.Add(s.judge(w.publishers))
	}
	return all
}

// finish lets a publisher of QoS 2 end what is open, and then use all its packet
// ids once more.
func (w *World) finish(ctx context.Context, addr string, kind publisherKind) error {
	c, err := connect(ctx, addr, kind.name, kind.version, false, true)
	if err != nil {
		return err
	}
	defer c.close()
	p := &publisher{publisherKind: kind, run: w.run, state: w.publishers[kind.name]}
	return p.exchange(c, publishIDs)
}

func (w *World) publishLast(ctx context.Context, addr string) error {
	c, err := connect(ctx, addr, lastMessage, mqtt.V50, true, false)
	if err != nil {
		return err
	}
	defer c.close()
	return c.publish("m/"+lastMessage, key{lastMessage, 0}.payload(w.run), false)
}
