package zigbee

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Keys of Options.Memory.
const (
	memoryNetwork      = "network"       // what the network is made of, as JSON
	memoryBackup       = "backup"        // the last backup
	memoryBackupBefore = "backup.before" // the one before
	memoryReplaced     = "backup.other"  // the last one of the network that was here before this one
	memoryBlocked      = "blocked"       // addresses, with commas between
)

// remembered is what is known of the network without a stick.
type remembered struct {
	ok bool // there is a network
	Parameters
	Coordinator IEEEAddress
	backup      *Backup // nil: none was made yet
}

// rememberedText is remembered as the memory has it.
type rememberedText struct {
	Parameters
	Coordinator IEEEAddress
}

// remember reads the memory.
func (n *Network) remember() error {
	for key, text := range n.options.Memory.All() {
		switch key {
		case memoryNetwork:
			var t rememberedText
			if err := json.Unmarshal([]byte(text), &t); err != nil {
				return fmt.Errorf("zigbee: what is known of the network cannot be read: %w", err)
			}
			n.memory.ok, n.memory.Parameters, n.memory.Coordinator = true, t.Parameters, t.Coordinator
			n.parameters, n.info.IEEEAddress = t.Parameters, t.Coordinator
		case memoryBackup:
			b := new(Backup)
			if err := json.Unmarshal([]byte(text), b); err != nil {
				n.log.Error("the last backup of the network cannot be read", "err", err)
				continue
			}
			n.memory.backup = b
		case memoryBlocked:
			for part := range strings.SplitSeq(text, ",") {
				if ieee, err := ParseIEEEAddress(part); err == nil {
					n.blocked[ieee] = true
				}
			}
		}
	}
	// A backup without the network is of a program that ended between the two.
	if b := n.memory.backup; b != nil && !n.memory.ok {
		n.memory.ok, n.memory.Parameters, n.memory.Coordinator = true, b.Parameters, b.Coordinator
	}
	if b := n.memory.backup; b != nil && !b.same(n.memory.Parameters) {
		n.memory.backup = nil
	}
	return nil
}

// settleDown takes note of the network that a stick has started, and of the backup that it
// was made from.
func (n *Network) settleDown(ctx context.Context, p Parameters, info Info, restored *Backup) error {
	n.mu.Lock()
	was := n.memory
	now := remembered{ok: true, Parameters: p, Coordinator: info.IEEEAddress}
	if was.ok && was.same(p) {
		now.backup = was.backup
	}
	if restored != nil {
		now.backup = restored
	}
	n.memory = now
	n.mu.Unlock()
	if restored != nil {
		if err := n.keepBackup(ctx, restored); err != nil {
			return err
		}
	}
	if was.ok && was.Parameters == now.Parameters && was.Coordinator == now.Coordinator {
		return nil
	}
	text, err := json.Marshal(rememberedText{now.Parameters, now.Coordinator})
	if err != nil {
		return err
	}
	return n.options.Memory.Put(ctx, memoryNetwork, string(text))
}

// keepBackup writes a backup down, and keeps the one before.
func (n *Network) keepBackup(ctx context.Context, b *Backup) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	for key, before := range n.options.Memory.All() {
		if key != memoryBackup {
			continue
		}
		var old Backup
		to := memoryBackupBefore
		if json.Unmarshal([]byte(before), &old) == nil && !old.same(b.Parameters) {
			to = memoryReplaced
		}
		if err := n.options.Memory.Put(ctx, to, before); err != nil {
			return fmt.Errorf("zigbee: the last backup of the network: %w", err)
		}
		break
	}
	if err := n.options.Memory.Put(ctx, memoryBackup, string(text)); err != nil {
		return fmt.Errorf("zigbee: the backup of the network: %w", err)
	}
	return nil
}

// Backup reads a backup from the stick, adds devices with keys of their own that the
// stick has lost, and keeps it in memory.
func (n *Network) Backup(ctx context.Context) (*Backup, error) {
	b, err := n.readBackup(ctx)
	if err != nil {
		return nil, err
	}
	return n.takeBackup(ctx, b)
}

// LastBackup returns when the last backup was made; the zero time: there is none.
func (n *Network) LastBackup() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.memory.backup == nil {
		return time.Time{}
	}
	return n.memory.backup.Date
}

// takeBackup keeps what was read from a stick.
func (n *Network) takeBackup(ctx context.Context, b *Backup) (*Backup, error) {
	n.mu.Lock()
	if !n.memory.ok || !n.memory.same(b.Parameters) {
		n.mu.Unlock()
		return nil, errors.New("zigbee: the stick returns a backup of another network than it runs; it is not kept")
	}
	if last := n.memory.backup; last != nil {
		b.keepLost(last, n.nodes)
		if b.FrameCounter < last.FrameCounter {
			// Devices may believe nothing that this stick sends: another one has had the
			// network since. What counts is the higher number.
			b.FrameCounter = last.FrameCounter
		}
	}
	n.fillIn(b)
	n.memory.backup = b
	n.mu.Unlock()
	if err := n.keepBackup(ctx, b); err != nil {
		return nil, err
	}
	return b.clone(), nil
}

// readBackup reads a backup from the stick.
func (n *Network) readBackup(ctx context.Context) (*Backup, error) {
	s, err := n.started()
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	b, err := s.coordinator.Backup(ctx)
	if err != nil {
		return nil, fmt.Errorf("zigbee: the stick cannot be backed up: %w", err)
	}
	b = b.clone()
	now, _ := n.clock()
	b.Date = now.Truncate(time.Millisecond)
	return b, nil
}

func (b *Backup) clone() *Backup {
	c := *b
	c.Devices = slices.Clone(b.Devices)
	for i, d := range c.Devices {
		if d.LinkKey != nil {
			key := *d.LinkKey
			c.Devices[i].LinkKey = &key
		}
	}
	return &c
}

// keepLost adds the devices of the last backup that have a link key and are still of the
// network, and that are missing: Z-Stack drops some from its tables, and without
// their keys they cannot be let in again.
func (b *Backup) keepLost(last *Backup, nodes map[IEEEAddress]*node) {
	for _, old := range last.Devices {
		if old.LinkKey == nil || nodes[old.IEEEAddress] == nil {
			continue
		}
		i := slices.IndexFunc(b.Devices, func(d BackupDevice) bool { return d.IEEEAddress == old.IEEEAddress })
		switch {
		case i < 0:
			key := *old.LinkKey
			old.LinkKey = &key
			b.Devices = append(b.Devices, old)
		case b.Devices[i].LinkKey == nil:
			key := *old.LinkKey
			b.Devices[i].LinkKey = &key
		}
	}
}

// fillIn adds the addresses that the network knows better than the stick.
func (n *Network) fillIn(b *Backup) {
	for i, bd := range b.Devices {
		if d := n.nodes[bd.IEEEAddress]; d != nil && d.device.NetworkAddress != UnknownAddress {
			b.Devices[i].NetworkAddress = d.device.NetworkAddress
		}
	}
}

// firstBackup looks soon after the start at what the stick has. It keeps that if the last
// backup is old, or there is none, and makes the devices of a network known that the stick
// has brought along. A stick whose frame counter has stayed behind is one of before: another
// one has had the network since, and devices take what this one sends for a repetition. It
// is restored.
func (n *Network) firstBackup(ctx context.Context, s *session, adopt, resumed bool) {
	b, err := n.readBackup(ctx)
	if err != nil {
		n.log.Warn("there is no new backup of the Zigbee network", "err", err)
		return
	}
	n.mu.Lock()
	last := n.memory.backup
	if resumed && last != nil && n.restoring == nil && n.info.CanRestore && n.session == s &&
		last.same(b.Parameters) && b.FrameCounter < last.FrameCounter-min(last.FrameCounter, counterReserve/2) {
		n.log.Warn("another stick has had the Zigbee network since this one; it is brought up to date",
			"counter", b.FrameCounter, "last", last.FrameCounter)
		n.restoring = &restoring{backup: last, done: make(chan error, 1)}
		signal(s.again)
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	if !last.recent(time.Now()) {
		if b, err = n.takeBackup(ctx, b); err != nil {
			n.log.Warn("the backup of the Zigbee network is not kept", "err", err)
			return
		}
	}
	if adopt {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.adopt(b)
	}
}

func (b *Backup) recent(now time.Time) bool {
	return b != nil && now.Sub(b.Date).Abs() < 20*time.Hour
}

// backupHour is when nobody minds that the radio is busy.
const backupHour = 3

// backUpNightly backs the network up every night, or when the last backup has got
// older than a day and a half.
func (n *Network) backUpNightly(ctx context.Context) {
	tick := time.NewTicker(30 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, right := n.clock()
		n.mu.Lock()
		last, running := n.memory.backup, n.running
		n.mu.Unlock()
		tooOld := last == nil || now.Sub(last.Date) > 36*time.Hour
		if !running || !right || !tooOld && (now.Hour() != backupHour || last.recent(now)) {
			continue
		}
		if _, err := n.Backup(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("the nightly backup of the Zigbee network has failed", "err", err)
		}
	}
}

// MissingRouters returns routers that the stick's backup does not know: they may not
// be let in again after a restore.
func (n *Network) MissingRouters(ctx context.Context) ([]IEEEAddress, error) {
	b, err := n.readBackup(ctx)
	if err != nil {
		return nil, err
	}
	var missing []IEEEAddress
	for _, d := range n.Devices() {
		if d.Type == Router && !slices.ContainsFunc(b.Devices, func(bd BackupDevice) bool { return bd.IEEEAddress == d.IEEEAddress }) {
			missing = append(missing, d.IEEEAddress)
		}
	}
	return missing, nil
}

// restoring is a restore that waits for the stick.
type restoring struct {
	backup *Backup
	done   chan error // room for one
}

// restoreWords returns the words by which a backup of another network is restored.
func restoreWords(b *Backup) string {
	return fmt.Sprintf("replace the network by %x on channel %d", b.ExtendedPANID, b.Channel)
}

// Restore makes the stick, or the next one, coordinator of the network in the backup. If
// that is another network than this one, words have to be restoreWords(b). The stick
// is opened once more for it.
func (n *Network) Restore(ctx context.Context, b *Backup, words string) error {
	b = b.clone()
	n.mu.Lock()
	other := n.memory.ok && !n.memory.same(b.Parameters)
	switch {
	case n.restoring != nil:
		n.mu.Unlock()
		return errors.New("zigbee: a restore is under way already; wait for its end")
	case other && words != restoreWords(b):
		known := n.memory.Parameters
		n.mu.Unlock()
		return fmt.Errorf("zigbee: the backup is of another network (%s) than this one (%s), whose devices would all be lost; "+
			"if that is what you want, say so: %q", b.Parameters, known, restoreWords(b))
	}
	if last := n.memory.backup; !other && last != nil {
		// Counters never go back, and devices that have joined since stay.
		b.FrameCounter = max(b.FrameCounter, last.FrameCounter)
		b.Date = earlier(b.Date, last.Date)
		b.keepLost(last, n.nodes)
	}
	r := &restoring{backup: b, done: make(chan error, 1)}
	n.restoring = r
	if s := n.session; s != nil {
		signal(s.again)
	}
	n.mu.Unlock()
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.restoring == r {
			n.restoring = nil
		}
		return context.Cause(ctx)
	}
}

func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

// endRestore says how a restore has ended. One that has failed is not tried again.
func (n *Network) endRestore(r *restoring, err *error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.restoring == r {
		n.restoring = nil
	}
	r.done <- *err
}
