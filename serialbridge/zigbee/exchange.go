package zigbee

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	searchPause    = time.Minute // between searches for the address of a device
	searchPatience = 3 * time.Second
)

// exchange has f do something with a device, when it is its turn. A device that sleeps has
// one exchange at a time, from the beginning to the end; of others only what is sent
// is one after the other, and sent says when that is done. What fails is tried again a
// few times (repeats), and with a device that sleeps each time that it wakes up, and now and
// then in between, for as long as hold.
func (n *Network) exchange(ctx context.Context, d *node, timeout, hold time.Duration, repeats int, f func(ctx context.Context, s *session, to NetworkAddress, sent func()) error) error {
	hold = max(hold, 0)
	n.count(&d.queued, 1)
	defer n.count(&d.queued, -1)
	turn := time.NewTimer(timeout + hold)
	defer turn.Stop()
	select {
	case d.gate <- struct{}{}:
	case <-turn.C:
		return &DeliveryError{Reason: NoAck} // others are still waiting for it, too
	case <-d.gone:
		return ErrNoDevice
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var once sync.Once
	release := func() { once.Do(func() { <-d.gate }) }
	defer release()

	end := time.Now().Add(hold)
	for tried := 1; ; tried++ {
		n.mu.Lock()
		heard, to, sleepy := d.heard, d.device.NetworkAddress, d.sleepy()
		n.mu.Unlock()
		err := n.once(ctx, d, to, sleepy, release, f)
		if err == nil || !again(err) {
			return err
		}
		if !sleepy {
			if n.search(ctx, d, to, err) {
				continue
			}
			if tried > repeats {
				return err
			}
			if !errors.Is(err, ErrNoAnswer) { // for which it has waited
				if err := pause(ctx, time.Duration(tried)*time.Second/2); err != nil {
					return err
				}
			}
			continue
		}
		left := time.Until(end)
		if left <= 0 && tried > repeats {
			return err
		}
		// Its parent keeps what is sent until it asks, which it may do without a word to us.
		wait := min(time.Duration(tried)*repeatPause, maxRepeatPause)
		if left > 0 {
			wait = min(wait, left)
		}
		if repeats == 0 {
			wait = left // nothing but its own word says that it has not been done
		}
		switch waited := n.await(ctx, d, heard, wait, err); {
		case waited == nil, waited == err && (repeats > 0 && time.Until(end) > 0 || tried <= repeats):
		default:
			return waited
		}
	}
}

// once has f try, when there is room among those who send.
func (n *Network) once(ctx context.Context, d *node, to NetworkAddress, sleepy bool, release func(), f func(ctx context.Context, s *session, to NetworkAddress, sent func()) error) error {
	s, err := n.started()
	if err != nil {
		return err
	}
	if to == UnknownAddress {
		return &DeliveryError{Reason: NoRoute}
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	slots := s.awake
	if sleepy {
		slots = s.asleep
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var left sync.Once
	leave := func() { left.Do(func() { <-slots }) }
	defer leave()
	return f(ctx, s, to, func() {
		leave()
		if !sleepy {
			release()
		}
	})
}

// again says whether it makes sense to try once more.
func again(err error) bool {
	if errors.Is(err, ErrNoAnswer) {
		return true
	}
	e, ok := errors.AsType[*DeliveryError](err)
	return ok && (e.Reason == NoAck || e.Reason == NoRoute || e.Reason == Expired)
}

// await waits until a device that sleeps is heard.
func (n *Network) await(ctx context.Context, d *node, heard <-chan struct{}, left time.Duration, why error) error {
	n.count(&d.held, 1)
	defer n.count(&d.held, -1)
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-heard:
		return nil
	case <-timer.C:
		return why
	case <-d.gone:
		return ErrNoDevice
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *Network) count(what *int, change int) {
	n.mu.Lock()
	*what += change
	n.mu.Unlock()
}

// search asks everybody where a device is that could not be reached, and says
// whether it has been found somewhere else.
func (n *Network) search(ctx context.Context, d *node, was NetworkAddress, why error) bool {
	if e, ok := errors.AsType[*DeliveryError](why); !ok || e.Reason == Expired {
		return false
	}
	s, err := n.started()
	if err != nil {
		return false
	}
	now := time.Now()
	n.mu.Lock()
	if d.device.NetworkAddress != was { // in the meantime
		n.mu.Unlock()
		return true
	}
	if now.Sub(d.searched) < searchPause {
		n.mu.Unlock()
		return false
	}
	d.searched = now
	heard, ieee := d.heard, d.device.IEEEAddress
	n.mu.Unlock()

	ctx, cancel := s.within(ctx)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, searchPatience)
	defer cancelTimeout()
	data, err := s.coordinator.ZDO(ctx, BroadcastAwake, zdoNetworkAddress, append(appendIEEE(nil, ieee), 0, 0))
	if err != nil {
		return false
	}
	if a, err := parseAddress(data); err == nil && a.IEEEAddress == ieee { // a stick that waits for the answer
		n.mu.Lock()
		n.place(d, a.NetworkAddress)
		n.mu.Unlock()
	} else {
		select {
		case <-heard:
		case <-ctx.Done():
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return d.device.NetworkAddress != was && d.device.NetworkAddress != UnknownAddress
}
