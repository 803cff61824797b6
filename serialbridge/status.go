package serialbridge

import (
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
	ID       string              // hardware.SerialPort.ID, or the path of a port without USB facts
	Port     string              // device node, as last seen
	USB      hardware.SerialPort // zero for a port without USB facts
	Protocol string              // Driver.Protocol; empty while nothing is recognised
	Evidence string              // why it is that protocol, in words for a person
	BySocket bool                // it has no serial number: ID is good as long as it stays in its socket
	State    StickState
	Since    time.Time // of State
	Err      string    // the last failure and what to do next; empty after a good run
	Retries  int       // failures in a row

	Frames  uint64            // readings passed on
	Damaged map[string]uint64 // frames thrown away, by reason
	Ignored map[string]uint64 // whole frames that nothing could be made of, by reason
	Refused uint64            // commands that no device behind it could take
	Devices []string          // IDs of the devices heard through it, sorted
}
