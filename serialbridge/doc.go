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
//	DEVICE/KEY           {"event_type": …} of an Event, when it happens; not retained
//	DEVICE/set           JSON object of commands, taken as a whole or not at all
//	DEVICE/set/KEY       one command, its value bare
//
// All are published with quality of service 1. A device is offline when its
// stick is gone, and when nothing was heard of it for five times its usual
// interval, at least a minute. Retained commands are refused: they are of the
// past.
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
// is never held while a driver, the broker or OnDevice is called. TTY has its
// own, which nothing else is taken under.
//
// Limits: 64 sticks are remembered and 1024 devices; a device has at most 256
// properties. Each device waits at most once in its stick's queue to the broker
// and is published as it is when its turn comes, with at most 16 events.
// 16 commands wait for a driver. What is over a limit is dropped and counted.
//
// It is written for Linux.
package serialbridge
