// Package raw bridges a port for which there is no driver: what the stick says
// becomes messages as it is, and messages become what is said to it.
//
// The device has two properties of kind Raw. Each line or frame that comes is
// one message of "received"; the bytes of each message for "send" are written
// to the stick.
//
// In mode "lines" a message ends with the delimiter, which is not part of it;
// where the delimiter is a line feed, a carriage return before it is not
// either. An empty line is an empty message. What is sent gets the delimiter
// unless it ends with it. The first line after the port was opened may be the
// end of one that began before.
//
// In mode "frames" a message ends when nothing came for the gap. USB converters
// hand over what they have every few milliseconds (16 with FTDI's usual
// setting), so a gap below 20 ms may cut a frame in two. What is sent goes out
// as it is.
//
// Of a line or a frame that is longer than the limit the beginning is passed on
// and the rest is dropped; it is counted with [serialbridge.Sink.Damaged] as
// "too long". Nothing tells a damaged byte from one that was meant.
//
// # Identity
//
// The name that the user gave is the device's ID. Without one the device is
// anonymous: the supervisor adds which stick it is.
//
// # Captures
//
// A decoder by itself cannot know that time goes by: the last frame of a
// capture is passed on only if more came a gap later. A capture without times
// is one frame. Lines need no times.
//
// # Contract
//
// A decoder is not safe for concurrent use, starts no goroutine and calls its
// sink from Decode. It holds at most one line or frame of MaxLength bytes and
// its delimiter. Run owns two goroutines, one that reads and one that writes
// what is sent, which end when the port fails or is closed. Commands wait while
// one is being written.
package raw
