// Package fakehome is a Home Assistant for tests: it does to a broker, and to the
// discovery documents that it finds there, what Home Assistant 2026.2 was measured to do.
//
// [Home] is its MQTT half: the client with its birth message and its will, which
// gives up for good when it is told "not authorized"; the discovery, which loses
// components of documents that come too quickly; the registries of devices and
// entities, which outlast a restart; the entities themselves, with templates,
// availability and commands.
//
// [Site] is its HTTP half: the page on which a person logs in for a program of another
// maker, the tokens, and the flow by which MQTT is set up, which connects to the broker
// before it makes an entry.
//
// What Home Assistant would only log, or drop without a word, is a [Complaint]: a test
// asserts that there are none.
//
// # Contract
//
// Home.Run owns all goroutines, and ends when its context does. All other methods may be
// called from any goroutine, also while it runs, and so may those of Site. One lock each
// guards everything; it is never held while bytes are written to the network.
//
// Limits: a message of 1 MiB, a document of 1,000 components, a template of 10,000
// characters. What is beyond them is a complaint.
package fakehome
