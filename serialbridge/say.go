package serialbridge

import (
	"errors"
	"fmt"
	"slices"
)

// UnknownDeviceError says that no device with that ID was heard.
type UnknownDeviceError struct{ ID string }

func (e *UnknownDeviceError) Error() string { return fmt.Sprintf("no device %.64q was heard", e.ID) }

// Check says why a device would not take a message on its set topic, nil if it would: who
// publishes one is not told.
func (s *Supervisor) Check(device string, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil || d.awaited {
		return &UnknownDeviceError{device}
	}
	commands, err := d.parseObject(payload)
	if err != nil {
		return err
	}
	if d.owner.commands == nil {
		return errDeaf
	}
	if cap(d.owner.commands)-len(d.owner.commands) < len(commands) {
		return errTooMany
	}
	return nil
}

// CheckCommand says why a device would not take a message on its set topic, whatever its stick
// is doing.
func CheckCommand(d Device, payload []byte) error {
	_, err := (&device{Device: d}).parseObject(payload)
	return err
}

// Announce has OnDevice called for a device once more: what a person calls it has changed.
func (s *Supervisor) Announce(device string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[device]; d != nil && !d.awaited {
		d.owner.enqueue(d, dirtyDevice)
	}
}

// Remove forgets a device and takes back what was published of it. It fails if the device is
// online. One that is heard again comes back as a new one: a receiver hears what it hears.
func (s *Supervisor) Remove(device string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil {
		return &UnknownDeviceError{device}
	}
	if d.online {
		return errors.New("it is online and would come back with its next word: switch it off or unplug its stick, and wait until it is offline")
	}
	s.withdraw(d)
	for _, st := range s.sticks {
		if st.current != nil {
			st.current.withdrawn(d)
		}
	}
	return nil
}

// withdrawn keeps what the driver has said of a device that a person has removed: it says it
// once only, and the device may speak again. The caller holds the lock.
func (k *sink) withdrawn(d *device) {
	if d.awaited || k.st != d.owner {
		return
	}
	if k.removed == nil {
		k.removed = make(map[string]Device)
	}
	if len(k.removed) < maxDevices {
		k.removed[d.own] = d.Device
	}
}

// revive brings a device back that was removed and speaks again; nil: it was not. The caller
// holds the lock.
func (k *sink) revive(own string) *device {
	said, ok := k.removed[own]
	if !ok {
		return nil
	}
	delete(k.removed, own)
	said.Properties = slices.Clone(said.Properties)
	if trouble := k.st.s.announce(k.st, own, said); trouble != "" {
		k.st.damage(trouble)
		return nil
	}
	return k.st.s.devices[said.ID]
}
