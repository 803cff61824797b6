// Package ezsp speaks with Zigbee coordinators of Silicon Labs: sticks with an
// EFR32 whose firmware is EmberZNet 7.4 (EZSP version 13) or 8 and later (from
// version 14 on).
//
// Two protocols are stacked. ASH (UG101) carries frames over the serial line,
// whole, in order and once: framing.go has its bytes, ash.go what it does when
// something is lost. EZSP (UG100) are the commands, answers and callbacks in
// them: frames.go, values.go. From version 14 on a status has four bytes and
// stands first, and some frames have changed; [fromEmber] and the few places
// that ask for the version hide that. Where these documents are silent the facts
// are those of zigbee-herdsman's ember adapter and of bellows.
//
// # The life of a network
//
// What a stick holds is told only after it was started, so that
// [Coordinator.Network] starts it, without telling events. Until
// [Coordinator.Resume] nobody can join it.
//
// The stick routes by itself: it is a concentrator with much memory, keeps the
// source routes of the network, and asks for new ones when a delivery has failed.
// A message that a router had no way for is sent once more with a search for a
// route.
//
// The devices of a network that was formed here have link keys that the stick
// derives from one, the hashed trust center link key; there are none for each in
// its table. A backup has those of the devices that were heard of since the stick was
// opened. Those of a network that was restored from another family of sticks are
// put into the table as far as it has room.
//
// # Contract
//
// The methods of a [Coordinator] are safe for concurrent use. One goroutine reads
// the port, and one owns the protocol and tells of events; a third one at times
// changes the manufacturer code. All end with Close, which closes the port, and
// when the stick fails. What a stick says is
// bounded: frames of 256 bytes, 16 messages on their way, the addresses of 1024
// devices. A frame that is damaged is asked for again, one that makes no sense is
// counted (see [Counters]) and dropped.
package ezsp
