package air

import "time"

// awake says whether a device that sleeps listens at the moment.
func (n *Network) awake(d *device) bool { return time.Now().Before(d.awakeUntil) }

// hold keeps a frame at the parent until the device asks for it, or too long.
func (n *Network) hold(d *device, f Frame, answered func(Status)) {
	h := &held{f, answered}
	expire := func() {
		n.sent(Record{Device: d.IEEEAddress, Frame: f, Status: Expired})
		answered(Expired)
	}
	if len(d.held) >= maxHeld {
		n.after(0, expire)
		return
	}
	d.held = append(d.held, h)
	n.after(holdTime, func() {
		for i, other := range d.held {
			if other == h {
				d.held = append(d.held[:i], d.held[i+1:]...)
				expire()
				return
			}
		}
	})
	if d.Poll > 0 && !d.asleep && len(d.held) == 1 {
		since := time.Since(d.polled)
		n.after(d.Poll-since%d.Poll, func() {
			if !d.asleep && d.there() {
				n.fetch(d)
			}
		})
	}
}

// fetch lets the device have what its parent holds.
func (n *Network) fetch(d *device) {
	waiting := d.held
	d.held = nil
	for _, h := range waiting {
		if n.chance(n.options.Loss) {
			n.sent(Record{Device: d.IEEEAddress, Frame: h.frame, Status: NoAck})
			n.after(ackTime, func() { h.answered(NoAck) })
			continue
		}
		n.take(d, h.frame, h.answered)
	}
}

// rouse keeps the device awake for a second: who has sent something listens for
// what comes back.
func (n *Network) rouse(d *device) {
	if !d.sleepy() {
		return
	}
	if until := time.Now().Add(time.Second); until.After(d.awakeUntil) {
		d.awakeUntil = until
	}
	if len(d.held) > 0 {
		n.after(n.options.Latency, func() { n.fetch(d) })
	}
}

// drop gives up what the parent holds.
func (d *device) drop(why Status) {
	for _, h := range d.held {
		d.network.after(0, func() { h.answered(why) })
	}
	d.held = nil
}
