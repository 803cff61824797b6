package serialbridge

import (
	"context"
	"io"
	"time"

	"lintel/hardware"
)

// Confidence is how sure a driver is that a stick is its own.
type Confidence int

// The levels of confidence. A stick that several drivers call Possible is
// listened to.
const (
	No       Confidence = iota
	Possible            // a nameless USB converter: only listening can tell
	Sure                // the USB strings name the product
)

// Converter is the confidence in the converters that cables are made of, which keep their
// own strings whatever they are sold with: Possible; No in all else.
func Converter(p hardware.SerialPort) Confidence {
	switch p.VendorID + ":" + p.ProductID {
	case "0403:6001", // FTDI FT232R
		"0403:6015", // FTDI FT-X
		"1a86:7523", // WCH CH340
		"10c4:ea60", // Silicon Labs CP210x
		"067b:2303": // Prolific PL2303
		return Possible
	}
	return No
}

// Port is an open serial line, or something that behaves like one: a pty, a
// TCP connection, a file that is replayed. Read blocks until there is at least
// one byte, and fails with ErrUnplugged when the stick is gone. Close unblocks
// Read and Write.
type Port interface {
	io.ReadWriteCloser
	// SetLine changes the setting of the line.
	SetLine(Line) error
}

// Sink is where a driver puts what it hears. Its methods may be called from
// one goroutine at a time and do not keep the caller waiting for the network.
type Sink interface {
	// Device announces a device, or that what is known about it changed.
	// It comes before the first reading of that device.
	Device(Device)
	// Gone withdraws a device: it is forgotten, and Home Assistant is told.
	Gone(device string)
	// Reading passes on what a device said.
	Reading(Reading)
	// Damaged counts a frame that was thrown away, and why
	// ("checksum", "too long", "syntax"): a constant, short text.
	Damaged(reason string)
	// Ignored counts a frame that is whole but says nothing that could be
	// passed on, and why, in words for a person who may do something about it:
	// "meter 12345678 is encrypted: its key is needed". It is the same text for
	// the same cause; only so many different ones are kept.
	Ignored(reason string)

	// Recall returns all that sticks of this protocol, or this stick alone if
	// Driver.OwnMemory is set, have asked to Remember up to now, in this run or
	// an earlier one. The map is the caller's.
	Recall() map[string]string
	// Remember keeps value under key beyond the end of the program; an empty
	// value forgets the key. It is for what a device says only once, such as
	// the profile of an EnOcean sensor. Keys hold at most 64 bytes of
	// printable ASCII, values 1 KiB, a protocol 1024 keys; what is beyond is
	// counted as damage and not kept.
	Remember(key, value string)
}

// Reasons for Sink.Damaged that many drivers have.
const (
	DamagedChecksum    = "checksum"
	DamagedSyntax      = "syntax"          // a form that it does not have
	DamagedTruncated   = "truncated"       // the end is missing
	DamagedTooLong     = "too long"        // the same, and it has as many bytes as it may
	DamagedImplausible = "implausible"     // a value that cannot be
	DamagedRefused     = "command refused" // by the stick
	DamagedNoAnswer    = "no answer"       // to a question, in time
)

// Decoder turns the bytes of a stick into devices and readings. It is pure: no
// I/O, no goroutines, no clock but the times that it is given. Any bytes may
// come in any pieces; it finds the next valid frame by itself.
type Decoder interface {
	// Decode takes the next bytes, received at the given time.
	Decode(data []byte, received time.Time)
}

// Driver speaks one protocol. The drivers of the house are a slice in package
// gateway; there is no registration.
type Driver struct {
	// Protocol is the name of the protocol: lower case, one word.
	Protocol string

	// Match says from the USB strings alone whether this is the driver's stick.
	// It is nil if only the user can know: the stick has to be asked, or any
	// bytes would do. Such a driver runs where it was chosen.
	Match func(hardware.SerialPort) Confidence

	// Lines are the settings to listen at, likeliest first.
	Lines []Line

	// BothWays says that the decoder makes use of what the stick is told too: a
	// capture is played with both, in their order.
	BothWays bool

	// OwnMemory says that what sticks remember is each one's own: what a node
	// of one gateway is says nothing about that of another one.
	OwnMemory bool

	// Advice is what a person should do with a stick that is for sure of this
	// kind and that the house does not speak with; empty: it does. The rest
	// of such a driver is Protocol and Match.
	Advice string

	// NewDecoder returns a decoder that puts what it finds into sink. It is
	// the same for the live path, for listening and for lintelctl decode.
	NewDecoder func(sink Sink) Decoder

	// Run speaks with the stick until ctx ends or the port fails. If it is
	// nil the stick only talks: the supervisor feeds the decoder from the
	// port. Commands for the devices behind the stick arrive on commands.
	Run func(ctx context.Context, port Port, sink Sink, commands <-chan Command) error
}
