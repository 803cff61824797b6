package zigbee

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"lintel/serialbridge/journey"
)

// Store keeps the devices of the network over a restart, by the text of the IEEE
// address. It is a *persist.Bucket[Device].
type Store interface {
	All() iter.Seq2[string, Device]
	Put(ctx context.Context, key string, d Device) error
	Delete(ctx context.Context, key string) error
}

// Memory keeps the rest of what the network has to know over a restart: texts by
// key, among them the last backups. It is a *persist.Bucket[string].
type Memory interface {
	All() iter.Seq2[string, string]
	Put(ctx context.Context, key, value string) error
	Delete(ctx context.Context, key string) error
}

// Handler is told what happens in the network: by one goroutine, in order. It
// may call the methods of Network, but those that wait for a device only from
// a goroutine of its own.
type Handler interface {
	Started(Info, Parameters) // a coordinator has started the network
	Stopped(err error)        // the coordinator is gone; the network waits for one

	Joined(Device)           // a device is new, or back after it had left
	Announced(Device)        // a device has said where it is
	Interviewing(Device)     // Device.Interview has changed
	Left(Device)             // a device has left, or was removed
	Changed(Device)          // something else that is kept has changed
	Message(Device, Message) // a device has said something
	Available(IEEEAddress, bool)
}

// Options are the options of New.
type Options struct {
	Store   Store
	Memory  Memory
	Handler Handler
	// Form is the network to form if neither stick nor memory has one. What is
	// zero is made up: keys and identifiers at random, the channel by an
	// energy scan of 11, 15, 20 and 25.
	Form Parameters
	// TakeOver says in plain words that a stick that holds another network
	// than the one in memory is to be made coordinator of that in memory. Unless
	// it is set, Serve refuses such a stick and says so.
	TakeOver bool
	// Clock is the time that devices are told, in the zone of the house, and
	// whether it is right; nil: time.Now, always right.
	Clock func() (now time.Time, right bool)
	// Answer, if set, is asked first about every command that is sent to the
	// coordinator, and says whether it answers: an OTA upgrade. It is called by
	// several goroutines and must not block for long; Network.Respond answers.
	Answer func(Device, Message) bool
	// Journeys is told what happens to single messages and requests while somebody
	// watches a device, which goes by its IEEE address there; nil: nobody does.
	Journeys *journey.Book
	Logger   *slog.Logger // nil: silent
}

// Availability is how it is found out whether a device is there.
type Availability struct {
	Enabled                   bool
	Timeout                   time.Duration // silent for so long: pinged if it is mains powered, else offline
	MaxJitter                 time.Duration
	Backoff                   bool
	PauseOnBackoffGreaterThan int // 0: never
}

// RemoveOptions are the options of Network.Remove.
type RemoveOptions struct {
	Force bool // forget it though it does not answer
	Block bool // and never let it join again
}
