package serialbridge

import (
	"log/slog"
	"time"

	"lintel/serialbridge/journey"
)

// NamedPort is a port that is used although USB does not tell of it: the pty
// of a simulator, a UART on the board's header. It is also how a protocol is
// laid down for a stick that cannot be recognised. It has either a Path or a
// Stick.
type NamedPort struct {
	Path     string
	Protocol string  // Driver.Protocol; empty: listen
	Stick    string  // StickStatus.ID of one that USB tells of, wherever it is plugged in
	Driver   *Driver // in place of Protocol: one that has settings for this port; nil: none

	Interval time.Duration // in place of Options.Interval; 0: that one

	Simulated bool // there is no stick there, but a program that plays one
}

// Options of New.
type Options struct {
	Broker  Broker
	Drivers []Driver
	Ports   []NamedPort

	// Root is the file system that the USB inventory is read from; empty
	// is the machine's own.
	Root string

	// BaseTopic is the first level of all topics; empty is "lintel".
	BaseTopic string

	// OnDevice is called for each device that is new or has changed, before
	// its state is published. Devices of different sticks may call it at
	// the same time. It may block: that delays what the same stick
	// publishes, but not what it hears.
	OnDevice func(Device)

	// OnGone is called for each device that is withdrawn, in the same way.
	OnGone func(id string)

	// Interval is the least time between two states of one device, as far as
	// only measured values change; 0: a second, negative: none. AtLeast is how
	// often a state is published that does not change; 0: each minute.
	Interval, AtLeast time.Duration

	// Memory keeps what drivers remember; nil: until the end of the program.
	// Nobody else writes to it.
	Memory Memory

	// Journeys is told what happens to single readings and commands while somebody
	// watches; nil: nobody does.
	Journeys *journey.Book

	Logger *slog.Logger // nil: silent
}

// timing is every duration that the supervisor goes by.
type timing struct {
	retryMin, retryMax time.Duration // between two tries of a stick that fails
	existMin, existMax time.Duration // between two looks for a port that is not there
	goodRun            time.Duration // after which a failure is the first one again
	listen             time.Duration // at one line setting; the slowest meters send every 10 s
	listenMore         time.Duration // after a first valid frame, for the second one
	listenMax          time.Duration // at one line setting in all
	silence            time.Duration // without a frame, before a driver found by listening is doubted
	quiet              time.Duration // without a reading before a device is offline, at least
	quietOnce          time.Duration // the same for a device that was heard just once
	sweep              time.Duration // between two looks for quiet devices
	look               time.Duration // hardware.WatchOptions.Interval
	stop               time.Duration // what a driver has to end in
}

func defaultTiming() timing {
	return timing{
		retryMin: time.Second, retryMax: time.Minute,
		existMin: time.Second, existMax: 2 * time.Second,
		goodRun: time.Minute,
		listen:  11 * time.Second, listenMore: 25 * time.Second, listenMax: time.Minute,
		silence: 2 * time.Minute,
		quiet:   time.Minute, quietOnce: time.Hour, sweep: 5 * time.Second,
		stop: 3 * time.Second,
	}
}
