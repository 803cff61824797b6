// Package uplink is a client of another broker: it carries messages from the broker of the
// box to that one and back, by maps of topics, and loses none of QoS 1 and 2 on the way.
//
// # Store and forward
//
// An uplink has no queue of its own. At the box it is a client with a persistent session,
// lintel-uplink-NAME, over a connection in memory; at the remote broker, too, with its
// client id. What the box has acknowledged and an out map matches waits in the session at
// the box while the remote is away, bounded by the limits that the broker has for any
// session, and over restarts and power cuts. It is acknowledged there when the remote has
// acknowledged it. The other way it is the same: the remote is told that a message came when
// the box has acknowledged it, and what it has meanwhile waits in its session, for a
// week at most if it speaks 5.0, unless Clean is set. The order of a topic is kept.
//
// Packet identifiers are handed through, and with them the exchange of QoS 2: its state is
// in the sessions at both ends. So it is exactly once for as long as these last, over any end
// of a connection or of the box. If one end forgets its session it is at least once for what
// was on its way. A message of QoS 2 for a remote that takes less is at least once, too.
//
// A message of QoS 0 stays QoS 0. It goes out while the remote is connected and reads
// fast enough, and is dropped otherwise.
//
// # Retained messages
//
// At each connect the retained messages that out maps match are sent again, as the remote may
// have lost them, those of First before the others, a thousand a second at most; that
// begins when what has waited in the session is sent. One that has changed since the connection
// began has gone out by then, or will, and is not sent again. The topics that were sent are
// remembered in Options.Memory, up to 100,000 of them: one that is not retained at the box
// any more is cleared at the remote. What the remote has retained comes with the
// subscription. Under a map of both directions the remote's word counts: what it has
// retained from others is not overwritten with what the box had before.
//
// # Loops
//
// A message that came from the remote does not go back to it. The box does not send to a
// session what the same client has published (No Local), and is asked not to by a 5.0
// remote; one of 3.1.1 is told by the bridge bit, if it knows that. Each message that
// passes by an uplink gets a user property, lintel-hop, with the client id of the uplink, and
// one that has it does not pass there again, however it came back; one with 16 of them goes
// nowhere. Without properties, which is to say over 3.1.1, two uplinks that face each other
// with overlapping maps of both directions are not told from clients: one is enough.
// What a map of the direction in matches does not go out by another map.
//
// # What does not get through
//
// A message that the remote cannot take is counted, said in Status and skipped: one larger
// than its Maximum Packet Size, one that it refuses with a reason code, and one in whose
// presence it has closed the connection five times in a row though nothing else was on its
// way. The same holds for what the box cannot take. A message that the box refuses because
// its disk or a queue is full stays with the remote, and is tried again a minute later.
//
// A remote that cannot be reached is tried again after a second, then after twice as
// long each time, up to a minute, more or less a quarter. One that does not let the box
// in is tried every minute or two. 5.0 is tried first, then 3.1.1 with the bridge bit, then
// without.
//
// # Contract
//
// Run blocks and owns its goroutines: for each connection one that reads and one that writes,
// one for pings, and one for retained messages. Status may be called from any goroutine.
// relay.mu guards what is on its way; it is not held while anything blocks. conn.mu
// guards what waits to be written, 256 KiB before a reader stops. A packet from the remote
// has as many bytes as the box takes at most, and the remote sends no more than 100
// messages that are not acknowledged.
package uplink
