// Package ezspstick is a Zigbee stick that is not there: an EFR32 with EmberZNet,
// behind a stream of bytes, that is the coordinator of a network that is not
// there either (package air).
//
// It is written from the descriptions of the protocols a second time and shares
// no code with the driver in package ezsp: ASH as in UG101 (line.go), EZSP as in
// UG100 (commands.go), of version 13, or of 14 and later, whose frames differ
// (layout.go). zigbee-herdsman's ember adapter works on it, which is what makes
// it a witness for the driver.
//
// Where it is simpler than silicon: it routes nothing, the air does; and it has only
// the commands that the two programs use. Others are counted and logged.
//
// # Contract
//
// A [Stick] keeps its tokens over calls of Serve: each is a time with power. Serve
// blocks, and leaves no goroutine behind once the stream is closed. The methods
// of a Stick are safe for concurrent use. Like the real one it holds a bounded
// number of callbacks for a host that does not take them, and loses what is beyond.
package ezspstick
