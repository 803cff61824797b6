package zigbee

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// session is the time for which a stick is in use.
type session struct {
	coordinator Coordinator
	up          chan struct{} // closed when the stick has started the network
	again       chan struct{} // asks for the stick to be opened once more

	// start runs something for as long as the session lasts, once the network is
	// up. It is called with the network locked, while the session is its.
	start func(func(context.Context))
	// within ends a context with the session.
	within func(context.Context) (context.Context, context.CancelFunc)

	answers       chan func(context.Context)
	awake, asleep chan struct{} // who sends to devices has a place here
}

// errBusy says that there is a stick already.
var errBusy = errors.New("zigbee: another stick is the coordinator already; unplug one of them")

// ErrReopen is what Serve ends with when the stick is to be opened and served again at
// once: it is restored then.
var ErrReopen = errors.New("zigbee: the stick is opened again for a restore")

// Serve has the stick be the coordinator of the network: it resumes the network
// that stick and memory agree on, restores that of the memory onto a stick that
// is new, or forms one if there is none at all. It returns when the stick fails or
// ctx ends, and closes the stick. One stick at a time is served; Run has to run.
func (n *Network) Serve(ctx context.Context, c Coordinator) (err error) {
	defer c.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks sync.WaitGroup
	s := &session{
		coordinator: c,
		up:          make(chan struct{}),
		again:       make(chan struct{}, 1),
		answers:     make(chan func(context.Context), maxAnswers),
		awake:       make(chan struct{}, slotsAwake),
		asleep:      make(chan struct{}, slotsAsleep),
	}
	s.start = func(f func(context.Context)) {
		tasks.Go(func() {
			select {
			case <-s.up:
				f(ctx)
			case <-ctx.Done():
			}
		})
	}
	s.within = func(other context.Context) (context.Context, context.CancelFunc) {
		joint, end := context.WithCancelCause(other)
		stop := context.AfterFunc(ctx, func() { end(ErrNoStick) })
		return joint, func() { stop(); end(nil) }
	}

	n.mu.Lock()
	if n.session != nil {
		n.mu.Unlock()
		return errBusy
	}
	n.session, n.info = s, c.Info()
	n.mu.Unlock()
	c.Events(n.event)
	defer func() {
		n.mu.Lock()
		n.session = nil
		addCounts(n.counters.Damaged, c.Damaged())
		if n.running {
			n.tell(notice{kind: noticeStopped, err: err})
		}
		n.running, n.permitEnd = false, time.Time{}
		clear(n.strangers)
		n.mu.Unlock()
		cancel(ErrNoStick)
		tasks.Wait()
	}()

	if err := n.bringUp(ctx, s); err != nil {
		return err
	}
	for range answerers {
		tasks.Go(func() {
			for {
				select {
				case answer := <-s.answers:
					answer(ctx)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.again:
		return ErrReopen
	case <-c.Done():
		return fmt.Errorf("zigbee: the stick has failed: %w", c.Err())
	}
}

// started returns the session of the stick that has started the network.
func (n *Network) started() (*session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == nil || !n.running {
		return nil, ErrNoStick
	}
	return n.session, nil
}

// bringUp starts the right network on a stick.
func (n *Network) bringUp(ctx context.Context, s *session) error {
	n.mu.Lock()
	known, restoring := n.memory, n.restoring
	n.mu.Unlock()
	c := s.coordinator
	held, err := c.Network(ctx)
	holds := err == nil
	if err != nil && !errors.Is(err, ErrNoNetwork) {
		return fmt.Errorf("zigbee: the stick does not tell its network: %w", err)
	}
	var restored *Backup
	choose := false
	switch {
	case restoring != nil:
		restored = restoring.backup
	case holds && (!known.ok || known.Parameters.same(held)):
		err = c.Resume(ctx)
	case holds && !n.options.TakeOver:
		return fmt.Errorf("zigbee: the stick is the coordinator of another network (%s) than the one known here (%s); "+
			"to make it forget that network and take over this one, set take_over", held, known.Parameters)
	case known.backup != nil:
		restored = known.backup
	case known.ok && !n.options.TakeOver:
		return fmt.Errorf("zigbee: the stick is new, and of the network known here (%s) there is no backup; "+
			"plug the old stick in, or set take_over to begin anew with the same keys: devices may have to join again", known.Parameters)
	case known.ok:
		err = c.Form(ctx, known.Parameters)
	default:
		var p Parameters
		p, choose = n.options.Form.complete()
		err = c.Form(ctx, p)
	}
	if restored != nil {
		if !c.Info().CanRestore {
			err = errors.New("zigbee: such a stick cannot take over a network; use a newer one, or the old one again")
		} else {
			restored = restored.later(time.Now())
			err = c.Restore(ctx, restored)
		}
	}
	if restoring != nil {
		defer n.endRestore(restoring, &err)
	}
	if err != nil {
		return fmt.Errorf("zigbee: the network could not be started: %w", err)
	}
	if choose {
		n.chooseChannel(ctx, c)
	}
	p, err := c.Network(ctx)
	if err != nil {
		err = fmt.Errorf("zigbee: the stick has started the network and does not tell it: %w", err)
		return err
	}
	if err = n.settleDown(ctx, p, c.Info(), restored); err != nil {
		return err
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	n.info, n.parameters, n.running = c.Info(), p, true
	close(s.up)
	n.tell(notice{kind: noticeStarted, info: n.info, parameters: p})
	if restored != nil {
		n.adopt(restored)
	}
	adopt := !known.ok && holds
	resumed := known.ok && restored == nil
	s.start(func(ctx context.Context) { n.firstBackup(ctx, s, adopt, resumed) })
	signal(n.timed)
	return nil
}

// String names a network to people.
func (p Parameters) String() string {
	return fmt.Sprintf("PAN 0x%04x, extended PAN 0x%x, channel %d", p.PANID, p.ExtendedPANID, p.Channel)
}

// same says whether two are the same network: PAN identifier and channel may change
// while it lives.
func (p Parameters) same(other Parameters) bool {
	return p.ExtendedPANID == other.ExtendedPANID && p.NetworkKey == other.NetworkKey
}

// complete makes up what is not said of a network to be formed, and says whether the
// channel is still to be chosen.
func (p Parameters) complete() (_ Parameters, choose bool) {
	for p.PANID == 0 || p.PANID >= 0xfffe {
		var b [2]byte
		rand.Read(b[:])
		p.PANID = binary.LittleEndian.Uint16(b[:])
	}
	for p.ExtendedPANID == [8]byte{} {
		rand.Read(p.ExtendedPANID[:])
	}
	for p.NetworkKey == [16]byte{} {
		rand.Read(p.NetworkKey[:])
	}
	if p.Channel == 0 {
		p.Channel, choose = firstChannels[0], true
	}
	return p, choose
}

// firstChannels are those that a new network is formed on: between the usual channels of
// Wi-Fi, and of the Light Link profile, which all devices can use.
var firstChannels = [...]uint8{11, 15, 20, 25}

// chooseChannel moves a network that nobody has joined yet to the quietest channel. That
// nothing can be measured is no reason to have no network.
func (n *Network) chooseChannel(ctx context.Context, c Coordinator) {
	var mask uint32
	for _, channel := range firstChannels {
		mask |= 1 << channel
	}
	energy, err := c.EnergyScan(ctx, mask)
	if err != nil {
		n.log.Warn("the channels could not be measured", "err", err)
		return
	}
	best := firstChannels[0]
	for _, channel := range firstChannels {
		if e, ok := energy[channel]; ok && e < energy[best] {
			best = channel
		}
	}
	if best == firstChannels[0] {
		return
	}
	if err := c.ChangeChannel(ctx, best); err != nil {
		n.log.Warn("the network could not be moved to the quietest channel", "channel", best, "err", err)
	}
}

// adopt makes devices of a backup known that are not: they are interviewed as soon as
// they are heard. The network is locked.
func (n *Network) adopt(b *Backup) {
	for _, bd := range b.Devices {
		if n.nodes[bd.IEEEAddress] != nil || bd.IEEEAddress == n.info.IEEEAddress {
			continue
		}
		n.add(bd.IEEEAddress, bd.NetworkAddress)
	}
}

// EnergyScan measures how much is going on in each channel: 0 to 255.
func (n *Network) EnergyScan(ctx context.Context) (map[uint8]uint8, error) {
	s, err := n.started()
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.coordinator.EnergyScan(ctx, Channels)
}

// ChangeChannel moves the network to another channel, 11 to 26. It is backed up before
// and after, as far as the stick can do that.
func (n *Network) ChangeChannel(ctx context.Context, channel uint8) error {
	if channel < 11 || channel > 26 {
		return fmt.Errorf("zigbee: %d is no channel; right is 11 to 26", channel)
	}
	s, err := n.started()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	info := s.coordinator.Info()
	if info.CanRestore {
		if _, err := n.Backup(ctx); err != nil {
			return fmt.Errorf("zigbee: the channel is not changed, since the network cannot be backed up: %w", err)
		}
	}
	if err := s.coordinator.ChangeChannel(ctx, channel); err != nil {
		return err
	}
	p, err := s.coordinator.Network(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.parameters = p
	n.mu.Unlock()
	if err := n.settleDown(ctx, p, info, nil); err != nil {
		return err
	}
	if info.CanRestore {
		_, err = n.Backup(ctx)
	}
	return err
}
