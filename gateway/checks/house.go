package checks

import (
	"time"

	"lintel/gateway/clock"
	"lintel/gateway/network"
	"lintel/gateway/update"
	"lintel/hardware"
	"lintel/serialbridge"
)

// House is what is known of a house. What is nil, zero or empty is not known, or not there,
// unless it says otherwise.
type House struct {
	Now     time.Time
	Uptime  time.Duration // of Lintel
	Notices []string      // what stood in the way at the start, for a person

	Power     *Power // nil: the machine does not tell
	Heat      float64
	Memory    Memory
	Disk      Disk
	StoreErr  string
	Losses    []string
	Simulated bool // there are sticks that are made up

	Clock      *clock.Status // nil: something else sets it
	ClockKnown bool          // the wall clock is right, as far as is known

	Addressed bool            // the box has an address in a network
	Network   *network.Status // nil: it is not ours to set up
	NoWiFi    string          // name of a wireless network that cannot be joined
	Name      *Name           // nil: the box does not make itself known

	Broker Broker

	HomeAssistant *HomeAssistant // nil: it is turned off
	Uplinks       []Uplink

	Sticks  []Stick
	Devices []Device

	Update       *update.Status // nil: none can be
	Certificates []Certificate
	Backup       Backup
	Access       Access
}

// Power is what a board says of its supply.
type Power struct{ Now, Been hardware.Trouble }

// Memory is that of the machine.
type Memory struct {
	Total, Available uint64
	Stalled          float64 // percent of the last minute in which something waited for it
}

// Disk is the one that all is kept on.
type Disk struct {
	hardware.Disk
	Free, Total uint64 // bytes
	Full        bool   // so much that nothing new is kept
	Spare       uint64 // bytes that can be freed: what was there before a restore
	PerDay      float64
}

// Name is what the box is called on the network.
type Name struct {
	Wanted, Is string
	Err        string // why it is not made known; empty: it is
}

// Broker is how the broker is doing.
type Broker struct {
	Listeners int

	QueuedBytes, QueuedMost     int64 // of messages that wait
	Retained, RetainedMost      int
	RetainedBytes, RetainedRoom int64

	// Of the last hour.
	Dropped uint64
	Slow    []string // clients that did not take what was for them
}

// HomeAssistant is how Home Assistant gets to know the box.
type HomeAssistant struct {
	Logins  []Login
	Found   []string // names of those on the network
	Bridge  *Uplink  // to its own broker; nil: bridge mode is off
	Refused []string // properties that it would not take
}

// Login is one of a Home Assistant.
type Login struct {
	User    string
	Online  bool
	Used    time.Time // zero: never
	Refused bool      // the last one who came with it was refused
}

// Uplink is a connection to another broker.
type Uplink struct {
	Name, URL string
	Connected bool
	Since     time.Time // of the connection; zero: there was none
	Err       string    // why it is not connected
	Problem   string    // what is left out, or not allowed
	Waiting   int       // messages
}

// Stick is a dongle.
type Stick struct {
	ID      string
	Device  string // ID of the device that others hang below
	Name    string
	State   serialbridge.StickState
	Since   time.Time
	Err     string
	Frames  uint64
	Damaged uint64
	Devices int  // that are heard through it
	Named   bool // by the configuration: it cannot be forgotten
}

// Device is one of the house.
type Device struct {
	ID, Name string
	Stick    string // Device of the Stick through which it is heard; empty: not known
	Offline  bool
	Battery  int  // percent; negative: not known
	Weak     bool // it says itself that its battery is
}

// Certificate is one that runs out.
type Certificate struct {
	Name  string
	Own   bool // it is the one that the listeners show
	Until time.Time
	Page  string // where another is made; empty: not on the pages
}

// Backup is what would help if the card broke.
type Backup struct {
	Possible bool
	Taken    time.Time // last, by a person; zero: never
	Claimed  time.Time // when the box got its owner; zero: not known
}

// Access is who may do what.
type Access struct {
	Anonymous map[string]string // roles of who shows nothing, by listener
	Anyone    []string          // anonymous clients that are connected
	RoleFile  string            // what is wrong with it
	Refused   int               // logins in the last hour
	From      []string          // addresses that they came from
}
