package serialbridge

import (
	"context"
	"slices"
	"time"

	"lintel/gateway/mqtt"
	"lintel/serialbridge/journey"
)

// entry of a stick's queue: a device of which something is to be published, a mark
// that is closed when all before it was, or the stick's own availability.
type entry struct {
	device  *device
	flushed chan struct{}
}

// self is the entry of a stick's own availability.
var self = entry{}

// enqueueSelf has the availability of the stick published, once for however many
// changes. The caller holds the supervisor's lock.
func (st *stick) enqueueSelf() {
	if !slices.Contains(st.queue, self) {
		st.queue = append(st.queue, self)
		st.stir()
	}
}

// owes tells whether something is to be published that would be missed. That a stick
// is offline would not be if it never was online.
func (st *stick) owes() bool {
	return slices.ContainsFunc(st.queue, func(e entry) bool { return e != self || st.wasOnline })
}

// deliverSelf publishes the availability of the stick.
func (st *stick) deliverSelf(ctx context.Context) error {
	st.s.mu.Lock()
	payload := "offline"
	if st.state == Online {
		payload = "online"
	}
	st.s.mu.Unlock()
	topic := st.s.o.BaseTopic + "/" + st.deviceID() + "/availability"
	return st.s.o.Broker.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true})
}

// enqueue notes what of a device is to be published. A device is in the queue
// once at most and is written as it is when its turn comes, so a slow broker
// gets fewer messages, and newer ones. The caller holds the supervisor's lock.
func (st *stick) enqueue(d *device, what dirty) {
	d.dirty |= what
	if !slices.ContainsFunc(st.queue, func(e entry) bool { return e.device == d }) {
		st.queue = append(st.queue, entry{device: d})
		st.stir()
	}
}

// stir wakes publish.
func (st *stick) stir() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// publish gives to the broker what is in the queue, until ctx ends.
func (st *stick) publish(ctx context.Context) {
	retry := backoff{min: st.s.t.retryMin, max: 10 * time.Second}
	for ctx.Err() == nil {
		e, ok := st.dequeue()
		if !ok {
			select {
			case <-ctx.Done():
			case <-st.wake:
			}
			continue
		}
		if e.flushed != nil {
			close(e.flushed)
			continue
		}
		for {
			var err error
			if e == self {
				err = st.deliverSelf(ctx)
			} else {
				err = st.deliver(ctx, e.device)
			}
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				retry.reset()
				break
			}
			st.s.log.Warn("cannot publish", "port", st.id, "err", err)
			rest(ctx, retry.step())
		}
	}
}

func (st *stick) dequeue() (entry, bool) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if len(st.queue) == 0 {
		return entry{}, false
	}
	e := st.queue[0]
	st.queue = st.queue[1:]
	return e, true
}

// deliver publishes what has changed of a device. What fails stays to be done,
// but for events, which are of the moment.
func (st *stick) deliver(ctx context.Context, d *device) error {
	s := st.s
	s.mu.Lock()
	if d.owner != st {
		s.mu.Unlock() // it is in the other stick's queue
		return nil
	}
	if d.dirty&dirtyGone != 0 && s.devices[d.ID] != nil {
		s.mu.Unlock() // it came back before it was taken back
		return nil
	}
	what, device := d.dirty, d.Device
	if what&dirtyState != 0 {
		d.settle()
		d.published = time.Now()
	}
	messages := d.messages(s.o.BaseTopic)
	number := d.journey
	d.journey = 0
	s.mu.Unlock()
	if what&dirtyDevice != 0 && s.o.OnDevice != nil {
		s.o.OnDevice(device)
	}
	if what&dirtyGone != 0 && s.o.OnGone != nil {
		s.o.OnGone(device.ID)
	}
	for _, m := range messages {
		if number != 0 {
			m.Trace = number
			s.o.Journeys.Tell(number, journey.Stage{Kind: journey.Published, Topic: m.Topic, Text: string(m.Payload), Size: len(m.Payload)})
		}
		if err := s.o.Broker.Publish(ctx, m); err != nil {
			s.mu.Lock()
			d.owner.enqueue(d, what&^dirtyDevice)
			s.mu.Unlock()
			return err
		}
	}
	return nil
}
