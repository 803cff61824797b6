// Package znp speaks with sticks of Texas Instruments that have Z-Stack network
// processor firmware: CC2652, CC1352 and their kin (Z-Stack 3.x.0), CC2530, CC2531 and
// CC2538 (3.0.x, and Home Assistant 1.2).
//
// The stick is a computer of its own that runs the network. It is spoken with in
// frames (UNPI) that hold commands of the Monitor and Test API (MT): synchronous
// ones, of which one at a time waits for its response, and asynchronous ones, which
// come by themselves. What networks are made of is in its non-volatile memory, in items
// that are the structures of its firmware; backup and restore read and write these.
//
// Facts about commands, items and structures are from zigbee-herdsman (MIT), whose
// manner of forming, resuming and restoring networks is kept to, so that a stick can
// go from one program to the other.
//
// # Loss
//
// A frame that was damaged on the line is lost. Commands that do the same when they
// are done twice are repeated; before anything is said after a command without
// response a ping makes sure that no late response is taken for another one. A data
// request is not repeated: whether it was done says its confirm. What the stick says
// by itself and is damaged is lost for good, as it is in the radio.
//
// # Delivery
//
// A message counts as delivered when the next hop has acknowledged it. To one device
// one message or question is under way at a time, to all devices together 16 (2 on
// Z-Stack 3.0.x and 1.2). Without room in the stick, or in the radio channel, it waits
// two seconds and tries again, five times in all; without route or acknowledgement it
// lets the stick look for a route and tries three times in all. What a sleeping device
// has not fetched is an error at once; after the second in a row the device is taken
// out of the stick's table of children, in case it has another parent by now, and put
// back if that does not help.
//
// # Contract
//
// The methods of a Coordinator are safe for concurrent use. It owns two goroutines: the
// reader, which reads the port and tells of events, and a helper, which fetches
// long messages, tells of them, and looks for routes. Both end with
// Close, which closes the port, or when the port fails. Events come one at a time and
// in order, except for long messages. A stick that restarts by itself has failed: its
// network does not run any more; it is to be closed, opened and resumed.
//
// It holds at most two frames of 255 bytes and 1 KiB of what was read, 32 chores, and
// what waits for answers: 512 requests.
package znp
