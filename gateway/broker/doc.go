// Package broker is an MQTT broker for MQTT 3.1, 3.1.1 and 5.0, over TCP and
// WebSocket, with clients in the same process.
//
// # What an acknowledgement means
//
// PUBACK and PUBREC leave when the message can no longer be lost by pulling the
// plug: at once if no persistent session wants it and it is not retained, else
// when the store has committed it. A message that every persistent subscriber
// has acknowledged before its group is written is never written at all.
//
// More waits for the store: SUBACK and UNSUBACK of persistent sessions, CONNACK
// of a new one, PUBCOMP (the id of an incoming message must be forgotten first),
// and for persistent sessions the first PUBLISH with QoS 2 (its packet id must be
// known first) and PUBREL. Acknowledgements of subscribers are written with the
// next group: if one is lost the message is sent once more, with DUP.
//
// Retained messages of QoS 0 are written every three seconds, the latest of each
// topic only: a crash may lose that much of them.
//
// # How a message goes
//
// One goroutine reads each connection: it decodes all whole packets of what it
// has read in place, appends what they cause to the buffers of the receivers, and
// then flushes each receiver once, without waiting for any. Only for a receiver
// whose socket is full a goroutine is started that waits for it. The publisher
// finds the receivers in a route that it remembers per topic until a
// subscription changes somewhere; no lock is taken for that. A message for
// several receivers is encoded once per protocol version, QoS and RETAIN flag.
//
// # Locks, in the order in which they are taken
//
//	Client.changing     the subscriptions of one client in the process
//	Broker.mu           sessions by client id, and who holds each
//	retainedStore.mu    retained messages; held while they are given to the store
//	session.mu          the state of one session; calls its peer, which may take
//	conn.mu, Client.mu  what waits for one client
//	index.mu            the subscription trie; taken with session.mu held
//	message.mu          encoded forms
//
// The store calls back without a lock of its own; the callbacks take session.mu
// and conn.mu. Broker.mu is not held while a message is routed. Whoever holds a
// session (a connection, a client, a timer at work) is the only one to change
// whose it is; a new connection tells the holder to let go and waits for it.
//
// # Limits
//
// Options bounds packets, connections, topic levels, subscriptions, messages in
// flight, and the queue of each session by count and bytes. A message that finds the queue full is dropped for
// that session and counted. A client that does not read gets no more than 256 KiB
// on its way, then messages of QoS 0 are dropped and counted and the others wait
// in its session; nobody else waits. While the store has more than its budget to
// write, no socket is read.
//
// $SYS/broker/… tells how the broker is doing, with mosquitto's names and meanings.
//
// There is no access control yet: whoever reaches a listener may do everything
// but publish to topics that begin with $.
package broker
