// Package broker is an MQTT broker for MQTT 3.1, 3.1.1 and 5.0, over TCP and
// WebSocket, with clients in the same process.
//
// # What an acknowledgement means
//
// PUBACK and PUBREC leave when the message can no longer be lost by pulling the
// plug: at once if no persistent session wants it and it is not retained, else
// when the store has committed it. A message that every persistent subscriber
// has acknowledged before its group is written is never written at all, and
// acknowledged then. To that end one of QoS 1 that goes at once to all of them waits
// up to 50 ms for their acknowledgements; one that has to wait for a client, or that is
// retained, is written without delay.
//
// More waits for the store: SUBACK and UNSUBACK of persistent sessions, CONNACK
// of a new one and where an old one ends, PUBCOMP (the id of an incoming message
// must be forgotten first), and for persistent sessions the first PUBLISH with QoS 2
// (its packet id must be known first) and PUBREL. Acknowledgements of subscribers are written with the
// next group: if one is lost the message is sent once more, with DUP.
//
// Retained messages of QoS 0 are written every ten seconds, the latest of each
// topic only: a crash may lose that much of them.
//
// # How a message goes
//
// A connection is served by a goroutine of its own until it has said CONNECT. Then
// its descriptor goes to a poller, an epoll set that one goroutine serves; there are
// as many as processors, four at most. Connections that have no descriptor to give
// (TLS, WebSocket), or that are not on Linux, keep their goroutine.
//
// Who serves a connection reads once, decodes all whole packets of what it has read
// in place, appends what they cause to the buffers of the receivers, and then
// flushes each receiver once, without waiting for any: the poller of a receiver whose
// socket is full goes on when it has drained. What may wait for the store, such as
// SUBSCRIBE of a persistent session, leaves the poller for a goroutine of its own.
//
// The publisher finds the receivers in a route that it remembers per topic until a
// subscription changes somewhere; no lock is taken for that. A message for
// several receivers is encoded once per protocol version, QoS and RETAIN flag.
//
// # The clock
//
// All that has an end, and every delay, runs on monotonic time: nothing ends because
// the wall clock jumps. Time for which the machine was off counts once the wall clock
// is known to be right, which [persist.Store.LookAtClock] finds out. A box that starts
// in 1970 counts from its start until then, and what has ended meanwhile ends when
// the network has told the time. The order of messages is that of their ids.
//
// # Shared subscriptions
//
// A message goes to one member of a share: the next in turn that is connected and
// has room in its window, else one that is connected, else one whose session keeps
// it. What a member has not acknowledged when its session ends goes to another one,
// in order, and only in a new delivery: QoS 1 in any case, QoS 2 if its sending has
// not begun, else nobody gets it. When a member goes offline and its session stays,
// what was never sent goes to connected members and what is in flight waits for it.
// What nobody takes stays, or ends, with the session. A message that a member
// refused is gone, and one that unsubscribed keeps what it has.
//
// A message moves in one batch of the store, so that a crash finds it in one session
// or the other; it goes to a member whose session is in the store, too, if there is
// one. Another gets none of QoS 2 from a session that goes on, and what it gets of
// QoS 1 the store keeps for that session until it is acknowledged. The store knows
// by which share an entry came: a restart changes nothing.
//
// # Locks, in the order in which they are taken
//
//	Client.changing     the subscriptions of one client in the process
//	Broker.mu           sessions by client id, and who holds each
//	retainedStore.mu    retained messages; held while they are given to the store
//	session.mu          the state of one session; calls its peer, which may take
//	conn.mu, Client.mu  what waits for one client
//	poller.mu           connections by descriptor
//	index.mu            the subscription trie; taken with session.mu held
//	message.mu          encoded forms
//
// The store calls back without a lock of its own; the callbacks take session.mu
// and conn.mu. Options.Authorize is called with session.mu or Client.mu held.
// Broker.mu is not held while a message is routed. Whoever holds a
// session (a connection, a client, a timer at work) is the only one to change
// whose it is; a new connection tells the holder to let go and waits for it.
//
// # Long queues
//
// The queue of a persistent session may be longer than memory: its head is there, what
// is behind is in the store alone, and what came last is in memory until the store has
// committed it. A goroutine reads the next page of a queue when its head gets short, so
// that nobody who publishes or acknowledges waits for the disk. A broker starts without
// reading queues: it counts them. Options.QueueMemory is for all heads together, and a
// client that is away has a short one.
//
// # Limits
//
// Options bounds packets, connections and their rate, topic levels, subscriptions,
// messages in flight, the queue of each session by count and bytes, the bytes of
// all queues, and retained messages by count and bytes. Who goes over a limit
// gets the reason that the standard has for it, Stats counts it by Limit, and
// nobody else feels it:
//
//   - A connection too many gets 0x89 in its CONNACK, one too soon 0x9F, both the
//     code 3 before 5.0. Too soon is what comes after a burst from one address, or from
//     all together: the first spares the others the second. Of too many connections without CONNECT the oldest is
//     closed: silence keeps nobody out.
//   - A message that finds the queue full is dropped for that session, or takes the
//     place of the oldest one, or is refused with 0x97 and goes to nobody: QueueFull.
//     When the queues have taken half of their total, each may have its even share of
//     the other half: the total holds for as many sessions as connections are allowed.
//   - A retained message too many, or too large, is refused with 0x97 if it has an
//     answer that can say so (5.0, QoS 1 and 2; in the process an error): then all
//     is as before. Else it goes to who is there and is not retained, and what was
//     retained before is removed: an old state must not be taken for the latest.
//     Removing always works, and what the store holds is taken at the start.
//
// When the disk is nearly full (persist.Store.DiskLow) a message of QoS 1 or 2 that
// would have to be kept goes to nobody: 0x97 for a client of 5.0, an error in the
// process, and before 5.0 the connection is closed without an acknowledgement, which
// alone tells the client that the message is still its own. Retained messages of QoS 0
// wait unwritten. Everything else goes on: acknowledgements and whatever is emptied or
// ended make room.
//
// A client that does not read gets no more than 256 KiB on its way, then messages
// of QoS 0 are dropped and counted and the others wait in its session; nobody else
// waits. While the store has more than its budget to write, no socket is read that
// gave it something with the last batch.
//
// $SYS/broker/… tells how the broker is doing, with mosquitto's names and meanings.
// $SYS/broker/limits/… are the counters by Limit. Of the keys and values of the store
// since the start $SYS/broker/store/bytes/written tells how many bytes were handed to
// Badger, …/elided how many were not because their messages were acknowledged in time,
// about, and …/coalesced how many not because a later value took their place;
// $SYS/broker/store/groups are the commits; the half of them took less than
// $SYS/broker/store/commit/p50 microseconds, a power of two, all but a hundredth less
// than …/p99.
//
// # Traces
//
// Broker.Trace tells what happens to chosen clients, topics or addresses: packets that come
// and go, who connects and who is refused, and what becomes of each message: for whom it
// waits, who may not have it, who is past reach, what the store did with it, who has
// acknowledged it and who was told so. All that is told of one message has its number,
// mqtt.Message.Trace, by which the house follows it outside of the broker too. Events
// go into a bounded channel; nobody waits for who receives them. trace.mu is taken last.
//
// # Access
//
// Options.Authenticate, or the Method that a client names, decides who is let in,
// before anything of a session is touched. Options.Authorize decides what may be
// published, subscribed to and received, in-process clients included. Disconnect throws
// a client out or sends it to another server, DisconnectIf all those who may not stay. Without these options whoever reaches a
// listener may do everything but publish to topics that begin with $, and take the id
// of an in-process client.
//
// Authorize is asked about a topic when a route is found, about its publisher and about
// each receiver: who may not receive it is not on the route, and no message is asked
// about unless the answer is that it depends on the message (If). A publisher is judged
// before anything of its message is acknowledged, a will at its CONNECT. Of a shared
// subscription those are passed over who may not have a message; one that none of them
// may have is dropped and counted. Retained messages are asked about when they are
// found for a new subscription, and queued ones again when they are read back from the
// store, when rights change, and when a client comes back to its session.
//
// AccessChanged makes the answers count anew, for clients that are away too, and
// disconnects nobody. Each route knows the generation in which it was found and each
// session the one in which its rights changed last: a message that is on its way by an
// older route is asked about once more. Of a client that was away at a restart nobody
// knows more than its user: what comes for it waits, and is asked about when it comes
// back.
//
// A session belongs to the user whom Authenticate or the Method has left in the request,
// also in the store. MQTT lets whoever knows a client id take over its session, its
// subscriptions and what waits for it (5.0 §3.1.4), and other brokers do so whatever the
// user name is. Here a client with another user gets 0x85 or, before 5.0, code 2,
// Clean Start or not, whether the owner is there or away; nothing of the session is
// touched. To end the session and let the client in would let anybody with a login
// destroy what waits for others, or keep them off by connecting in turn. The price is
// that a device which gets another login has to take another client id as well, if it
// has left a session that does not end; EndSession frees the id. A session of nobody,
// whose client was anonymous or had said its name to no Authenticate, may be gone on
// with by anybody: then it is theirs, and they get of what waits what they may receive.
package broker
