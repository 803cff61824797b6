package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// squashfsMagic is how a root begins; without it none is mounted.
const squashfsMagic = "hsqs"

// chunk is how much is written and read at a time.
const chunk = 1 << 20

// errRestartFirst says what has to be before an update.
var errRestartFirst = refuse(RestartDue, "The box was updated and has not been restarted since. Restart it first, then install the next update.")

// Write writes a root to the partition that does not run, and remembers that it did.
// root has to be as [Bundle.Root] gives it: it is believed at its end only. progress,
// which may be nil, is told how many bytes there are. What is there already from a try
// that was interrupted is not written again. No flag of a trial is left when the first byte is
// written, and the partition cannot be mounted until [Machine.Arm] has read it back.
func (m *Machine) Write(ctx context.Context, manifest *Manifest, root io.Reader, progress func(done int64)) error {
	if err := m.writable(); err != nil {
		return err
	}
	room, err := m.Room()
	if err != nil {
		return err
	}
	if manifest.Root.Size > room {
		return refuse(TooLarge, "The root of version %s has %d bytes, and there is room for %d.", manifest.Version, manifest.Root.Size, room)
	}
	r := Record{State: StateWriting, From: m.Running, To: m.Other(), Version: manifest.Version, Counter: manifest.Counter, Root: manifest.Root, Patience: minPatience}
	before, err := m.Record()
	if err != nil {
		return err
	}
	if before != nil && before.Root == r.Root {
		r.Tries = before.Tries
	}
	r.Left = before.left()
	if err := m.tidyBoot(); err != nil {
		return err
	}
	if err := m.save(&r); err != nil {
		return err
	}
	d, err := m.open(m.devices[m.Other()], true)
	if err != nil {
		return fmt.Errorf("open the other root: %w", err)
	}
	defer d.Close()
	if err := m.copyRoot(ctx, d, root, manifest.Root.Size, progress); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write the other root: %w", err)
	}
	return nil
}

// writable says whether the partition that does not run may be written to: not while the
// machine is to start from it.
func (m *Machine) writable() error {
	if m.Running != m.Booted {
		return errRestartFirst
	}
	b, err := m.openBoot(false)
	if err != nil {
		return err
	}
	defer b.Close()
	switch next, err := b.next(); {
	case err != nil:
		return err
	case next != m.Running:
		return errRestartFirst
	}
	return nil
}

// copyRoot copies all of a root but its magic, and writes only what is not there yet.
func (m *Machine) copyRoot(ctx context.Context, d device, root io.Reader, size int64, progress func(int64)) error {
	want, have := aligned(chunk), aligned(chunk)
	for done := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(root, want)
		if n > 0 {
			if done+int64(n) > size {
				return fmt.Errorf("the root has more than %d bytes", size)
			}
			if done == 0 {
				copy(want, make([]byte, min(n, len(squashfsMagic))))
			}
			whole := int(roundUp(int64(n)))
			clear(want[n:whole])
			if _, err := d.ReadAt(have[:whole], done); err != nil || !bytes.Equal(have[:whole], want[:whole]) {
				if _, err := d.WriteAt(want[:whole], done); err != nil {
					return fmt.Errorf("write the other root: %w", err)
				}
			}
			done += int64(n)
			if progress != nil {
				progress(done)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if done != size {
				return fmt.Errorf("the root has %d bytes, not %d", done, size)
			}
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			// The end, or the last word of a reader before it: the next call tells.
		case err != nil:
			return err
		}
	}
}

// Arm reads back from the medium what [Machine.Write] has written, and has the next start
// try it. alive is what there is now, for whoever judges the trial; patience is after how
// many seconds since its start the trial has failed. When it returns nil, call
// [Machine.Reboot].
func (m *Machine) Arm(ctx context.Context, alive json.RawMessage, patience int, progress func(done int64)) error {
	r, err := m.Record()
	if err != nil {
		return err
	}
	if r == nil || r.State != StateWriting || r.To != m.Other() {
		return errors.New("no new version was written")
	}
	if err := m.writable(); err != nil {
		return err
	}
	if err := m.finish(ctx, r, progress); err != nil {
		return err
	}
	r.State, r.Alive, r.Patience, r.Reason = StateArmed, alive, min(max(patience, minPatience), maxPatience), ""
	r.Tries++
	if err := m.save(r); err != nil {
		return err
	}
	b, err := m.openBoot(true)
	if err != nil {
		return err
	}
	defer b.Close()
	return b.arm()
}

// finish reads the other root back and puts its magic in place if it is right.
func (m *Machine) finish(ctx context.Context, r *Record, progress func(int64)) error {
	d, err := m.open(m.devices[r.To], true)
	if err != nil {
		return fmt.Errorf("open the other root: %w", err)
	}
	defer d.Close()
	if err := verify(ctx, d, r.Root, false, progress); err != nil {
		return err
	}
	first := aligned(sectorSize)
	if _, err := d.ReadAt(first, 0); err != nil {
		return fmt.Errorf("read the other root back: %w", err)
	}
	copy(first, squashfsMagic)
	if _, err := d.WriteAt(first, 0); err != nil {
		return fmt.Errorf("write the other root: %w", err)
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write the other root: %w", err)
	}
	again := aligned(sectorSize)
	if _, err := d.ReadAt(again, 0); err != nil {
		return fmt.Errorf("read the other root back: %w", err)
	}
	if !bytes.Equal(first, again) {
		return errCard
	}
	return nil
}

var errCard = errors.New("the card has kept something else than was written to it: replace the card")

// verify reads a root from the medium and says whether it is the one that was meant.
// whole: with its magic; else it is taken to be there.
func verify(ctx context.Context, d device, root Blob, whole bool, progress func(int64)) error {
	sum := sha256.New()
	b := aligned(chunk)
	for done := int64(0); done < root.Size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := int(min(chunk, root.Size-done))
		if _, err := d.ReadAt(b[:roundUp(int64(n))], done); err != nil {
			return fmt.Errorf("read the new root back: %w", err)
		}
		if done == 0 {
			if !whole {
				copy(b, squashfsMagic)
			}
			if !bytes.HasPrefix(b[:n], []byte(squashfsMagic)) {
				return refuse(Malformed, "The new root is no root: it begins with other bytes than a squashfs.")
			}
		}
		sum.Write(b[:n])
		done += int64(n)
		if progress != nil {
			progress(done)
		}
	}
	if Hash(sum.Sum(nil)) != root.SHA256 {
		return errCard
	}
	return nil
}

// Abandon forgets an update that was not armed, or takes back that it was. A version that
// was tried and left before is still known afterwards.
func (m *Machine) Abandon() error {
	if m.Running != m.Booted {
		return errRestartFirst
	}
	if err := m.tidyBoot(); err != nil {
		return err
	}
	r, err := m.Record()
	if err != nil {
		return err
	}
	if r != nil && r.State == StateReturned {
		return nil // nothing was written since
	}
	return m.remember(r.left())
}

// remember makes r what is known; with nil it removes the record.
func (m *Machine) remember(r *Record) error {
	if r != nil {
		return m.save(r)
	}
	if err := m.replace(m.recordFile(), nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of the update: %w", err)
	}
	return nil
}
