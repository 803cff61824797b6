// Package air is a Zigbee network that is not there: virtual devices, and the
// air between them and the radio of a simulated stick. Packages znpstick and
// ezspstick are such sticks.
//
// A [Network] is made once and outlives sticks. [Network.Add] puts devices into
// it; a stick that starts its network calls [Network.Attach], and from then on the
// devices that believe it hear what it sends. A device believes who holds the
// network key that it has, on the channel where it is, and whose frame counter goes
// up; it takes a new network key only under the link key that it was given when it
// joined. So a coordinator that was restored without its keys or its counters is
// found out, as it is by real devices: [Network.Doubts] says why.
//
// The devices' ZCL is written here a second time from the library's
// specification, on top of frames and values of package zcl alone, so that
// it shares no mistake with the traits that read it. Models, endpoints and
// clusters are those that zigbee-herdsman-converters tells of the real ones (MIT).
//
// # Contract
//
// All methods are safe for concurrent use and do not block. [Network.Run] is the
// only goroutine: it keeps the clocks of all devices and calls what a stick and the
// options have given it (Radio, the confirm functions, JoinKey, LinkKey, Sent), one
// at a time and with nothing locked, so that these may call the network again.
// They must not block: while they do, time stands still for every device. What
// is asked of a network that does not run happens when it runs.
//
// Chance comes from Options.Seed alone and time from package time alone: under
// testing/synctest a run repeats itself. A network holds at most 250 devices,
// for each of them at most 8 frames that wait until it wakes up, and as many Green Power
// switches.
package air
