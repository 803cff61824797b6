package serialbridge

import (
	"maps"
	"slices"
	"time"

	"lintel/hardware"
)

// StickState is what the supervisor is doing with a stick.
type StickState string

// The states of a stick.
const (
	Waiting   StickState = "waiting"   // not there, or to be tried again
	Listening StickState = "listening" // open, and no driver has recognised it yet
	Online    StickState = "online"    // open, with a driver
	Failed    StickState = "failed"    // the last try failed; another one follows
	Unknown   StickState = "unknown"   // no driver of the house speaks with such a stick
)

// StickStatus is what a person may want to know of a stick.
type StickStatus struct {
	ID        string              // hardware.SerialPort.ID, or the path of a port without USB facts
	Device    string              // the stick's ID where one of a device is wanted, as in the topic of its availability
	Port      string              // device node, as last seen
	USB       hardware.SerialPort // zero for a port without USB facts
	Protocol  string              // Driver.Protocol; empty while nothing is recognised
	Evidence  string              // why it is that protocol, in words for a person
	Simulated bool                // there is no stick, but a program that plays one
	BySocket  bool                // it has no serial number: ID is good as long as it stays in its socket
	State     StickState
	Since     time.Time // of State
	Err       string    // the last failure and what to do next; empty after a good run
	Retries   int       // failures in a row

	Frames  uint64            // readings passed on
	Damaged map[string]uint64 // frames thrown away, by reason
	Ignored map[string]uint64 // whole frames that nothing could be made of, by reason
	Refused uint64            // commands that no device behind it could take
	Devices []string          // IDs of the devices heard through it, sorted
}

// Sticks tells how each stick is doing, by ID.
func (s *Supervisor) Sticks() []StickStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	sticks := make([]StickStatus, 0, len(s.sticks))
	for _, id := range slices.Sorted(maps.Keys(s.sticks)) {
		st := s.sticks[id]
		status := StickStatus{
			ID: id, Device: st.deviceID(), Port: st.usb.Path, USB: st.usb,
			Protocol: st.protocol, Evidence: st.evidence, Simulated: st.pinned.Simulated,
			State: st.state, Since: st.since, Err: st.err, Retries: st.retries,
			Frames: st.frames, Damaged: maps.Clone(st.damaged), Ignored: maps.Clone(st.ignored), Refused: st.refused,
		}
		if st.named {
			status.USB = hardware.SerialPort{}
		}
		status.BySocket = bySocket(id, status.USB)
		for id, d := range s.devices {
			if d.owner == st && !d.awaited {
				status.Devices = append(status.Devices, id)
			}
		}
		slices.Sort(status.Devices)
		sticks = append(sticks, status)
	}
	return sticks
}

// Devices returns all devices that were heard since New, by ID. What they point
// at is not to be changed.
func (s *Supervisor) Devices() []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := make([]Device, 0, len(s.devices))
	for _, id := range slices.Sorted(maps.Keys(s.devices)) {
		if d := s.devices[id]; !d.awaited {
			devices = append(devices, d.Device)
		}
	}
	return devices
}

// Heard tells when each of Devices had a reading last, as far as its stick was not opened anew
// since.
func (s *Supervisor) Heard() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := make(map[string]time.Time, len(s.devices))
	for id, d := range s.devices {
		if !d.awaited && !d.heard.IsZero() {
			heard[id] = d.heard
		}
	}
	return heard
}
