// Package witness loads a broker as its clients do, writes down what each of
// them did and was told, and judges the broker by it after a crash.
//
// # Contract
//
// [Load] makes sessions anew and plays their clients until its context ends or
// the broker is gone. What a client is about to send is in the [Ledger] before it
// is sent, what it received before it acts upon it. So the events up to any
// position are what the clients knew if the power failed just then, and
// [Ledger.At] makes a [World] of them. [World.Check] goes on where those clients
// stopped, against the broker that came back, and finishes what they had begun:
//
//   - a message whose publisher had PUBACK or PUBREC reaches each session that
//     subscribed to it; those of QoS 2 exactly once, over the crash and with few
//     packet ids that are used again and again;
//   - a message of QoS 1 that a subscriber had acknowledged may come once more,
//     until the SUBACK of a later SUBSCRIBE on the same connection tells that the
//     broker has written down what came before;
//   - messages of one publisher come in its order;
//   - a retained message is the last one that was acknowledged or the one that was
//     on its way;
//   - sessions, subscriptions and what waits in them are there once acknowledged,
//     and gone once their end was.
//
// Each payload says which message it is, and the rest of it follows from that: a
// damaged one counts as lost.
package witness
