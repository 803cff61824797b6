// Package serialbridge owns the sticks: it finds serial ports, opens them,
// lets a driver speak with what is plugged in, and carries what the driver
// hears to MQTT topics and commands back.
//
// The vocabulary of the house is here: Device, Property, Reading, Command.
// Nobody downstream needs to know more about a protocol than these say.
//
// # Topics
//
// Below the base topic, "lintel" unless said otherwise:
//
//	DEVICE/state         JSON object with the last value of every property; retained
//	DEVICE/availability  online or offline; retained
//	STICK/availability   the same of a stick, by StickStatus.Device; retained
//	DEVICE/KEY           {"event_type": …} of an Event, when it happens, the text of a Tag and the bytes
//	                     of a Raw; not retained. The object of a Light; retained
//	DEVICE/set           JSON object of commands, taken as a whole or not at all
//	DEVICE/set/KEY       one command, its value bare: {"position": 40} or open for a Cover
//
// All are published with quality of service 1, but states with 0: the next one
// replaces it. A state is published at most each second as long as only numbers
// change, each 100 ms if anything else does, and at least each minute if the
// device speaks (Options.Interval, Options.AtLeast). What a device does not know any
// more is null. After a restart a device goes on from the state that is retained.
//
// Retained commands are refused: they are of the past.
//
// # Availability
//
// A device is offline as soon as its stick is gone, and when it is silent past its own
// habit. Its state is published before it is said to be online.
//
// The habit is the second longest of its pauses of late: the longest may have been
// a bad hour of the radio, and the short ones of a burst say nothing. Half of it is
// forgotten in eight times its length, at least an hour. A pause is nobody's habit
// once the device was listened to for eight times as long. Time is that of the
// processor: it does not matter when the clock is set.
//
//	usual pause                silent for too long
//	not known for an hour yet  1 h
//	up to 12 s                 1 min
//	up to 5 h                  5 pauses
//	up to 8 h 20 min           25 h
//	more                       3 pauses, of a week each at most
//	speaks when used           never: it is there as long as its stick is
//	measures nothing, and      never, as long as
//	nothing was heard          its stick is there
//
// The habit and the stick of a device are kept, seldom written, and so is that it was
// silent for too long. After a restart everything begins offline (Settle); when a stick is back,
// its devices are waited for: those that were not silent before are online, with the
// state that is retained, until their habit has passed once more. Home Assistant's users
// know it like that: a door contact that speaks each hour is not away for an hour
// because the box was started again. Each start without a word from a device halves
// the patience with it. Until it was heard it takes no commands.
//
// # What is believed
//
// A stick is opened for the driver that knows its USB strings; else it is listened to
// and nothing is written to it, until two valid frames of one protocol came. A reading
// in which a total falls, or rises by more than a house can use in the time, is counted
// as "implausible" and not published, unless the next one goes on from there.
//
// # Identity
//
// The ID of a device comes from what it says of itself. One that says nothing that
// would tell it from its twin (Device.Anonymous) gets the serial number of its stick
// added, or the place where that is plugged in.
//
// # Contract
//
// Goroutines: Supervisor.Run owns one that keeps each stick that is there, one
// for the try that is under way (a driver that panics or does not end harms
// only that try), and one that publishes for each stick. Driver code runs in
// the try's goroutine and in those that it starts itself; those must not
// panic.
//
// Locks: one mutex in Supervisor guards what is known of sticks and devices. It
// is never held while a driver, the broker or OnDevice is called. TTY, the memory of
// drivers, the captures of a stick and what is overheard of it have their own, under
// which none is taken but that of journey.Book.
//
// Limits: 64 sticks are remembered and 1024 devices; a device has at most 256
// properties. Each device waits at most once in its stick's queue to the broker
// and is published as it is when its turn comes, with at most 16 events.
// 16 commands wait for a driver, which may remember 1024 texts. What is over a limit
// is dropped and counted.
//
// It is written for Linux.
package serialbridge
