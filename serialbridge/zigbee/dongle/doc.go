// Package dongle finds out which Zigbee coordinator a stick is, and gives it to the
// network.
//
// A stick is known by its USB strings ([products]): only then, or if the user has set
// the protocol of its port, is it opened. One whose strings tell the chip is spoken to at
// its own speed; for others the settings in [attempts] are tried one after the other, at
// most twenty seconds each. What is no coordinator that Lintel speaks with is explained:
// ConBee, RaspBee, ZiGate and ZBOSS by their USB strings or by how they answer.
//
// # Contract
//
// Driver's Run owns a goroutine that reads the port, which ends when the port is closed,
// and one that serves the network, which has ended when Run returns. The device of the
// stick is told its figures once a minute.
package dongle
